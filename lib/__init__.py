"""Learned maximum-entropy models of visual texture: a companion to Zhao & Simoncelli.

    model = lib.load()                                   statistics f and multipliers lambda, trained
    x0 = lib.exemplar("pebble")                          [3,H,W], pixels in [0,1]
    lib.match(model, x0, n=4)                            statistics matching
    lib.diffuse(model, x0, n=4)                          diffusion sampling
    lib.interpolate(model, x0, lib.exemplar("grass"))    from one texture to another (Eq. 5)
    lib.compose(model, [x0, x1], ["upright", "turned"])  one picture, a texture for each way to look at it
    lib.inpaint(model, x0, hole)                         a hole filled, given what is around it
    lib.synthesize(x0, "gatys")                          any model of the field; lib.MODELS names them
    lib.explorer(model)                                  the line between two textures, in a notebook
    lib.anagrams(model)                                  one picture in two views, in a notebook
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from lib.errors import TextureError
from lib.images import EXEMPLARS, exemplar, read_image, save_image
from lib.interpolate import between_steps, interpolate, interpolate_steps
from lib.model import Model
from lib.models import MODELS, synthesize, synthesize_steps
from lib.samplers.compose import compose, compose_steps, ramp
from lib.samplers.denoise import denoise
from lib.samplers.diffuse import diffuse, diffuse_steps
from lib.samplers.inpaint import inpaint, inpaint_steps
from lib.samplers.match import match, match_steps
from lib.samplers.step import Step
from lib.training.checkpoint import load
from lib.views import VIEWS, View, same_colours

if TYPE_CHECKING:
    from lib.companion.anagrams import Anagrams
    from lib.companion.explorer import Explorer

__all__ = [
    "EXEMPLARS",
    "MODELS",
    "VIEWS",
    "Model",
    "Step",
    "TextureError",
    "View",
    "anagrams",
    "between_steps",
    "compose",
    "compose_steps",
    "denoise",
    "diffuse",
    "diffuse_steps",
    "exemplar",
    "explorer",
    "inpaint",
    "inpaint_steps",
    "interpolate",
    "interpolate_steps",
    "load",
    "match",
    "match_steps",
    "ramp",
    "read_image",
    "same_colours",
    "save_image",
    "synthesize",
    "synthesize_steps",
]


def explorer(
    model: Model | None = None, strips: Mapping[tuple[str, str, str], Tensor] | None = None, size: int = 128
) -> "Explorer":
    """A widget: two exemplars, a position between them on a line, the picture that belongs there (Eq. 5).

    `strips` maps (a, b, space) to what `interpolate` drew in it with seed 0 between the top left corners of exemplars a
    and b, `size` pixels a side: the slider shows these at once. Without a model, the shipped one. Needs ipywidgets,
    which is why it is imported only here.
    """
    from lib.companion.explorer import Explorer

    return Explorer(load() if model is None else model, strips, size)


def anagrams(
    model: Model | None = None, pictures: Mapping[tuple[str, str, str], Tensor] | None = None, size: int = 128
) -> "Anagrams":
    """A widget: two exemplars, a view, the picture that is the one as it stands and the other as it is seen.

    `pictures` maps (a, b, view) to what `compose` drew with seed 0 of the top left corners of exemplars a and b, `size`
    pixels a side and in `same_colours`: these are shown at once. Without a model, the shipped one. Needs ipywidgets,
    which is why it is imported only here.
    """
    from lib.companion.anagrams import Anagrams

    return Anagrams(load() if model is None else model, pictures, size)
