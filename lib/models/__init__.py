"""Every texture model of the field under one name each, and one door to all of them.

    lib.MODELS["gatys"]                               what it measures, how it draws, which settings it has
    lib.synthesize(x0, "gatys", n=2, iterations=50)   more of the texture of x0

A model is a choice of statistics and a way to draw an image that has them: one that satisfies f(x) = f(x0) (the
microcanonical ensemble) or one from the density of largest entropy with E f(x) = f(x0) (the macrocanonical one). The
next model is a file beside this one, which ends in a generator of records, and a row in the table below.
"""

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor

from lib.errors import TextureError
from lib.samplers.step import Step, last

COMMON = ("x0", "n", "size", "seed", "tileable")


@dataclass(frozen=True)
class TextureModel:
    """One row of the table: the generator stands in `where` ("module:function"), imported when it is first called."""

    title: str
    year: int
    statistics: str
    number: str  # of statistics, in colour
    chosen: str
    sampler: str
    where: str

    @property
    def steps(self) -> Callable[..., Iterator[Step]]:
        """(x0 [3,H,W], n, size, seed, tileable, and settings of its own) -> one record a step."""
        module, function = self.where.split(":")
        try:
            found: Callable[..., Iterator[Step]] = getattr(importlib.import_module(module), function)
        except ModuleNotFoundError as error:
            raise TextureError(f"{self.title} needs the package {error.name}; ./run_all.sh installs it") from error
        return found

    @property
    def settings(self) -> dict[str, Any]:
        """Its own settings and what they are unless given."""
        parameters = inspect.signature(self.steps).parameters
        return {name: p.default for name, p in parameters.items() if name not in COMMON}


MODELS: Mapping[str, TextureModel] = MappingProxyType({
    "noise": TextureModel(
        "White noise", 1962, "mean and covariance of single pixels", "9", "by theory", "exact",
        "lib.models.noise:white_noise_steps",
    ),
    "gaussian": TextureModel(
        "Spot noise (Galerne, Gousseau & Morel)", 2011, "mean and autocovariance", "4.5 a pixel", "by theory", "exact",
        "lib.models.gaussian:gaussian_steps",
    ),
    "random-phase": TextureModel(
        "Random phases (Galerne, Gousseau & Morel)", 2011, "moduli of the transform, phases between colours",
        "2.5 a pixel", "by theory", "exact", "lib.models.gaussian:random_phase_steps",
    ),
    "heeger-bergen": TextureModel(
        "Heeger & Bergen", 1995, "histograms of pyramid bands and of pixels", "57 histograms",
        "by hand, after the visual cortex", "project", "lib.models.heeger_bergen:heeger_bergen_steps",
    ),
    "frame": TextureModel(
        "Zhu, Wu & Mumford, FRAME", 1998, "histograms of 30 filters' responses", "990",
        "by hand, after the visual cortex", "soul", "lib.models.frame:frame_steps",
    ),
    "portilla-simoncelli": TextureModel(
        "Portilla & Simoncelli, in colour", 2000, "joint statistics of pyramid coefficients", "3,798",
        "by hand, after the visual cortex", "match", "lib.models.portilla_simoncelli:portilla_simoncelli_steps",
    ),
    "gatys": TextureModel(
        "Gatys, Ecker & Bethge", 2015, "correlations of VGG-19's features", "176,640",
        "learned, for recognition", "match", "lib.models.gatys:gatys_steps",
    ),
    "deep-frame": TextureModel(
        "Lu, Zhu & Wu, deep FRAME", 2016, "means of one layer of VGG-19", "256",
        "learned, for recognition", "soul", "lib.models.frame:deep_frame_steps",
    ),
    "soul": TextureModel(
        "De Bortoli, Desolneux, Durmus, Galerne & Leclaire", 2021, "means of VGG-19's features", "2,688",
        "learned, for recognition", "soul", "lib.models.soul:soul_steps",
    ),
    "sliced-wasserstein": TextureModel(
        "Heitz, Vanhoey, Chambon & Belcour", 2021, "distributions of VGG-19's features", "3,456 distributions",
        "learned, for recognition", "match", "lib.models.gatys:sliced_wasserstein_steps",
    ),
    "gan": TextureModel(
        "Jetchev, Bergmann & Vollgraf, spatial GAN", 2016, "features of a network that learns to tell",
        "128, never settled", "learned from the exemplar, by a contest", "generator", "lib.models.gan:gan_steps",
    ),
    "principal": TextureModel(
        "Principal directions of Gram matrices", 2026, "of an untrained network's features", "512",
        "learned from textures, by their variance", "match", "lib.models.learned:principal_steps",
    ),
    "matching": TextureModel(
        "Zhao & Simoncelli, statistics matching", 2025,
        "means of waves and of a network", "512", "learned from textures, by denoising", "match",
        "lib.models.learned:matching_steps",
    ),
    "diffusion": TextureModel(
        "Zhao & Simoncelli, diffusion", 2025,
        "means of waves and of a network", "512", "learned from textures, by denoising", "diffuse",
        "lib.models.learned:diffusion_steps",
    ),
    "soul-learned": TextureModel(
        "Zhao & Simoncelli's statistics, by SOUL", 2025,
        "means of waves and of a network", "512", "learned from textures, by denoising", "soul",
        "lib.models.soul:soul_learned_steps",
    ),
})  # fmt: skip


def synthesize_steps(
    x0: Tensor,
    model: str = "gaussian",
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    tileable: bool = False,
    **settings: Any,
) -> Iterator[Step]:
    """`synthesize`, one record a step; arguments as there."""
    if model not in MODELS:
        raise TextureError(f"no model {model!r}; known are {', '.join(MODELS)}")
    known = MODELS[model].settings
    for name in settings:
        if name not in known:
            raise TextureError(f"{model} has no setting {name!r}; known are {', '.join(known) or 'none'}")
        usual, given = known[name], settings[name]
        if isinstance(usual, bool) and not isinstance(given, bool):
            raise TextureError(f"{model}: {name} is {given!r}; it is True or False")
        if isinstance(usual, str) and not isinstance(given, (str, Path)):
            raise TextureError(f"{model}: {name} is {given!r}; it is a word or a path, such as {usual!r}")
    return MODELS[model].steps(x0, n, size, seed, tileable, **settings)


def synthesize(
    x0: Tensor,
    model: str = "gaussian",
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    tileable: bool = False,
    **settings: Any,
) -> Tensor:
    """n new textures [n,3,H,W] like x0 ([3,H,W] in [0,1]), by any model of `MODELS`.

    `size` is (height, width), one number for both, or None for x0's own. Sample i depends on (seed, i) alone.
    `tileable` makes opposite edges meet. `settings` are the model's own: `MODELS[model].settings`.

    Raises TextureError for a model or setting that there is not, naming those that there are, and as `match` does.
    """
    return last(synthesize_steps(x0, model, n, size, seed, tileable, **settings))
