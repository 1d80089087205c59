"""Near-duplicates: found however they were coded again, none made up, and never on both sides of the split."""

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from dataset_pictures import encode, noise
from PIL import Image

from lib.dataset import shards
from lib.dataset.duplicates import NEAR, groups, left_out, near_pairs, picture_hash
from lib.dataset.filter import filter_sources
from lib.images import EXEMPLARS, exemplar

PICTURES = [exemplar(name).permute(1, 2, 0).mul(255).round().byte().numpy() for name in EXEMPLARS]


def bits(a: int, b: int) -> int:
    return (a ^ b).bit_count()


def coded(picture: np.ndarray, share: float, quality: int) -> np.ndarray:
    """Resized by a share of its sides, and through a lossy file."""
    image = Image.fromarray(picture)
    image = image.resize((round(share * image.width), round(share * image.height)), Image.Resampling.BICUBIC)
    return np.asarray(Image.open(io.BytesIO(encode(np.asarray(image), "JPEG", quality=quality))))


@pytest.mark.parametrize(("share", "quality"), [(1, 40), (0.6, 75), (1.3, 90)])
def test_a_picture_coded_again_is_near_itself_and_far_from_others(share: float, quality: int) -> None:
    own = [picture_hash(picture) for picture in PICTURES]
    again = [picture_hash(coded(picture, share, quality)) for picture in PICTURES]
    assert sum(bits(a, b) <= NEAR for a, b in zip(own, again, strict=True)) == len(own)
    assert min(bits(a, b) for a, b in itertools.combinations(own, 2)) > NEAR


def test_pairs_are_those_of_comparing_all_with_all() -> None:
    rng = np.random.default_rng(0)
    h = rng.integers(0, 2**64, 300, dtype=np.uint64)
    for i in range(150):  # copies, 0 to 9 bits off
        for bit in rng.permutation(64)[: i % 10]:
            h[i] ^= np.uint64(1) << np.uint64(bit)
        h[299 - i] = h[i]
        for bit in rng.permutation(64)[: i % 10]:
            h[299 - i] ^= np.uint64(1) << np.uint64(bit)
    every = [(i, j) for i, j in itertools.combinations(range(300), 2) if bits(int(h[i]), int(h[j])) <= NEAR]
    assert len(every) > 90
    assert near_pairs(h).tolist() == [list(pair) for pair in every]
    assert len(near_pairs([])) == len(near_pairs([3])) == 0


def test_groups_hang_together_by_way_of_others() -> None:
    assert groups(6, np.array([[4, 1], [2, 4]])).tolist() == [0, 1, 1, 3, 1, 5]


def test_of_a_group_one_stays_and_train_comes_first() -> None:
    same, other = 12345, 2**63 + 987654321
    assert left_out([same, other, same, same], ["test", "test", "train", "train"], list(shards.SPLITS)) == {0: 2, 3: 2}
    assert left_out([], [], list(shards.SPLITS)) == {}


def test_copies_in_a_library_are_left_out_everywhere(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for folder in ("a", "b"):
        (photos / folder).mkdir(parents=True)
    pictures = [noise(192, 192, seed=i) for i in range(12)]
    for i, picture in enumerate(pictures):
        (photos / "a" / f"{i}.png").write_bytes(encode(picture))
        (photos / "b" / f"copy{i}.jpg").write_bytes(encode(picture, "JPEG", quality=80))
    out = tmp_path / "out"
    report = filter_sources([photos], out, workers=1)
    rows = list(shards.read_manifest(out))
    left = {row["image"] for row in rows if row["verdict"] == "duplicate"}
    assert len(left) == 12
    kept = [row for row in rows if row["verdict"] == "kept"]
    assert len({row["image"].split("/")[1].strip("copy").split(".")[0] for row in kept}) == 12
    lengths = {split: len(shards.open_patches(out, split)) for split in shards.SPLITS}
    assert lengths == {split: sum(row["split"] == split for row in kept) for split in shards.SPLITS}
    assert +report.splits == {split: n for split, n in lengths.items() if n}
    assert "12 near-duplicates" in (out / "DATA.md").read_text()
    for split in shards.SPLITS:
        sources = shards.open_sources(out, split)
        assert sum(len(patches) for patches in sources.values()) == lengths[split]
        # Patch by patch the manifest's rows, though some in the middle of a shard are left out.
        named = [row["image"].rpartition("/")[0] for row in kept if row["split"] == split]
        assert {f"photos/{name}": named.count(name) for name in set(named)} == {k: len(v) for k, v in sources.items()}
