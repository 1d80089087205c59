"""Julesz's conjecture and what became of it: textures alike in their second-order statistics, and in their third.

A texture's statistics of order k are the joint distributions of k pixels, at every arrangement of the k. Julesz (1962)
conjectured that textures of equal second order (of equal dipoles) are not told apart at a glance. Two constructions
keep order exactly, and gave counterexamples to it:

The even and odd boxes (Julesz, Gilbert & Victor 1978), of black and white pixels +-1:

    x(i,j) x(i,j+1) x(i+1,j) x(i+1,j+1) = +1 everywhere (even), or -1 everywhere (odd)

A row and a column may be coins, and fix the rest: x(i,j) = a(i) b(j), times (-1)^(ij) if odd, with a and b coins. Any
three pixels are independent then, as they are in noise: even, odd and random textures agree up to the third order. Yet
even ones, of long blocks, are told from random ones at a glance. The fourth order differs: the corners of any rectangle
have a product known beforehand.

Patterns of four dots (Caelli & Julesz 1978), each turned at random. Dipoles of such a texture are those within one
pattern, whose directions are lost, and those between patterns, which know nothing of them: what counts are the six
distances. A trapezoid and a kite that is not its mirror image have them in common, for any a and b:

    trapezoid (-a, a), (a, a), (-b, 0), (b, 0)        2a, 2b, and twice each sqrt(a^2 + (b -+ a)^2)
    kite      (0, a), (0, -a), (b - a, 0), (-a - b, 0)

which stand here for the pairs that they drew. No mean of squares of filters tells one from the other.
"""

import torch
from torch import Tensor

from lib.errors import TextureError
from lib.samplers.step import checked_count
from lib.statistics.texton import scattering, square_among, turned

BOXES = ("even", "odd", "random")
UNIT, DOT = 4.0, 1.25  # pixels: a of the four dots, and the standard deviation of one, drawn as a Gaussian


def box_texture(kind: str, height: int, width: int, seed: int = 0) -> Tensor:
    """A texture [height,width] of -1 and +1: "even" or "odd" boxes, or "random" pixels. (1 + x) / 2 is an image.

    Raises TextureError for another kind, or a size or seed that is no whole number.
    """
    if kind not in BOXES:
        raise TextureError(f"kind is {kind!r}; choose one of {', '.join(BOXES)}")
    checked_count("height", height), checked_count("width", width)
    g = torch.Generator().manual_seed(checked_count("seed", seed, 0))
    if kind == "random":
        return coins(height, width, generator=g)
    return boxes(coins(height, generator=g), coins(width, generator=g), odd=kind == "odd")


def coins(*shape: int, generator: torch.Generator) -> Tensor:
    """-1 and +1, independent and alike."""
    return 2.0 * torch.randint(0, 2, shape, generator=generator) - 1


def boxes(a: Tensor, b: Tensor, odd: bool) -> Tensor:
    """The texture a(i) b(j), times (-1)^(ij) if odd: signs a [...,H] and b [...,W] -> [...,H,W]."""
    x = a[..., :, None] * b[..., None, :]
    if not odd:
        return x
    i, j = torch.arange(a.shape[-1]), torch.arange(b.shape[-1])
    return x * (1 - 2 * (i[:, None] * j % 2))


def four_dots(a: float = 1.0, b: float = 2.0) -> tuple[Tensor, Tensor]:
    """A trapezoid and a kite of the same six distances, each [4,2] about its centroid.

    Raises TextureError unless 0 < a < b.
    """
    if not 0 < a < b:
        raise TextureError(f"a, b are {a!r}, {b!r}; give 0 < a < b")
    trapezoid = torch.tensor([[-a, a], [a, a], [-b, 0.0], [b, 0.0]])
    kite = torch.tensor([[0.0, a], [0.0, -a], [b - a, 0.0], [-a - b, 0.0]])
    return trapezoid - trapezoid.mean(0), kite - kite.mean(0)


def dots_among_dots(seed: int = 0) -> tuple[Tensor, Tensor]:
    """A square of trapezoids among kites, all turned at random: image [H,W] in [0,1], and a mask, true inside.

    Raises TextureError for a seed that is no whole number.
    """
    angle, place = scattering(checked_count("seed", seed, 0))
    trapezoids, kites = (drawn(UNIT * points, angle, place) for points in four_dots())
    return square_among(trapezoids, kites)


def drawn(points: Tensor, angle: Tensor, place: Tensor) -> Tensor:
    """Dots at points [4,2], in pixels, turned by angle [n] and displaced by place [n,2]: patches [n,2S,2S]."""
    along, across = turned(angle, place)
    dots = [torch.exp(-((along - x) ** 2 + (across - y) ** 2) / (2 * DOT**2)) for x, y in points.tolist()]
    return torch.stack(dots).sum(0)
