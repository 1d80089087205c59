"""Training: resumed equals uninterrupted, the step decides the batch, wrong gradients and wrong data are refused."""

import math
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import lib
from lib.errors import TextureError
from lib.model import Model
from lib.multipliers import envelope
from lib.statistics.architecture import DEEP, HUES
from lib.statistics.waves import Waves
from lib.training import batches, checkpoint, cli, loop, start
from lib.training.loop import Recipe, Trainer, gradient_cosine, rate
from lib.training.loss import SIGMA_MEDIAN, deep_loss, deep_loss_bf16, draw_sigma
from lib.training.precondition import FRAME, gram
from lib.training.validation import SIGMAS, log_losses, model_losses

RECIPE = Recipe(steps=4, batch=2, size=32)


def crops(seed: int = 0) -> batches.Crops:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (48, 56, 3), dtype=np.uint8) for _ in range(3)]
    return batches.Crops({"a": images[:1], "b": images[1:]}, seed)


@pytest.fixture
def quick_basis(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Gram matrix of the right size and no more: the real one, tested below, takes a gradient a statistic."""

    def drawn(
        model: Model, x: torch.Tensor, sigma: torch.Tensor, eps: torch.Tensor, weights: torch.Tensor,
        first: int | None = None,
    ) -> torch.Tensor:  # fmt: skip
        n = first or len(model.lambda_phi.preconditioner)
        rows = torch.randn(n, 2 * n, generator=torch.Generator().manual_seed(0))
        return rows @ rows.T / (2 * n)

    monkeypatch.setattr(loop, "gram", drawn)


@pytest.mark.usefixtures("quick_basis")
@pytest.mark.parametrize("configuration", ["waves", "hybrid", "pairs", "paper"])
def test_resumption_gives_the_weights_of_an_uninterrupted_run(tmp_path: Path, configuration: str) -> None:
    recipe = Recipe(configuration, steps=3, warm=1, batch=2, size=32)
    whole = Trainer(recipe, crops())
    losses = [record.loss for record in whole.run()]
    first = Trainer(recipe, crops())
    begun = [record.loss for record in first.run(until=2)]
    first.save(tmp_path / "state.pt")
    torch.manual_seed(99)  # what happened in between must not matter
    second = Trainer(recipe, crops())
    second.resume(tmp_path / "state.pt")
    ended = [record.loss for record in second.run()]
    assert begun + ended == losses
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[key]), key
        assert torch.equal(whole.average[key], second.average[key]), key


def test_a_state_of_another_recipe_is_refused(tmp_path: Path) -> None:
    Trainer(RECIPE, crops()).save(tmp_path / "state.pt")
    with pytest.raises(TextureError, match="rate"):
        Trainer(Recipe(steps=4, batch=2, size=32, rate=1.0), crops()).resume(tmp_path / "state.pt")
    (tmp_path / "state.pt").write_bytes(b"nothing")
    with pytest.raises(TextureError, match=r"state\.pt"):
        Trainer(RECIPE, crops()).resume(tmp_path / "state.pt")


@pytest.mark.usefixtures("quick_basis")
def test_training_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    """From its weights and lambda's basis, nothing silent; the card adds up, a chain of them too."""
    path = tmp_path / "first.safetensors"
    first = Trainer(Recipe(steps=3, warm=2, batch=2, size=32), crops())
    list(first.run())
    cli.write(first, [tmp_path], path, {})
    recipe = Recipe(steps=2, warm=2, batch=2, size=32, start=str(path))
    second = Trainer(recipe, crops(seed=1))
    for key, value in checkpoint.load(path).state_dict().items():
        assert torch.equal(second.model.state_dict()[key], value), key
    list(second.run())
    assert not second.model.statistics.silent
    card = cli.write(second, [tmp_path], tmp_path / "second.safetensors", {}).with_suffix(".md").read_text()
    assert "which had seen 6 samples" in card
    assert "10 in" in card
    assert "alone" not in card
    third = cli.before(str(tmp_path / "second.safetensors"))
    assert (third["samples"], third["trained_steps"]) == (10, 5)
    with pytest.raises(TextureError, match="another U-Net than paper"):
        Trainer(Recipe("paper", start=str(path)), crops())


@pytest.mark.usefixtures("quick_basis")
def test_training_goes_on_from_another_architecture_with_the_same_unet(tmp_path: Path) -> None:
    """What has a place is taken, and of lambda what it says of the waves that both have."""
    path = tmp_path / "pairs.safetensors"
    first = Trainer(Recipe("pairs", steps=2, warm=1, batch=2, size=32), crops())
    list(first.run())
    cli.write(first, [tmp_path], path, {})
    given = checkpoint.load(path).state_dict()
    second = Trainer(Recipe("hybrid", steps=1, batch=2, size=32, start=str(path)), crops())
    taken = second.model.state_dict()
    for key, value in given.items():
        if ".unet." in key or "lambda_phi.stages" in key:
            assert torch.equal(taken[key], value), key
    assert torch.equal(taken["statistics.read.0.weight"], given["statistics.read.0.weight"][:32])
    assert torch.equal(taken["statistics.waves.first.0.weight"][:24], given["statistics.waves.first.0.weight"])
    out, pairs = taken["lambda_phi.out.weight"], torch.tensor(Waves.potentials(0, singles=False))
    assert len(pairs) == 27
    assert out[pairs].any()
    assert not out[12:32].any()
    basis, before = (state["lambda_phi.preconditioner"] for state in (taken, given))
    assert torch.equal(basis[pairs[:, None], pairs], before[:27, :27])


@pytest.mark.usefixtures("quick_basis")
def test_of_another_unet_what_lambda_says_of_the_same_waves_is_kept(tmp_path: Path) -> None:
    """From `hybrid` to `wide`: waves stay, the new network begins anew, and of its statistics nothing is said."""
    path = tmp_path / "hybrid.safetensors"
    first = Trainer(Recipe("hybrid", steps=2, warm=1, batch=2, size=32), crops())
    list(first.run())
    cli.write(first, [tmp_path], path, {})
    old, new = checkpoint.load(path), Trainer(Recipe("wide", steps=1, batch=2, size=32, start=str(path)), crops()).model
    kept, known = 284, old.architecture.known
    x = lib.exemplar("pebble")[None, :, :64, :64]
    with torch.no_grad():
        f, f_before, lam = new.statistics(x), old.statistics(x), new.multipliers(x, torch.tensor(0.1))
    assert torch.allclose(f[:, : known + kept], f_before[:, : known + kept], atol=1e-5)
    assert lam[:, known : known + kept].any()
    assert not lam[:, known + kept :].any()
    assert new.statistics.log_c[4].eq(0).all()
    for part in ("out", "join"):
        weight, before = (getattr(model.lambda_phi, part).weight for model in (new, old))
        rows, columns = (kept, None) if part == "out" else (None, kept - 379)
        assert torch.equal(weight[:rows, :columns], before[:rows, :columns])
    basis, before = new.lambda_phi.preconditioner, old.lambda_phi.preconditioner
    assert torch.equal(basis[:kept, :kept], before[:kept, :kept])
    assert not basis[:kept, kept:].any()


@pytest.mark.usefixtures("quick_basis")
def test_a_block_is_added_and_waves_are_left_out_without_a_change_of_the_rest(tmp_path: Path) -> None:
    """From `wide` to `deep`: what both have keeps its values and its multipliers, though lambda's basis is another."""
    path, shared = tmp_path / "wide.safetensors", 189
    first = Trainer(Recipe("wide", steps=1, batch=2, size=32), crops())
    features, outputs = first.model.lambda_phi.join.weight, first.model.lambda_phi.out.weight
    with torch.no_grad():
        features[:, -190:-95] = 0  # of the waves that will be missing
        outputs.normal_()
        skew = torch.randn(379, 379, generator=torch.Generator().manual_seed(0)) / 379**0.5
        first.model.lambda_phi.preconditioner.copy_(torch.eye(379) + 0.3 * (skew + skew.T))
    first.average = first.model.state_dict()
    cli.write(first, [tmp_path], path, {})
    old, new = checkpoint.load(path), Trainer(Recipe("deep", steps=1, batch=2, size=32, start=str(path)), crops()).model
    x, known = lib.exemplar("pebble")[None, :, :64, :64], old.architecture.known
    with torch.no_grad():
        f, before = new.statistics(x)[0], old.statistics(x)[0]
        lam, was = new.multipliers(x, torch.tensor(0.1))[0], old.multipliers(x, torch.tensor(0.1))[0]
    waves, early = slice(0, known + shared), slice(known + shared, -95)
    for part in (waves, slice(-95, None)):
        torch.testing.assert_close(f[part], before[part], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(lam[part], was[part], rtol=1e-3, atol=1e-6)
        assert was[part].any()
    assert not lam[early].any()


@pytest.mark.usefixtures("quick_basis")
def test_hues_take_the_places_of_levels_of_chroma(tmp_path: Path) -> None:
    """From `deep`: all else keeps its values and, told the mean of what went, its multipliers; hues have none."""
    path = tmp_path / "deep.safetensors"
    first = Trainer(Recipe("deep", steps=1, batch=2, size=32), crops())
    with torch.no_grad():
        first.model.lambda_phi.out.weight.normal_()
        skew = torch.randn(379, 379, generator=torch.Generator().manual_seed(0)) / 379**0.5
        first.model.lambda_phi.preconditioner.copy_(torch.eye(379) + 0.3 * (skew + skew.T))
    first.average = first.model.state_dict()
    cli.write(first, [tmp_path], path, {})
    old, new, x = checkpoint.load(path), Model(HUES), lib.exemplar("pebble")[None, :, :64, :64]
    assert start.take(new, str(path), lambda: x)
    with torch.no_grad():
        f, before = new.statistics(x)[0], old.statistics(x)[0]
        lam, was = new.multipliers(x, torch.tensor(0.1))[0], old.multipliers(x, torch.tensor(0.1))[0]
    known, waves = DEEP.known, DEEP.readouts[:3]
    kept = [known + sum(waves[:s]) + torch.tensor(Waves.potentials(s, tints=False)) for s in range(3)]
    both = torch.cat([torch.arange(known), *kept, torch.arange(known + sum(waves), DEEP.dim)])
    assert len(both) == HUES.dim - 24
    torch.testing.assert_close(f[:-24], before[both], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(lam[:-24], was[both], rtol=1e-3, atol=1e-5)
    assert lam[:-24].any()
    assert not lam[-24:].any()


@pytest.mark.usefixtures("quick_basis")
def test_filters_of_other_dilations_are_another_unet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though their shapes are the same."""
    path = tmp_path / "wide.safetensors"
    cli.write(Trainer(Recipe("wide", steps=1, batch=2, size=32, seed=1), crops()), [tmp_path], path, {})
    monkeypatch.setitem(loop.ARCHITECTURES, "near", replace(loop.ARCHITECTURES["wide"], dilations=()))
    old, new = checkpoint.load(path), Trainer(Recipe("near", steps=1, batch=2, size=32, start=str(path)), crops()).model
    name = "statistics.unet.encoder.0.0.convolutions.0.weight"
    assert not torch.allclose(old.state_dict()[name], new.state_dict()[name], atol=1e-2)
    assert torch.equal(old.state_dict()["statistics.waves.first.0.weight"],
                       new.state_dict()["statistics.waves.first.0.weight"])  # fmt: skip


def test_training_lowers_the_loss_on_what_it_sees() -> None:
    """One texture that no Gaussian describes: after a few steps the learned part must be doing something for it."""
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[(np.indices((64, 64)).sum(0) // 5) % 2 == 0] = 200
    stripes[20:40, 20:40] = 90
    trainer = Trainer(Recipe(steps=60, batch=4, size=32, rate=3e-3), batches.Crops({"one": [stripes]}))
    losses = [record.loss for record in trainer.run(until=40)]
    assert np.mean(losses[-8:]) < 0.9 * np.mean(losses[:8])


def test_the_gram_matrix_is_that_of_the_gradients_within_the_frame() -> None:
    """Image by image, statistic by statistic, each in units of its own envelope."""
    torch.manual_seed(0)
    model, sigma, weights = Model(), torch.tensor([0.1, 0.4]), torch.tensor([0.5, 2.0])
    x = crops().batch(0, 2, 32)
    eps = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    expected = torch.zeros(3, 3)
    for i in range(2):
        y = (x[i : i + 1] + sigma[i] * eps[i : i + 1]).requires_grad_()
        f = model.statistics.deep(y)[0, :3] * envelope(model.statistics, x[i : i + 1], sigma[i : i + 1])[0, :3]
        rows = [32 * 32 * torch.autograd.grad(one, y, retain_graph=True)[0] for one in f]
        J = torch.stack([row[..., FRAME:-FRAME, FRAME:-FRAME].flatten() for row in rows])
        expected += weights[i] * J @ J.T / J.shape[1] / 2
    assert torch.allclose(gram(model, x, sigma, eps, weights, 3), expected, rtol=1e-3)


def test_the_step_decides_the_batch() -> None:
    a, b = crops(), crops()
    b.batch(1, 2, 32)
    assert torch.equal(a.batch(7, 2, 32), b.batch(7, 2, 32))
    assert not torch.equal(a.batch(7, 2, 32), a.batch(8, 2, 32))
    assert not torch.equal(a.batch(7, 2, 32), crops(seed=1).batch(7, 2, 32))
    x = a.batch(3, 5, 32)
    assert x.shape == (5, 3, 32, 32)
    assert x.min() >= 0
    assert x.max() <= 1


@pytest.mark.parametrize("angle", [0.3, math.pi / 4, 1.2])
def test_a_tilted_crop_is_the_picture_at_an_angle(angle: float) -> None:
    """A plane wave at an angle is another plane wave, whose direction has turned the other way."""
    side = 24
    n = batches.room(side, angle)

    def wave(size: int, across: float, down: float) -> torch.Tensor:
        place = torch.arange(size) - (size - 1) / 2
        return torch.sin(across * place + down * place[:, None] + 0.7).expand(3, -1, -1)

    across, down = 0.5, 0.2
    turned = (across * math.cos(angle) + down * math.sin(angle), down * math.cos(angle) - across * math.sin(angle))
    crop = batches.tilted(wave(n, across, down), angle, side)
    torch.testing.assert_close(crop, wave(side, *turned), rtol=0, atol=0.05)


def test_a_quarter_of_a_turn_is_exact() -> None:
    image = torch.rand(3, 21, 21, generator=torch.Generator().manual_seed(0))
    crop = batches.tilted(image, math.pi / 2, 11)
    torch.testing.assert_close(crop, torch.rot90(image, 1, (1, 2))[:, 5:16, 5:16], rtol=0, atol=1e-5)


@given(st.integers(8, 200), st.floats(0, math.pi / 2, exclude_min=True))
def test_there_is_room_for_an_angle(side: int, angle: float) -> None:
    """Cubic interpolation looks at two pixels to either side of a place, and all of them are there."""
    n = batches.room(side, angle)
    furthest = (side - 1) / 2 * (math.cos(angle) + math.sin(angle))
    assert math.floor((n - 1) / 2 - furthest) - 1 >= 0
    assert math.floor((n - 1) / 2 + furthest) + 2 <= n - 1


def test_most_crops_are_at_an_angle_and_no_angle_is_favoured() -> None:
    rng = np.random.default_rng(0)
    source = batches.Crops({"a": [rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)]})
    cuts = source.draw(0, 2000, 32)
    angles = np.array([cut.angle for cut in cuts if cut.angle])
    assert len(angles) / len(cuts) == pytest.approx(batches.TILTED, abs=0.03)
    assert np.histogram(angles, 4, (0, math.pi / 2))[0] / len(angles) == pytest.approx([0.25] * 4, abs=0.04)
    assert {cut.factor for cut in cuts if cut.angle} == {1, 2}


def test_where_there_is_no_room_crops_stand_upright() -> None:
    cuts = crops().draw(0, 100, 48)
    assert {cut.angle for cut in cuts} == {0.0}


def test_noise_levels_are_log_normal() -> None:
    sigma = draw_sigma(4000, torch.Generator().manual_seed(0))
    assert sigma.log().median().exp().item() == pytest.approx(SIGMA_MEDIAN, rel=0.1)
    assert sigma.min() >= 0.01
    assert sigma.max() <= 10


def test_the_rate_warms_up_and_ends_at_zero() -> None:
    recipe = Recipe(steps=1000)
    rates = [rate(recipe, step) for step in range(1001)]
    assert rates[0] < rates[50] < rates[99] == max(rates)
    assert rates[600] == pytest.approx(recipe.rate)
    assert rates[1000] == 0
    assert rates[800] == pytest.approx(recipe.rate / 2)


def test_crops_grow_and_are_counted() -> None:
    recipe = Recipe(steps=30, grow=10, batch=16, size=64)
    assert recipe.crops(9) == (16, 64)
    assert recipe.crops(10) == (8, 96)
    assert recipe.samples(10) == 160
    assert recipe.samples(30) == sum(recipe.crops(step)[0] for step in range(30))


def test_waves_learn_slowly_and_nothing_is_left_out() -> None:
    trainer = Trainer(RECIPE, crops())
    groups = trainer.optimiser.param_groups
    assert sum(p.numel() for g in groups for p in g["params"]) == sum(p.numel() for p in trainer.model.parameters())
    waves = trainer.model.statistics.waves
    assert waves is not None
    before = {name: p.clone() for name, p in trainer.model.named_parameters()}
    list(trainer.run(until=3))
    moved = {name: (p - before[name]).abs().max().item() for name, p in trainer.model.named_parameters()}
    fastest = max(value for name, value in moved.items() if "lambda_phi" in name)
    assert 0 < max(value for name, value in moved.items() if ".waves." in name) < 0.1 * fastest


def test_gradients_are_compared_and_wrong_ones_are_seen() -> None:
    trainer = Trainer(RECIPE, crops())
    before = {k: v.clone() for k, v in trainer.model.state_dict().items()}
    assert gradient_cosine(trainer, deep_loss) == pytest.approx(1, abs=1e-6)

    def wrong(model: Any, y: torch.Tensor, lam: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        return deep_loss(model, y, lam.flip(1), *rest)

    assert gradient_cosine(trainer, wrong) < 0.99
    for key, value in trainer.model.state_dict().items():
        assert torch.equal(value, before[key]), key


@pytest.mark.parametrize("configuration", ["waves", "hybrid", "pairs"])
def test_adjoints_and_gradients_by_hand_are_those_of_autograd(
    configuration: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every parameter, in the loss that is differentiated twice."""
    trainer = Trainer(Recipe(configuration, batch=2, size=32), crops())
    torch.nn.init.normal_(trainer.model.lambda_phi.out.weight, std=1e-3)
    found = []
    for by_hand in (True, False):
        if not by_hand:
            monkeypatch.setattr("lib.statistics.unet.at_rest", lambda *_: False)
            monkeypatch.setattr("lib.statistics.periodic.by_hand", lambda _: False)
            monkeypatch.setattr("lib.statistics.waves.by_hand", lambda _: False)
        trainer.gradients(deep_loss)
        found.append({name: p.grad for name, p in trainer.model.named_parameters()})
    for name, plain in found[1].items():
        assert (found[0][name] is None) == (plain is None), name
        if plain is not None:
            torch.testing.assert_close(found[0][name], plain, rtol=1e-3, atol=1e-4 * plain.abs().max().item(), msg=name)


def test_a_gradient_that_is_missing_is_wrong() -> None:
    trainer = Trainer(RECIPE, crops())
    left_out = trainer.model.statistics.unet.stem.bias

    def partial(*inputs: Any) -> torch.Tensor:
        left_out.requires_grad_(False)
        loss = deep_loss(*inputs)
        left_out.requires_grad_(True)
        return loss

    assert gradient_cosine(trainer, partial) == 0


@pytest.mark.parametrize("wrong", [lambda lam: lam.flip(1), lambda lam: lam * torch.nan], ids=["other", "no number"])
def test_wrong_compiled_gradients_stop_the_training(
    wrong: Callable[[torch.Tensor], torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def miscompile(function: Callable[..., Any], **_: Any) -> Callable[..., Any]:
        if function is not deep_loss:
            return function
        return lambda model, y, lam, target, weights: function(model, y, wrong(lam), target, weights)

    monkeypatch.setattr(torch, "compile", miscompile)
    with pytest.raises(TextureError, match="gradients are wrong here"):
        next(Trainer(RECIPE, crops(), compiled=True).run())


def test_a_compiler_that_fails_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise AssertionError("vr must not be None\nand more")

    monkeypatch.setattr(torch, "compile", lambda function, **_: broken)
    with pytest.raises(TextureError, match="cannot compute the loss in this way") as caught:
        next(Trainer(RECIPE, crops(), compiled=True).run())
    assert "\n" not in str(caught.value)


def test_an_interrupted_check_leaves_the_weights_alone() -> None:
    """They are saved after Ctrl-C, which comes where compiling takes a quarter of an hour."""
    trainer = Trainer(RECIPE, crops())
    before = {k: v.clone() for k, v in trainer.model.state_dict().items()}

    def slow(*_: Any) -> torch.Tensor:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gradient_cosine(trainer, slow)
    for key, value in trainer.model.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_an_interruption_cuts_no_step_in_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while weights move: they, their average and the count of steps are those after the step."""
    trainer, whole = (Trainer(RECIPE, crops()) for _ in range(2))
    next(whole.run())
    moves = trainer.optimiser.step

    def interrupted(*_: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        moves()

    monkeypatch.setattr(trainer.optimiser, "step", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs do not hear Ctrl-C
    try:
        with pytest.raises(KeyboardInterrupt):
            next(trainer.run())
    finally:
        signal.signal(signal.SIGINT, before)
    assert (trainer.step, trainer.samples) == (whole.step, whole.samples) == (1, RECIPE.batch)
    for key, value in trainer.average.items():
        assert torch.equal(value, whole.average[key]), key



def test_half_precision_keeps_the_direction_of_the_gradients() -> None:
    assert gradient_cosine(Trainer(RECIPE, crops()), deep_loss_bf16) > 0.98


def test_losses_while_training_are_those_of_the_table_a_row_a_look(tmp_path: Path) -> None:
    model, patch = Trainer(RECIPE, crops()).averaged(), crops().batch(9, 1, 32)
    for step in (1, 4):
        log_losses(tmp_path / "validation.csv", model, patch, step, 2.6 * step)
    header, first, last = (line.split(",") for line in (tmp_path / "validation.csv").read_text().splitlines())
    assert header == ["step", "seconds", *(f"{sigma:g}" for sigma in SIGMAS)]
    assert (first[:2], last[:2]) == (["1", "3"], ["4", "10"])
    np.testing.assert_allclose([float(loss) for loss in last[2:]], model_losses(model, patch), rtol=1e-3)


def test_a_folder_of_photographs_is_split_by_image(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for k in range(60):
        folder = tmp_path / ("x" if k % 2 else "y")
        folder.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(folder / f"{k}.png")
    Image.fromarray(rng.integers(0, 256, (20, 40, 3), dtype=np.uint8)).save(tmp_path / "x" / "small.png")
    train, held = batches.load([tmp_path], 32)
    counts = [sum(map(len, groups.values())) for groups in (train, held)]
    assert sum(counts) == 60
    assert 0 < counts[1] < 15
    assert {name.split("/")[-1] for name in train} == {"x", "y"}
    patches = batches.validation_patches(held, 2, 32)
    assert torch.equal(patches, batches.validation_patches(held, 2, 32))
    assert patches.shape == (2, 3, 32, 32)


def test_folders_without_images_are_named(tmp_path: Path) -> None:
    with pytest.raises(TextureError, match=str(tmp_path)):
        batches.load([tmp_path], 32)
    with pytest.raises(TextureError, match="absent"):
        batches.load([tmp_path / "absent"], 32)
    with pytest.raises(TextureError, match="known are"):
        Trainer(Recipe(configuration="other"), crops())


def test_folders_of_one_name_are_both_read(tmp_path: Path) -> None:
    """Whatever the case of the files' endings; the same folder twice, and a damaged file, are named."""
    rng = np.random.default_rng(2)
    folders = [tmp_path / year / "photos" for year in ("2019", "2020")]
    for folder, ending, count in zip(folders, (".JPG", ".png"), (20, 30), strict=True):
        folder.mkdir(parents=True)
        for k in range(count):
            picture = Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
            picture.save(folder / f"{k}{ending}", "JPEG" if ending == ".JPG" else "PNG")
    train, held = batches.load(folders, 32)
    assert sum(sum(map(len, groups.values())) for groups in (train, held)) == 50
    with pytest.raises(TextureError, match="given twice"):
        batches.load([folders[0], tmp_path / "2020" / ".." / "2019" / "photos"], 32)
    whole = (folders[1] / "0.png").read_bytes()
    (folders[1] / "7.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TextureError, match=r"7\.png cannot be read"):
        batches.load(folders, 32)
