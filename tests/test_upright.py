"""Lines along rows and columns are told from lines at other angles, and from none."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch

import lib
from lib.errors import TextureError
from lib.evaluation.upright import command, of_photographs, seen, upright, uprightness
from lib.images import exemplar
from lib.model import Model

NOISE = torch.randn(8, 128, 128, generator=torch.Generator().manual_seed(0))


def line(degrees: float) -> torch.Tensor:
    """A dark line of 60 pixels at an angle: [1,128,128]."""
    place = torch.arange(128) - 64.0
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    along, across = c * place + s * place[:, None], c * place[:, None] - s * place
    return -torch.exp(-0.5 * (along / 20) ** 2 - 0.5 * across**2)[None]


def test_noise_has_no_angle() -> None:
    assert upright(NOISE) == pytest.approx(1, abs=0.1)


def test_lines_are_upright_or_oblique() -> None:
    assert upright(line(0)) > 10
    assert upright(line(90)) == pytest.approx(upright(line(0)))
    for degrees in (30, 60, 120, 150):
        assert upright(line(degrees)) < 0.2


def test_turned_and_inverted_pictures_are_as_upright() -> None:
    image = line(0) + 0.1 * NOISE[:1]
    assert upright(image.transpose(1, 2)) == pytest.approx(upright(image))
    assert upright(1 - 2 * image) == pytest.approx(upright(image))


def test_a_picture_without_contrast_is_refused() -> None:
    with pytest.raises(TextureError, match="without contrast"):
        upright(torch.full((1, 32, 32), 0.5))


def test_photographs_are_measured_too(tmp_path: Path) -> None:
    for k, degrees in enumerate((0.0, 90.0)):
        lib.save_image((0.5 + 0.3 * line(degrees)).expand(3, -1, -1), tmp_path / f"{k}.png")
    lib.save_image(torch.rand(3, 32, 32), tmp_path / "small.png")
    value, count = of_photographs(tmp_path)
    assert (value > 10, count) == (True, 2)
    (tmp_path / "none").mkdir()
    with pytest.raises(TextureError, match="no photograph of 128 pixels"):
        of_photographs(tmp_path / "none")


def test_nothing_to_measure_is_told() -> None:
    with pytest.raises(TextureError, match="nothing to measure"):
        command()


class Partial:
    """A model of two statistics: the mean, which is built in, and a fourth moment, of lines along rows or of points."""

    architecture = SimpleNamespace(known=1)

    def __init__(self, length: int) -> None:
        self.length = length

    def statistics(self, y: torch.Tensor) -> torch.Tensor:
        z = y - y.mean((2, 3), keepdim=True)
        z = sum(z.roll(k, 3) for k in range(self.length)) / self.length**0.5
        return torch.stack([y.mean((1, 2, 3)), (z - z.roll(1, 2)).pow(4).mean((1, 2, 3))], 1)

    def multipliers(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        return torch.tensor([[1e6, 1.0]])


def test_a_model_is_asked_for_what_its_network_finds_in_noise() -> None:
    model = cast(Model, Partial(24))
    assert seen(model, exemplar("grass")[None, :, :128, :128], 0.2).abs().max() < 1e3  # but for what is built in
    assert min(uprightness(model, (0.5, 0.1), ("grass", "rug"))) > 100
    assert uprightness(cast(Model, Partial(1)), (0.2,), ("grass",)) == pytest.approx([1.0], abs=0.2)
