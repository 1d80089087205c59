"""The basis in which matching measures f: Mahalanobis's distance, whatever the basis of f; kept with the checkpoint."""

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

from lib.model import Model
from lib.samplers.match import Measure, in_units
from lib.training import checkpoint, whitening
from lib.training.whitening import SHARE


def residuals(n: int, d: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d, d, generator=generator) * torch.logspace(0, -2, d)
    return torch.randn(n, d, generator=generator) @ mixing.T


@pytest.mark.parametrize("n", [400, 5])
def test_it_is_the_inverse_root_of_what_residuals_do_together(n: int) -> None:
    r = residuals(n, 12)
    r = r / r.square().mean(1, keepdim=True).sqrt()
    W = whitening.whitening(r)
    covariance = (r.T @ r / n).double()
    delta = SHARE * covariance.trace() / 12
    expected = torch.linalg.inv(covariance + delta * torch.eye(12))
    found = (W @ W).double()
    assert torch.allclose(found / found.trace(), expected / expected.trace(), atol=1e-5)
    assert torch.allclose(W, W.T, atol=1e-5)
    assert (r @ W).square().mean().item() == pytest.approx(1, abs=1e-4)


def test_the_length_of_a_residual_does_not_count() -> None:
    r = residuals(30, 6)
    assert torch.allclose(
        whitening.whitening(r), whitening.whitening(r * torch.linspace(0.1, 9, 30)[:, None]), atol=1e-5
    )


def test_the_distance_does_not_depend_on_the_basis() -> None:
    """Statistics turned by an orthogonal matrix, their residuals with them: the same distance."""
    turn = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(1)))[0]
    r, off, one = residuals(50, 8), residuals(3, 8, seed=2), torch.ones(8)
    plain, turned = (Measure(lambda x: x, whitening.whitening(rows)) for rows in (r, r @ turn.T))
    distances = in_units(plain, off, one), in_units(turned, off @ turn.T, one)
    assert torch.allclose(*distances, rtol=1e-4)
    assert not torch.allclose(distances[0], off.square().mean(1), rtol=0.1)
    assert torch.equal(in_units(Measure(lambda x: x, torch.eye(8)), off, 2 * one), (off / 2).square().mean(1))


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(3):
        coarse = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((256, 256)).save(folder / f"{k}.png")
    return folder


def test_it_is_written_into_the_checkpoint_and_the_card_keeps_up(tmp_path: Path, photographs: Path) -> None:
    path = tmp_path / "mine.safetensors"
    checkpoint.save(Model(), path, "# Mine\n\nSaid by hand.\n", {"seed": 3})
    assert torch.equal(checkpoint.load(path).whitening, torch.eye(512))
    app = Typer()
    app.command()(whitening.whiten)
    done = CliRunner().invoke(app, [str(path), "--data", str(photographs), "--pairs", "2"])
    assert done.exit_code == 0, done.output
    model, card = checkpoint.load(path), path.with_suffix(".md").read_text()
    assert not torch.equal(model.whitening, torch.eye(512))
    assert "Said by hand." in card
    assert card.count("sha256 of") == 1
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card
    recipe = checkpoint.recipe(path)
    assert (recipe["seed"], recipe["whitening"]["pairs"]) == (3, 2)
    few = CliRunner().invoke(app, [str(path), "--data", str(photographs), "--pairs", "1"])
    assert few.exit_code != 0


def test_an_older_file_has_the_identity(tmp_path: Path) -> None:
    path = tmp_path / "old.safetensors"
    checkpoint.save(Model(), path, "", {})
    weights = load_file(path)
    del weights[checkpoint.WHITENING]
    header = {"format": checkpoint.FORMAT, "architecture": json.dumps({}), "sha256": checkpoint.digest(weights)}
    save_file(weights, path, metadata=header)
    assert torch.equal(checkpoint.load(path).whitening, torch.eye(512))


@pytest.mark.parametrize("name", ["small", "default"])
def test_what_is_shipped_is_whitened(name: str) -> None:
    W = checkpoint.load(name).whitening
    assert torch.linalg.eigvalsh(W).min() > 0
    assert torch.linalg.cond(W) > 2
