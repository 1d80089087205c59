"""Does a model hold textures upright? How much it sees lines along rows and columns in what has no direction.

    python -m lib.evaluation.upright MODEL ...
    python -m lib.evaluation.upright --images PHOTOGRAPHS       the same of photographs themselves

Bricks, planks and woven cloth are photographed upright. A network that learned to remove noise from them expects lines
along rows and columns, and finds them in noise; a sampler then draws what it found. So the model is shown white noise
about each exemplar's mean colour, as strong as the exemplar under noise sigma is, which has no direction at all, and
what its network's statistics add to the estimate of the noise (lambda(x0, sigma) without the built-in ones) is asked
for its lines at an angle: the power of its spectrum in frequencies across them of 1/8 to 1/2 cycles a pixel and along
them of less than about 1/48, which are thin lines, some tens of pixels long. Told is the power of lines along rows and
columns over that of lines at 30, 60, 120 and 150 degrees, the geometric mean over exemplars or photographs; 1 is a
model that does not care.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import torch
import typer
from rich.console import Console
from rich.progress import track
from torch import Tensor

from lib.command import run
from lib.energy import predicted_noise
from lib.errors import TextureError
from lib.images import EXEMPLARS, exemplar, image_files, read_image
from lib.model import Model
from lib.samplers.diffuse import tiled
from lib.samplers.step import white_noise
from lib.statistics.quadratic import periodic_component
from lib.training.checkpoint import load

T = TypeVar("T")

SIGMAS = (0.5, 0.2, 0.1, 0.05)
SIDE = 128
ACROSS, ALONG = (1 / 8, 1 / 2), 1 / 48  # cycles a pixel
UPRIGHT, OBLIQUE = (0, 90), (30, 60, 120, 150)  # degrees


def upright(images: Tensor) -> float:
    """The power of lines along rows and columns over that of oblique ones: images [n,H,W], periodic."""
    power = torch.fft.fft2(images.double()).abs().square().mean(0)
    down, right = (torch.fft.fftfreq(n, dtype=torch.double) for n in power.shape)

    def lines(degrees: float) -> float:
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        along, across = c * right + s * down[:, None], (c * down[:, None] - s * right).abs()
        weight = torch.exp(-0.5 * (along / ALONG) ** 2) * ((across >= ACROSS[0]) & (across <= ACROSS[1]))
        return ((weight * power).sum() / weight.sum()).item()

    found = [sum(map(lines, angles)) / len(angles) for angles in (UPRIGHT, OBLIQUE)]
    if not found[1]:
        raise TextureError("images without contrast have lines at no angle; give others")
    return found[0] / found[1]


def watched(items: Sequence[T], what: str) -> Iterable[T]:
    """`items`, with progress where somebody looks on: standard output holds numbers alone."""
    console = Console(stderr=True)
    return track(items, what, console=console, transient=True, disable=not console.is_terminal)


def seen(model: Model, x0: Tensor, sigma: float, seed: int = 0) -> Tensor:
    """What the network's statistics find in noise that is as strong as x0 [1,3,H,W] under noise sigma: [1,H,W]."""
    x, known = tiled(x0), model.architecture.known
    lam = model.multipliers(x, sigma).clone()
    lam[:, :known] = 0
    strength = (x.var((2, 3), keepdim=True) + sigma**2).sqrt()
    y = x.mean((2, 3), keepdim=True) + strength * white_noise(1, SIDE, SIDE, seed)
    return predicted_noise(model.statistics, lam, y).mean(1)


def uprightness(model: Model, sigmas: Sequence[float] = SIGMAS, names: Sequence[str] = EXEMPLARS) -> list[float]:
    """One number a noise level, the geometric mean over exemplars."""
    images = [exemplar(name)[None, :, :SIDE, :SIDE] for name in names]
    with torch.no_grad():
        logs = [
            [math.log(upright(seen(model, x0, sigma))) for x0 in images]
            for sigma in watched(sigmas, "noise levels")
        ]
    return [math.exp(sum(row) / len(row)) for row in logs]


def of_photographs(folder: Path) -> tuple[float, int]:
    """The geometric mean over the middles of photographs of at least 128 pixels a side, and how many these are."""
    logs = []
    for path in watched(image_files(folder), "photographs"):
        x = read_image(path)
        top, left = ((n - SIDE) // 2 for n in x.shape[-2:])
        if min(top, left) < 0:
            continue
        middle = periodic_component(x[None, :, top : top + SIDE, left : left + SIDE]).mean(1)
        if middle.var() > 0:
            logs.append(math.log(upright(middle)))
    if not logs:
        raise TextureError(f"no photograph of {SIDE} pixels a side in {folder}; give larger ones")
    return math.exp(sum(logs) / len(logs)), len(logs)


def command(
    models: Annotated[
        list[str] | None, typer.Argument(help="Shipped models, or the paths of others.", metavar="MODEL...")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of photographs.")] = None,
) -> None:
    """How many more lines along rows and columns than at other angles models see in noise, or photographs have."""
    if not models and images is None:
        raise TextureError("nothing to measure: name models, for instance default, or a folder of --images")
    if models:
        print("sigma           " + "".join(f"{sigma:8g}" for sigma in SIGMAS))
    for name in models or []:
        print(f"{Path(name).stem:<16}" + "".join(f"{value:8.2f}" for value in uprightness(load(name))), flush=True)
    if images is not None:
        value, count = of_photographs(images)
        print(f"{count} photographs: {value:.2f}")


if __name__ == "__main__":
    run(command)
