"""torch-fidelity, imported where its neighbours allow it.

It imports torchvision, whose wheel is built for one build of torch: beside another (a CUDA wheel beside a CPU torch)
the import ends in "operator torchvision::nms does not exist". Declaring the two operators that are looked up while
importing, without implementing them, is enough; nothing here calls them. A sound torchvision is imported as it is.
"""

import importlib
import sys
from types import ModuleType

import torch

from lib.errors import TextureError

OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_KEPT: list[torch.library.Library] = []  # operators live as long as the library that declares them


def fidelity(module: str = "torch_fidelity") -> ModuleType:
    """A module of torch-fidelity; TextureError where the package is not installed."""
    try:
        try:
            return importlib.import_module(module)
        except RuntimeError as error:
            if "torchvision::" not in str(error) or _KEPT:
                raise
        for name in [name for name in sys.modules if name.split(".")[0] in ("torchvision", "torch_fidelity")]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in OPERATORS:
            library.define(operator)
        _KEPT.append(library)
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise TextureError(f"this needs the package {error.name}; ./run_all.sh installs everything") from error
