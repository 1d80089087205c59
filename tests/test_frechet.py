"""The Fréchet distance against Gaussians known exactly, against torch-fidelity, and its interval against repetition."""

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from lib.errors import TextureError
from lib.evaluation.fidelity import fidelity
from lib.evaluation.frechet import Interval, bootstrap, floor, frechet


def normal(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def exact(n: int, mean: Tensor, root: Tensor, seed: int = 0) -> Tensor:
    """n samples whose own mean and covariance are exactly `mean` and root root'."""
    z = normal(n, len(mean), seed)
    q = torch.linalg.qr(z - z.mean(0)).Q * (n - 1) ** 0.5
    return q @ root.T + mean


def test_gaussians_whose_axes_agree() -> None:
    m, a, b = torch.tensor([1.0, -2, 0.5]).double(), torch.tensor([1.0, 2, 3]).double(), torch.tensor([2.0, 2, 0.5])
    x, y = exact(40, m, a.diag(), 1), exact(30, 0 * m, b.double().diag(), 2)
    assert frechet(x, y) == pytest.approx((m.square().sum() + (a - b).square().sum()).item(), rel=1e-10)


def test_gaussians_whose_axes_differ() -> None:
    a, b = normal(5, 5, 1), normal(5, 5, 2)
    x, y = exact(60, torch.zeros(5).double(), a, 3), exact(60, torch.ones(5).double(), b, 4)
    ca, cb = (a @ a.T).numpy(), (b @ b.T).numpy()
    wanted = 5 + np.trace(ca + cb - 2 * scipy.linalg.sqrtm(ca @ cb).real)
    assert frechet(x, y) == pytest.approx(wanted, rel=1e-8)


@pytest.mark.parametrize(("n", "d"), [(12, 30), (80, 30), (30, 30)])
def test_it_is_the_number_of_torch_fidelity(n: int, d: int) -> None:
    module = fidelity("torch_fidelity.metric_fid")
    x, y = normal(n, d, 1), 0.3 + 1.2 * normal(n, d, 2)
    theirs = [module.fid_features_to_statistics(z) for z in (x, y)]
    wanted = module.fid_statistics_to_metric(*theirs, verbose=False)[module.KEY_METRIC_FID]
    assert frechet(x, y) == pytest.approx(wanted, rel=1e-6)


def test_a_set_is_at_no_distance_from_itself_in_any_order() -> None:
    x = normal(20, 50)
    assert frechet(x, x) < 1e-10
    assert frechet(x, x.flip(0)) < 1e-10
    assert frechet(x, x + 2) == pytest.approx(4 * 50)


def test_the_bias_falls_with_the_number_of_samples() -> None:
    found = [floor(normal(256, 64, 2 * s), normal(256, 64, 2 * s + 1), (16, 64, 256)) for s in range(5)]
    for few, more in ((16, 64), (64, 256)):
        assert min(f[few] for f in found) > max(f[more] for f in found) > 0


def test_the_interval_is_as_wide_as_repetitions_are() -> None:
    pairs = [(normal(40, 4, 2 * s), 1 + 0.7 * normal(40, 4, 2 * s + 1)) for s in range(100)]
    values = torch.tensor([frechet(*pair) for pair in pairs])
    widths = torch.tensor([i.high - i.low for i in (bootstrap(*pair, resamples=100) for pair in pairs[:10])])
    assert widths.mean() == pytest.approx(2 * 1.96 * values.std().item(), rel=0.3)


def test_the_interval_is_about_the_estimate_and_repeats() -> None:
    x, y = normal(16, 40, 1), normal(16, 40, 2)
    interval = bootstrap(x, y, seed=3)
    assert interval.value == frechet(x, y)
    assert interval.low < interval.value < interval.high
    assert bootstrap(x, y, seed=3) == interval
    assert bootstrap(x, y, seed=4) != interval


def test_intervals_that_touch_do_not_separate() -> None:
    assert Interval(1, 0.5, 1.5).below(Interval(3, 2, 4))
    assert not Interval(1, 0.5, 2.5).below(Interval(3, 2, 4))
    assert not Interval(3, 2, 4).below(Interval(1, 0.5, 1.5))


@pytest.mark.parametrize("shapes", [((1, 4), (5, 4)), ((5, 3), (5, 4)), ((5,), (5, 4))], ids=str)
def test_what_cannot_be_compared_is_refused(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(TextureError, match="cannot be compared"):
        frechet(*(torch.zeros(shape) for shape in shapes))
    with pytest.raises(TextureError, match="floor at 9"):
        floor(normal(8, 2), normal(8, 2), (9,))
