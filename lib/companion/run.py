"""Execute the notebooks in order, reuse what is unchanged, and account for every declared figure."""

import base64
import contextlib
import json
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib.companion import cache, manifest
from lib.companion.light import lightened
from lib.companion.progress import Progress
from lib.companion.series import Notebook, source_sha256
from lib.errors import TextureError


@dataclass(frozen=True)
class Settings:
    """A run, resolved: nothing is left to be guessed."""

    root: Path  # the repository
    profile: str = "laptop"  # smoke | laptop | paper
    device: str = "cpu"
    data: str = ""  # a folder of photographs, absolute; "" for the images at hand
    model: str = "default"  # a name or path for lib.load
    out: Path = field(default=Path())  # holds figures/ and site/
    fresh: bool = False

    @property
    def figures(self) -> Path:
        return self.out / "figures"

    @property
    def site(self) -> Path:
        return self.out / "site"

    @property
    def checkpoint(self) -> str:
        """The model by name and digest; "" where there is no such file."""
        shipped = self.root / "lib" / "checkpoints" / f"{self.model}.safetensors"
        path = Path(self.model) if self.model.endswith(".safetensors") else shipped
        return f"{path.stem}, sha256 {cache.sha256(path)}" if path.is_file() else ""

    def parameters(self, notebook: Notebook) -> dict[str, Any]:
        """What is given to a notebook: of profile, data, device and model, those that it has."""
        ours = {"profile": self.profile, "data": self.data, "device": self.device, "model": self.model}
        return {name: ours.get(name, default) for name, default in notebook.parameters.items()}

    def command(self, notebook: Notebook) -> str:
        """What regenerates this notebook's figures."""
        given = [f"--profile {self.profile}", f"--only {notebook.stem[:2]}"]
        given += [f"--data {self.data}"] if self.data else []
        given += [f"--device {self.device}"] if self.device != "cpu" else []
        return " ".join(["./run_all.sh", *given])


@dataclass
class Outcome:
    """What became of one notebook."""

    notebook: Notebook
    status: str  # "done", "reused", or what went wrong
    seconds: float = 0.0
    figures: int = 0  # how many of the declared ones are there and new

    @property
    def good(self) -> bool:
        return self.status in ("done", "reused")


def run(chosen: Sequence[Notebook], every: Sequence[Notebook], settings: Settings) -> list[Outcome]:
    """Run or reuse each chosen notebook; one that fails does not stop the others.

    Args:
        every: the whole series, for the links between pages.

    Raises:
        TextureError: an equation cannot be drawn, or another run is at work in this clone.
        KeyboardInterrupt: passed on; what is finished by then is kept.
    """
    from lib.companion import html, site  # with nbformat and nbconvert, seconds to import: only for those who run

    for notebook in chosen:
        try:
            html.check_equations(notebook.node)
        except TextureError as error:
            raise TextureError(f"{notebook.path.name}: {error}") from error
    outcomes = []
    with (
        only_run(settings.root),
        Progress([(n.stem, expected_seconds(n, settings)) for n in chosen]) as progress,
    ):
        for notebook in chosen:
            outcome = reuse(notebook, settings)
            if outcome is None:
                progress.start(notebook.stem)
                outcome = execute(notebook, every, settings, progress)
            progress.finish(outcome.notebook.stem, outcome.status, outcome.seconds)
            outcomes.append(outcome)
        settings.site.mkdir(parents=True, exist_ok=True)
        page = site.front_page(every, manifest.read(settings.figures), settings.figures, settings.site)
        (settings.site / "index.html").write_text(page, encoding="utf-8")
    return outcomes


def outputs(notebook: Notebook, settings: Settings) -> list[Path]:
    """The files that running a notebook leaves."""
    pages = [settings.site / f"{notebook.stem}{suffix}" for suffix in (".ipynb", ".html")]
    return pages + [settings.figures / name for name in made_by(notebook)]


def made_by(notebook: Notebook) -> list[str]:
    """Files that a notebook declares: its figures, and its tables beside them."""
    return [*(f"{name}.png" for name in notebook.figures), *notebook.tables]


def record(notebook: Notebook, settings: Settings) -> Path:
    """Where a notebook's cache entry lies."""
    return settings.site / "records" / f"{notebook.stem}.json"


def why(notebook: Notebook, settings: Settings) -> str:
    """Why a notebook has to run; "" when what is there can be reused."""
    if settings.fresh:
        return "--fresh"
    known = cache.inputs(notebook, settings.root, settings.parameters(notebook))
    return cache.reason(record(notebook, settings), known, outputs(notebook, settings), settings.root)


def expected_seconds(notebook: Notebook, settings: Settings) -> float | None:
    """How long it took the last time, here or on the machine of who committed its outputs; 0 when reused."""
    if not why(notebook, settings):
        return 0.0
    with contextlib.suppress(OSError, ValueError, KeyError):
        return float(json.loads(record(notebook, settings).read_text())["seconds"])
    executed = notebook.node["metadata"].get("companion", {}).get("executed", {})
    return executed.get("seconds") if executed.get("profile") == settings.profile else None


def reuse(notebook: Notebook, settings: Settings) -> Outcome | None:
    """The outcome of an earlier run, if all that it depends on and all that it made is unchanged."""
    if why(notebook, settings):
        return None
    known = json.loads(record(notebook, settings).read_text(encoding="utf-8"))
    manifest.add(settings.figures, known["rows"], notebook.stem)
    return Outcome(notebook, "reused", known["seconds"], len(notebook.figures))


def execute(notebook: Notebook, every: Sequence[Notebook], settings: Settings, progress: Progress) -> Outcome:
    """Run one notebook.

    Its figures are made in a folder of their own and moved into place only when it is done: what is there
    afterwards is new, and a failure leaves the old ones alone.
    """
    import nbformat

    from lib.companion import html

    parameters = settings.parameters(notebook)
    known = cache.inputs(notebook, settings.root, parameters)
    settings.site.mkdir(parents=True, exist_ok=True)
    failed = settings.site / f"{notebook.stem}.failed.ipynb"
    failed.unlink(missing_ok=True)
    for left_behind in settings.site.glob(f".{notebook.stem}.*"):  # by a run that was killed
        shutil.rmtree(left_behind)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=settings.site, prefix=f".{notebook.stem}.") as folder:
        stage, made = Path(folder), Path(folder) / "executed.ipynb"
        environment = {
            "TEXTURES_FIGURES": str(stage / "figures"),
            "TEXTURES_PROFILE": settings.profile,
            "TEXTURES_COMMAND": settings.command(notebook),
            "TEXTURES_CHECKPOINT": settings.checkpoint,
        }
        trouble = _papermill(notebook, parameters, made, environment, settings, progress)
        seconds = time.perf_counter() - begun
        if trouble:
            if made.exists():
                made.replace(failed)
                trouble += f"\nThe notebook as far as it came: {failed}"
            progress.say(f"{notebook.path.name}: {trouble}")
            return Outcome(notebook, "failed", seconds)

        wanted = set(notebook.figures)
        there = {path.stem for path in (stage / "figures").glob("*.png")}
        beside = {path.name for path in (stage / "figures").glob("*") if path.suffix not in (".png", ".json")}
        if there != wanted or beside != set(notebook.tables):
            status = "; ".join(
                [f"no figure {name}" for name in sorted(wanted - there)]
                + [f"figure {name} is not declared" for name in sorted(there - wanted)]
                + [f"no table {name}" for name in sorted(set(notebook.tables) - beside)]
                + [f"table {name} is not declared" for name in sorted(beside - set(notebook.tables))]
            )
            return Outcome(notebook, status, seconds, len(there & wanted))
        executed = clean(nbformat.read(made, as_version=4), notebook, settings, seconds)
        stems = ["", *[n.stem for n in every], ""]
        place = stems.index(notebook.stem)
        try:
            page = html.page(executed, notebook.path.parent, stems[place - 1], stems[place + 1])
        except TextureError as error:
            return Outcome(notebook, f"no page: {error}", seconds, len(wanted))

        rows = manifest.read(stage / "figures")
        rows = {name: {"notebook": notebook.stem, **row} for name, row in rows.items()}
        if made_by(notebook):
            settings.figures.mkdir(parents=True, exist_ok=True)
            for name in made_by(notebook):
                shutil.move(stage / "figures" / name, settings.figures / name)
            manifest.add(settings.figures, rows, notebook.stem)
        nbformat.write(executed, settings.site / f"{notebook.stem}.ipynb")
        (settings.site / f"{notebook.stem}.html").write_text(page, encoding="utf-8")
    finished = outputs(notebook, settings)
    cache.write(record(notebook, settings), known, finished, settings.root, rows=rows, seconds=round(seconds, 1))
    return Outcome(notebook, "done", seconds, len(wanted))


def clean(executed: Any, notebook: Notebook, settings: Settings, seconds: float) -> Any:
    """The executed notebook without what differs from run to run, and with what it was made from."""
    from lib.companion import html

    node = html.without_widgets(executed)
    node.metadata.pop("papermill", None)
    for cell in node.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
        for output in cell.get("outputs", []):
            if output.output_type == "stream":  # of a progress bar, what was left on the line
                output.text = re.sub(r"[^\n]*\r(?=[^\n])", "", output.text)
    node.metadata["companion"] = {
        **notebook.node["metadata"].get("companion", {}),
        "executed": {
            "source_sha256": notebook.source_sha256,
            "profile": settings.profile,
            "seconds": round(seconds),
        },
    }
    return node


def update(chosen: Sequence[Notebook], settings: Settings) -> None:
    """Put the outputs of a laptop run into notebooks/, so that the tutorial reads where nothing is installed.

    Raises:
        TextureError: the run was of another kind.
    """
    import nbformat

    plain = Settings(settings.root, out=settings.out)
    for notebook in chosen:
        if settings.parameters(notebook) != notebook.parameters or settings.profile != plain.profile:
            raise TextureError("--update is for the laptop profile with its own data and device")
        executed = nbformat.read(settings.site / f"{notebook.stem}.ipynb", as_version=4)
        if source_sha256(executed) != notebook.source_sha256:
            raise TextureError(f"{notebook.path.name} was edited while it ran; run it again")
        for ran, written in zip(executed.cells, notebook.node["cells"], strict=True):
            ran.id = written.get("id", ran.id)
            _lighten(ran)
        nbformat.write(executed, notebook.path)


def _lighten(cell: Any) -> None:
    """Make the largest pictures of a cell lighter."""
    for output in cell.get("outputs", []):
        encoded = output.get("data", {}).pop("image/png", None)
        if encoded is not None:
            kind, data = lightened(base64.b64decode(encoded))
            output.data[kind] = base64.b64encode(data).decode()
            if kind != "image/png" and "image/png" in output.metadata:
                output.metadata[kind] = output.metadata.pop("image/png")


@contextlib.contextmanager
def only_run(root: Path) -> Iterator[None]:
    """Hold the clone's lock: the system frees it when its owner ends, however that happens.

    Raises:
        TextureError: another run holds it.
    """
    import fcntl

    path = root / ".cache" / "run.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise TextureError(
                f"another run is at work here (process {file.read().strip()}); wait for it, or end it"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _papermill(
    notebook: Notebook,
    parameters: dict[str, Any],
    made: Path,
    environment: dict[str, str],
    settings: Settings,
    progress: Progress,
) -> str:
    """Execute into `made`; returns what went wrong, in a few lines, or "".

    Parameters that have their default are not injected: the notebook comes out with its author's cells.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.engines import NBClientEngine, papermill_engines

    class Watched(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, *args: Any, **options: Any) -> Any:
            begin = nb_man.cell_start

            def cell_start(cell: Any, cell_index: int | None = None, **more: Any) -> Any:
                progress.cell((cell_index or 0) + 1, len(nb_man.nb.cells))
                return begin(cell, cell_index, **more)

            nb_man.cell_start = cell_start
            return super().execute_managed_notebook(nb_man, *args, **options)

    papermill_engines.register("watched", Watched)
    for name in ("asyncio", "papermill"):  # what they log when interrupted is said here, in a line
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    defaults = notebook.parameters
    with _environment(environment | _kernel_environment(settings.root)):
        try:
            papermill.execute_notebook(
                str(notebook.path),
                str(made),
                parameters={k: v for k, v in parameters.items() if v != defaults[k]},
                engine_name="watched",
                kernel_name="python3",
                progress_bar=False,
                extra_arguments=["--IPKernelApp.log_level=50"],  # its remarks on itself are not our reader's
                cwd=str(notebook.path.parent),
            )
        except papermill.PapermillExecutionError as error:
            source = error.source.strip().splitlines()
            shown = [f"    {line}" for line in source[:6]] + ["    ..."] * (len(source) > 6)
            return "\n".join([f"cell {error.exec_count} failed", *shown, f"  {error.ename}: {error.evalue}"])
        except DeadKernelError:
            return "the kernel died; most often that is too little memory"
    return ""


def _kernel_environment(root: Path) -> dict[str, str]:
    """This clone's lib, this Python's kernel, and nobody's start-up files."""
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    return {
        "PYTHONPATH": path,
        "JUPYTER_PREFER_ENV_PATH": "1",
        "IPYTHONDIR": str(root / ".cache" / "ipython"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


@contextlib.contextmanager
def _environment(more: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
