"""A mixture of Gaussians on the line: the smallest world in which Miyasawa's identity can be checked exactly.

x is one number, y = x + sigma eps. The density of y is a mixture too, in closed form. What is expected of eps given
y is computed from Bayes' rule alone, by adding up over x: nothing here presupposes the identity (Eq. 3).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mixture:
    """Component k has weight, mean and standard deviation weights[k], means[k], widths[k]; weights add up to 1."""

    weights: tuple[float, ...]
    means: tuple[float, ...]
    widths: tuple[float, ...]

    def log_density(self, y: Tensor, sigma: float) -> Tensor:
        """log p(y) for y = x + sigma eps, sigma >= 0: [n] -> [n], differentiable."""
        weight, mean, width = (y.new_tensor(values) for values in (self.weights, self.means, self.widths))
        variance = width**2 + sigma**2
        square = (y[:, None] - mean) ** 2 / variance
        return torch.logsumexp(weight.log() - square / 2 - (2 * math.pi * variance).log() / 2, 1)

    def expected_noise(self, y: Tensor, sigma: float, points: int = 20_001) -> Tensor:
        """E[eps | y] by Bayes' rule, p(x | y) ~ p(x) p(y | x) summed over a fine grid of x: [n] -> [n]."""
        spread = 8 * max(self.widths)
        x = torch.linspace(min(self.means) - spread, max(self.means) + spread, points, dtype=y.dtype)
        eps = (y[:, None] - x) / sigma
        posterior = torch.softmax(self.log_density(x, 0.0) - eps**2 / 2, 1)
        return (posterior * eps).sum(1)

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """n draws of x: [n], float64."""
        generator = torch.Generator().manual_seed(seed)
        k = torch.multinomial(torch.tensor(self.weights), n, replacement=True, generator=generator)
        z = torch.randn(n, generator=generator, dtype=torch.float64)
        return torch.tensor(self.means).double()[k] + torch.tensor(self.widths).double()[k] * z
