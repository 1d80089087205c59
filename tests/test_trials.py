"""Trials: each differs from the base as it says and leaves nothing behind; their table goes on where it was."""

from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import pytest
import torch
from PIL import Image
from typer import Typer
from typer.testing import CliRunner

from lib.errors import TextureError
from lib.model import Model
from lib.statistics.architecture import PAPER, Architecture
from lib.training import batches, loop, trials
from lib.training.checkpoint import save_state
from lib.training.loop import Trainer
from lib.training.ordinary import OrdinaryDenoiser
from lib.training.trials import BASE, KNOWN, ORDINARY, TEACHER, TRIALS, Trial, replaced


def groups() -> batches.Groups:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (100, 104, 3), dtype=np.uint8) for _ in range(5)]
    return {"a": images[:2], "b": images[2:]}


@pytest.mark.parametrize("name", TRIALS)
def test_a_trial_trains_and_leaves_nothing_behind(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_state(tmp_path / TEACHER, OrdinaryDenoiser().state_dict())
    monkeypatch.setattr(Trainer, "_precondition", lambda self: None)
    monkeypatch.setattr(trials, "RULER", loop.Recipe("trial", steps=4, warm=0, grow=2, batch=2, size=32))
    trial, known = TRIALS[name], dict(loop.ARCHITECTURES)
    before = {place: resolve_name(place) for place in trial.constants}
    with replaced(trial, tmp_path) as recipe:
        for place, value in trial.constants.items():
            assert resolve_name(place) is value
            assert value != before[place]
        small = {key: value for key, value in trial.recipe.items() if key not in ("warm", "grow")}
        for key, value in small.items():
            assert getattr(recipe, key) == value != getattr(trials.RULER, key)
        if trial.constants or trial.architecture or trial.taught:
            trainer = Trainer(recipe, batches.Crops(groups()))
            (record,) = trainer.run(until=1)
            assert np.isfinite(record.loss)
            assert trainer.model.dim == (322 if name == "three-octaves" else 512)
    assert {place: resolve_name(place) for place in trial.constants} == before
    assert known == loop.ARCHITECTURES
    others = [trial.start is PAPER, trial.photographs is not dict, trial.taught]
    assert any([trial.recipe, trial.architecture, trial.constants, *others]) == (name != BASE)


def test_linear_read_outs_of_all_scales_are_as_many() -> None:
    architecture = Architecture(waves=False, everywhere=True)
    assert architecture.readouts == (102, 102, 102, 103, 103)
    f = Model(architecture).statistics
    shapes = [tuple(phi.shape) for phi in f.densities(torch.rand(2, 3, 64, 64))]
    assert shapes == [(2, n, 64 // 2**s, 64 // 2**s) for s, n in enumerate(architecture.readouts)]
    assert f(torch.rand(2, 3, 64, 64)).shape == (2, 512)


def test_homogeneous_statistics_are_of_degree_two_nearly() -> None:
    f, y = Model(PAPER).statistics, torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    (once,), (twice,) = (trials.homogeneous(f, 0.5 + k * y) for k in (0.2, 0.4))
    assert once.shape == (1, 512, 32, 32)
    assert 3 < (twice.square().mean() / once.square().mean()).sqrt().item() < 5
    assert trials.homogeneous(f, torch.full((1, 3, 32, 32), 0.5))[0].abs().max() == 0


def test_muon_has_the_matrices_and_nothing_is_left_out() -> None:
    layer = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Linear(4, 5))
    given = [{"params": list(layer.parameters()), "share": 0.5}]
    optimiser = trials.muon(given, 0.1, betas=(0.9, 0.99), weight_decay=0.0)
    held = list(layer.parameters())
    assert [p for own in optimiser.turned for p in own] == [p for p in held if p.dim() == 2]
    assert sum(len(group["params"]) for group in optimiser.param_groups) == len(held)
    before = [p.detach().clone() for p in held]
    for group in optimiser.param_groups:
        assert group["share"] == 0.5
        group["lr"] = 0.0
    layer[1](layer[0](torch.rand(1, 3, 6, 6)).mean((2, 3))).sum().backward()
    optimiser.step()
    assert all(torch.equal(a, b) for a, b in zip(before, held, strict=True))  # the rate that the trainer sets is theirs
    for group in optimiser.param_groups:
        group["lr"] = 0.1
    optimiser.step()
    assert not any(torch.equal(a, b) for a, b in zip(before, held, strict=True))


def test_fewer_photographs() -> None:
    assert {name: len(images) for name, images in trials.halved(groups()).items()} == {"a": 1, "b": 2}
    assert list(trials.largest(groups())) == ["b"]


def test_what_comes_with_the_library_has_each_trial_once_and_a_base_for_each_sitting() -> None:
    tables = [[row.name for row in sitting] for sitting in trials.sittings()]
    assert all(names[0] == BASE for names in tables)
    assert sorted(name for names in tables for name in names[1:]) == sorted(name for name in KNOWN if name != BASE)


def test_the_table_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "photographs").mkdir()
    for i in range(40):
        pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photographs" / f"{i}.png")
    monkeypatch.setattr(Trainer, "_precondition", lambda self: None)
    monkeypatch.setattr(trials, "RULER", loop.Recipe("trial", steps=4, warm=4, grow=4, batch=1, size=26))
    monkeypatch.setattr(trials, "model_losses", lambda model, patches: [float(len(patches))])
    short = {BASE: Trial("the base"), "other": Trial("half", {"rate": 1e-3})}
    monkeypatch.setattr(trials, "TRIALS", short)
    monkeypatch.setattr(trials, "KNOWN", tuple(short))
    app = Typer()
    app.command()(trials.trials)
    given = [str(tmp_path / "out"), "--data", str(tmp_path / "photographs"), "--minutes", "0.01"]
    first = CliRunner().invoke(app, [*given, "--only", BASE])
    assert first.exit_code == 0, first.output
    (row,) = trials.read(tmp_path / "out")
    assert (row.name, row.steps > 0, row.statistics) == (BASE, True, 512)
    assert CliRunner().invoke(app, given).exit_code == 0
    again, other = trials.read(tmp_path / "out")
    assert again == row
    assert other.name == "other"
    with pytest.raises(TextureError, match="no trial 'nothing'"):
        trials.trials(tmp_path, [tmp_path], 1.0, ["nothing"])


def test_what_is_taught_needs_its_teacher(tmp_path: Path) -> None:
    with pytest.raises(TextureError, match=f"{TEACHER} is not there yet; run the trial '{ORDINARY}'"):
        trials.teacher(tmp_path)
