"""The kernel distance: without bias, with an error that repetition confirms, and torch-fidelity's number."""

import pytest
import torch
from torch import Tensor

from lib.errors import TextureError
from lib.evaluation.fidelity import fidelity
from lib.evaluation.kernel import cubic, kernel_distance


def normal(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def repeated(n: int, m: int, shift: float, times: int = 400) -> tuple[Tensor, Tensor]:
    """Values and standard errors [times] of fresh sets."""
    found = [kernel_distance(normal(n, 6, 2 * s), shift + normal(m, 6, 2 * s + 1)) for s in range(times)]
    return torch.tensor(found).unbind(1)


def test_it_is_zero_in_the_mean_for_equal_distributions_however_few() -> None:
    for n, m in ((4, 4), (16, 16), (6, 20)):
        values, _ = repeated(n, m, 0.0)
        assert values.mean().abs() < 3 * values.std() / len(values) ** 0.5
        assert values.min() < 0 < values.max()


def test_its_mean_does_not_depend_on_the_number_of_samples() -> None:
    few, many = (repeated(n, n, 0.8)[0] for n in (4, 32))
    error = (few.var() / len(few) + many.var() / len(many)).sqrt()
    assert (few.mean() - many.mean()).abs() < 3 * error
    assert many.mean() > 10 * error


def test_sets_without_spread_have_a_distance_in_closed_form() -> None:
    a, b = torch.tensor([[1.0, 2, 3]]), torch.tensor([[0.0, 1, -1]])
    value, error = kernel_distance(a.expand(5, 3), b.expand(7, 3))
    # k(a,a) = (14/3 + 1)^3, k(b,b) = (2/3 + 1)^3, k(a,b) = (-1/3 + 1)^3
    assert value == pytest.approx((17 / 3) ** 3 + (5 / 3) ** 3 - 2 * (2 / 3) ** 3)
    assert error == pytest.approx(0, abs=1e-9)


def test_it_is_the_number_of_torch_fidelity() -> None:
    x, y = normal(12, 30, 1), 0.3 + normal(12, 30, 2)
    kernels = [cubic(p, q).numpy() for p, q in ((x, x), (x, y), (y, y))]
    assert kernel_distance(x, y)[0] == pytest.approx(fidelity("torch_fidelity.metric_kid").mmd2(*kernels))


def test_the_error_is_that_of_repetitions() -> None:
    values, errors = repeated(20, 20, 0.8)
    assert 0.8 < errors.mean() / values.std() < 1.3
    values, errors = repeated(20, 20, 0.0)  # of second order: the jackknife is on the safe side
    assert 1.0 < errors.mean() / values.std() < 2.0


def test_what_cannot_be_compared_is_refused() -> None:
    for x, y in ((normal(2, 4), normal(5, 4)), (normal(5, 3), normal(5, 4))):
        with pytest.raises(TextureError, match="cannot be compared"):
            kernel_distance(x, y)
