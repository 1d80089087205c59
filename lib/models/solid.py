"""Solid textures: a block of which every planar slice looks like the exemplar (Heeger & Bergen 1995).

Analysis is two-dimensional, as the exemplar is; synthesis has three. An object carved from the block is textured
without any map from plane to surface, hence without distortion.

Heeger & Bergen filter the block by a pyramid in three dimensions. Here it is filtered slice by slice with the pyramid
that the exemplar was measured with: for each of the three axes in turn, the slices across it are to have, all together,
the histograms of the exemplar's bands; then the voxels those of its pixels. A band of a slice and a band of the
exemplar are then the same filter's, while a band in three dimensions mixes frequencies that a slice shows at others.
It starts from noise with the exemplar's spectrum, the same in all directions: from white noise, slices come to have
their spectra too, but by a spectrum of the block that is streaked along the axes.

Slices across depth are seen with rows down and columns across; those across height with depth down; those across width
with depth across. A texture with a direction cannot lie so in all three, and the block is a compromise.

`carve` cuts an object out: parallel rays meet an implicit surface, are lit by one distant lamp (Lambert), and take the
colour of the voxel they meet.
"""

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.errors import TextureError
from lib.images import SMALLEST, check_image
from lib.models.heeger_bergen import ORIENTATIONS, SCALES, Texture, reflected
from lib.samplers.project import project
from lib.samplers.step import Step, checked_count

ITERATIONS = 5
LARGEST = 256  # voxels a side: half a gigabyte for each copy of a band
AXES = (0, 1, 2)


def solid_steps(
    x0: Tensor,
    size: int = 64,
    seed: int = 0,
    scales: int = SCALES,
    orientations: int = ORIENTATIONS,
    iterations: int = ITERATIONS,
) -> Iterator[Step]:
    """A block of texture from x0 [3,H,W] in [0,1], one record an iteration; its `image` is [1,3,D,H,W], all of `size`.

    It is a torus in all three directions. `loss` is the mean square change that would still give the bands of its
    slices the exemplar's histograms, as a share of their variance, mean over the axes.

    Raises TextureError for an x0 that is no image in [0,1] of at least 32x32, or a setting out of range.
    """
    x0 = check_image(x0, "x0")
    checked_count("seed", seed, 0), checked_count("iterations", iterations)
    if checked_count("size", size, SMALLEST) > LARGEST:
        raise TextureError(f"size is {size}; a block has at most {LARGEST} voxels a side")
    texture = Texture.of([x0], torch.ones(1), torch.ones(1), (size, size), scales, orientations)

    def across(axis: int) -> Callable[[Tensor], Tensor]:
        def matched(z: Tensor) -> Tensor:
            blocks = [texture.match_bands(block.transpose(0, axis), i) for i, block in enumerate(z[0])]
            return torch.stack([block.transpose(0, axis) for block in blocks])[None]

        return matched

    def left(z: Tensor) -> Tensor:
        distances = [texture.distance(block.transpose(0, axis), i) for i, block in enumerate(z[0]) for axis in AXES]
        return torch.stack(distances).sum()[None] / (len(AXES) * texture.variance)

    noise = torch.randn(3, size, size, size, generator=torch.Generator().manual_seed(seed % 2**63))
    start = isotropic(texture.colours.principal(x0), noise)
    onto = [*(across(axis) for axis in AXES), texture.match_pixels]
    yield from project(onto, texture.match_pixels(start[None]), iterations, left, texture.colours.pixels)


def isotropic(z: Tensor, noise: Tensor) -> Tensor:
    """White noise [3,D,H,W] with power, at each radius of frequency, as colours z [1,3,H,W] have, over the radius.

    A slice's spectrum is the block's, added up across the slice. Where the block's falls as |w|^-(a+1) its slices' fall
    as |w|^-a, and so dividing by the radius is exact for a power law and near enough to start from.
    """
    torus = reflected(z[0])
    power = torch.fft.fft2(torus).abs().square().flatten(1)
    ring = (radii(*torus.shape[-2:]) * RINGS).round().long().flatten()
    count = torch.zeros(RINGS).index_add(0, ring, torch.ones(len(ring)))
    mean = torch.zeros(3, RINGS).index_add(1, ring, power) / count.clamp_min(1)
    radius = radii(*noise.shape[1:])
    shell = (radius * RINGS).round().long().clamp_max(RINGS // 2)  # corners as the end of the rows
    gain = (mean[:, shell] / radius.clamp_min(1 / RINGS)).sqrt()
    return torch.fft.ifftn(torch.fft.fftn(noise, dim=(1, 2, 3)) * gain, dim=(1, 2, 3)).real


RINGS = 32  # to a cycle per pixel: each of some samples even in a 32x32 exemplar


def radii(*sides: int) -> Tensor:
    """Distance from zero of every frequency of a torus, in cycles per pixel: [*sides]."""
    return torch.stack(torch.meshgrid(*(torch.fft.fftfreq(side) for side in sides), indexing="ij")).norm(dim=0)


def carve(block: Tensor, shape: str = "sphere", side: int = 128) -> Tensor:
    """A picture [3,side,side] of an object cut from a block [3,D,H,W] or [1,3,D,H,W] of pixels in [0,1], on white.

    `shape` is one of "sphere", "cube", "bust". A voxel is a pixel; the block, a torus, is gone round as often as the
    object is larger. Light multiplies the pixels as they stand.

    Raises TextureError for another shape, a side under 32, or a block that is none.
    """
    if shape not in SHAPES:
        raise TextureError(f"there is no shape {shape!r}; choose one of {', '.join(SHAPES)}")
    checked_count("side", side, SMALLEST)
    if not isinstance(block, Tensor) or block.shape[-4:-3] != (3,) or block.shape[:-4] not in ((), (1,)):
        raise TextureError("the block is not [3,D,H,W] or [1,3,D,H,W]; give the image of a Step of solid_steps")
    surface, turn = SHAPES[shape], rotation(YAW, PITCH)
    place = (torch.arange(side) + 0.5) * 2 / side - 1
    down, right = torch.meshgrid(place, place, indexing="ij")
    origin = torch.stack([right, down, torch.full_like(right, -NEAR)], -1) @ turn  # [side,side,3], as x, y, z
    ray = torch.tensor([0.0, 0.0, 1.0]) @ turn
    depth = torch.zeros(side, side)
    for _ in range(MARCH):  # no surface is nearer than its value
        depth = depth + surface(origin + depth[..., None] * ray)
    at = (origin + depth[..., None] * ray).requires_grad_()
    value = surface(at)
    (normal,) = torch.autograd.grad(value.sum(), at)
    lit = (F.normalize(normal, dim=-1) @ (F.normalize(torch.tensor(LAMP), dim=0) @ turn)).clamp_min(0)
    shade = AMBIENT + (1 - AMBIENT) * lit
    picture = shade * voxels(block.reshape(3, *block.shape[-3:]), at.detach() * side / 2)
    return torch.where(value.detach().abs() < 2 / side, picture, 1.0).clamp(0, 1)


def voxels(block: Tensor, at: Tensor) -> Tensor:
    """Colours [3,...] of a block [3,D,H,W], a torus, at places [...,3], (x, y, z) in voxels; linear between them."""
    sides = torch.tensor(block.shape[:0:-1])
    once_more = F.pad(block[None], (0, 1, 0, 1, 0, 1), mode="circular")
    grid = (at % sides) / sides * 2 - 1
    return F.grid_sample(once_more, grid.reshape(1, 1, 1, -1, 3), align_corners=True).reshape(3, *at.shape[:-1])


NEAR = 2.0  # where rays start, before the object; the object lies in [-1,1]^3
MARCH = 96  # steps of a ray, the last of them at most a pixel from where it would end
YAW, PITCH = 0.6, 0.45  # radians: three faces of a cube are seen
LAMP = [-0.5, -0.6, -0.7]  # towards the lamp, from the camera: x across, y down, z away
AMBIENT = 0.35


def rotation(yaw: float, pitch: float) -> Tensor:
    """Camera axes in the object's, as rows: [3,3]."""
    about_y = [[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]]
    about_x = [[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]]
    return torch.tensor(about_x) @ torch.tensor(about_y)


def sphere(p: Tensor) -> Tensor:
    """Distance of p [...,3] from a ball: [...], negative inside."""
    return p.norm(dim=-1) - 0.9


def cube(p: Tensor) -> Tensor:
    """Distance from a cube with rounded edges."""
    q = p.abs() - 0.5
    return q.clamp_min(0).norm(dim=-1) + q.amax(-1).clamp_max(0) - 0.04


def bust(p: Tensor) -> Tensor:
    """At most the distance from a head on shoulders, ellipsoids that run into one another."""
    parts = []
    for centre, radii in BUST:
        r = torch.tensor(radii)
        parts.append((((p - torch.tensor(centre)) / r).norm(dim=-1) - 1) * r.min())
    return -torch.logsumexp(-torch.stack(parts) * SHARPNESS, 0) / SHARPNESS


BUST = (  # centre and radii, as x, y (down), z (away)
    ((0.0, -0.45, 0.02), (0.31, 0.38, 0.37)),  # head
    ((0.0, -0.2, -0.14), (0.19, 0.2, 0.2)),  # jaw
    ((0.0, -0.42, -0.38), (0.06, 0.13, 0.13)),  # nose
    ((-0.31, -0.4, 0.04), (0.06, 0.12, 0.09)),  # ears
    ((0.31, -0.4, 0.04), (0.06, 0.12, 0.09)),
    ((0.0, 0.05, 0.06), (0.18, 0.4, 0.18)),  # neck
    ((0.0, 0.45, 0.06), (0.66, 0.22, 0.28)),  # shoulders
    ((0.0, 0.62, 0.0), (0.44, 0.34, 0.3)),  # chest
)
SHARPNESS = 30.0  # of the joints: they are rounded over about 1/SHARPNESS
SHAPES: dict[str, Callable[[Tensor], Tensor]] = {"sphere": sphere, "cube": cube, "bust": bust}
