"""Checkpoints come back as they were written, and whatever is not one is refused in a line."""

import hashlib
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import lib
from lib.errors import TextureError
from lib.model import CHECKPOINTS, Model
from lib.training import checkpoint


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Model]:
    torch.manual_seed(0)
    model = Model()
    torch.nn.init.normal_(model.lambda_phi.out.weight, std=0.1)
    path = tmp_path_factory.mktemp("run") / "mine.safetensors"
    return checkpoint.save(model, path, "# A card\n", {"steps": 7}), model


def test_what_is_loaded_is_what_was_saved(saved: tuple[Path, Model]) -> None:
    path, model = saved
    loaded = lib.load(str(path))
    assert loaded.name == "mine"
    assert loaded.card.startswith("# A card\n")
    assert loaded.dim == 512
    assert checkpoint.recipe(path) == {"steps": 7}
    x = torch.rand(1, 3, 48, 40, generator=torch.Generator().manual_seed(0))
    for ours, theirs in (
        (loaded.statistics(x), model.statistics(x)),
        (loaded.multipliers(x, 0.1), model.multipliers(x, 0.1)),
    ):
        assert torch.allclose(ours, theirs, rtol=2e-2, atol=2e-3 * theirs.abs().max().item())  # float16 on disk
    assert not any(p.requires_grad for p in loaded.parameters())


@pytest.mark.parametrize("shipped", ["", "small", "waves", "default"])
def test_the_card_names_the_file_it_belongs_to(saved: tuple[Path, Model], shipped: str) -> None:
    path = CHECKPOINTS / f"{shipped}.safetensors" if shipped else saved[0]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert f"sha256 of `{path.name}`: `{digest}`\n" in path.with_suffix(".md").read_text()


@pytest.mark.parametrize("name", ["small", "waves", "default"])
def test_readme_and_card_tell_what_the_file_says(name: str) -> None:
    told = checkpoint.recipe(name)
    losses = [f"{loss:.4f}" for loss in told["losses"]["model"]]
    card = (CHECKPOINTS / f"{name}.md").read_text()
    assert f"| model | {' | '.join(losses)} |" in card
    line = next(line for line in Path("README.md").read_text().splitlines() if line.startswith(f'| `"{name}"` '))
    cells = [cell.strip() for cell in line.split("|")]
    assert cells[4:10] == [loss.lstrip("0") for loss in losses[:6]]
    sittings = (told, told.get("before", {}))
    assert cells[2] == f"{sum(sitting.get('seconds', 0) for sitting in sittings) / 60:.0f} min"
    assert f"{told['trained_steps']:,} steps" in card


def test_loading_leaves_the_random_generator_alone(saved: tuple[Path, Model]) -> None:
    torch.manual_seed(3)
    lib.load(str(saved[0]))
    after = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(after, torch.rand(1))


def _broken(path: Path, kind: str, source: Path) -> Path:
    if kind == "truncated":
        path.write_bytes(source.read_bytes()[:100_000])
    elif kind == "noise":
        path.write_bytes(b"\x00" * 5000)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"weights": 1}))
    elif kind == "foreign":
        save_file({"w": torch.zeros(3)}, path)
    elif kind == "tampered":
        raw = bytearray(source.read_bytes())
        raw[-5000] ^= 255
        path.write_bytes(raw)
    elif kind == "stripped":
        save_file(load_file(source), path, metadata={"format": checkpoint.FORMAT})
    return path


@pytest.mark.parametrize("kind", ["truncated", "noise", "pickle", "foreign", "tampered", "stripped", "missing"])
def test_what_is_not_a_checkpoint_is_refused(tmp_path: Path, saved: tuple[Path, Model], kind: str) -> None:
    path = _broken(tmp_path / f"{kind}.safetensors", kind, saved[0])
    reads = [lib.load, checkpoint.recipe] if kind not in ("tampered", "stripped") else [lib.load]
    for read in reads:
        with pytest.raises(TextureError, match=kind) as caught:
            read(str(path))
        assert "\n" not in str(caught.value)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(TextureError, match="shipped are"):
        lib.load("enormous")


def test_an_interrupted_save_leaves_the_old_file(
    tmp_path: Path, saved: tuple[Path, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kept.safetensors"
    checkpoint.save(saved[1], path, "first", {})
    before = path.read_bytes()

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save_file", stop)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(saved[1], path, "second", {})
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kept.md", "kept.safetensors"]
