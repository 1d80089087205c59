"""Learned maximum-entropy models of visual texture: a companion to Zhao & Simoncelli.

    model = lib.load()                                   statistics f and multipliers lambda, trained
    x0 = lib.exemplar("pebble")                          [3,H,W], pixels in [0,1]
    lib.match(model, x0, n=4)                            statistics matching
    lib.diffuse(model, x0, n=4)                          diffusion sampling
    lib.interpolate(model, x0, lib.exemplar("grass"))    Eq. 5
"""

from lib.errors import TextureError
from lib.images import EXEMPLARS, exemplar, read_image, save_image
from lib.interpolate import between_steps, interpolate, interpolate_steps
from lib.model import Model
from lib.samplers.denoise import denoise
from lib.samplers.diffuse import diffuse, diffuse_steps
from lib.samplers.match import match, match_steps
from lib.samplers.step import Step
from lib.training.checkpoint import load

__all__ = [
    "EXEMPLARS",
    "Model",
    "Step",
    "TextureError",
    "between_steps",
    "denoise",
    "diffuse",
    "diffuse_steps",
    "exemplar",
    "interpolate",
    "interpolate_steps",
    "load",
    "match",
    "match_steps",
    "read_image",
    "save_image",
]
