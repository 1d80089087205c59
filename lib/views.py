"""Views: ways to look at one picture, so that it may be another texture in each (Geng, Park & Owens 2024).

A density seen through a view V is p(V y), and its noise estimate, by the chain rule, is V' eps_hat(V y). For p to be
asked about V y at all, V y must be what p knows: an image x_V plus white noise of the same sigma. Now

    V (x + sigma eps) = V x + sigma V eps,   and V eps is N(0, V V'), white if and only if V V' = 1.

So the admissible views are the orthogonal maps: permutations of pixels (turns, mirrors, a jigsaw, a turned disc) and
changes of sign (brightness inverted, about grey 1/2). A blur, a change of size, a turn by 30 degrees with interpolation
are not: they colour the noise. `departure` measures it for any linear view.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.errors import TextureError
from lib.images import check_image
from lib.samplers.step import white_noise

PROBES = 8
TOLERANCE = 1e-4
ROUNDING = 1 / (12 * 255**2)  # the variance that 256 levels add to a pixel


@dataclass(frozen=True)
class View:
    """A linear map of images about grey 1/2, `see`, and the way `back`: [B,3,H,W] -> [B,3,H',W'] and back again."""

    name: str
    see: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]

    def __call__(self, x: Tensor) -> Tensor:
        """The picture x [B,3,H,W], pixels in [0,1], as it is seen."""
        return self.see(x - 0.5) + 0.5

    def picture(self, seen: Tensor) -> Tensor:
        """The picture that is seen so."""
        return self.back(seen - 0.5) + 0.5


def turned(quarters: int) -> View:
    """Turned anticlockwise by quarters of a circle."""
    return View(
        f"turned {90 * quarters}",
        lambda x: torch.rot90(x, quarters, (-2, -1)),
        lambda x: torch.rot90(x, -quarters, (-2, -1)),
    )


def mirrored(axis: int, name: str) -> View:
    """Left and right exchanged (axis -1), or top and bottom (-2)."""
    return View(name, lambda x: x.flip(axis), lambda x: x.flip(axis))


def jigsaw(tile: int, seed: int = 0) -> View:
    """Square pieces of `tile` pixels change places; what does not fill a piece stays where it is."""

    def move(x: Tensor, back: bool) -> Tensor:
        rows, columns = x.shape[-2] // tile, x.shape[-1] // tile
        order = torch.randperm(rows * columns, generator=torch.Generator().manual_seed(seed)).to(x.device)
        whole = x[..., : rows * tile, : columns * tile]
        pieces = whole.unflatten(-2, (rows, tile)).unflatten(-1, (columns, tile)).transpose(-3, -2).flatten(-4, -3)
        pieces = pieces[..., torch.argsort(order) if back else order, :, :].unflatten(-3, (rows, columns))
        x = x.clone()
        x[..., : rows * tile, : columns * tile] = pieces.transpose(-3, -2).flatten(-4, -3).flatten(-2, -1)
        return x

    return View(f"jigsaw {tile}", lambda x: move(x, False), lambda x: move(x, True))


def disc(quarters: int, radius: float = 0.4) -> View:
    """The disc in the middle turned, the rest left; `radius` in units of the shorter side."""

    def move(x: Tensor, quarters: int) -> Tensor:
        height, width = x.shape[-2:]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = x[..., top : top + side, left : left + side]
        r = (torch.arange(side, device=x.device) - (side - 1) / 2).square()
        inside = r[:, None] + r < (radius * side) ** 2
        x = x.clone()
        x[..., top : top + side, left : left + side] = torch.where(
            inside, torch.rot90(square, quarters, (-2, -1)), square
        )
        return x

    return View("disc", lambda x: move(x, quarters), lambda x: move(x, -quarters))


VIEWS = {
    "upright": View("upright", lambda x: x, lambda x: x),
    "turned": turned(1),
    "upside down": turned(2),
    "mirrored": mirrored(-1, "mirrored"),
    "flipped": mirrored(-2, "flipped"),
    "negative": View("negative", lambda x: -x, lambda x: -x),
    "jigsaw": jigsaw(32),
    "scrambled": jigsaw(8),
    "shuffled": jigsaw(1),
    "disc": disc(1),
}


def same_colours(textures: Sequence[Tensor]) -> list[Tensor]:
    """Textures [3,H,W] brought to one mean and covariance of colours, the averages of theirs, and clipped to [0,1].

    Where pixels only change places they keep their colours: textures that are to share a picture must share these.
    """
    pixels = [check_image(x, f"texture {k + 1}")[0].double().flatten(1) for k, x in enumerate(textures)]
    means = [u.mean(1, keepdim=True) for u in pixels]
    covariances = [torch.cov(u, correction=0) + ROUNDING * torch.eye(3) for u in pixels]
    mean, covariance = torch.stack(means).mean(0), torch.stack(covariances).mean(0)
    found = []
    for x, u, m, c in zip(textures, pixels, means, covariances, strict=True):
        found.append((mean + least_move(c, covariance) @ (u - m)).view(x.shape[-3:]).float().clamp(0, 1))
    return found


def least_move(c: Tensor, s: Tensor) -> Tensor:
    """The linear map that takes covariance c [3,3] to s and moves a Gaussian's points least (Pitie & Kokaram 2007).

    c^(-1/2) (c^(1/2) s c^(1/2))^(1/2) c^(-1/2).
    """
    root, back = _power(c, 0.5), _power(c, -0.5)
    return back @ _power(root @ s @ root, 0.5) @ back


def _power(c: Tensor, power: float) -> Tensor:
    values, vectors = torch.linalg.eigh(c)
    return vectors * values**power @ vectors.T


def departure(view: View, height: int, width: int) -> float:
    """How far a view is from orthogonal, the root mean square of V'V z - z over white z; zero if orthogonal.

    E|V'V z - z|^2 is the squared Frobenius norm of V'V - 1. V' is taken by automatic differentiation, not from `back`.
    """
    z = white_noise(PROBES, height, width, 0)
    transpose = torch.func.vjp(view.see, z)[1]
    (again,) = transpose(view.see(z))
    return float((again - z).square().mean().sqrt())


def as_view(view: str | View, height: int, width: int) -> View:
    """A view by its name or itself, if noise stays noise under it.

    Raises TextureError for a name that there is not, a map that is not orthogonal on images of this size, or one whose
    `back` does not lead back.
    """
    if isinstance(view, str):
        if view not in VIEWS:
            raise TextureError(f"no view {view!r}; known are {', '.join(VIEWS)}")
        return VIEWS[view]
    if not isinstance(view, View):
        raise TextureError(f"a view is a name or a lib.views.View, not a {type(view).__name__}")
    off = departure(view, height, width)
    if off > TOLERANCE:
        raise TextureError(f"view {view.name!r} is not orthogonal (off by {off:.2g}): noise would not stay white noise")
    z = white_noise(1, height, width, 0)
    seen = view.see(z)
    if seen.numel() != z.numel():  # V'V = 1 holds too where pixels are added or repeated, V V' = 1 does not
        raise TextureError(f"view {view.name!r} makes {seen.numel()} values of {z.numel()}: noise would not stay white")
    if view.back(seen).shape != z.shape or not torch.allclose(view.back(seen), z, atol=TOLERANCE):
        raise TextureError(f"view {view.name!r} does not lead back to the picture; mend its `back`")
    return view
