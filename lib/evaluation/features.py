"""Features of images, in which distributions of textures are compared; each says by name which network they are of.

- FID's own: the 2048 of the Inception network that torch-fidelity publishes (Heusel et al. 2017), downloaded once
  (95 MB) into torch.hub's cache, or read from a path (.pth). Only their Fréchet distance is called FID.
- A substitute: the trunk of another Inception v3 (`inception.py`), from a path (.safetensors), at a depth of its own.

A covariance of d features from n samples has rank n - 1, so below n of about d the Fréchet distance of two sets from
one distribution is far from zero. What helps is a spectrum that falls fast, not a small d. With 16 crops of grass,
cloth, marble and glitter, Gaussian textures are 2.0, 35, 1.8 and 12 times as far as the floor (`protocol.py`) in
mixed5's 768 features; 1.0, 41, 1.7 and 20 times in mixed2's 288; 1.4, 14, 1.0 and 15 times in pool2's 192. Hence mixed5
is the default. The kernel distance has no such bias, and tells the first of these apart too in mixed5 alone.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lib.errors import TextureError
from lib.evaluation.fidelity import fidelity
from lib.evaluation.inception import DEPTHS, Trunk

VARIABLE = "TEXTURES_INCEPTION"  # the environment's word on the default: a path, or a path:depth
DEPTH = "mixed5"
BATCH = 8  # images at a time; 299x299 pixels each inside the network


@dataclass(frozen=True, eq=False)
class Features:
    """`name` for captions, `dim`, the sha256 of the weights' file, and whether a Fréchet distance of them is FID."""

    name: str
    dim: int
    sha256: str
    fid: bool
    of: Callable[[Tensor], Tensor]

    @property
    def distance(self) -> str:
        """What the Fréchet distance of these features may be called."""
        return "FID" if self.fid else f"Fréchet distance, {self.name}"

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [N,3,H,W] -> [N,dim], float64."""
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise TextureError(f"features are of uint8 [N,3,H,W], not of {images.dtype} {list(images.shape)}")
        return torch.cat([self.of(batch).double() for batch in images.split(BATCH)])


def load_features(source: str | Path | None = None) -> Features:
    """FID's features, or those of a substitute.

    Args:
        source: "fid" for the download; the path of torch-fidelity's weights (.pth); that of a trunk (.safetensors),
            also as PATH:DEPTH with pool2, mixed2 or mixed5 for depth; None for what the environment variable
            TEXTURES_INCEPTION says, else "fid".

    Raises TextureError for a file that is missing, damaged or of another network, and when the download fails.
    """
    return _load(str(source or os.environ.get(VARIABLE) or "fid"))


@lru_cache(maxsize=2)
def _load(source: str) -> Features:
    if source == "fid":
        return _fid(None)
    path, _, depth = source.rpartition(":") if source.rpartition(":")[2] in DEPTHS else (source, "", DEPTH)
    if not Path(path).is_file():
        raise TextureError(f"there is no file {path}; give the weights of FID's Inception (.pth) or of a trunk")
    return _trunk(Path(path), depth) if path.endswith(".safetensors") else _fid(Path(path))


def _trunk(path: Path, depth: str) -> Features:
    try:
        trunk = Trunk.of(load_file(path), str(path))
    except (SafetensorError, OSError):
        raise TextureError(f"{path} is damaged or no safetensors file; get it again") from None
    name = f"{depth} of an Inception v3 trunk"
    return Features(name, DEPTHS[depth], _digest(path), False, lambda x: trunk(x.float() / 255, depth))


def _fid(path: Path | None) -> Features:
    module = fidelity("torch_fidelity.feature_extractor_inceptionv3")
    try:
        network = module.FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=path and str(path), verbose=False
        )
    except Exception as error:  # a download, a pickle or a state_dict can fail in many ways
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TextureError(
            f"FID's Inception could not be had from {path or module.URL_INCEPTION_V3} ({reason}); get that file "
            f"elsewhere, or a substitute, and give its path, as `features` or in the variable {VARIABLE}"
        ) from None
    file = path or Path(torch.hub.get_dir()) / "checkpoints" / module.URL_INCEPTION_V3.rsplit("/", 1)[1]
    return Features("FID's Inception", 2048, _digest(file), True, lambda x: network(x)[0])


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
