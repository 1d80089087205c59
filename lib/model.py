"""A trained model: statistics f_theta and multipliers lambda_phi, with the card that says what they are."""

from pathlib import Path

import torch
from torch import Tensor, nn

from lib import multipliers as lambda_phi
from lib.statistics.architecture import WAVES, Architecture
from lib.statistics.learned import LearnedStatistics

CHECKPOINTS = Path(__file__).parent / "checkpoints"


class Model(nn.Module):
    """f and lambda: p(x) = exp[-N lam.f(x)] / Z (Eq. 2) with lam = lambda_phi(x0, sigma) / sigma for the texture of x0.

    `statistics` maps [B,3,H,W] to [B,512]; `multipliers(x, sigma)` gives lam [B,512]; `whitening` [512,512] is the
    basis in which matching measures f (lib/samplers/match.py), `directions` that in which diffusion corrects lambda
    (lib/samplers/correct.py), None standing for lambda's own; `card` tells, in Markdown, how the weights were trained,
    how well, on what, and what they fail on.
    """

    whitening: Tensor
    directions: Tensor | None

    def __init__(self, architecture: Architecture = WAVES, name: str = "untrained", card: str = "") -> None:
        super().__init__()
        self.name, self.card, self.architecture = name, card, architecture
        self.statistics = LearnedStatistics(architecture)
        self.lambda_phi = lambda_phi.Multipliers(architecture.dim, architecture.known)
        # learned after training, by lib/training/bases.py, and no part of its state
        self.register_buffer("whitening", torch.eye(architecture.dim), persistent=False)
        self.register_buffer("directions", None, persistent=False)

    @property
    def dim(self) -> int:
        """Number of statistics."""
        return self.statistics.dim

    def multipliers(self, x: Tensor, sigma: Tensor | float, mu: Tensor | None = None) -> Tensor:
        """lambda_phi(x, sigma) (Eq. 4): x [B,3,H,W] in [0,1], sigma [B] or a number in pixel units -> [B,512].

        `mu` is f(x) where that is known already.
        """
        sigma = lambda_phi.as_sigma(sigma, x)
        with torch.no_grad():
            mu = self.statistics(x) if mu is None else mu
        return lambda_phi.multipliers(self.lambda_phi, self.statistics, x, mu, sigma)

    def __repr__(self) -> str:
        return f"Model {self.name!r}: p(x) = exp[-N lam.f(x)] / Z, f: image -> R^{self.dim}"
