"""Principal directions of Gram matrices, from folders of photographs: see lib/statistics/principal.py.

    python -m lib.training.principal OUT --data PHOTOGRAPHS      interrupt at will; the same command goes on

Pictures are the crops that training sees (lib/training/batches.py): random places, scales, symmetries, mild tints. No
label is used, not even which crops are of one photograph.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import typer

from lib.command import run
from lib.errors import TextureError
from lib.statistics.gram import Gram
from lib.statistics.principal import DIM, directions, layers, save, weights
from lib.statistics.quadratic import periodic_component
from lib.training.batches import Crops, load
from lib.whole import write_whole

CROPS = 6144
SIDE = 128  # pixels
BATCH = 8
EVERY = 32  # batches from one file of what is done to the next


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
    rows = measured(gram, source, crops, side, out.with_suffix(".part"))
    print(f"{dim} directions of {len(rows)} pictures", flush=True)
    found, shares = directions(rows, layers(gram), weights(gram), dim)
    share = shares.sum().item()
    recipe = {"crops": crops, "side": side, "data": [folder.name for folder in data], "share": round(share, 4)}
    print(f"{save(found, out, recipe)}: {100 * share:.1f} % of the variance")
    out.with_suffix(".part").unlink(missing_ok=True)


@torch.no_grad()
def measured(gram: Gram, source: Crops, crops: int, side: int, part: Path) -> torch.Tensor:
    """g of `crops` pictures, [crops,D]; what is done is kept in `part`."""
    done: list[torch.Tensor] = torch.load(part, weights_only=True) if part.exists() else []
    for batch in range(len(done), -(-crops // BATCH)):
        x = source.batch(batch, BATCH, side)
        done.append(gram(torch.cat([periodic_component(picture[None]) for picture in x])).half())
        if (batch + 1) % EVERY == 0:
            write_whole(part, partial(torch.save, done))
            print(f"{BATCH * (batch + 1):6} of {crops} pictures", flush=True)
    return torch.cat(done)[:crops].float()


if __name__ == "__main__":
    run(learn)
