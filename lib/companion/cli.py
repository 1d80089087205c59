"""`python -m lib run`: options, and the table at the end."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lib.companion import paper
from lib.companion import run as runner
from lib.companion.run import Outcome, Settings
from lib.companion.series import Notebook, choose, find
from lib.errors import TextureError
from lib.training.world import check_device

ROOT = Path(__file__).resolve().parents[2]
PROFILES = ("smoke", "laptop", "paper")


def run(
    profile: Annotated[str, typer.Option(help="How much to compute: smoke, laptop or paper.")] = "laptop",
    only: Annotated[
        list[str] | None, typer.Option(help="One notebook, by number or name; repeatable.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Your own images, or ImageNet-21K's tars.")] = None,
    device: Annotated[
        str, typer.Option(help="Of training: cpu, cuda or mps.", show_default="cpu; cuda for paper")
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(help="Where figures/ and site/ go.", show_default="here; .cache/smoke for smoke"),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Recompute everything.")] = False,
    update: Annotated[bool, typer.Option("--update", help="Also put the outputs into notebooks/.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Name the notebooks and stop.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done and stop.")] = False,
    lab: Annotated[bool, typer.Option("--lab", help="Open the notebooks in JupyterLab.")] = False,
) -> int:
    """Run the notebooks and regenerate every figure; what is unchanged is reused."""
    if lab:
        if not os.access(os.path.expanduser("~"), os.W_OK):  # Jupyter keeps its files there
            for kind in ("DATA", "RUNTIME", "CONFIG"):
                os.environ.setdefault(f"JUPYTER_{kind}_DIR", str(ROOT / ".cache" / "jupyter" / kind.lower()))
        root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # the user of most containers
        os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", str(ROOT / "notebooks"), *root])
    settings = resolve(profile, data, device, out, fresh)
    every = find(ROOT / "notebooks")
    chosen = choose(every, only or [])
    console = Console(highlight=False)
    if update and (profile != "laptop" or settings.parameters(chosen[0]) != chosen[0].parameters):
        raise TextureError("--update is for the laptop profile with its own images, on the cpu")
    if list_:
        console.print(listing(chosen))
        return 0
    if dry_run:
        console.print(plan(chosen, settings))
        return 0
    check_device(settings.device)
    if profile == "paper":
        paper.prepare(settings)
    outcomes = runner.run(chosen, every, settings)
    console.print(summary(outcomes, profile))
    print(f"figures: {settings.figures}\npages:   {settings.site / 'index.html'}")
    if update:
        runner.update([o.notebook for o in outcomes if o.good], settings)
    return 0 if all(outcome.good for outcome in outcomes) else 1


def resolve(profile: str, data: Path | None, device: str, out: Path | None, fresh: bool) -> Settings:
    """Options to settings.

    Toy figures of the smoke profile never take the place of real ones: they go under .cache/smoke.

    Raises:
        TextureError: a value is unknown, or the profile lacks what it needs.
    """
    if profile not in PROFILES:
        raise TextureError(f"unknown profile {profile!r}; known are {', '.join(PROFILES)}")
    if data is not None and not data.exists():
        raise TextureError(f"--data {data} does not exist; check the path")
    if profile == "paper" and data is None:
        raise TextureError("the paper profile trains on your images: name their folder with --data DIR")
    return Settings(
        root=ROOT,
        profile=profile,
        device=device or ("cuda" if profile == "paper" else "cpu"),
        data=str(data.resolve()) if data else "",
        model=str(paper.model_path(ROOT)) if profile == "paper" else "default",
        out=out.resolve() if out else ROOT / ".cache" / "smoke" if profile == "smoke" else ROOT,
        fresh=fresh,
    )


def listing(notebooks: list[Notebook]) -> Table:
    """The notebooks, what they are about and what they make."""
    table = Table("notebook", "title", "figures", box=None)
    for notebook in notebooks:
        table.add_row(notebook.stem, notebook.title, ", ".join(notebook.figures))
    return table


def plan(notebooks: list[Notebook], settings: Settings) -> Table:
    """The resolved settings, and for each notebook its own and whether it would run, and why."""
    table = Table("setting", "value", box=None)
    for name in ("profile", "device", "data", "model"):
        table.add_row(name, getattr(settings, name) or "the images at hand")
    table.add_row("figures", str(settings.figures))
    table.add_row("pages", str(settings.site))
    for step in paper.steps(settings) if settings.profile == "paper" else []:
        table.add_row("first", " ".join(step))
    for notebook in notebooks:
        own = ", ".join(f"{k}={v}" for k, v in notebook.settings(settings.profile).items())
        reason = runner.why(notebook, settings)
        table.add_row(notebook.stem, (f"run: {reason}" if reason else "reuse") + (f" ({own})" if own else ""))
    return table


def summary(outcomes: list[Outcome], profile: str) -> Table:
    """What became of each notebook."""
    table = Table("notebook", "minutes", "figures", "status", title=f"profile {profile}")
    for o in outcomes:
        minutes, figures = f"{o.seconds / 60:.1f}", f"{o.figures} of {len(o.notebook.figures)}"
        table.add_row(o.notebook.stem, minutes, figures, o.status, style="" if o.good else "bold red")
    ran = sum(o.seconds for o in outcomes if o.status != "reused")
    good = sum(o.good for o in outcomes)
    table.add_section()
    table.add_row(
        "in all", f"{ran / 60:.1f}", f"{sum(o.figures for o in outcomes)}", f"{good} of {len(outcomes)} good"
    )
    return table
