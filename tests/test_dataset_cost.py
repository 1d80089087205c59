"""The pilot: what it counts, and what it is extrapolated to."""

from pathlib import Path

import pytest
from dataset_pictures import BAD, encode, make_tar, noise

from lib.dataset.cost import IMAGENET, Cost, lines, measure, pilot
from lib.dataset.sources import find_tasks
from lib.errors import TextureError


def test_a_pilot_counts_what_can_be_read_and_leaves_nothing(tmp_path: Path) -> None:
    members = {f"n1_{i}.JPEG": encode(noise(256, 256, i), "JPEG", quality=90) for i in range(3)}
    make_tar(tmp_path / "n1.tar", members | {"n1_bad.JPEG": BAD["tiny"]})
    cost = measure(find_tasks([tmp_path / "n1.tar"]))
    assert cost.pictures == 3
    assert cost.pixels == 256 * 256
    assert cost.patches == 10  # nine windows whole, one halved
    assert 0 < cost.tiled < cost.judged < cost.whole
    assert [path.name for path in tmp_path.iterdir()] == ["n1.tar"]


def test_costs_are_those_of_imagenets_number_of_pictures() -> None:
    cost = Cost(
        pictures=2,
        pixels=1e5,
        size=5e4,
        jpeg=1,
        decoded=2,
        judged=3,
        tiled=2.5,
        whole=16 * 3.6e6 / IMAGENET,
        patches=1e6 / IMAGENET,
        table=2e9 / IMAGENET,
    )
    text = "\n".join(lines(cost))
    for part in (
        "decoding 1.50, over JPEG to array 3.00",
        "16 core hours (1.0 h on 16",
        "1.0 million",
        "49 GB",
        "2 GB of",
    ):
        assert part in text


def test_a_pilot_without_pictures_says_so(tmp_path: Path) -> None:
    make_tar(tmp_path / "n1.tar", {"n1_bad.JPEG": BAD["tiny"]})
    with pytest.raises(TextureError, match="no picture of the sources can be read"):
        measure(find_tasks([tmp_path / "n1.tar"]))


def test_a_pilot_filters_no_more_than_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole tars until there are enough pictures, of a folder no more files than that; damage is no matter."""
    (tmp_path / "photos").mkdir()
    for k in range(5):
        members = {f"n{k}_{i}.JPEG": encode(noise(128, 128, i), "JPEG") for i in range(2)}
        make_tar(tmp_path / f"n{k}.tar", members)
        (tmp_path / "photos" / f"{k}.png").write_bytes(encode(noise(128, 128, k)))
    whole = (tmp_path / "n0.tar").read_bytes()
    (tmp_path / "n0.tar").write_bytes(whole[: len(whole) // 2])
    monkeypatch.setattr("lib.dataset.cost.PILOT", 3)
    tars = find_tasks(sorted(tmp_path.glob("*.tar")))
    assert [task.root.name for task in pilot(tars)] in (["n0.tar", "n1.tar"], ["n0.tar", "n1.tar", "n2.tar"])
    assert measure(tars).pictures == 3
    (folder,) = pilot(find_tasks([tmp_path / "photos"]))
    assert len(folder.files) == 3
