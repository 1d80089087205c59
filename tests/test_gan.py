"""Learning a generator: what the discriminator sees, that it goes on where it was, and the door to it."""

from pathlib import Path

import pytest
import torch

import lib
from lib.errors import TextureError
from lib.models.gan import gan_steps
from lib.samplers.generator import save
from lib.samplers.step import last
from lib.training.gan import Discriminator, Duel, learn, train

X0 = lib.exemplar("grass")[:, :40, :48]


def test_the_discriminator_sees_78_pixels_and_none_beyond() -> None:
    network = Discriminator().eval()
    x = torch.rand(1, 3, 110, 110, generator=torch.Generator().manual_seed(0)).requires_grad_()
    odds = network(x)
    assert odds.shape == (1, 1, 3, 3)
    (slope,) = torch.autograd.grad(odds[0, 0, 1, 1], x)
    seen = slope.abs().sum((0, 1)).nonzero()
    assert seen.min(0).values.tolist() == [16, 16]
    assert seen.max(0).values.tolist() == [16 + 77, 16 + 77]


def test_a_run_goes_on_where_it_was_to_the_bit() -> None:
    x0 = X0[None]
    *_, whole = train(x0, 3, waves=2)
    first = next(train(x0, 3, waves=2))
    *_, resumed = train(x0, 3, waves=2, state=first.state)
    assert resumed.step == 3
    assert resumed.loss == whole.loss
    for a, b in zip(whole.generator.parameters(), resumed.generator.parameters(), strict=True):
        assert torch.equal(a, b)


class Guess(Discriminator):
    """Even odds, whatever it is shown."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 0 * super().forward(x)


def test_the_loss_is_zero_for_one_who_guesses_and_waves_are_learned() -> None:
    duel = Duel.begun(10, waves=2)
    before = duel.generator.waves.detach().clone()
    x0 = torch.rand(1, 3, 100, 100, generator=torch.Generator().manual_seed(0))
    duel.advance(x0, 80)
    assert not torch.equal(duel.generator.waves, before)
    duel.discriminator = Guess()
    duel.advance(x0, 80)
    assert duel.loss == pytest.approx(0, abs=1e-6)


def test_colours_are_learned_in_a_few_steps() -> None:
    """Of an exemplar with little else."""
    colour = torch.tensor([0.15, 0.5, 0.85])[:, None, None]
    noise = torch.randn(3, 96, 96, generator=torch.Generator().manual_seed(0))
    records = list(gan_steps((colour + 0.03 * noise).clamp(0, 1), size=32, iterations=40))
    away = [(r.image.mean((0, 2, 3)) - colour.flatten()).norm().item() for r in (records[0], records[-1])]
    assert away[1] < away[0] / 2


def test_records_and_samples_keep_the_contract() -> None:
    records = list(gan_steps(X0, n=2, size=(33, 50), seed=3, iterations=2))
    assert [(r.step, r.steps) for r in records] == [(1, 2), (2, 2)]
    x = records[-1].image
    assert x.shape == (2, 3, 33, 50)
    assert torch.equal(last(gan_steps(X0, n=1, size=(33, 50), seed=3, iterations=2))[0], x[0])
    assert not torch.equal(x[0], x[1])
    assert last(gan_steps(X0, iterations=1)).shape == (1, 3, 40, 48)


def test_a_generator_from_a_file_makes_its_texture_in_a_step_and_tiles(tmp_path: Path) -> None:
    *_, duel = train(X0[None], 2)
    path = save(duel.generator, tmp_path / "grass.safetensors", {})
    records = list(gan_steps(X0, size=(80, 112), generator=path, tileable=True))
    assert len(records) == 1
    (x,) = records[0].image
    assert x.shape == (3, 80, 112)
    inside = (x[:, 1:] - x[:, :-1]).abs().mean((0, 2))
    assert (x[:, 0] - x[:, -1]).abs().mean() < 1.2 * inside.max()


def test_errors_say_what_to_do() -> None:
    with pytest.raises(TextureError, match="iterations is 0"):
        next(gan_steps(X0, iterations=0))
    with pytest.raises(TextureError, match="waves is -1"):
        next(gan_steps(X0, waves=-1))
    with pytest.raises(TextureError, match="no generator 'tiger'"):
        next(gan_steps(X0, generator="tiger"))
    with pytest.raises(TextureError, match="no generator '1'"):
        next(gan_steps(X0, generator=1))  # as --set generator=1 gives it


def test_what_was_begun_otherwise_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.training.gan.BATCH", 2)
    learn(tmp_path, "pebble", iterations=1)
    with pytest.raises(TextureError, match=r"pebble\.part was begun with .*'waves': 0.*; use that, or name another"):
        learn(tmp_path, "pebble", iterations=1, waves=2)
    (tmp_path / "pebble.part").write_bytes(b"nothing")
    with pytest.raises(TextureError, match="cannot be resumed from; delete it"):
        learn(tmp_path, "pebble", iterations=1)
