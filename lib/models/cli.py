"""`python -m lib synthesize`: from a picture of a texture to more of it."""

import ast
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from lib.errors import TextureError
from lib.images import at_texture_scale, read_image, save_image
from lib.models import MODELS, synthesize_steps
from lib.samplers.step import Step, checked_size

RESULT = 256  # pixels a side, at most, unless --size says otherwise


def synthesize(
    photo: Annotated[Path, typer.Argument(help="A picture of a texture, PNG or JPEG.")],
    out: Annotated[Path | None, typer.Option(help="Where to write; default: PHOTO-MODEL.png, here.")] = None,
    model: Annotated[str, typer.Option(help=f"One of {', '.join(MODELS)}.")] = "matching",
    n: Annotated[int, typer.Option(min=1, help="How many; they are written as NAME-1.png, NAME-2.png, ...")] = 1,
    size: Annotated[
        str,
        typer.Option(help="Pixels a side, or HEIGHT WIDTH; default: the picture's own, at most 256.", metavar="SIZE"),
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same images.")] = 0,
    tileable: Annotated[bool, typer.Option("--tileable", help="Opposite edges meet.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of the model's own; may be repeated.", metavar="NAME=VALUE"),
    ] = None,
) -> None:
    """Make more of a texture, by any model. Files appear whole at the end, or not at all."""
    paths = outputs(out or Path(f"{photo.stem}-{model}.png"), n)
    x0 = reduced(read_image(photo))
    height, width = checked_size(parsed(size), x0) if size else (min(side, RESULT) for side in x0.shape[-2:])
    own = dict(setting(text) for text in settings or [])
    steps = synthesize_steps(x0, model, n, (height, width), seed, tileable, **own)
    try:
        images = followed(steps, model).image
        for image, path in zip(images, paths, strict=True):
            save_image(image, path)
            print(path)
    except KeyboardInterrupt:
        print("error: interrupted; nothing more was written", file=sys.stderr)
        raise SystemExit(130) from None


def setting(text: str) -> tuple[str, Any]:
    """`name=value` with a number, a boolean, None (these two in any case) or a word for value."""
    name, given, value = text.partition("=")
    if not (given and name.isidentifier()):
        raise TextureError(f"--set {text} is no setting; write --set NAME=VALUE, such as --set iterations=50")
    try:
        return name, ast.literal_eval(value.title() if value.lower() in ("true", "false", "none") else value)
    except (ValueError, SyntaxError):
        return name, value


def outputs(out: Path, n: int) -> list[Path]:
    """The files to write, told to be impossible before anything is computed."""
    if out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise TextureError(f"--out {out} is no name of an image; end it in .png or .jpg")
    if not out.parent.is_dir():
        raise TextureError(f"--out {out}: there is no folder {out.parent}; make it first")
    if not os.access(out.parent, os.W_OK):
        raise TextureError(f"--out {out}: {out.parent} may not be written to; name another folder")
    return [out] if n == 1 else [out.with_stem(f"{out.stem}-{i}") for i in range(1, n + 1)]


def parsed(size: str) -> int | tuple[int, int]:
    """`256`, `192x256` or `192 256` (height, width) as `match` takes it."""
    found = re.fullmatch(r"(\d{1,6})(?:[x ](\d{1,6}))?", size.strip())
    if not found:
        raise TextureError(f"--size {size} is neither a number of pixels nor HEIGHT WIDTH, such as 192 256")
    return int(found[1]) if found[2] is None else (int(found[1]), int(found[2]))


def reduced(x0: Tensor) -> Tensor:
    """A photograph [3,H,W] at the scale of textures, and said so."""
    smaller = at_texture_scale(x0)
    if smaller is not x0:
        print(f"the picture is reduced to {smaller.shape[2]}x{smaller.shape[1]} pixels", file=sys.stderr)
    return smaller


def followed(steps: Iterator[Step], what: str) -> Step:
    """Run a sampler with a bar and the time left; returns its last record."""
    record = next(steps)  # what is wrong with a setting is told now, before there is a bar
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, completed=record.step, total=record.steps)
        for record in steps:
            progress.update(task, completed=record.step)
    return record
