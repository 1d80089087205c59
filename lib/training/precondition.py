"""A fixed change of basis for lambda, so that its learning is not slowed by statistics that resemble each other.

The gradients of several hundred statistics overlap: the Gram matrix G_kl = E <grad f_k, grad f_l> of Eq. 4's least
squares has eigenvalues over many orders of magnitude, and gradient descent sees only the largest. In the basis
G^(-1/2) (of a first batch, before training) the same problem is round.
"""

import torch
from torch import Tensor

from lib.model import Model
from lib.multipliers import envelope
from lib.training.loss import FRAME

FLOOR = 1e-2  # of the mean eigenvalue: below it, a direction is noise


def gram(
    model: Model, x: Tensor, sigma: Tensor, eps: Tensor, weights: Tensor, first: int | None = None
) -> Tensor:  # fmt: skip
    """Mean over pixels and images of weights x (grad f_k)(grad f_l), the network's statistics only: [n,n].

    x, eps [B,3,H,W]; sigma, weights [B]; n is `first` or all. Gradients are in units of the envelope of lambda.
    """
    y = (x + sigma[:, None, None, None] * eps).requires_grad_()
    f = x.shape[-1] * x.shape[-2] * envelope(model.statistics, x, sigma) * model.statistics.deep(y)
    rows = []
    for k in range(f.shape[1] if first is None else first):
        (gradient,) = torch.autograd.grad(f[:, k].sum(), y, retain_graph=True)
        rows.append((gradient * weights.sqrt()[:, None, None, None])[..., FRAME:-FRAME, FRAME:-FRAME].flatten())
    J = torch.stack(rows)
    return J @ J.T / J.shape[1]


def inverse_root(matrix: Tensor) -> Tensor:
    """Symmetric inverse square root of a positive matrix [n,n], small eigenvalues raised to the floor."""
    values, vectors = torch.linalg.eigh(matrix.double())
    values = values.clamp_min(FLOOR * values.mean().item())
    return ((vectors / values.sqrt()) @ vectors.T).float()
