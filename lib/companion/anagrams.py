"""Play with anagrams, in a notebook: one picture that is another texture in another view (`lib.samplers.compose`).

    lib.anagrams(model, {("rug", "cloth", "turned"): lib.compose(...), ...}, size=128)

Choose two exemplars and a view. A picture that is known is shown at once, as it is and as it is seen; "Draw" makes one.
The exemplars are brought to common colours first (`lib.views.same_colours`), for most views only move pixels.
"""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import ipywidgets as widgets
import torch
from torch import Tensor

from lib.companion.drawing import Drawing
from lib.companion.explorer import FOLDER, THUMB
from lib.companion.player import address, png
from lib.errors import TextureError
from lib.images import EXEMPLARS, exemplar
from lib.model import Model
from lib.samplers.compose import compose_steps
from lib.samplers.match import Targets, mismatch
from lib.samplers.step import Step
from lib.views import VIEWS, same_colours

SHOWN = 256  # pixels of the screen for each of the two pictures
TURNED = tuple(name for name in VIEWS if name != "upright")


class Asked(NamedTuple):
    """All that decides what an anagram is."""

    a: str
    b: str
    view: str
    seed: int


class Anagrams(Drawing):
    """Two exemplars, a view, and the picture that is the first as it stands and the second as it is seen."""

    def __init__(
        self,
        model: Model,
        pictures: Mapping[tuple[str, str, str], Tensor] | None = None,
        size: int = 128,
        folder: Path = FOLDER,
    ) -> None:
        """`pictures` maps (a, b, view) to [1,3,size,size], drawn with seed 0 from the exemplars' top left corners.

        Raises TextureError for a key that names no exemplar or view, or a picture that is none.
        """
        super().__init__("Draw")
        self.model, self.size, self.folder = model, size, Path(folder)
        self.pictures: dict[Asked, Tensor] = {}
        for (a, b, view), picture in (pictures or {}).items():
            if not {a, b} <= set(EXEMPLARS) or view not in TURNED or picture.shape[:-2] != (1, 3):
                key = (a, b, view)
                raise TextureError(f"{key} is no anagram; a key is two exemplars and a view: {', '.join(TURNED)}")
            self.pictures[Asked(a, b, view, 0)] = picture
        self.children = self._layout(next(iter(self.pictures), Asked("pebble", "grass", "turned", 0)))
        self._show()

    @property
    def asked(self) -> Asked:
        """What the controls name."""
        return Asked(self.a.value, self.b.value, self.view.value, self.seed.value)

    def textures(self, asked: Asked) -> list[Tensor]:
        """Both exemplars [3,size,size] in their common colours."""
        return same_colours([exemplar(name)[:, : self.size, : self.size] for name in (asked.a, asked.b)])

    def remaining(self, asked: Asked) -> list[float]:
        """The mismatch of a known picture with each texture in its own view."""
        picture = self.pictures[asked]
        pairs = zip(self.textures(asked), (picture, VIEWS[asked.view](picture)), strict=True)
        with torch.no_grad():
            return [mismatch(self.model, Targets.of(self.model, x[None]), seen).item() for x, seen in pairs]

    # what the buttons do

    def draw(self, steps: int | None = None) -> None:
        """Begin to draw what the controls name; `steps` is for those in a hurry."""
        asked = self.asked
        self.begin(
            asked,
            lambda: self._draw(asked, steps),
            lambda record: self.pictures.update({asked: record.image}),
        )

    def save(self) -> Path | None:
        """Write the picture shown (.png) and what it is (.json) into `folder`; its path, or None if none is shown."""
        asked = self.asked
        if asked not in self.pictures:
            self.say("nothing is drawn yet that could be saved")
            return None
        known = asked._asdict() | {"size": self.size, "model": self.model.name, "mismatch": self.remaining(asked)}
        name = f"{asked.a}-{asked.b}_{asked.view.replace(' ', '-')}_seed{asked.seed}_{self.size}"
        try:
            return self.write(self.pictures[asked], self.folder / f"{name}.png", known)
        except (TextureError, OSError) as error:
            self.say(f"this cannot be saved: {error}")
            return None

    def _draw(self, asked: Asked, steps: int | None) -> Step | None:
        """The thread's work: show every record, return the last."""
        views = ["upright", asked.view]
        records = compose_steps(self.model, self.textures(asked), views, seed=asked.seed, steps=steps)
        return self.follow(records, lambda step: self._progress(asked, step))

    # what is seen

    def _show(self, _: object = None) -> None:
        """Bring pictures and words up to what the controls say."""
        asked = self.asked
        for thumbnail, x in zip(self.thumbnails, self.textures(asked), strict=True):
            thumbnail.value = png(x[None], THUMB)
        if self.running == asked:
            return  # the thread shows what it has
        if asked in self.pictures:
            self._put(self.pictures[asked], asked)
            left, right = self.remaining(asked)
            self.say(
                f"Mismatch left: {left:.3g} as {asked.a}, {right:.3g} as {asked.b} (1: two pieces of one texture)."
            )
        else:
            self._put(torch.full((1, 3, self.size, self.size), 0.5), asked)
            self.say(f"Not drawn yet: {asked.a} as it stands, {asked.b} when {asked.view}. Draw it?")

    def _progress(self, asked: Asked, record: Step) -> None:
        if asked == self.asked:
            self._put(record.image, asked)
            self.say(f"step {record.step} of {record.steps}, mismatch {record.loss:.3g}")

    def _put(self, picture: Tensor, asked: Asked) -> None:
        self.upright.value, self.seen.value = png(picture, SHOWN), png(VIEWS[asked.view](picture), SHOWN)

    def _layout(self, asked: Asked) -> list[widgets.Widget]:
        self.a = widgets.Dropdown(options=EXEMPLARS, value=asked.a, description="upright")
        self.b = widgets.Dropdown(options=EXEMPLARS, value=asked.b, description="and")
        self.view = widgets.Dropdown(options=TURNED, value=asked.view, description="when")
        self.seed = widgets.BoundedIntText(asked.seed, min=0, max=10**9, description="seed")
        self.keep = widgets.Button(description="Save", icon="download", layout={"width": "auto"})
        self.upright, self.seen = (widgets.Image(format="png", layout={"max_width": "100%"}) for _ in "ab")
        self.thumbnails = [widgets.Image(format="png") for _ in "ab"]
        for control in (self.a, self.b, self.view, self.seed):
            control.observe(self._show, "value")
        self.start.on_click(lambda _: self.draw())
        self.keep.on_click(lambda _: self.save())
        wrapped, centred = {"flex_flow": "row wrap"}, {"align_items": "center"}
        return [
            widgets.HBox([self.a, self.b, self.view], layout=wrapped),
            widgets.HBox([self.thumbnails[0], self.upright, self.seen, self.thumbnails[1]], layout=centred),
            self.words,
            widgets.HBox([self.seed, self.start, self.halt, self.keep, self.bar], layout=wrapped),
        ]

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The widget, and for pages without a kernel the pictures that are known, in both views."""
        data = super()._repr_mimebundle_(**options)
        if self.pictures:
            data["text/html"] = "".join(
                f"<p>{_image(picture, a)} {_image(VIEWS[view](picture), b)}<br>"
                f"{escape(f'{a} as it stands, {b} when {view}, seed {seed}')}</p>"
                for (a, b, view, seed), picture in self.pictures.items()
            )
        return data, {}


def _image(picture: Tensor, name: str) -> str:
    return f'<img src="{address(png(picture, SHOWN))}" alt="to be seen as {escape(name)}">'
