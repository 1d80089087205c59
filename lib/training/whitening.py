"""The basis in which matching measures f: what varies within a texture counts by how much it varies.

Statistics vary together: where a piece of a texture has a little more contrast, a hundred of them are larger. If each
is measured in its own spread, |f(x) - f(x0)|^2 counts that one difference a hundred times, and what tells a texture's
pieces from an imitation hardly at all. So the residuals r = (f(b) - f(a)) / spread of two pieces a, b of many
photographs are collected, each scaled to one length, lest the least homogeneous photographs decide, and with their
covariance C = E r r',

    W = (C + delta I)^(-1/2) up to a factor:

|W (f(x) - f(x0)) / spread|^2 is Mahalanobis's distance. `SHARE` of the mean eigenvalue is taken for delta: C is an
average, and no texture varies quite as it says. (With less, photographs that are held out are likelier, but pictures
no better.) The factor is such that the mean of |W r|^2 / d is 1 for photographs that W was not learned from, by five
folds: of those that it was learned from it is smaller, since they are hundreds for hundreds of directions.
"""

import torch
from torch import Tensor

from lib.samplers.match import HasStatistics, Targets
from lib.statistics.quadratic import periodic_component
from lib.training.precondition import inverse_root

SIDE = 128  # pixels, of a piece where the photograph has room for two
SHARE = 0.05
FOLDS = 5


@torch.no_grad()
def residuals(model: HasStatistics, photograph: Tensor) -> Tensor:
    """By how many spreads opposite corners of [3,H,W] differ in f, SIDE wide or half of the shorter side: [2,d]."""
    side = min(SIDE, *(n // 2 for n in photograph.shape[1:]))
    found = []
    for x in (photograph, photograph.flip(-1)):
        first, second = x[None, :, :side, :side], x[None, :, -side:, -side:]
        targets = Targets.of(model, first)
        found.append((model.statistics(periodic_component(second)) - targets.mu) / targets.spread)
    return torch.cat(found)


def whitening(residuals: Tensor) -> Tensor:
    """W [d,d], symmetric, from the residuals of P photographs, [P,n,d], P at least 2."""
    rows = residuals.double()
    rows = rows / rows.square().mean(-1, keepdim=True).sqrt().clamp_min(1e-12)
    folds = min(FOLDS, len(rows))
    out = torch.arange(len(rows)) % folds
    lengths = [(rows[out == k] @ root(rows[out != k])).square().mean() for k in range(folds)]
    return (root(rows) / torch.stack(lengths).mean().sqrt()).float()


def root(rows: Tensor) -> Tensor:
    """(C + delta I)^(-1/2) [d,d] for rows [P,n,d] whose covariance C is."""
    flat = rows.flatten(0, 1)
    C = flat.T @ flat / len(flat)
    return inverse_root(C + SHARE * C.diagonal().mean() * torch.eye(len(C), dtype=C.dtype)).double()
