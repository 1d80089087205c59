"""Training f_theta and lambda_phi together (Eq. 4): one generator, one record a step.

A step is a function of (seed, step) and of the weights: batch, noise levels and noise have generators of their own.
So a run that was interrupted and resumed ends with the same weights as one that was not. Several processes share each
batch, and their gradients are averaged: the same training as one process would make of it, but for rounding.

On a GPU nothing in a step waits for the device; the loss is looked at every READ_EVERY steps.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lib.errors import TextureError
from lib.model import Model
from lib.statistics.architecture import DEEP, HUES, HYBRID, LARGE, LARGE_PAPER, PAIRS, PAPER, WAVES, WIDE
from lib.training import checkpoint
from lib.training.batches import Crops
from lib.training.compiled import in_machine_code
from lib.training.loss import (
    Objective,
    deep_loss,
    deep_loss_bf16,
    deep_mean,
    deep_mean_bf16,
    draw_sigma,
    relative_weight,
)
from lib.training.muon import MuonAndAdamW
from lib.training.precondition import gram, inverse_root
from lib.training.start import NETWORK_UNIT, take
from lib.training.world import ALONE, World
from lib.whole import uninterrupted

# Of the rate, for the waves and for what the U-Net adds to them. Adam's steps are as large where a gradient is mostly
# noise, and the second layer has 1,200 weights a filter: at the full rate it has no shape left after a thousand
# steps, and matched images lose theirs, though the loss goes on falling.
WAVES_SHARE, READ_SHARE = 0.05, 0.25
APART_SHARE = 0.2  # the same for waves that nothing is added to
CONFIGURATIONS = {
    "waves": WAVES, "hybrid": HYBRID, "wide": WIDE, "deep": DEEP, "hues": HUES, "pairs": PAIRS,
    "paper": PAPER,
}  # fmt: skip
ARCHITECTURES = {**CONFIGURATIONS, "large": LARGE, "large-paper": LARGE_PAPER}  # the last two for a GPU
READ_EVERY = 20  # steps
PRECONDITION_BATCH = 64  # crops at most: one gradient a statistic
MEMORY = 0.998  # of the moving average, at most
COMPLAINT = 200  # characters at most that are told of what a compiler complains of
CHECK_CHUNK = 16  # crops at a time of the eager gradient that others are compared with


@dataclass(frozen=True)
class Recipe:
    """Everything that, with the data, decides the weights."""

    configuration: str = "waves"
    steps: int = 6000
    warm: int = 4000  # steps at first with the waves alone, the U-Net silent (hybrid: the U-Net, the waves silent)
    grow: int = 2500  # from this step on half as many crops, of 3/2 the side: large shapes come last
    batch: int = 16
    size: int = 64  # of the crops at first, in pixels
    rate: float = 2e-3  # AdamW's, after 100 steps of warm-up; falls to zero over the last 40 %
    seed: int = 0
    start: str = ""  # a checkpoint, by name or path: go on from its weights; nothing is silent then
    muon: float = 0.0  # rate of Muon for the U-Net's filters and what is read from them (muon.py); 0: AdamW for all

    def crops(self, step: int) -> tuple[int, int]:
        """(how many, their side in pixels) at a step."""
        return (self.batch, self.size) if step < self.grow else (max(1, self.batch // 2), 3 * self.size // 2)

    def samples(self, steps: int) -> int:
        """Crops seen in so many steps."""
        early = min(steps, self.grow)
        return early * self.batch + (steps - early) * max(1, self.batch // 2)


@dataclass(frozen=True)
class Progress:
    """One training step, or the mean of those since the last record: `loss` is Eq. 4's, weighted.

    `seconds` counts all sittings; `place` is how many of the recipe's steps its schedule is through.
    """

    step: int
    steps: int
    loss: float
    gradient: float
    seconds: float
    place: int


def rate(recipe: Recipe, step: int) -> float:
    """Learning rate at a step: warm-up, constant, linear to zero."""
    return recipe.rate * min(1.0, (step + 1) / 100, (recipe.steps - step) / (0.4 * recipe.steps))


class Trainer:
    """Model, its moving average, optimiser and step; `run` trains, `save` and `resume` are each other's inverse."""

    def __init__(
        self, recipe: Recipe, crops: Crops, device: str = "cpu", compiled: bool = False, bf16: bool = False,
        channels_last: bool = False, world: World = ALONE,
    ) -> None:  # fmt: skip
        if recipe.configuration not in ARCHITECTURES:
            raise TextureError(f"no configuration {recipe.configuration!r}; known are {', '.join(ARCHITECTURES)}")
        for count in (recipe.batch, recipe.crops(recipe.grow)[0] if recipe.grow < recipe.steps else 0):
            if count % world.size:
                raise TextureError(f"{count} crops a step do not divide among {world.size} processes; change --batch")
        if recipe.muon and not recipe.rate:
            raise TextureError("the rate is 0, and Muon's goes up and down with it; give a rate above 0, or no Muon")
        torch.manual_seed(recipe.seed)
        self.recipe, self.crops, self.device, self.world = recipe, crops, torch.device(device), world
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.model = Model(ARCHITECTURES[recipe.configuration], recipe.configuration)
        self._has_basis = take(self.model, recipe.start, self._unseen) if recipe.start else False
        self.model.to(self.device, memory_format=self.layout)  # type: ignore[call-overload]
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.optimiser = self._optimiser()
        self.step, self.place, self.samples, self.seconds = 0, 0, 0, 0.0
        self.every = READ_EVERY if self.device.type == "cuda" else 1
        self.objective = world.parallel(Objective(self.model))
        self.deep: Callable[..., Tensor] = deep_loss_bf16 if bf16 else deep_loss
        self.mean: Callable[..., Tensor] = deep_mean_bf16 if bf16 else deep_mean
        if compiled:
            self.deep, self.mean = (in_machine_code(function, bf16) for function in (self.deep, self.mean))
        self._trusted: set[object] = set()

    def run(self, until: int | None = None, share: Callable[[float], float] | None = None) -> Iterator[Progress]:
        """Train to step `until` (default: the recipe's last), yielding a record a step, on a GPU one for several.

        Where `share` tells from the seconds trained what share of a given time is over (see clock.py), that share of
        the recipe's schedule is over too, and its steps are a ruler instead of a count.
        """
        if self.step == 0 and self.model.architecture.waves and not self._has_basis:
            self._precondition()
        taken: list[Tensor] = []
        end = until or self.recipe.steps
        self._look_up(share)
        while self.place < end:
            alone = self.place < self.recipe.warm and not self.recipe.start
            self.model.statistics.silent = alone and self.model.architecture.waves
            self._refuse_wrong_gradients()
            start = time.perf_counter()
            for group in self.optimiser.param_groups:
                group["lr"] = group["share"] * rate(self.recipe, self.place)
            value = self.gradients(self.deep, self.mean)
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            if self.every == 1:
                self._refuse_infinite(norm.item())
            else:  # the host will not know for a while; what is saved meanwhile must be sound
                for p in self.model.parameters():
                    if p.grad is not None:
                        p.grad.nan_to_num_(0.0, 0.0, 0.0)
            with uninterrupted():  # weights, their average and the count of steps belong together
                self.optimiser.step()
                self.step, self.samples = self.step + 1, self.samples + self.recipe.crops(self.place)[0]
                self._average()
            taken.append(torch.stack([value, norm]))
            if share is None:
                self.place = self.step
            looks = len(taken) == self.every or self.place >= end
            if looks:
                loss, gradient = torch.stack(taken).mean(0).tolist()
            self.seconds += time.perf_counter() - start
            if looks:
                taken.clear()
                self._refuse_infinite(gradient)
                self._look_up(share)
                yield Progress(self.step, self.recipe.steps, loss, gradient, self.seconds, self.place)

    def gradients(
        self, deep: Callable[..., Tensor], mean: Callable[..., Tensor] = deep_mean, chunk: int | None = None
    ) -> Tensor:
        """Loss of this step's batch, or of this process's share of it, its gradients in place: scalar.

        `chunk` crops at a time, where memory is short.
        """
        r, shard = self.recipe, self.world.shard
        generator = torch.Generator(self.device if self.device.type == "cuda" else "cpu")
        generator.manual_seed(r.seed * 1_000_003 + self.step)
        count, size = r.crops(self.place)
        x = self.crops.batch(self.step, count, size, shard).to(self.device, memory_format=self.layout)
        sigma = draw_sigma(count, generator)[shard]
        eps = torch.randn((count, 3, size, size), generator=generator, device=generator.device)[shard]
        sigma, eps = sigma.to(self.device), eps.to(self.device, memory_format=self.layout)
        self.optimiser.zero_grad(set_to_none=True)
        values = []
        for part in zip(*(whole.split(chunk or count) for whole in (x, sigma, eps)), strict=True):
            values.append(self.objective(*part, deep=deep, mean=mean) * (len(part[0]) / len(x)))
            values[-1].backward()
        return torch.stack(values).sum().detach()

    def averaged(self) -> Model:
        """A copy of the model with the moving average of its weights: what is validated, sampled and shipped."""
        model = Model(self.model.architecture, self.model.name).to(self.device)
        model.load_state_dict(self.average)
        return model.eval().requires_grad_(False)

    def save(self, path: Path) -> None:
        """Everything that `resume` needs, in one file, written by the first of several processes."""
        if self.world.rank:
            return
        checkpoint.save_state(path, {
            "recipe": asdict(self.recipe), "step": self.step, "seconds": self.seconds, "average": self.average,
            "model": self.model.state_dict(), "optimiser": self.optimiser.state_dict(), "samples": self.samples,
        })  # fmt: skip

    def resume(self, path: Path) -> None:
        """Go on from a saved state. Steps and the number of processes may differ; nothing else of the recipe."""
        state = checkpoint.load_state(path)
        free = ("steps", "warm", "grow")
        for key, value in asdict(self.recipe).items():
            stored = state["recipe"].get(key, getattr(Recipe, key))  # states that were saved before it could be given
            if key not in free and stored != value:
                raise TextureError(f"{path} was trained with {key} {stored!r}, not {value!r}; use that")
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average = {k: v.to(self.device) for k, v in state["average"].items()}
        self.step, self.seconds = state["step"], state["seconds"]
        self.samples = state.get("samples", self.recipe.samples(self.step))

    def _groups(self) -> list[dict[str, Any]]:
        """Parameters by their share of the rate."""
        f = self.model.statistics
        apart = f.architecture.apart
        waves = [*f.waves.parameters()] if f.waves else []
        read = [*f.read.parameters()] if f.waves and not apart else []
        others = [p for p in self.model.parameters() if all(p is not slow for slow in waves + read)]
        return [
            {"params": others, "share": 1.0},
            {"params": waves, "share": APART_SHARE if apart else WAVES_SHARE},
            {"params": read, "share": READ_SHARE},
        ]

    def _optimiser(self) -> torch.optim.AdamW | MuonAndAdamW:
        """AdamW, or Muon for the filters of the U-Net and what is read from them."""
        groups, settings = self._groups(), {"betas": (0.9, 0.99), "weight_decay": 0.01}
        if not self.recipe.muon:
            return torch.optim.AdamW(groups, self.recipe.rate, **settings)  # type: ignore[arg-type]
        f = self.model.statistics
        filters = {id(p) for p in (*f.unet.parameters(), *f.read.parameters()) if p.dim() == 4}
        optimiser = MuonAndAdamW(groups, self.recipe.rate, lambda p: id(p) in filters, **settings)
        for group in optimiser.muon.param_groups:
            group["share"] = self.recipe.muon / self.recipe.rate
        return optimiser

    def _average(self) -> None:
        """Exponential moving average, its memory growing to a few hundred steps."""
        keep = min(MEMORY, (1 + self.step) / (10 + self.step))
        for key, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.average[key].lerp_(value.detach(), 1 - keep)

    def _unseen(self) -> Tensor:
        """A batch that training does not see."""
        return self.crops.batch(-1 & 0xFFFFFFFF, min(2 * self.recipe.batch, PRECONDITION_BATCH), self.recipe.size)

    def _precondition(self) -> None:
        """Give lambda its basis, from a batch that training does not see."""
        a = self.model.architecture
        self.model.statistics.silent = not a.apart
        waves = sum(a.readouts[: a.octaves]) if a.apart else None
        x = self._unseen().to(self.device)
        generator = torch.Generator().manual_seed(self.recipe.seed)
        sigma = draw_sigma(len(x), generator).to(self.device)
        eps = torch.randn(x.shape, generator=generator).to(self.device)
        basis = inverse_root(gram(self.model, x, sigma, eps, relative_weight(x, sigma), waves))
        if a.apart:
            basis = torch.block_diag(basis, NETWORK_UNIT * torch.eye(sum(a.readouts[a.octaves :]), device=basis.device))
        self.model.lambda_phi.preconditioner.copy_(self.world.agreed(basis))
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}

    def _look_up(self, share: Callable[[float], float] | None) -> None:
        """Where in the schedule this step is, the same for all processes."""
        steps = self.recipe.steps
        self.place = self.step if share is None else self.world.agreed_number(int(steps * min(1, share(self.seconds))))

    def _refuse_infinite(self, norm: float) -> None:
        if not math.isfinite(norm):
            raise TextureError(f"the gradient is not finite at step {self.step + 1}; lower the rate and resume")

    def _refuse_wrong_gradients(self) -> None:
        """On the first batch of each shape, these gradients and eager float32's; no training below a cosine of 0.99."""
        shape = (self.recipe.crops(self.place), self.model.statistics.silent)
        if self.deep is deep_loss or shape in self._trusted:
            return
        try:
            cosine = gradient_cosine(self, self.deep, self.mean)
        except Exception as error:  # the compiler's own faults have no common type
            words = f"{type(error).__name__}: {str(error).strip()}".splitlines()[0][:COMPLAINT]
            raise TextureError(
                f"torch cannot compute the loss in this way ({words}); use --no-compile --no-bf16"
            ) from error
        if not cosine >= 0.99:  # nor where it is no number
            raise TextureError(
                f"gradients are wrong here (cosine {cosine:.4f} to eager float32); use --no-compile --no-bf16"
            )
        self._trusted.add(shape)


def gradient_cosine(trainer: Trainer, deep: Callable[..., Tensor], mean: Callable[..., Tensor] = deep_mean) -> float:
    """Cosine between all gradients by `deep` and by the eager loss, lambda's output opened so that none is zero.

    Zero if one of the two has no gradient for a parameter that has one in the other.
    """
    kept: dict[str, Any] = {k: v.clone() for k, v in trainer.model.state_dict().items()}
    torch.nn.init.normal_(trainer.model.lambda_phi.out.weight, std=1e-3)
    found = []
    try:
        for ways in ((deep_loss, deep_mean, CHECK_CHUNK), (deep, mean)):
            trainer.gradients(*ways)
            parameters = trainer.model.named_parameters()
            found.append({n: p.grad.double().flatten() for n, p in parameters if p.grad is not None})
    finally:  # whatever happened, and be it Ctrl-C while it compiles: the weights are saved after it
        trainer.model.load_state_dict(kept)
        trainer.optimiser.zero_grad(set_to_none=True)
    if found[0].keys() != found[1].keys():
        return 0.0
    vectors = [torch.cat(list(gradients.values())) for gradients in found]
    return torch.nn.functional.cosine_similarity(vectors[0], vectors[1], dim=0).item()
