"""The generator's shape: any size, no place in it special, no pixel that depends on what is far away."""

from pathlib import Path

import pytest
import torch

import lib
from lib.errors import TextureError
from lib.samplers import generator as made
from lib.samplers.generator import CELL, LOCAL, REACH, Generator, generated


def drawn(waves: int = 0) -> Generator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Generator(waves).eval()


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("waves", [0, 3])
@pytest.mark.parametrize("tileable", [False, True])
def test_any_size_and_each_sample_by_itself(waves: int, tileable: bool) -> None:
    network = drawn(waves)
    x = generated(network, 3, 33, 70, seed=2, tileable=tileable)
    assert x.shape == (3, 3, 33, 70)
    assert 0 <= x.min() < x.max() <= 1
    assert torch.equal(generated(network, 2, 33, 70, seed=2, tileable=tileable), x[:2])
    assert not torch.equal(x[0], x[1])
    assert not torch.equal(generated(network, 1, 33, 70, seed=3, tileable=tileable)[0], x[0])
    assert not network.training


def test_noise_that_moves_by_a_cell_moves_the_texture() -> None:
    network, z = drawn(), noise(1, LOCAL, 4, 6)
    with torch.no_grad():
        x, moved = (network(z.roll(by, (2, 3)), 64, 96) for by in ((0, 0), (1, 2)))
    assert torch.allclose(moved, x.roll((CELL, 2 * CELL), (2, 3)), atol=1e-5)


def test_no_pixel_depends_on_cells_out_of_reach() -> None:
    network, z = drawn(), noise(1, LOCAL, 13, 13).requires_grad_()
    middle = 6 * CELL + CELL // 2
    (slope,) = torch.autograd.grad(network(z, 13 * CELL, 13 * CELL)[0, :, middle, middle].sum(), z)
    far = [i for i in range(13) if abs(CELL * i + CELL / 2 - middle) > REACH + CELL / 2]
    assert slope.abs().sum() > 0
    assert (slope[:, :, far] == 0).all()
    assert (slope[..., far] == 0).all()


def test_waves_are_waves_that_close_only_to_tile() -> None:
    network, phases = drawn(4), torch.rand(2, 4, generator=torch.Generator().manual_seed(0))
    closed, opened = (network.periodic(phases, 8, 12, tileable).detach() for tileable in (True, False))
    assert closed.shape == (2, 4, 8, 12)
    power = torch.fft.fft2(closed).abs().square().flatten(2)
    assert torch.allclose(power.topk(2).values.sum(2), power.sum(2), rtol=1e-4)  # one frequency, and its mirror image
    power = torch.fft.fft2(opened).abs().square().flatten(2)
    assert (power.topk(2).values.sum(2) < 0.99 * power.sum(2)).all()
    again = network.periodic(phases, 16, 12, False).detach()
    assert torch.allclose(again[:, :, :8], opened, atol=1e-5)  # more of the same, where the torus is larger


def test_a_file_brings_back_the_texture(tmp_path: Path) -> None:
    network = drawn(2)
    path = made.save(network, tmp_path / "own.safetensors", {"exemplar": "none"})
    x, back = (generated(g, 1, 40, 40) for g in (network, made.load(path)))
    assert (x - back).abs().max() < 0.01


def test_the_shipped_generator_is_small_and_makes_pebbles() -> None:
    assert (made.SHIPPED / "pebble.safetensors").stat().st_size < 3e6
    x, x0 = generated(made.load("pebble"), 1, 128, 128)[0], lib.exemplar("pebble")
    assert torch.allclose(x.mean((1, 2)), x0.mean((1, 2)), atol=0.1)
    assert 0.7 < x.std((1, 2)).mean() / x0.std((1, 2)).mean() < 1.3


def test_wrong_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(TextureError, match="no generator 'tiger'; known are pebble"):
        made.load("tiger")
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(TextureError, match="holds no generator of textures, or is damaged"):
        made.load(tmp_path / "x.safetensors")
    with pytest.raises(TextureError, match="holds no generator"):
        made.load("lib/checkpoints/default.safetensors")
