"""Both processes at each noise level, and the statistics on their way."""

from itertools import pairwise

import pytest
import torch

import lib
from lib.evaluation.process import course, processes
from lib.samplers.diffuse import SIGMA_MAX
from lib.samplers.match import Targets, mismatch
from lib.statistics.quadratic import periodic_component

X0 = lib.exemplar("grass")[:, :48, :64]


def test_the_backward_process_is_the_samplers_and_the_forward_one_a_line(model: lib.Model) -> None:
    states = list(processes(model, X0, steps=4, seed=3))
    sigmas = [s.sigma for s in states]
    assert len(states) == 5
    assert sigmas[0] == pytest.approx(SIGMA_MAX)
    assert sigmas[-1] == 0
    assert sigmas == sorted(sigmas, reverse=True)
    records = list(lib.diffuse_steps(model, X0, seed=3, steps=4, tileable=True))
    for state, record in zip(states, records, strict=False):
        assert torch.allclose(state.estimate, record.image, atol=1e-5)
    assert torch.allclose(states[-1].backward, records[-1].image, atol=1e-5)

    clean = periodic_component(X0[None])
    assert torch.equal(states[-1].forward, clean)
    eps = (states[0].forward - clean) / SIGMA_MAX
    assert eps.std().item() == pytest.approx(1, abs=0.02)
    for a in states:
        assert torch.allclose(a.forward, clean + a.sigma * eps, atol=1e-5)
    noise = [(s.backward - s.estimate).std().item() for s in states]
    assert all(a > b for a, b in pairwise(noise))


def test_statistics_and_mismatch_are_those_of_the_pictures(model: lib.Model) -> None:
    state = list(processes(model, X0, steps=3))[1]
    assert torch.allclose(state.f_forward, model.statistics.deep(state.forward)[0], atol=1e-4)
    assert torch.allclose(state.f_backward, model.statistics.deep(state.backward)[0], atol=1e-4)
    wanted = mismatch(model, Targets.of(model, X0[None]), state.estimate).item()
    assert state.left == pytest.approx(wanted, rel=1e-3)


def test_statistics_go_from_zero_to_one() -> None:
    noise, image = torch.tensor([0.0, 1.0, 5.0, 2.0]), torch.tensor([2.0, 3.0, 5.0, 0.0])
    way = course([noise, (noise + image) / 2, image], noise, image)
    assert torch.equal(way, torch.tensor([[0.0] * 3, [0.5] * 3, [1.0] * 3]))  # the third does not move


@pytest.mark.parametrize(
    ("change", "said"),
    [({"x0": X0 * 255}, "x0 has pixels"), ({"steps": 1}, "steps is 1"), ({"seed": -1}, "seed is -1")],
)
def test_errors_say_what_is_wrong(model: lib.Model, change: dict, said: str) -> None:
    with pytest.raises(lib.TextureError, match=said):
        list(processes(**({"model": model, "x0": X0} | change)))
