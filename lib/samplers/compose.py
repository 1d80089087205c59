"""Densities of textures composed: products, pictures that change with the view, lambda as a map.

An energy is a sum, so energies add:

    E(y) = sum_k w_k sum over pixels p of m_k(p) lambda_k.phi(V_k y)(p)

with a texture k each for lambda_k, a weight w_k, a view V_k (`lib.views`), a mask m_k. Three cases are of use.

- Products, prod_k p_k^(w_k): lambda_A + lambda_B asks for an image that both textures find likely. Weights that add up
  to 1 give the geometric mean; weights that add up to W, something colder: p_A p_A is the texture A at half the
  temperature (for a Gaussian: with half the variance).
- Views: the geometric mean of p_A(y) and p_B(V y), texture A upright and B turned: eps_hat is the average of noise
  estimates of Geng, Park & Owens (2024).
- Masks that add up to 1 at each pixel: lambda(p) = sum_k m_k(p) lambda_k turns from texture to texture across the
  picture. It is the density of largest entropy with statistics given under windows (`lib.statistics.local`).

Drawn by diffusion. Level sigma uses prod_k p_k(y; W^(1/2) sigma)^(w_k), whose noise part is sigma^2 whatever W is:
eps_hat = W^(-1/2) sum_k w_k eps_k(V_k y; W^(1/2) sigma), so that with weights 1/K it is the average. These densities
lead from noise to the one wanted, which is exact at sigma = 0, but between the two they are not that one under noise
(Du et al. 2023), and the sampler takes them for it. Of one texture with itself it is exact; between two Gaussian ones
the variance comes out up to twice too large (tests); for a lambda that varies slowly it is nearly right. If W = 1,
lambda_k is corrected on the way, once a level, by what the statistics of view or mask k lack (where masks overlap,
of the mixture of textures that lies under mask k): the geometric mean of two densities has the expectations of neither,
so this draws towards both. `feedback=0` takes lambda_phi at its word, as a product with another W does.

Drawn by matching. The uniform density on the images that have the statistics mu_A, times that on those that have mu_B,
is the uniform density on those that have both, so mismatches add, and weights only say whose counts for more. Under
masks it is the statistics under windows v_j that are matched, to mu_j = sum_k <v_j, m_k> mu_k / <v_j>, the windows
being masks times hats of about `PITCH` pixels: without the hats, a picture half A and half B would do for one that is
everywhere between. Under views the whole picture is one window, and what two textures do not agree upon may gather
where a view changes neighbours: along the outline of a turned disc, at the edges of a jigsaw.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lib.energy import predicted_noise
from lib.errors import TextureError
from lib.images import check_image
from lib.model import Model
from lib.samplers.correct import Asked, corrected, together
from lib.samplers.descend import Loss, descend_from
from lib.samplers.diffuse import FEEDBACK, LEVELS, SIGMA_MAX, Schedule, schedule, walk
from lib.samplers.match import POWER, Targets, gaussian_of, in_units, spectral, unit
from lib.samplers.match import STEPS as ITERATIONS
from lib.samplers.octaves import descend_by_octaves
from lib.samplers.step import Step, checked_count, checked_size, checked_way, cut, last, white_noise
from lib.statistics.gaussian import GaussianTexture
from lib.statistics.local import area, hats, local
from lib.views import VIEWS, View, as_view

WAYS = {"match": (ITERATIONS, 1), "diffuse": (LEVELS, 2)}  # the usual number of steps, the least
UPRIGHT = VIEWS["upright"]
PITCH = 40  # pixels between windows
LEAST_AREA = 16.0**2  # pixels: a smaller window tells nothing of a texture
MARGIN = 16  # pixels around a picture with masks, where those of opposite edges may meet


class Composition:
    """The picture's size, and each texture's part in it: views, masks [K,H,W] or None, weights (None: 1/K each)."""

    def __init__(
        self,
        model: Model,
        textures: Sequence[Tensor],
        height: int,
        width: int,
        views: Sequence[View] | None = None,
        masks: Tensor | None = None,
        weights: Sequence[float] | None = None,
    ) -> None:
        """textures [1,3,H',W']; masks add up to 1 at each pixel."""
        count = len(textures)
        self.model, self.textures, self.size, self.masks = model, textures, (height, width), masks
        self.views = [UPRIGHT] * count if views is None else list(views)
        self.weights = [1 / count] * count if weights is None else list(weights)
        self.total = 1.0 if masks is not None else sum(self.weights)  # W

    def readings(self, y: Tensor) -> Tensor:
        """The statistics of each view, or under each mask: [B,3,H,W] -> [B,K,d]."""
        if self.masks is not None:
            return local(self.model.statistics, y, self.masks)
        seen = {view: self.model.statistics(view(y)) for view in dict.fromkeys(self.views)}
        return torch.stack([seen[view] for view in self.views], 1)

    def everywhere(self, of: Sequence[Callable[[Tensor], Tensor]], z: Tensor) -> Tensor:
        """Each texture's own linear map of z [n,3,H,W], under its view, put together by masks or weights."""
        whole = torch.zeros_like(z)
        for k, (view, apply) in enumerate(zip(self.views, of, strict=True)):
            whole = whole + self.share(k) * view.back(apply(view.see(z)))
        return whole

    def share(self, k: int) -> Tensor | float:
        """Of texture k in the picture: its mask, or its weight of all."""
        return self.weights[k] / sum(self.weights) if self.masks is None else self.masks[k]

    def start(self, z: Tensor, sigma: float = 0, cold: float = 1) -> Tensor:
        """A Gaussian texture under noise, of each texture's spectrum in its view or place; exact where they agree."""
        gaussians = [gaussian_of(x0) for x0 in self.textures]
        roots, mean = [], torch.zeros_like(z)
        for k, (gaussian, view) in enumerate(zip(gaussians, self.views, strict=True)):
            seen = view.see(z)
            roots.append(spectral(gaussian, seen.shape[-2], seen.shape[-1], cold**0.5 * sigma)(0.5))
            mean = mean + self.share(k) * view.picture(gaussian.mean.float()[:, :, None, None].expand_as(seen))
        return mean + self.everywhere(roots, z) / cold**0.5

    def diffuse(self, noise: Callable[[int], Tensor], steps: int, feedback: float = FEEDBACK) -> Iterator[Step]:
        """One record a noise level; `noise(k)` [n,3,H,W] is the k-th draw of white noise."""
        factor = self.total**0.5
        feedback = feedback if abs(self.total - 1) < 1e-6 else 0
        known = [schedule(self.model, x0, steps, feedback, factor) for x0 in self.textures]
        if feedback and self.masks is not None:
            known = self.mixed(known)
        shares = [float(m.mean()) for m in self.masks] if self.masks is not None else self.weights
        corrections = [s.correction for s in known if s.correction]

        def look(y: Tensor) -> tuple[Tensor, Tensor]:
            f = self.readings(y)
            return f, f.detach()

        def asked(k: int, found: Tensor) -> Asked:
            each = [c.at(k, own) for c, own in zip(corrections, found.unbind(1), strict=True)]
            return together(each, shares)

        def estimate(k: int, sigma: Tensor, y: Tensor) -> Tensor:
            lam = torch.stack([w * s.lam[k] for w, s in zip(shares, known, strict=True)])
            if not corrections:
                return y - sigma * predicted_noise(self.readings, lam, y) / factor
            eps, _ = corrected(y, lam.expand(len(y), -1, -1), look, lambda found: asked(k, found), sigma)
            return y - sigma * eps / factor

        return walk(estimate, self.start(noise(0), SIGMA_MAX, self.total), noise, steps, ahead=not feedback)

    def mixed(self, known: list[Schedule]) -> list[Schedule]:
        """What mask k should see where masks overlap is not texture k alone: sum_j <m_k, m_j> mu_j / <m_k>."""
        assert self.masks is not None
        part = torch.einsum("khw,jhw->kj", self.masks, self.masks) / self.masks.sum((-2, -1))[:, None]
        mu = torch.einsum("kj,jln->kln", part, torch.stack([s.correction.mu for s in known if s.correction]))
        return [
            replace(s, correction=replace(s.correction, mu=m)) for s, m in zip(known, mu, strict=True) if s.correction
        ]

    def match(self, z: Tensor, steps: int) -> Iterator[Step]:
        """One record an iteration, from white noise z [n,3,H,W]."""
        targets = [Targets.of(self.model, x0) for x0 in self.textures]
        moves = [self.move(t.gaussian, view.see(z)) for t, view in zip(targets, self.views, strict=True)]
        first = self.views[0]  # octaves are those of the picture as it is seen first

        def search(loss: Loss, w: Tensor, steps: int, image: Callable[[Tensor], Tensor]) -> Iterator[Step]:
            return descend_by_octaves(loss, first.see(w), steps, lambda seen: image(first.back(seen)))

        return descend_from(self.mismatch(targets), self.start(z), steps, lambda w: self.everywhere(moves, w), search)

    @staticmethod
    def move(gaussian: GaussianTexture, seen: Tensor) -> Callable[[Tensor], Tensor]:
        """The search's variable, in which a step is worth the same at all frequencies (see `lib.samplers.match`)."""
        filtered, size = spectral(gaussian, *seen.shape[-2:])(POWER), unit(gaussian)
        return lambda w: size * filtered(w)

    def mismatch(self, targets: Sequence[Targets]) -> Callable[[Tensor], Tensor]:
        """x [1,3,H,W] -> [1], the mean of the mismatches, by weight or by area."""
        mu, spread = (torch.stack([getattr(t, name)[0] for t in targets]) for name in ("mu", "spread"))
        if self.masks is None:
            shares = torch.tensor(self.weights) / sum(self.weights)
            return lambda x: (in_units(self.model, self.readings(x) - mu, spread) * shares).sum(1)
        windows, mixed, of = self.windows()
        room = torch.tensor([float(x0.shape[-2] * x0.shape[-1]) for x0 in self.textures])
        smaller = ((mixed @ room) / area(windows)).sqrt()[:, None]  # a smaller piece varies more
        mu, spread = mixed @ mu, (mixed @ spread) * smaller
        shares = windows.sum((-2, -1)) / windows.sum()

        def loss(x: Tensor) -> Tensor:
            f = local(self.model.statistics, x, windows, of)
            return (in_units(self.model, f - mu, spread) * shares).sum(1)

        return loss

    def windows(self) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Masks times hats [J,H,W], those large enough to hold a texture; how much of each it is: [J,K]; its region."""
        assert self.masks is not None
        every = self.masks[:, None] * hats(*self.size, PITCH)
        which = torch.arange(len(every))[:, None].expand(every.shape[:2]).flatten()
        found = every.flatten(0, 1)
        size = area(found).nan_to_num()
        large = size >= min(LEAST_AREA, float(size.max()))
        found, which = found[large], which[large]
        mixed = torch.einsum("jhw,khw->jk", found, self.masks) / found.sum((-2, -1))[:, None]
        return found, mixed, (self.masks, which)


def compose_steps(
    model: Model,
    textures: Sequence[Tensor],
    views: Sequence[str | View] | None = None,
    masks: Tensor | None = None,
    weights: Sequence[float] | None = None,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    by: str = "match",
    steps: int | None = None,
    feedback: float = FEEDBACK,
) -> Iterator[Step]:
    """`compose`, one record a step; arguments as there."""
    images = [check_image(x, f"texture {k + 1}") for k, x in enumerate(textures)]
    if not images:
        raise TextureError("no textures; give at least one [3,H,W]")
    steps = checked_way(by, steps, WAYS)
    checked_count("n", n), checked_count("seed", seed, 0)
    if masks is not None and (views is not None or weights is not None):
        raise TextureError("masks go without views and weights: give the one or the others")
    if masks is not None:
        masks = checked_masks(masks, len(images))
        given = (masks.shape[-2], masks.shape[-1])
        size = given if size is None else size
        if checked_size(size, images[0]) != given:
            raise TextureError(f"masks are {given[0]}x{given[1]}, the size {size}; leave one out")
    height, width = checked_size(size, images[0])
    looks = None if views is None else [as_view(view, height, width) for view in views]
    for name, values in (("views", looks), ("weights", weights)):
        if values is not None and len(values) != len(images):
            raise TextureError(f"{len(images)} textures and {len(values)} {name}; give one a texture")
    if weights is not None and not all(isinstance(w, (int, float)) and 0 < w < 1e3 for w in weights):
        raise TextureError(f"weights are {list(weights)}; they are positive numbers")

    margin = 0 if masks is None else MARGIN
    h, w = (side + 2 * margin + (-side % 16 if margin else 0) for side in (height, width))
    if masks is not None:
        masks = closed(closed(masks, h, -2), w, -1)
    composition = Composition(model, images, h, w, looks, masks, weights)
    if by == "match":
        records = composition.match(white_noise(n, h, w, seed), steps)
    else:
        records = composition.diffuse(lambda k: white_noise(n, h, w, seed, k), steps, feedback)
    yield from cut(records, height, width, margin)


def compose(
    model: Model,
    textures: Sequence[Tensor],
    views: Sequence[str | View] | None = None,
    masks: Tensor | None = None,
    weights: Sequence[float] | None = None,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    by: str = "match",
    steps: int | None = None,
) -> Tensor:
    """n pictures [n,3,H,W] of several textures ([3,H,W] in [0,1] each) at once; see the head of this file.

    `views` names for each texture how to look at the picture to see it (`lib.views.VIEWS`, or a View of one's own).
    `masks` [K,H,W], not negative, say instead where each texture is; they are divided by their sum, and give the size.
    `weights` are those of a product, 1/K each unless given. Without masks opposite edges meet.
    `by` "match" or "diffuse", in `steps` iterations or noise levels. `size` and `seed` as in `match`.

    Raises TextureError for textures that are no images, numbers of them that do not fit, a view under which noise does
    not stay noise, masks that leave a pixel to nobody, or a number out of range.
    """
    return last(compose_steps(model, textures, views, masks, weights, n, size, seed, by, steps))


def closed(masks: Tensor, side: int, axis: int) -> Tensor:
    """Masks continued along an axis to a torus of `side` pixels, from the last to the first on a straight line.

    MARGIN pixels of the line come before the first.
    """
    end, begin = masks.narrow(axis, -1, 1), masks.narrow(axis, 0, 1)
    gap = side - masks.shape[axis]
    t = (torch.arange(gap) + 1) / (gap + 1)
    line = torch.lerp(end, begin, t[:, None] if axis == -2 else t)
    return torch.cat([masks, line], axis).roll(MARGIN, axis)


def ramp(height: int, width: int, ends: float = 0.2) -> Tensor:
    """Masks [2,H,W] of a texture that turns into another from left to right; pure in that share at both ends."""
    t = ((torch.linspace(0, 1, width) - ends) / (1 - 2 * ends)).clamp(0, 1).expand(height, -1)
    return torch.stack([1 - t, t])


def checked_masks(masks: Tensor, count: int) -> Tensor:
    """Masks [K,H,W] divided by their sum, or an error that says what is wrong with them."""
    if not isinstance(masks, Tensor) or masks.dim() != 3 or len(masks) != count:
        shape = list(masks.shape) if isinstance(masks, Tensor) else type(masks).__name__
        raise TextureError(f"masks are {shape}; for {count} textures they are a tensor [{count},H,W]")
    masks = masks.float()
    if not torch.isfinite(masks).all() or masks.min() < 0:
        raise TextureError("masks have values that are negative or not finite; they are shares, from 0 to 1")
    total = masks.sum(0)
    if total.min() <= 0:
        raise TextureError("masks leave pixels to no texture; let their sum be positive everywhere")
    if masks.sum((-2, -1)).min() <= 0:
        raise TextureError("a mask is zero everywhere; leave its texture out")
    return masks / total
