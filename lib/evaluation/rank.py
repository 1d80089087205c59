"""How many directions features have: a network may have a hundred channels and still see one thing."""

import torch
from torch import Tensor


def rank(h: Tensor) -> float:
    """How many directions features [B,C,H,W] have, each less its mean over a picture: of their covariance's eigenvalues
    (sum)^2 / sum of squares. It is C if all have the same variance, and 1 if all are one map."""
    rows = (h - h.mean((2, 3), keepdim=True)).transpose(0, 1).flatten(1).double()
    covariance = rows @ rows.T
    return (covariance.trace() ** 2 / covariance.square().sum().clamp_min(torch.finfo(torch.float64).tiny)).item()
