"""Principal directions of Gram matrices: 512 statistics learned from photographs, without labels and without noise.

The Gram matrices of an untrained network (gram.py, untrained.py) are 34,912 numbers, in whose combinations textures do
not differ equally. With g(x) all of their entries, the directions in which g varies most over many textures,

    f_k(x) = p_k . g(x),        p_1 ... p_512 the first principal directions of g over photographs of textures,

are 512 statistics, and as g is a mean over positions, so is f: f_k = sum_l mean of h_l' P_kl h_l for the features h_l
of layer l. Distances are those that Gatys et al. (2015) descend, each layer in units of its own: a picture's entries of
a layer are divided by their norm (off the diagonal they count twice) before the directions are looked for, so that each
texture counts alike, of whatever contrast. f itself is linear in g.

The family is the one of Eq. 2, exp[-lam.f(x)] / Z; learned is the variance between textures, where Eq. 4 learns what
removes noise. How they compare is in Table 1 (lib/evaluation/table.py). lib/training/principal.py learns them.
"""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lib.errors import TextureError
from lib.statistics.gram import Gram
from lib.whole import write_whole

SHIPPED = Path(__file__).parents[1] / "checkpoints" / "principal" / "principal.safetensors"
FORMAT = "textures-principal-1"
DIM = 512
STEPS_OF_BYTE = 127  # directions are stored as bytes, each in units of its largest entry
ROUNDS = 4  # power iterations of the randomised decomposition (Halko, Martinsson & Tropp 2011)
SPARE = 64  # directions that it finds beyond those asked for


class Principal:
    """f: x [B,3,H,W] in [0,1] -> [B,dim], differentiable; `directions` [34912,dim]."""

    name = "principal directions of Gram matrices"

    def __init__(self, directions: Tensor) -> None:
        self.gram = Gram("untrained")
        self.directions = directions
        self.dim = directions.shape[1]

    def __call__(self, x: Tensor) -> Tensor:
        return self.gram(x) @ self.directions


def weights(gram: Gram) -> Tensor:
    """The root of what an entry counts in the distance of matrices, where those off the diagonal stand for two: [D]."""
    twice = []
    for c in gram.channels:
        rows, columns = torch.triu_indices(c, c)
        twice.append(torch.where(rows == columns, 1.0, 2**0.5))
    return torch.cat(twice)


def directions(rows: Tensor, sizes: list[int], weight: Tensor, dim: int = DIM) -> tuple[Tensor, Tensor]:
    """The first `dim` principal directions of Gram entries, to be multiplied by g, and their shares of all variance.

    rows [N,D]: g of N pictures, overwritten; sizes: entries of each layer; weight [D] -> [D,dim], [dim].
    """
    rows.mul_(weight)
    for part in rows.split(sizes, 1):
        part.div_(part.norm(dim=1, keepdim=True).clamp_min(1e-12))
    rows.sub_(rows.mean(0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _, values, found = torch.svd_lowrank(rows, min(dim + SPARE, *rows.shape), niter=ROUNDS)
    return weight[:, None] * found[:, :dim], values[:dim] ** 2 / rows.square().sum()


def save(found: Tensor, path: Path, recipe: dict[str, object]) -> Path:
    """Write directions [D,dim], a byte an entry, and how they were learned; returns the path."""
    scale = found.abs().amax(0) / STEPS_OF_BYTE
    kept = {"directions": (found / scale).round().to(torch.int8).contiguous(), "scale": scale}
    header = {"format": FORMAT, "recipe": json.dumps(recipe)}
    write_whole(path, lambda draft: save_file(kept, draft, metadata=header))
    return path


def load(path: str | Path = SHIPPED) -> Principal:
    """The statistics that come with the library, or those of a file.

    Raises TextureError for a file that is missing, damaged or another's.
    """
    if not Path(path).is_file():
        raise TextureError(f"{path} does not exist; python -m lib.training.principal writes one")
    try:
        with safe_open(path, framework="pt") as file:
            known = (file.metadata() or {}).get("format") == FORMAT
            kept = {key: file.get_tensor(key) for key in file.keys()} if known else {}  # noqa: SIM118
        found = Principal(kept["directions"].float() * kept["scale"])
    except (SafetensorError, OSError, KeyError, RuntimeError, ValueError):
        raise TextureError(f"{path} holds no principal directions, or is damaged; get it again") from None
    if len(found.directions) != found.gram.dim:
        raise TextureError(
            f"{path} is of {len(found.directions)} entries, the network has {found.gram.dim}; learn them"
        )
    return found
