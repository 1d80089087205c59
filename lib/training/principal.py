"""Principal directions of Gram matrices, from folders of photographs: see lib/statistics/principal.py.

    python -m lib.training.principal OUT --data PHOTOGRAPHS      interrupt at will; the same command goes on

Pictures are the crops that training sees (lib/training/batches.py): random places, scales, symmetries, mild tints. No
label is used, not even which crops are of one photograph.
"""

import hashlib
import shutil
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import typer

from lib.command import run
from lib.errors import TextureError
from lib.statistics.gram import Gram
from lib.statistics.principal import DIM, directions, save, weights
from lib.statistics.quadratic import periodic_component
from lib.training.batches import Crops, load
from lib.whole import write_whole

CROPS = 6144
SIDE = 128  # pixels
BATCH = 8
EVERY = 32  # batches in a file of what is done


def learn(
    out: Annotated[Path, typer.Argument(help="File of the directions, .safetensors.")],
    data: Annotated[list[Path], typer.Option(help="Folder of photographs or of patch shards; may be repeated.")],
    crops: Annotated[int, typer.Option(min=BATCH, help="How many pictures are looked at.")] = CROPS,
    dim: Annotated[int, typer.Option(min=1, help="How many statistics are kept.")] = DIM,
    side: Annotated[int, typer.Option(min=32, help="Pixels a side of a picture.")] = SIDE,
) -> None:
    """Look at crops, keep the directions in which their Gram matrices vary most."""
    if crops <= dim:
        raise TextureError(f"{crops} crops have fewer than {dim} principal directions; give more crops")
    gram, source = Gram("untrained"), Crops(load(data, side)[0])
    kept = begun(out, data, source, side)
    rows = measured(gram, source, crops, side, kept)
    print(f"{dim} directions of {len(rows)} pictures", flush=True)
    found, shares = directions(rows, gram.sizes, weights(gram), dim)
    share = shares.sum().item()
    recipe = {"crops": crops, "side": side, "data": [folder.name for folder in data], "share": round(share, 4)}
    print(f"{save(found, out, recipe)}: {100 * share:.1f} % of the variance")
    shutil.rmtree(kept)


def begun(out: Path, data: list[Path], source: Crops, side: int) -> Path:
    """The folder beside `out` of what is done, of these photographs at this size and no others."""
    asked = [[folder.resolve().as_posix() for folder in data], source.counts, side]
    return out.with_suffix(f".{hashlib.sha256(repr(asked).encode()).hexdigest()[:8]}.part")


@torch.no_grad()
def measured(gram: Gram, source: Crops, crops: int, side: int, kept: Path) -> torch.Tensor:
    """g of `crops` pictures, [crops,D]; of each EVERY batches a file is kept, and read where there is one."""
    rows, batches = [], -(-crops // BATCH)
    for first in range(0, batches, EVERY):
        after = min(first + EVERY, batches)
        path = kept / f"{first}-{after}.pt"
        if not path.exists():
            done = [_entries(gram, source.batch(batch, BATCH, side)) for batch in range(first, after)]
            write_whole(path, partial(torch.save, torch.cat(done)))
            print(f"{BATCH * after:6} of {BATCH * batches} pictures", flush=True)
        rows.append(torch.load(path, weights_only=True))
    return torch.cat(rows)[:crops].float()


def _entries(gram: Gram, x: torch.Tensor) -> torch.Tensor:
    """g of pictures [B,3,H,W], as of tori: float16 [B,D]."""
    return gram(torch.cat([periodic_component(picture[None]) for picture in x])).half()


if __name__ == "__main__":
    run(learn)
