"""An ordinary denoiser that is told the clean x: what could be learned if eps_hat were not the gradient of an energy.

What it adds to the noise that the best Gaussian model of x predicts comes out of a U-Net, which sees y and, at every
layer, x and sigma (FiLM). In the model all that is known of x must pass through 512 multipliers of sums over pixels.
Two uses: as a bound on what a sample teaches, and as a teacher, whose outputs have no noise in them, of f and lambda
(distillation; Thornton et al. 2025).

Features are normalised by groups of channels over the whole image (Wu & He 2018); without that it learns several times
more slowly, or not at all.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.model import Model
from lib.samplers.denoise import MARGIN
from lib.statistics.quadratic import Quadratic, periodic_component
from lib.training.batches import Crops
from lib.training.loop import Recipe
from lib.training.loss import FRAME, LEAST_LOSS, deep_loss, deep_mean, draw_sigma, regression

WIDTHS = (64, 96, 128)  # channels at 1/2, 1/4 and 1/8 of the resolution
EMBEDDING = 192
RATE, MEMORY = 1e-3, 0.995


class Block(nn.Module):
    """h + W2 silu(FiLM(W1 silu(norm h))), periodic; nothing at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.first, self.second = (_convolution(channels, channels) for _ in range(2))
        self.film = nn.Linear(EMBEDDING, 2 * channels)
        for parameter in (self.second.weight, *self.film.parameters()):
            nn.init.zeros_(parameter)

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        scale, shift = self.film(e)[:, :, None, None].chunk(2, 1)
        return h + self.second(F.silu(self.first(F.silu(self.norm(h))) * (1 + scale) + shift))


class OrdinaryDenoiser(nn.Module):
    """eps_hat of y, given x and sigma."""

    def __init__(self) -> None:
        super().__init__()
        self.gaussian = Quadratic()
        self.stem = _convolution(24, WIDTHS[0])
        self.encoder, self.decoder = (
            nn.ModuleList(nn.ModuleList(Block(c) for _ in range(2)) for c in widths) for widths in (WIDTHS, WIDTHS[:-1])
        )
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(WIDTHS))
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairwise(WIDTHS))
        self.out = _convolution(WIDTHS[0], 12)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(cast(Tensor, self.out.bias))
        self.look = nn.Sequential(
            nn.Conv2d(3, 48, 4, stride=4), nn.GELU(),
            nn.Conv2d(48, 96, 3, padding=1), nn.GELU(),
            nn.Conv2d(96, 128, 3, stride=2, padding=1), nn.GELU(),
        )  # fmt: skip
        self.embed = nn.Sequential(
            nn.Linear(16 + Quadratic.dim + 128, EMBEDDING), nn.SiLU(), nn.Linear(EMBEDDING, EMBEDDING), nn.SiLU()
        )

    def forward(self, x: Tensor, y: Tensor, sigma: Tensor) -> Tensor:
        """eps_hat [B,3,H,W]: clean x [B,3,H',W'], y [B,3,H,W] with sides that are multiples of 8, sigma [B]."""
        return self.parts(x, y, sigma)[0]

    def parts(self, x: Tensor, y: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """eps_hat, and what the Gaussian alone is expected to lose: [B]."""
        with torch.no_grad():
            lam = self.gaussian.multipliers(x, sigma)
            expected = self.gaussian.expected_loss(lam, sigma, *x.shape[-2:]).clamp_min(LEAST_LOSS)
            linear = self.gaussian.predicted_noise(lam, y)
            mu = self.gaussian(x)
        left = y - sigma[:, None, None, None] * linear
        left = (left - left.mean((2, 3), keepdim=True)) / (x.var((1, 2, 3)) + 1e-4).sqrt()[:, None, None, None]
        octaves = torch.log2(sigma)[:, None] - torch.linspace(-7, 4, 16)
        seen = [torch.exp(-(octaves**2)), torch.asinh(mu / 0.3), self.look(4 * (x - 0.5)).mean((2, 3))]
        more = self._unet(torch.cat([linear, left], 1), self.embed(torch.cat(seen, 1)))
        return linear + expected.sqrt()[:, None, None, None] * more, expected

    def _unet(self, y: Tensor, e: Tensor) -> Tensor:
        h, skips = self.stem(F.pixel_unshuffle(y, 2)), []
        for k, blocks in enumerate(self.encoder):
            if k:
                skips.append(h)
                h = self.down[k - 1](h)
            for block in cast(nn.ModuleList, blocks):
                h = block(h, e)
        for k in reversed(range(len(self.decoder))):
            h = self.up[k](h) + skips[k]
            for block in cast(nn.ModuleList, self.decoder[k]):
                h = block(h, e)
        return F.pixel_shuffle(self.out(h), 2)

    def denoise(self, y: Tensor, x: Tensor, sigma: float) -> Tensor:
        """As `lib.denoise`: y and x [B,3,H,W] -> E[x | y], by a mirrored margin and the periodic component of x."""
        height, width = y.shape[-2:]
        mirrored = F.pad(y, (MARGIN,) * 4, mode="reflect")
        with torch.no_grad():
            eps = self(periodic_component(x), mirrored, torch.full((len(y),), sigma))
        return y - sigma * eps[..., MARGIN : MARGIN + height, MARGIN : MARGIN + width]


def train(
    net: OrdinaryDenoiser, recipe: Recipe, crops: Crops, share: Callable[[], float]
) -> Iterator[tuple[int, float]]:
    """The number of each step and its loss, 1 being the Gaussian's; ends with the moving average of the weights.

    `share` tells what share of the time is over. Batch, seed and sizes of crops are the recipe's, by that share.
    """
    optimiser = torch.optim.AdamW(net.parameters(), RATE, betas=(0.9, 0.98), weight_decay=1e-3)
    average = {k: v.clone() for k, v in net.state_dict().items()}
    step = 0
    while (over := share()) < 1:
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 100, (1 - over) / 0.4)
        count, size = recipe.crops(int(over * recipe.steps))
        generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
        x, sigma = crops.batch(step, count, size), draw_sigma(count, generator)
        eps = torch.randn(x.shape, generator=generator)
        eps_hat, expected = net.parts(x, x + sigma[:, None, None, None] * eps, sigma)
        error = (eps_hat - eps)[..., FRAME:-FRAME, FRAME:-FRAME].square().mean((1, 2, 3))
        loss = (error / expected).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        step += 1
        for key, value in net.state_dict().items():
            average[key].lerp_(value, 1 - min(MEMORY, (1 + step) / (10 + step)))
        yield step, loss.item()
    net.load_state_dict(average)


def distilling(teacher: OrdinaryDenoiser) -> Callable[..., Tensor]:
    """`lib.training.loss.loss` with what the teacher predicts in the place of the noise."""

    def loss(
        model: Model, x: Tensor, sigma: Tensor, eps: Tensor,
        deep: Callable[..., Tensor] = deep_loss, mean: Callable[..., Tensor] = deep_mean,
    ) -> Tensor:  # fmt: skip
        y = x + sigma[:, None, None, None] * eps
        with torch.no_grad():
            target = teacher(x, y, sigma)
        return regression(model, x, y, sigma, target, deep, mean)

    return loss


def _convolution(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1, padding_mode="circular")
