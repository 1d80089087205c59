"""The models of the field side by side: the picture that each makes, in how many seconds and how much memory.

    python -m lib.evaluation.field OUT                                  every model, pebbles, 256x256
    python -m lib.evaluation.field OUT --model soul --exemplar grass --size 128 --set layers=deep

Each texture is made from the exemplar's top left corner in a process of its own: its memory is its own, and nothing is
warm. Seconds are those of `lib.synthesize`, with the loading of weights and without that of packages; memory is the
most that the process held, of which torch itself is some 300 MiB. Rows are written as they are done, so the same
command goes on where it was. OUT/field.json has them, and the pictures lie beside it.

What `shipped()` returns was made so, with the networks that its rows name.
"""

import hashlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from PIL import Image
from torch import Tensor

import lib
from lib.command import run
from lib.errors import TextureError
from lib.evaluation import rows as rows_of
from lib.models.cli import followed, setting
from lib.statistics.backbone import load_backbone
from lib.whole import write_whole

SHIPPED = Path(__file__).parent / "field"
TABLE, QUALITY = "field.json", 92  # of the JPEGs
CHILD = "import sys; from lib.evaluation.field import made; made(*sys.argv[1:])"


@dataclass(frozen=True)
class Row:
    """A texture and what it cost. `network` is the recogniser that was asked, "" for models that ask none."""

    model: str
    exemplar: str
    size: int
    settings: dict[str, Any]
    network: str
    seconds: float
    mebibytes: int
    loss: float
    picture: str
    sha256: str
    threads: int


def shipped(folder: Path = SHIPPED) -> list[Row]:
    """The rows of a run; those that come with the library unless another folder is named.

    Raises TextureError where there are none.
    """
    return rows_of.read(folder / TABLE, Row, "lib.evaluation.field")


def find(rows: list[Row], model: str, exemplar: str, size: int, **settings: Any) -> Row:
    """The one row of these; TextureError if there is none."""
    for row in rows:
        if (row.model, row.exemplar, row.size, row.settings) == (model, exemplar, size, settings):
            return row
    raise TextureError(f"no {model} of {exemplar} at {size} with {settings or 'its own settings'} was made")


def picture(row: Row, folder: Path = SHIPPED) -> Tensor:
    """[3,size,size] in [0,1], what the row tells of; TextureError if the file is not the one that was written."""
    return rows_of.picture(folder / row.picture, row.sha256, TABLE)


def compare(
    out: Annotated[Path, typer.Argument(help="Folder of the rows and the pictures.")],
    model: Annotated[list[str] | None, typer.Option(help="Of lib.MODELS, may be repeated; default: all.")] = None,
    exemplar: Annotated[list[str] | None, typer.Option(help="May be repeated; default: pebble.")] = None,
    size: Annotated[int, typer.Option(min=32, help="Pixels a side.")] = 256,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="For the models that have it.", metavar="NAME=VALUE")
    ] = None,
) -> None:
    """Textures by each model, with their cost, one after another."""
    own = dict(setting(text) for text in settings or [])
    for name in model or []:
        if name not in lib.MODELS:
            raise TextureError(f"no model {name!r}; known are {', '.join(lib.MODELS)}")
    crops = {name: lib.exemplar(name)[:, :size, :size] for name in exemplar or ["pebble"]}
    rows = shipped(out) if (out / TABLE).exists() else []
    for name in crops:
        for kind in model or lib.MODELS:
            known = lib.MODELS[kind].settings
            given = {key: value for key, value in own.items() if key in known}
            network = load_backbone(given.pop("backbone", None)).name if "backbone" in known else ""
            key = (kind, name, size, given, network)
            if key not in [(r.model, r.exemplar, r.size, r.settings, r.network) for r in rows]:
                backbone = own.get("backbone") if network else None
                rows.append(row := measured(kind, name, size, given, network, backbone, out))
                rows_of.write(out / TABLE, rows)
                print(f"{kind:<20} {name:<8} {row.seconds:8.2f} s {row.mebibytes:6} MiB  {network}", flush=True)


def measured(
    model: str, exemplar: str, size: int, given: Mapping[str, Any], network: str, backbone: str | None, out: Path
) -> Row:
    """One texture, made in a process of its own."""
    words = [model, *(f"{key}={value}" for key, value in given.items()), exemplar, str(size), *network.lower().split()]
    path = out / ("-".join(words).replace("/", "_") + ".jpg")
    settings = dict(given) | ({"backbone": backbone} if backbone else {})
    arguments = [model, exemplar, str(size), json.dumps(settings), str(path)]
    done = subprocess.run([sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise TextureError(f"{model} of {exemplar} was not made; what it said stands above")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    cost = json.loads(done.stdout.splitlines()[-1])
    return Row(model, exemplar, size, dict(given), network, **cost, picture=path.name, sha256=digest)


def made(model: str, exemplar: str, size: str, settings: str, path: str) -> None:
    """Make a texture and write it; print its cost, a line of JSON."""
    x0 = lib.exemplar(exemplar)[:, : int(size), : int(size)]
    _ = lib.MODELS[model].steps  # imports its packages
    start = time.perf_counter()
    record = followed(lib.synthesize_steps(x0, model, **json.loads(settings)), model)
    seconds = time.perf_counter() - start
    pixels = (255 * record.image[0]).round().byte().permute(1, 2, 0).numpy()
    write_whole(Path(path), lambda draft: Image.fromarray(pixels).save(draft, "JPEG", quality=QUALITY, subsampling=0))
    cost = {"seconds": round(seconds, 3), "mebibytes": most_memory(), "loss": record.loss}
    print(json.dumps(cost | {"threads": torch.get_num_threads()}))


def most_memory() -> int:
    """The most that this process has held, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # there the other way would count what the parent held before this process began
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) // 1024
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held // (1024**2 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    run(compare)
