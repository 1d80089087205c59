"""The bases that samplers use: Mahalanobis's distance whatever the basis of f, and what is kept with a checkpoint."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from typer import Typer
from typer.testing import CliRunner

import lib
from lib.dataset import shards
from lib.dataset.criterion import LIMITS
from lib.model import Model
from lib.samplers.match import Measure, Targets, in_units, mismatch
from lib.statistics.quadratic import periodic_component
from lib.training import bases, checkpoint, precondition, whitening
from lib.training.whitening import SHARE


def residuals(p: int, d: int, seed: int = 0, n: int = 2) -> torch.Tensor:
    """Of p photographs, n each, of one covariance: [p,n,d]."""
    mixing = torch.randn(d, d, generator=torch.Generator().manual_seed(0)) * torch.logspace(0, -2, d)
    return torch.randn(p, n, d, generator=torch.Generator().manual_seed(seed)) @ mixing.T


def normalised(r: torch.Tensor) -> torch.Tensor:
    return (r / r.square().mean(-1, keepdim=True).sqrt()).flatten(0, 1)


@pytest.mark.parametrize("p", [400, 2])
def test_it_is_the_inverse_root_of_what_residuals_do_together(p: int) -> None:
    r = residuals(p, 12)
    W = whitening.whitening(r)
    rows = normalised(r).double()
    covariance = rows.T @ rows / len(rows)
    expected = torch.linalg.inv(covariance + SHARE * covariance.trace() / 12 * torch.eye(12))
    found = (W @ W).double()
    assert torch.allclose(found / found.trace(), expected / expected.trace(), atol=1e-4)
    assert torch.allclose(W, W.T, atol=1e-5)


def test_residuals_of_other_photographs_have_the_length_one() -> None:
    """Were the length that of the residuals it is learned from, others would be longer."""
    W = whitening.whitening(residuals(20, 40))
    own, others = (normalised(residuals(p, 40, seed)) for p, seed in ((20, 0), (500, 1)))
    assert (others @ W).square().mean().item() == pytest.approx(1, rel=0.3)
    assert (own @ W).square().mean() < 0.8
    W = whitening.whitening(residuals(500, 40))
    assert (normalised(residuals(500, 40, 2)) @ W).square().mean().item() == pytest.approx(1, rel=0.05)


def test_the_length_of_a_residual_does_not_count() -> None:
    r = residuals(30, 6)
    scaled = r * torch.linspace(0.1, 9, 30)[:, None, None]
    assert torch.allclose(whitening.whitening(r), whitening.whitening(scaled), atol=1e-4)


def test_the_distance_does_not_depend_on_the_basis() -> None:
    """Statistics turned by an orthogonal matrix, their residuals with them: the same distance."""
    turn = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(1)))[0]
    r, off, one = residuals(50, 8), residuals(3, 8, seed=2)[:, 0], torch.ones(8)
    plain, turned = (Measure(lambda x: x, whitening.whitening(rows)) for rows in (r, r @ turn.T))
    distances = in_units(plain, off, one), in_units(turned, off @ turn.T, one)
    assert torch.allclose(*distances, rtol=1e-3)
    assert not torch.allclose(distances[0], off.square().mean(1), rtol=0.1)
    assert torch.equal(in_units(Measure(lambda x: x, torch.eye(8)), off, 2 * one), (off / 2).square().mean(1))


def test_a_photograph_gives_both_diagonals() -> None:
    """With the mean colours as statistics, residuals are differences of corners, in spreads."""

    def colours(x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3))

    x = torch.rand(3, 256, 300, generator=torch.Generator().manual_seed(0))
    x[:, :128, :128] += 1  # one corner is lighter
    found = whitening.residuals(Measure(colours, torch.eye(3)), x)
    assert found.shape == (2, 3)
    assert (found[0] < -10).all()
    assert (found[1].abs() < 10).all()


def test_a_patch_is_halved() -> None:
    """Patch shards have 128 pixels a side: pieces are of 64, opposite ones as in a photograph."""
    x = torch.rand(3, 128, 128, generator=torch.Generator().manual_seed(0))
    x[:, :64, :64] += 1

    def colours(x: torch.Tensor) -> torch.Tensor:
        assert max(x.shape[2:]) <= 64
        return x.mean((2, 3))

    found = whitening.residuals(Measure(colours, torch.eye(3)), x)
    assert (found[0] < -5).all()
    assert (found[1].abs() < 5).all()


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(3):
        coarse = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((256, 256)).save(folder / f"{k}.png")
    return folder


def test_they_are_written_into_the_checkpoint_and_the_card_keeps_up(
    tmp_path: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.safetensors"
    checkpoint.save(Model(), path, "# Mine\n\nSaid by hand.\n", {"seed": 3})
    plain = checkpoint.load(path)
    assert torch.equal(plain.whitening, torch.eye(512))
    assert plain.directions is None
    monkeypatch.setattr(bases, "CROPS", 1)
    app = Typer()
    app.command()(bases.learn)
    done = CliRunner().invoke(app, [str(path), "--data", str(photographs), "--most", "2"])
    assert done.exit_code == 0, done.output
    model, card = checkpoint.load(path), path.with_suffix(".md").read_text()
    assert not torch.equal(model.whitening, torch.eye(512))
    assert model.directions is not None
    assert model.directions.shape == (379, 379)
    assert "Said by hand." in card
    assert card.count("sha256 of") == 1
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card
    recipe = checkpoint.recipe(path)
    assert (recipe["seed"], recipe["bases"]["photographs"]) == (3, 2)
    few = CliRunner().invoke(app, [str(path), "--data", str(photographs), "--most", "1"])
    assert few.exit_code != 0


def test_where_nothing_has_256_pixels_patches_of_128_serve(tmp_path: Path, photographs: Path) -> None:
    """Photographs as large as two pieces, or where a folder has none, all of 128 pixels and more; one is held out."""
    rng = np.random.default_rng(0)
    small, patches = tmp_path / "small", tmp_path / "patches"
    small.mkdir()
    for folder, side in ((photographs, 128), (small, 140), (small, 100)):
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(folder / f"of{side}.png")
    shards.write_plan(patches, {"settings": {}, "tasks": ["task"]})
    with shards.Writer(patches, "task") as writer:
        for k in range(2):
            row = {"image": f"{k}.jpg", "row": 0, "column": 0, "scale": 1, "split": "train", "verdict": "kept"}
            patch = rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)
            writer.window({**row, **dict.fromkeys(LIMITS, 0.25)}, patch)
    for folders, sides in (([photographs], [256] * 2), ([small], [140]), ([patches, small], [128, 128, 140])):
        found = [image.shape for group in bases.load(folders).values() for image in group]
        assert sorted(found) == [(n, n, 3) for n in sides]
    assert [x.shape for x in bases.chosen(bases.load([patches]), 9)] == [(3, 128, 128)] * 2


def test_along_directions_gradients_are_orthogonal() -> None:
    """G^(-1/2) G G^(-1/2) is the identity where no eigenvalue was raised to the floor."""
    rows = torch.randn(9, 400, generator=torch.Generator().manual_seed(0))
    G = rows @ rows.T / 400
    B = precondition.inverse_root(G)
    assert torch.allclose(B @ G @ B, torch.eye(9), atol=1e-4)
    values = torch.tensor([1.0, 1.0, 1e-9])
    assert precondition.inverse_root(torch.diag(values)).max().item() == pytest.approx((0.01 * 2 / 3) ** -0.5, rel=1e-4)


def test_a_file_without_them_has_its_own(tmp_path: Path) -> None:
    path = tmp_path / "old.safetensors"
    checkpoint.save(Model(), path, "", {})
    weights = load_file(path)
    del weights["whitening"]
    header = {"format": checkpoint.FORMAT, "architecture": json.dumps({}), "sha256": checkpoint.digest(weights)}
    save_file(weights, path, metadata=header)
    model = checkpoint.load(path)
    assert torch.equal(model.whitening, torch.eye(512))
    assert model.directions is None


@pytest.mark.parametrize("name", ["small", "waves", "default"])
def test_what_is_shipped_has_them(name: str) -> None:
    model = checkpoint.load(name)
    assert model.directions is not None
    for basis in (model.whitening, model.directions):
        assert torch.linalg.eigvalsh(basis).min() > 0
        assert torch.linalg.cond(basis) > 2


def test_other_pieces_of_a_photograph_lie_about_the_unit() -> None:
    """Of exemplars, which no basis was learned from: two opposite corners each."""
    model = checkpoint.load()
    away = []
    for name in lib.EXEMPLARS:
        x = lib.exemplar(name)[None]
        targets = Targets.of(model, x[..., :128, :128])
        with torch.no_grad():
            away.append(mismatch(model, targets, periodic_component(x[..., -128:, -128:])).item())
    assert 0.5 < np.exp(np.log(away).mean()) < 4
