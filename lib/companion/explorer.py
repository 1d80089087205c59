"""Play with the line between two textures (Eq. 5), in a notebook.

    lib.explorer(model, strips={("pebble", "grass", "transport"): lib.interpolate(...), ...}, size=128)

Moving the slider shows the nearest picture that has been computed, at once; "Sample here" computes one where the
slider stands. Where nothing has been computed yet, the ends of the line show the exemplars themselves. Images of one's
own are copied beside the saved pictures, so that the settings of a picture name all that it was made of.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any, NamedTuple

import ipywidgets as widgets
import torch
from torch import Tensor

from lib.companion.drawing import Drawing
from lib.companion.player import SHOWN, player, png
from lib.errors import TextureError
from lib.images import EXEMPLARS, at_texture_scale, exemplar, read_image
from lib.interpolate import Line, targets_between
from lib.model import Model
from lib.samplers.match import Targets, canvas, mismatch
from lib.samplers.step import LARGEST, Step
from lib.statistics.quadratic import periodic_component
from lib.whole import write_whole

FOLDER = Path(__file__).resolve().parents[2] / "runs" / "explorer"  # where pictures are saved; not under git
SPACES = (("μ, by transport", "transport"), ("μ, straight", "mu"), ("λ, straight", "lambda"))
THUMB = 128  # the same for the exemplars beside it

Strips = Mapping[tuple[str, str, str], Tensor]


class Strip(NamedTuple):
    """Pictures along one line between two textures: all that decides what its pictures are but t."""

    a: str
    b: str
    space: str
    seed: int
    size: int


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture [1,3,H,W] of a line at t; `sampled` is False for the exemplars that stand in for unknown ends."""

    t: float
    image: Tensor
    sampled: bool = True


class Explorer(Drawing):
    """Two exemplars, a position t between them, a space, and the picture that belongs there."""

    def __init__(self, model: Model, strips: Strips | None = None, size: int = 128, folder: Path = FOLDER) -> None:
        """`strips` maps (a, b, space) to images [n,3,size,size] at even steps of t, drawn with seed 0 from the
        top left corners of exemplars, `size` pixels a side, which is also the part of an exemplar used here.

        Raises TextureError for a strip whose key names no exemplar or space, or that is no batch of images.
        """
        super().__init__("Sample here")
        self.model, self.size, self.folder = model, size, Path(folder)
        self.strips: dict[Strip, dict[float, Frame]] = {}
        self.lines: dict[tuple[str, str, str, int | None], Line] = {}  # each is prepared once
        self.own: dict[str, tuple[Path, Tensor]] = {}  # images of one's own: the copy, and the piece [1,3,h,w] used
        self.targets: dict[str, Targets] = {}
        self.mismatches: dict[tuple[Strip, Frame], float] = {}
        for (a, b, space), images in (strips or {}).items():
            spaces = [value for _, value in SPACES]
            if not ({a, b} <= set(EXEMPLARS) and space in spaces) or images.ndim != 4 or len(images) < 2:
                key = (a, b, space)
                raise TextureError(f"strip {key} is no line of images; a key is two exemplars and one of {spaces}")
            at = torch.linspace(0, 1, len(images)).tolist()
            strip = Strip(a, b, space, 0, images.shape[-1])
            self.strips[strip] = {t: Frame(t, image[None]) for t, image in zip(at, images, strict=True)}
        self.children = self._layout(next(iter(self.strips), Strip("pebble", "grass", SPACES[0][1], 0, size)))
        self._show()

    # what is asked for, and the picture that comes nearest

    @property
    def strip(self) -> Strip:
        """The strip that the controls name."""
        return Strip(self.a.value, self.b.value, self.space.value, self.seed.value, self.side.value)

    def frame(self, strip: Strip, t: float) -> Frame:
        """The nearest picture to t that is known of a strip, sampled or an exemplar at an end."""
        ends = {0.0: Frame(0.0, self._exemplar(strip.a), False), 1.0: Frame(1.0, self._exemplar(strip.b), False)}
        known = ends | self.strips.get(strip, {})
        return known[min(known, key=lambda other: abs(other - t))]

    def remaining(self, strip: Strip, frame: Frame) -> float:
        """Mismatch between a picture's statistics and mu at its t on its line, in lambda that of Eq. 5."""
        if (strip, frame) not in self.mismatches:
            for name in (strip.a, strip.b):
                if name not in self.targets:
                    self.targets[name] = Targets.of(self.model, self._exemplar(name))
            a, b = self.targets[strip.a], self.targets[strip.b]
            targets = targets_between(self.model, a, b, frame.t, strip.space)
            torus = frame.sampled and canvas(strip.size, strip.size, False) == (strip.size, strip.size)
            x = frame.image if torus else periodic_component(frame.image)
            with torch.no_grad():
                self.mismatches[strip, frame] = mismatch(self.model, targets, x).item()
        return self.mismatches[strip, frame]

    def settings(self) -> dict[str, Any]:
        """All that is needed to make the picture shown again, and how well it fits."""
        strip, frame = self.strip, self.frame(self.strip, self.t.value)
        known = strip._asdict() | {"t": frame.t, "exemplar_size": self.size, "model": self.model.name}
        own = {name: self.own[name][0] for name in (strip.a, strip.b) if name in self.own}
        files = {n: {"file": str(p), "sha256": hashlib.sha256(p.read_bytes()).hexdigest()} for n, p in own.items()}
        return known | {"sampled": frame.sampled, "mismatch": self.remaining(strip, frame), "own": files}

    # what the buttons do

    def sample_here(self, steps: int | None = None) -> None:
        """Begin to draw the picture where the slider stands; `steps` is for those in a hurry."""
        strip, t = self.strip, round(self.t.value, 2)
        self.begin(
            (strip, t),
            lambda: self._draw(strip, t, steps),
            lambda record: self.strips.setdefault(strip, {}).update({t: Frame(t, record.image)}),
        )

    def save(self) -> Path:
        """Write the picture shown (.png) and its settings (.json) into `folder`; returns the picture's path."""
        settings = self.settings()
        name = "{a}-{b}_{space}_t{t:.2f}_seed{seed}_{size}".format(**settings)
        return self.write(self.frame(self.strip, self.t.value).image, self.folder / f"{name}.png", settings)

    def take(self, files: Sequence[Mapping[str, Any]]) -> None:
        """Add images of one's own ("name", "content") to the choice; the first becomes a, a second one b.

        The middle of an image is used, reduced first if it is much larger than an exemplar. What cannot be read is
        said and left out.
        """
        added, said = [], []
        for file in files:
            given, content = Path(file["name"]), bytes(file["content"])
            name, path = self._place(given, content)
            new = not path.exists()
            try:
                if new:
                    write_whole(path, partial(Path.write_bytes, data=content))
                self.own[name] = path, middle(read_image(path), self.size)
                added.append(name)
            except (TextureError, OSError) as error:
                if new:
                    path.unlink(missing_ok=True)
                said.append(str(error).replace(str(path), given.name))
        chosen = [*added, *(self.a.value, self.b.value)[len(added) :]]
        for control, name in zip((self.a, self.b), chosen, strict=False):
            control.options = (*EXEMPLARS, *self.own)
            control.value = name
        if said:
            self.say(" ".join(said))

    def _place(self, given: Path, content: bytes) -> tuple[str, Path]:
        """A name that is free and its file: one that is not there yet, or that an earlier session wrote the same."""
        names = chain([given.stem], (f"{given.stem} {k}" for k in count(2)))
        places = ((n, self.folder / "own" / f"{n}{given.suffix}") for n in names if n not in (*EXEMPLARS, *self.own))
        return next((n, path) for n, path in places if not path.exists() or path.read_bytes() == content)

    def _draw(self, strip: Strip, t: float, steps: int | None) -> Step | None:
        """The thread's work: show every record, return the last."""
        key = strip.a, strip.b, strip.space, steps
        if key not in self.lines:
            xa, xb = self._exemplar(strip.a), self._exemplar(strip.b)
            self.lines[key] = Line(self.model, xa, xb, strip.space, steps)
        line = self.lines[key]
        show = partial(self._progress, strip, t)
        record = self.follow(line.prepare(), partial(show, doing="finding λ of both ends: "))
        if record is None or not self.stopping.is_set():
            record = self.follow(line.at(t, strip.seed, strip.size), show)
        return record

    # what is seen

    def _show(self, _: object = None) -> None:
        """Bring the picture and the words under it up to what the controls say."""
        strip, t = self.strip, self.t.value
        self.thumbnails[0].value, self.thumbnails[1].value = (png(self._exemplar(n), THUMB) for n in (strip.a, strip.b))
        if self.running == (strip, round(t, 2)):
            return  # the thread shows what it has
        frame = self.frame(strip, t)
        self.picture.value = png(frame.image, SHOWN)
        if not frame.sampled:
            name = strip.a if frame.t == 0 else strip.b
            self.say(f"The exemplar itself, {name}: nothing is computed nearer to t = {t:.2f}. Sample here?")
            return
        left = self.remaining(strip, frame)
        self.say(f"Sampled at t = {frame.t:.2f}. Mismatch left: {left:.3g} (1: two pieces of one texture).")

    def _progress(self, strip: Strip, t: float, record: Step, doing: str = "") -> None:
        if (strip, t) == (self.strip, round(self.t.value, 2)):
            self.picture.value = png(record.image[:1], SHOWN)
            what = "noise level σ" if strip.space == "lambda" else "mismatch"
            self.say(f"{doing}step {record.step} of {record.steps}, {what} {record.loss:.3g}")

    def _try(self, action: Callable[[], object]) -> None:
        """Do it, or say why it cannot be done."""
        try:
            action()
        except (TextureError, OSError) as error:
            self.say(f"this cannot be saved: {error}")

    def _exemplar(self, name: str) -> Tensor:
        if name in self.own:
            return self.own[name][1]
        return exemplar(name)[None, :, : self.size, : self.size]

    def _layout(self, strip: Strip) -> list[widgets.Widget]:
        self.a = widgets.Dropdown(options=EXEMPLARS, value=strip.a, description="from")
        self.b = widgets.Dropdown(options=EXEMPLARS, value=strip.b, description="to")
        self.space = widgets.ToggleButtons(options=SPACES, value=strip.space, style={"button_width": "9rem"})
        self.t = widgets.FloatSlider(0.5, min=0, max=1, step=0.01, description="t", layout={"width": "36rem"})
        self.seed = widgets.BoundedIntText(strip.seed, min=0, max=10**9, description="seed")
        self.side = widgets.BoundedIntText(strip.size, min=32, max=LARGEST, description="pixels")
        wide = {"width": "auto"}  # as wide as its words
        self.keep = widgets.Button(description="Save", icon="download", tooltip="picture and settings", layout=wide)
        self.files = widgets.FileUpload(accept="image/*", multiple=True, description="Your images", layout=wide)
        self.picture = widgets.Image(format="png", layout={"max_width": "100%"})
        self.thumbnails = [widgets.Image(format="png") for _ in "ab"]
        for control in (self.a, self.b, self.space, self.t, self.seed, self.side):
            control.observe(self._show, "value")
        self.start.on_click(lambda _: self.sample_here())
        self.keep.on_click(lambda _: self._try(self.save))
        self.files.observe(lambda change: self.take(change["new"]), "value")
        wrapped, centred = {"flex_flow": "row wrap"}, {"align_items": "center"}
        return [
            widgets.HBox([self.a, self.b, self.files], layout=wrapped),
            widgets.HBox([self.t, self.space], layout=wrapped),
            widgets.HBox([self.thumbnails[0], self.picture, self.thumbnails[1]], layout=centred),
            self.words,
            widgets.HBox([self.seed, self.side, self.start, self.halt, self.keep, self.bar], layout=wrapped),
        ]

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The widget, and for pages without a kernel a player of the pictures that are known (see player.py)."""
        data = super()._repr_mimebundle_(**options)
        words = {space: said for said, space in SPACES}
        lines = {
            f"{s.a} to {s.b}, {words[s.space]}" + (f", seed {s.seed}" if s.seed else ""): frames
            for s, frames in self.strips.items()
        }
        if lines:
            data["text/html"] = player({name: {t: f.image for t, f in line.items()} for name, line in lines.items()})
        return data, {}


def middle(image: Tensor, size: int) -> Tensor:
    """The square in the middle, `size` pixels at most: [3,H,W] -> [1,3,h,h]; large images are reduced first."""
    x = at_texture_scale(image)[None]
    side = min(size, *x.shape[-2:])
    top, left = ((length - side) // 2 for length in x.shape[-2:])
    return x[..., top : top + side, left : left + side]
