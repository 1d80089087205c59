"""Two exemplars for which no free photograph was found, rendered: recycled-rubber flooring and glitter.

Both are piles of small flat or angular bodies, stamped one after the other onto a torus at twice the final
resolution, lit, seen through a lens with a little blur and glow, and recorded by a sensor with noise. Working
on a torus makes every place alike, which is what a texture is.

    python -m lib.exemplars.render FOLDER
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from lib.images import save_image

SCALE = 2  # rendered pixels a final pixel, on each side


def rubber(size: int = 512, seed: int = 0) -> torch.Tensor:
    """Granulated rubber floor, float32 [3, size, size] in [0, 1]: angular dark crumbs, a few of them dyed.

    Each crumb is a convex body cut by random planes, at a random height; the highest is seen. Light comes
    from the upper left, shadows are cast along it, and hollows see less of the sky.
    """
    rng = np.random.default_rng(seed)
    n = size * SCALE
    height = np.full((n, n), -4.0, np.float32)
    albedo = np.full((n, n, 3), 0.02, np.float32)
    for y, x, radius in _places(rng, n, area=2.6, low=6.5, high=17.0, spread=0.36):
        ys, xs, v, u = _patch(y, x, radius * 1.5, n)
        turn, stretch = rng.uniform(0, np.pi), rng.uniform(0.62, 1.0)
        p = (np.cos(turn) * u + np.sin(turn) * v) / radius
        q = (np.cos(turn) * v - np.sin(turn) * u) / (radius * stretch)
        top = rng.uniform(0.55, 0.95) + rng.normal(0, 0.16) * p + rng.normal(0, 0.16) * q
        for angle in np.arange(7) * (2 * np.pi / 7) + rng.uniform(-0.42, 0.42, 7):
            steep, reach = rng.uniform(0.9, 2.6), rng.uniform(0.8, 1.15)
            top = np.minimum(top, steep * (reach - np.cos(angle) * p - np.sin(angle) * q))
        z = radius * 0.75 * top + rng.uniform(0, 5.0)
        seen = (top > 0) & (z > height[ys, xs])
        height[ys, xs] = np.where(seen, z, height[ys, xs])
        albedo[ys, xs] = np.where(seen[..., None], _crumb_colour(rng), albedo[ys, xs])

    rough = _noise(rng, n, 1.1) * 0.30 + _noise(rng, n, 2.6) * 0.45
    surface = _blur(height, 0.9) + rough
    normal = _normals(surface)
    light = np.array([-0.45, -0.62, 0.64], np.float32)
    half = light + np.array([0, 0, 1], np.float32)
    lambert = np.clip(normal @ (light / np.linalg.norm(light)), 0, 1)
    sheen = np.clip(normal @ (half / np.linalg.norm(half)), 0, 1) ** 22
    open_sky = np.clip(0.62 + 0.055 * (surface - _blur(surface, 9.0)), 0.12, 1.0)
    lit = (lambert * _sunlight(surface, light))[..., None]
    mottle = np.exp(0.16 * _noise(rng, n, 1.6) + 0.10 * _noise(rng, n, 7.0))[..., None]
    warm, cool = np.array([1.0, 0.97, 0.92], np.float32), np.array([0.88, 0.95, 1.06], np.float32)
    radiance = albedo * mottle * (1.75 * lit * warm + 0.75 * open_sky[..., None] * cool)
    radiance += 0.075 * (sheen * _sunlight(surface, light))[..., None] * warm + 0.006 * open_sky[..., None]
    return _photograph(rng, radiance * 1.5, blur=1.25, noise=0.010)


def glitter(size: int = 512, seed: int = 0) -> torch.Tensor:
    """Loose glitter, float32 [3, size, size] in [0, 1]: six-sided mirrors, most of them dark, some blinding.

    A flake shows whatever part of a studio it happens to mirror: a dim room, two soft boxes, two lamps. Its
    tint turns with the angle, as in thin films. Light brighter than white spills over, as in a lens.
    """
    rng = np.random.default_rng(seed)
    n = size * SCALE
    near, far = (np.zeros((n, n, 3), np.float32) for _ in range(2))
    cover = np.zeros((n, n), np.float32)
    for layer, area, shade in ((far, 2.2, 0.35), (near, 1.25, 1.0)):
        for y, x, radius in _places(rng, n, area=area, low=7.0, high=13.5, spread=0.16):
            ys, xs, v, u = _patch(y, x, radius * 1.1, n)
            tilt = rng.normal(0, 0.42, 2)  # slopes of the flake
            facing = np.array([-tilt[1], -tilt[0], 1.0]) / np.sqrt(1 + tilt @ tilt)
            turn = rng.uniform(0, np.pi)
            # Tilting foreshortens the hexagon along the slope; the mean of both axes is close enough to see.
            p = (np.cos(turn) * u + np.sin(turn) * v) / (radius * facing[2])
            q = (np.cos(turn) * v - np.sin(turn) * u) / radius
            edge = np.maximum(np.abs(p), np.maximum(np.abs(0.5 * p + 0.866 * q), np.abs(0.5 * p - 0.866 * q)))
            inside = edge < 0.86
            bend = rng.normal(0, 0.05, 2)  # a flake is not quite flat: its reflection runs across it
            slope_x, slope_y = tilt[1] + bend[0] * p, tilt[0] + bend[1] * q
            colour = shade * _studio(slope_x, slope_y, _foil(rng, float(facing[2])))
            colour *= np.where(edge > 0.74, 1.35, 1.0)[..., None]  # the cut edge catches light
            layer[ys, xs] = np.where(inside[..., None], colour, layer[ys, xs])
            if layer is near:
                # What a flake leaves uncovered beside itself lies in its shadow.
                shadow = (edge >= 0.86) & (edge < 1.12)
                layer[ys, xs] = np.where(shadow[..., None], 0.55 * layer[ys, xs], layer[ys, xs])
                cover[ys, xs] = np.maximum(cover[ys, xs], inside)
    deep = _blur(far, 2.4)
    alpha = _blur(cover, 0.7)[..., None]
    radiance = alpha * near + (1 - alpha) * deep
    excess = np.clip(radiance - 0.9, 0, 8)
    radiance = radiance + 0.22 * _blur(excess, 2.5) + 0.16 * _blur(excess, 8.0) + 0.05 * _blur(excess, 26.0)
    return _photograph(rng, radiance, blur=1.0, noise=0.012)


def _places(
    rng: np.random.Generator, n: int, area: float, low: float, high: float, spread: float
) -> Iterator[tuple[int, int, float]]:
    """Centres and radii (log-normal, within [low, high]) of bodies whose areas add up to `area` pictures."""
    middle, total = np.sqrt(low * high), 0.0
    while total < area * n * n:
        radius = float(np.clip(middle * np.exp(rng.normal(0, spread)), low, high))
        total += np.pi * radius**2
        yield int(rng.integers(n)), int(rng.integers(n)), radius


def _patch(y: int, x: int, reach: float, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Indices on the torus of the square around (y, x), and its coordinates relative to the centre."""
    r = np.arange(-int(reach), int(reach) + 1)
    return (
        (y + r)[:, None] % n,
        (x + r)[None, :] % n,
        r[:, None].astype(np.float32),
        r[None, :].astype(np.float32),
    )


def _crumb_colour(rng: np.random.Generator) -> np.ndarray:
    """Linear reflectance of one rubber crumb: tyre black with a cast of its own; one in fourteen is dyed."""
    if rng.random() < 0.07:
        dyes = (
            (0.10, 0.15, 0.25),
            (0.29, 0.10, 0.06),
            (0.36, 0.32, 0.24),
            (0.13, 0.21, 0.12),
            (0.27, 0.27, 0.26),
        )
        return np.array(dyes[rng.choice(5, p=(0.3, 0.22, 0.2, 0.08, 0.2))]) * np.exp(rng.normal(0, 0.3))
    return np.array([0.046, 0.046, 0.049]) * np.exp(rng.normal(0, 0.38) + rng.normal(0, 0.05, 3))


def _foil(rng: np.random.Generator, facing: float) -> np.ndarray:
    """Linear reflectance of one flake: rose gold on the whole, with violet and silver ones among it."""
    base = np.array(((0.96, 0.33, 0.42), (0.98, 0.56, 0.24), (0.52, 0.28, 0.86), (0.86, 0.82, 0.86)))
    colour = base[rng.choice(4, p=(0.56, 0.24, 0.11, 0.09))] * np.exp(rng.normal(0, 0.07, 3))
    phase = 9.0 * facing + rng.normal(0, 0.6) + np.array([0.0, 2.1, 4.2])
    return np.clip(colour * (1 + 0.16 * np.cos(phase)), 0.02, 1)


def _studio(slope_x: np.ndarray, slope_y: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """What a flake of these slopes mirrors towards a camera above: radiance [h, w, 3]."""
    slope_x, slope_y = np.broadcast_arrays(slope_x, slope_y)

    def box(cx: float, cy: float, width: float) -> np.ndarray:
        distance = np.hypot(slope_x - cx, slope_y - cy)
        return 1 / (1 + np.exp((distance - width) / (0.12 * width)))

    room = 0.085 + 0.14 * np.clip(0.5 - slope_y, 0, 1.5)
    soft = 0.85 * box(-0.38, -0.32, 0.24) + 0.42 * box(0.55, 0.12, 0.22)
    lamp = 9.0 * box(0.04, -0.14, 0.085) + 4.0 * box(-0.05, 0.45, 0.06)
    white = (0.5 * lamp / 9.0 + 0.01)[..., None]  # a lamp's mirror image keeps some of its own colour
    return (room + soft + lamp)[..., None] * (colour * (1 - white) + white)


def _normals(height: np.ndarray) -> np.ndarray:
    """Unit normals [n, n, 3] (x right, y down, z up) of a height field on the torus."""
    dx = (np.roll(height, -1, 1) - np.roll(height, 1, 1)) / 2
    dy = (np.roll(height, -1, 0) - np.roll(height, 1, 0)) / 2
    normal = np.stack([-dx, -dy, np.ones_like(dx)], axis=-1)
    return normal / np.linalg.norm(normal, axis=-1, keepdims=True)


def _sunlight(height: np.ndarray, light: np.ndarray) -> np.ndarray:
    """How much of the lamp each point sees, in [0, 1]: what rises above the ray to it casts a soft shadow."""
    blocked = np.zeros_like(height)
    run = float(np.hypot(light[0], light[1]))
    for step in range(1, 25):
        dx, dy = round(step * light[0] / run), round(step * light[1] / run)
        rise = np.roll(height, (-dy, -dx), (0, 1)) - (height + step * light[2] / run)
        blocked = np.maximum(blocked, rise / (1.0 + 0.12 * step))
    return np.clip(1 - blocked, 0.06, 1)


def _blur(x: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur on the torus of [n, n] or [n, n, c], in the frequency domain."""
    n = x.shape[0]
    f = np.fft.fftfreq(n)
    r = np.fft.rfftfreq(n)
    gain = np.exp(-2 * (np.pi * sigma) ** 2 * (f[:, None] ** 2 + r[None, :] ** 2))
    gain = gain[..., None] if x.ndim == 3 else gain
    return np.fft.irfft2(np.fft.rfft2(x, axes=(0, 1)) * gain, s=(n, n), axes=(0, 1)).astype(np.float32)


def _noise(rng: np.random.Generator, n: int, sigma: float) -> np.ndarray:
    """Gaussian noise of unit variance, smooth over `sigma` pixels, on the torus."""
    x = _blur(rng.standard_normal((n, n)), sigma)
    return x / x.std()


def _photograph(rng: np.random.Generator, radiance: np.ndarray, blur: float, noise: float) -> torch.Tensor:
    """Lens, sensor, development: linear radiance [n, n, 3] to an sRGB image [3, n / SCALE, n / SCALE]."""
    radiance = _blur(radiance, blur)
    n = len(radiance) // SCALE
    linear = np.clip(radiance.reshape(n, SCALE, n, SCALE, 3).mean((1, 3)), 0, None)
    linear = linear + noise * np.sqrt(linear + 0.002) * rng.standard_normal(linear.shape)  # shot noise
    linear = np.clip(linear, 0, None)
    shoulder = np.where(linear < 0.7, linear, 0.7 + 0.3 * (1 - np.exp(-(linear - 0.7) / 0.3)))
    srgb = np.where(
        shoulder < 0.0031308, 12.92 * shoulder, 1.055 * np.maximum(shoulder, 1e-9) ** (1 / 2.4) - 0.055
    )
    return torch.from_numpy(srgb.astype(np.float32).clip(0, 1)).permute(2, 0, 1).contiguous()


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    for make in (rubber, glitter):
        print(save_image(make(), folder / f"{make.__name__}.jpg"))
