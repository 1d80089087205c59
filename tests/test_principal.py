"""Principal directions: against numpy's decomposition, and as statistics of textures."""

from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

import lib
from lib.errors import TextureError
from lib.samplers.match import Measure, match_steps
from lib.statistics import principal
from lib.statistics.gram import Gram
from lib.statistics.principal import Principal
from lib.training.batches import Crops
from lib.training.principal import begun, learn


def rows(n: int, sizes: list[int]) -> torch.Tensor:
    """Pictures whose entries vary in few directions much, in the others little."""
    generator = torch.Generator().manual_seed(0)
    width = sum(sizes)
    strong = torch.randn(n, 3, generator=generator) @ torch.randn(3, width, generator=generator)
    return 5 + strong + 0.05 * torch.randn(n, width, generator=generator)


def test_directions_are_those_of_an_exact_decomposition() -> None:
    """In units of each layer's norm, entries off the diagonal counting twice."""
    sizes, weight = [6, 10], torch.tensor([1.0, 2**0.5] * 8)
    given = rows(40, sizes)
    found, shares = principal.directions(given.clone(), sizes, weight, 3)
    x = (given * weight).double().numpy()
    x = np.concatenate([part / np.linalg.norm(part, axis=1, keepdims=True) for part in np.split(x, [6], 1)], 1)
    x -= x.mean(0)
    _, values, exact = np.linalg.svd(x)
    ours = (found / weight[:, None]).double().numpy()
    assert np.abs(np.abs(np.diag(exact[:3] @ ours)) - 1).max() < 1e-3
    assert np.allclose(shares, values[:3] ** 2 / (values**2).sum(), rtol=1e-3)


def test_contrast_counts_in_no_picture() -> None:
    sizes, weight = [6, 10], torch.ones(16)
    given = rows(40, sizes)
    louder = given * torch.linspace(0.1, 10, 40)[:, None]
    a, b = (principal.directions(x.clone(), sizes, weight, 2)[0] for x in (given, louder))
    assert torch.allclose((a.T @ b).abs().diagonal(), torch.ones(2), atol=1e-3)


def test_they_are_linear_in_gram_matrices_and_know_no_place() -> None:
    gram = Gram("untrained")
    directions = torch.randn(gram.dim, 5, generator=torch.Generator().manual_seed(0))
    f, x = Principal(directions), lib.exemplar("pebble")[None, :, :64, :64]
    assert f.dim == 5
    assert torch.allclose(f(x), gram(x) @ directions)
    assert torch.allclose(f(x.roll((16, -8), (2, 3))), f(x), rtol=1e-3)


def test_a_byte_an_entry_is_enough(tmp_path: Path) -> None:
    directions = torch.randn(Gram("untrained").dim, 3, generator=torch.Generator().manual_seed(0))
    read = principal.load(principal.save(directions, tmp_path / "p.safetensors", {})).directions
    assert (read - directions).abs().max() <= directions.abs().max() / 250
    assert (read - directions).norm() < 0.02 * directions.norm()


def test_what_is_not_such_a_file_is_refused(tmp_path: Path) -> None:
    torn, other, short = (tmp_path / f"{name}.safetensors" for name in ("torn", "other", "short"))
    torn.write_bytes(principal.SHIPPED.read_bytes()[:1000])
    save_file({"directions": torch.zeros(2, 2)}, other)
    principal.save(torch.randn(7, 2), short, {})
    for path, said in {
        tmp_path / "none": "does not exist",
        torn: "is damaged",
        other: "holds no principal directions",
        short: "7 entries, the network has 34912",
    }.items():
        with pytest.raises(TextureError, match=said):
            principal.load(path)


def test_what_is_shipped_is_matched_and_tells_textures_apart() -> None:
    f = principal.load()
    assert f.dim == lib.load().dim == principal.DIM
    pebble = lib.exemplar("pebble")[:, :64, :64]
    steps = match_steps(Measure(f, torch.eye(f.dim)), pebble, size=64, tileable=True, steps=12)
    losses = [record.loss for record in steps]
    assert losses[-1] < 0.2 * losses[0]
    a, b, other = (f(x[None])[0] for x in (
        lib.exemplar("pebble")[:, :128, :128], lib.exemplar("pebble")[:, 200:328, 200:328],
        lib.exemplar("grass")[:, :128, :128],
    ))  # fmt: skip
    assert (a - b).norm() < (a - other).norm()


def test_learning_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for k in range(20):
        noise = np.random.default_rng(k).integers(0, 255, (48, 48, 3), dtype=np.uint8)
        Image.fromarray(noise).save(photographs / f"{k}.png")
    monkeypatch.setattr("lib.training.principal.EVERY", 1)
    app, files = typer.Typer(), [tmp_path / f"{name}.safetensors" for name in ("whole", "parts")]
    app.command()(learn)
    given = ["--data", str(photographs), "--crops", "16", "--dim", "4", "--side", "32"]
    assert CliRunner().invoke(app, [str(files[0]), *given]).exit_code == 0
    batch, calls = lib.training.batches.Crops.batch, []

    def interrupted(self: object, *asked: int) -> torch.Tensor:
        calls.append(asked)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return batch(self, *asked)  # type: ignore[arg-type]

    monkeypatch.setattr("lib.training.batches.Crops.batch", interrupted)
    assert CliRunner().invoke(app, [str(files[1]), *given]).exit_code != 0
    assert CliRunner().invoke(app, [str(files[1]), *given]).exit_code == 0
    assert len(calls) == 3
    whole, parts = (principal.load(file).directions for file in files)  # bytes: headers know no order
    assert torch.equal(whole, parts)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parts.safetensors", "photographs", "whole.safetensors"]
    assert CliRunner().invoke(app, [str(files[1]), *given, "--dim", "16"]).exit_code == 1


def test_what_was_begun_otherwise_is_not_taken_up(tmp_path: Path) -> None:
    source, out = Crops({"a": [np.zeros((64, 64, 3), np.uint8)]}), tmp_path / "p.safetensors"
    folders = [begun(out, [tmp_path / data], source, side) for data, side in (("x", 32), ("y", 32), ("x", 48))]
    assert len(set(folders)) == 3
    more = Crops({"a": [np.zeros((64, 64, 3), np.uint8)] * 2})
    assert begun(out, [tmp_path / "x"], more, 32) not in folders
    assert begun(out, [tmp_path / "x"], source, 32) == folders[0]
