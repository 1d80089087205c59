"""Learning a generator from one exemplar, against a network that tells its textures from pieces of the exemplar.

    python -m lib.training.gan OUT --exemplar pebble --iterations 1000      interrupt at will; the same command goes on

Goodfellow et al. (2014), on textures as Jetchev, Bergmann & Vollgraf (2016) do. D answers at each place of a coarse
grid whether the 78 x 78 pixels about it are real; G (lib/samplers/generator.py) is changed until D cannot say,

    D: min  mean -log D(x) - log(1 - D(G(z)))         x: random crops of the exemplar
    G: min  mean -log D(G(z))

in turns, a step of Adam each. No statistics are named: D's features, which change as it learns, are what must agree.

Departures. D reads no pixel beyond its image (no padding), so that the border of a crop is no clue. Its layers are
divided by their spectral norms (Miyato et al. 2018) in place of batch normalisation, with which, and with other rates,
a first version ended in white pictures. It learns at twice the rate of G (Heusel et al. 2017); rates fall to zero over
the second half. Networks are small and steps some hundred: minutes on one core, where theirs take hours on a GPU.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.nn.functional as F
import typer
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

import lib
from lib.command import run
from lib.errors import TextureError
from lib.samplers.generator import CELL, LOCAL, Generator, cells, save
from lib.samplers.step import checked_count
from lib.statistics.periodic import wrapped
from lib.statistics.quadratic import periodic_component
from lib.training.checkpoint import load_state, save_state

ITERATIONS = 400
BATCH = 8
CROP, SMALLEST = 128, 80  # pixels; what D sees at least once is 78
RATES, BETAS = (5e-4, 1e-3), (0.0, 0.9)  # of G and D
SHARPNESS = 4.0  # the odds' steepness: each layer alone changes by no more than its input
SEEN = (3, 32, 64, 96, 128)  # D's channels, each at half the pixels of the one before


class Discriminator(nn.Sequential):
    """Images [B,3,H,W] -> [B,1,h,w], the logarithm of the odds that what is there is real."""

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        for a, b in pairwise(SEEN):
            layers += [spectral_norm(nn.Conv2d(a, b, 4, stride=2)), nn.LeakyReLU(0.2)]
        super().__init__(*layers, spectral_norm(nn.Conv2d(SEEN[-1], 1, 3)))

    def forward(self, x: Tensor) -> Tensor:
        """See above."""
        return SHARPNESS * super().forward(2 * x - 1)


@dataclass
class Duel:
    """Both networks, their optimisers and their dice, after `step` of `steps`; `state` is all that is to be kept."""

    generator: Generator
    discriminator: Discriminator
    optimisers: tuple[torch.optim.Adam, torch.optim.Adam]
    dice: torch.Generator
    step: int
    steps: int
    loss: float = math.nan  # of D: 0 when it cannot tell, 1 when it always can

    @classmethod
    def begun(cls, steps: int, waves: int = 0, seed: int = 0) -> "Duel":
        """Before the first step."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            networks = Generator(waves), Discriminator()
        g, d = (torch.optim.Adam(net.parameters(), rate, BETAS) for net, rate in zip(networks, RATES, strict=True))
        return cls(*networks, (g, d), torch.Generator().manual_seed(seed), 0, steps)

    @property
    def state(self) -> dict[str, Any]:
        """For `torch.save`."""
        parts = {"generator": self.generator, "discriminator": self.discriminator}
        states = {name: part.state_dict() for name, part in parts.items()}
        adam = [optimiser.state_dict() for optimiser in self.optimisers]
        return states | {"adam": adam, "dice": self.dice.get_state(), "step": self.step}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        for optimiser, kept in zip(self.optimisers, state["adam"], strict=True):
            optimiser.load_state_dict(kept)
        self.dice.set_state(state["dice"])
        self.step = state["step"]

    def advance(self, exemplar: Tensor, crop: int) -> None:
        """One step of D, one of G, on BATCH crops of exemplar [1,3,H,W]."""
        for optimiser, rate in zip(self.optimisers, RATES, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * min(1.0, 2 * (1 - self.step / self.steps))
        fake = self.fake(crop)
        real, made = (self.discriminator(x) for x in (crops(exemplar, crop, BATCH, self.dice), fake.detach()))
        told = F.softplus(-real).mean() + F.softplus(made).mean()
        self._step(1, told)
        self._step(0, F.softplus(-self.discriminator(fake)).mean())
        self.step += 1
        self.loss = 1 - told.item() / (2 * math.log(2))

    def fake(self, crop: int) -> Tensor:
        """BATCH textures; with waves, the middle of larger ones, whose waves do not meet at the edges."""
        margin = CELL if len(self.generator.waves) else 0
        side = crop + 2 * margin
        h, w = cells(side, side, CELL)
        phases = torch.rand(BATCH, len(self.generator.waves), generator=self.dice)
        noise = torch.randn(BATCH, LOCAL, h, w, generator=self.dice)
        z = torch.cat([noise, self.generator.periodic(phases, h, w, tileable=False)], 1)
        return self.generator(z, side, side)[..., margin : margin + crop, margin : margin + crop]

    def _step(self, which: int, loss: Tensor) -> None:
        self.optimisers[which].zero_grad()
        loss.backward()
        self.optimisers[which].step()


def crops(x: Tensor, side: int, n: int, dice: torch.Generator) -> Tensor:
    """n pieces [n,3,side,side] of x [1,3,H,W], anywhere."""
    tops, lefts = (torch.randint(0, length - side + 1, (n,), generator=dice).tolist() for length in x.shape[-2:])
    return torch.cat([x[..., top : top + side, left : left + side] for top, left in zip(tops, lefts, strict=True)])


def train(
    x0: Tensor, iterations: int = ITERATIONS, waves: int = 0, seed: int = 0, state: dict[str, Any] | None = None
) -> Iterator[Duel]:
    """The generator of x0 [1,3,H,W] after each iteration; always the same object.

    An exemplar that is too small to take crops from is first continued, as a torus. `state` goes on from a `Duel`'s.
    """
    checked_count("iterations", iterations), checked_count("waves", waves, 0)
    if min(x0.shape[-2:]) < SMALLEST + CELL:
        x0 = wrapped(periodic_component(x0), SMALLEST // 2)
    crop = CROP if min(x0.shape[-2:]) >= CROP + 2 * CELL else SMALLEST
    duel = Duel.begun(iterations, waves, seed)
    if state is not None:
        duel.resume(state)
    while duel.step < iterations:
        duel.advance(x0, crop)
        yield duel


def learn(
    out: Annotated[Path, typer.Argument(help="Folder of the generator.")],
    exemplar: Annotated[str, typer.Option(help="Of lib.EXEMPLARS.")] = "pebble",
    iterations: Annotated[int, typer.Option(min=1)] = ITERATIONS,
    waves: Annotated[int, typer.Option(min=0, help="Sine waves: for regular textures.")] = 0,
    every: Annotated[int, typer.Option(min=1, help="Iterations from one file to the next.")] = 50,
) -> None:
    """Learn to make one exemplar's texture."""
    x0, part = lib.exemplar(exemplar)[None], out / f"{exemplar}.part"
    recipe = {"exemplar": exemplar, "iterations": iterations, "waves": waves, "batch": BATCH}
    state = load_state(part) if part.exists() else None
    if state is not None and (was := state.pop("recipe", recipe)) != recipe:
        raise TextureError(f"{part} was begun with {was}, not {recipe}; use that, or name another folder")
    for duel in train(x0, iterations, waves, state=state):
        if duel.step % every == 0 or duel.step == iterations:
            save_state(part, {**duel.state, "recipe": recipe})
            save(duel.generator, out / f"{exemplar}.safetensors", recipe | {"step": duel.step})
            print(f"{exemplar} {duel.step:6} of {iterations}: told apart {duel.loss:.2f}", flush=True)


if __name__ == "__main__":
    run(learn)
