"""Checkpoints: a safetensors file (float16 weights, bases in float32, the recipe in its header) and a card beside it.

A checkpoint `name` is files of one folder: `name.safetensors`, `name.md` and, where somebody wrote one, the card of its
data, `name.data.md`. The header carries the architecture and the sha256 of the weights, so that a damaged or foreign
file is refused before anything is computed.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lib.errors import TextureError
from lib.model import CHECKPOINTS, Model
from lib.statistics.architecture import Architecture
from lib.whole import write_whole

FORMAT = "textures-1"
BASES = "whitening", "directions"  # absent where they were not learned: the model's own are left


def save(model: Model, path: Path, card: str, recipe: dict[str, Any]) -> Path:
    """Write `path` (.safetensors) and its card (.md), each whole or not at all; returns the path.

    The card's last line is the file's sha256, to be compared with what `sha256sum` says.
    """
    weights = {k: v.detach().cpu().to(torch.float16).contiguous() for k, v in model.state_dict().items()}
    bases = {name: getattr(model, name) for name in BASES}
    weights |= {name: basis.cpu().contiguous() for name, basis in bases.items() if basis is not None}
    header = {
        "format": FORMAT,
        "architecture": json.dumps(asdict(model.architecture)),
        "recipe": json.dumps(recipe),
        "sha256": digest(weights),
    }
    write_whole(path, lambda draft: save_file(weights, draft, metadata=header))
    card += f"\nsha256 of `{path.name}`: `{hashlib.sha256(path.read_bytes()).hexdigest()}`\n"
    write_whole(path.with_suffix(".md"), lambda draft: draft.write_text(card, encoding="utf-8"))
    return path


def load(name_or_path: str | Path = "default") -> Model:
    """The model of a shipped name ("default", ...) or of a checkpoint's path, in evaluation mode, on the CPU.

    Raises TextureError for a name nobody ships, and for a file that is missing, damaged, altered or foreign.
    """
    path = find(name_or_path)
    header, weights = _read(path, tensors=True)
    if header.get("sha256") != digest(weights):
        raise TextureError(f"{path} does not match the sha256 in its header: it was altered; get it again")
    cards = [path.with_suffix(suffix) for suffix in (".md", ".data.md")]
    card = "\n".join(file.read_text(encoding="utf-8") for file in cards if file.exists())
    stored = json.loads(header["architecture"])
    shape: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
    try:
        with torch.random.fork_rng(devices=[]):  # making a model draws numbers; loading one must not be felt
            model = Model(Architecture(**shape), path.stem, card)
        for name in BASES:
            if name in weights:
                setattr(model, name, weights.pop(name).float())
        model.load_state_dict({key: value.float() for key, value in weights.items()})
    except (TypeError, RuntimeError):
        raise TextureError(f"{path} was written by another version of this project; train it again") from None
    return model.eval().requires_grad_(False)


def recipe(name_or_path: str | Path = "default") -> dict[str, Any]:
    """How a checkpoint was trained: data, steps, seconds, machine, losses by sigma (from the file's header).

    Raises TextureError for a name nobody ships, and for a file that is missing, damaged or foreign.
    """
    return json.loads(_read(find(name_or_path), tensors=False)[0].get("recipe", "{}"))


def _read(path: Path, tensors: bool) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Header and, if they are wanted, weights."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            weights = {key: file.get_tensor(key) for key in file.keys()} if tensors else {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise TextureError(f"{path} is not a safetensors checkpoint or is damaged; get it again ({error})") from None
    if header.get("format") != FORMAT:
        raise TextureError(f"{path} was not written by this project (no {FORMAT!r} in its header); see README")
    return header, weights


def find(name_or_path: str | Path) -> Path:
    """The file behind a shipped name or a path."""
    path = Path(name_or_path)
    if path.suffix == ".safetensors":
        if not path.is_file():
            raise TextureError(f"{path} does not exist; check the path")
        return path
    shipped = {file.stem: file for file in sorted(CHECKPOINTS.glob("*.safetensors"))}
    if str(name_or_path) not in shipped:
        if path.is_file():
            raise TextureError(f"{path} is not a .safetensors checkpoint; only these are read, never a pickle")
        known = ", ".join(shipped) or "none yet: train one with python -m lib train"
        raise TextureError(f"no model {str(name_or_path)!r}; shipped are: {known}")
    return shipped[str(name_or_path)]


def digest(weights: dict[str, Tensor]) -> str:
    """sha256 over names, shapes and bytes of all tensors, in the order of their names."""
    total = hashlib.sha256()
    for key in sorted(weights):
        total.update(f"{key}{tuple(weights[key].shape)}{weights[key].dtype}".encode())
        total.update(weights[key].numpy().tobytes())
    return total.hexdigest()


def save_state(path: Path, state: dict[str, Any]) -> None:
    """What resuming needs and shipping does not (optimiser, averages, step): a file of this machine's own."""
    write_whole(path, lambda draft: torch.save(state, draft))


def load_state(path: Path) -> dict[str, Any]:
    """The state `save_state` wrote; only tensors and plain values are read."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise TextureError(f"{path} cannot be resumed from; delete it to start anew ({error})") from None
