"""The kernel distance of two sets of features (Binkowski et al. 2018), without bias, and its standard error.

It is the squared maximum mean discrepancy with the kernel k(x, y) = (x.y / d + 1)^3,

    MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y),

each mean over pairs of different samples. With FID's features it is KID. Its expectation does not depend on n and is
zero for equal distributions, so it may come out negative. That is why it stands beside the Fréchet distance where
samples are few. Published standard deviations are over random subsets, and depend on their size; here it is the
jackknife's standard error, one sample of either set left out at a time. Where distributions are equal, the error of
such pairs is of second order and the jackknife overstates it, by a factor of about the root of two.
"""

from torch import Tensor

from lib.errors import TextureError


def kernel_distance(x: Tensor, y: Tensor) -> tuple[float, float]:
    """(MMD^2, standard error) of features x [n,d] and y [m,d]; TextureError for fewer than three of either."""
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 3:
        raise TextureError(f"features {list(x.shape)} and {list(y.shape)} cannot be compared; give [n,d], n > 2")
    x, y = x.double(), y.double()
    cross = cubic(x, y)
    inner_x, inner_y = (_others(z) for z in (x, y))
    value = _mean(inner_x) + _mean(inner_y) - 2 * cross.mean()
    without_x = _without(inner_x) + _mean(inner_y) - 2 * _without_row(cross)
    without_y = _mean(inner_x) + _without(inner_y) - 2 * _without_row(cross.T)
    variance = sum((len(w) - 1) / len(w) * (w - w.mean()).square().sum() for w in (without_x, without_y))
    return value.item(), float(variance) ** 0.5


def cubic(x: Tensor, y: Tensor) -> Tensor:
    """k(x_i, y_j) = (x_i.y_j / d + 1)^3: [n,m]."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def _others(x: Tensor) -> Tensor:
    """k(x_i, x_j), zero where i = j."""
    return cubic(x, x).fill_diagonal_(0)


def _mean(inner: Tensor) -> Tensor:
    n = len(inner)
    return inner.sum() / (n * (n - 1))


def _without(inner: Tensor) -> Tensor:
    """The mean over pairs with sample i left out: [n]."""
    n = len(inner)
    return (inner.sum() - 2 * inner.sum(1)) / ((n - 1) * (n - 2))


def _without_row(cross: Tensor) -> Tensor:
    """The mean with row i left out: [n]."""
    n, m = cross.shape
    return (cross.sum() - cross.sum(1)) / ((n - 1) * m)
