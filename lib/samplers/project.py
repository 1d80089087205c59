"""Alternating projections: bring an image to one set of constraints after another, and round again.

What Heeger & Bergen (1995) do with the histograms of a pyramid's bands and of the pixels, and Portilla & Simoncelli
(2000) with moments. No gradient is needed. Histograms are matched by rank, which is the nearest signal of a given
histogram: the k-th smallest value becomes the k-th smallest of the source. So nothing is binned, and it is exact.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from lib.samplers.step import Step


def project(
    onto: Sequence[Callable[[Tensor], Tensor]],
    start: Tensor,
    steps: int,
    loss: Callable[[Tensor], Tensor],
    image: Callable[[Tensor], Tensor] = lambda z: z,
) -> Iterator[Step]:
    """One record a round, of `steps`: images clipped to [0,1], and the mean loss left after the round.

    Args:
        onto: projections [n,...] -> [n,...], applied in order; each keeps its own constraint and may harm the others.
        start: [n,...], what is projected.
        loss: [n,...] -> [n]; what is left between the constraints.
        image: [n,...] -> the image shown, [n,3,H,W], or [n,3,D,H,W] for a block.
    """
    z = start
    for step in range(1, steps + 1):
        for nearest in onto:
            z = nearest(z)
        yield Step(image(z).clamp(0, 1), loss(z).mean().item(), step, steps)


def quantiles(values: Tensor, n: int) -> Tensor:
    """The quantile function of sorted values [...,M] at (i + 1/2)/n, i < n, linear between samples: [...,n].

    With n = M these are the values themselves.
    """
    m = values.shape[-1]
    place = ((torch.arange(n, device=values.device, dtype=torch.float64) + 0.5) * m / n - 0.5).clamp(0, m - 1)
    below = place.long()
    above = (below + 1).clamp_max(m - 1)
    return torch.lerp(values[..., below], values[..., above], (place - below).to(values))


def match_histogram(x: Tensor, source: Tensor) -> Tensor:
    """x [...,N] with the histogram of source [...,M], sorted values: ranks of x, values of the source.

    For N = M the values are the source's, each once; otherwise its quantiles. Equal values of x keep their order, so
    the result is a function of x alone.
    """
    order = x.argsort(dim=-1, stable=True)
    return torch.empty_like(x).scatter_(-1, order, quantiles(source, x.shape[-1]).to(x).expand_as(x))


def histogram_distance(x: Tensor, source: Tensor) -> Tensor:
    """Mean squared difference of the quantile functions of x [...,N] and source [...,M], sorted: [...].

    It is the least mean square change that gives x the histogram of the source (Wasserstein's distance, squared).
    """
    return (x.sort(dim=-1).values - quantiles(source, x.shape[-1])).square().mean(-1)
