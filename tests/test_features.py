"""Features by name: the trunk's wiring against torch-fidelity's network, and FID through it end to end."""

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import Dataset

from lib.errors import TextureError
from lib.evaluation.features import VARIABLE, load_features
from lib.evaluation.fidelity import fidelity
from lib.evaluation.frechet import frechet
from lib.evaluation.inception import DEPTHS, Trunk
from lib.evaluation.protocol import Protocol

NETWORK = "torch_fidelity.feature_extractor_inceptionv3"
STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
A = ("branch1x1", "branch5x5_1", "branch5x5_2", *(f"branch3x3dbl_{i}" for i in (1, 2, 3)), "branch_pool")
B = ("branch3x3", *(f"branch3x3dbl_{i}" for i in (1, 2, 3)))
C = ("branch1x1", *(f"branch7x7_{i}" for i in (1, 2, 3)), *(f"branch7x7dbl_{i}" for i in range(1, 6)), "branch_pool")
ORDER = [
    *STEM,
    *(f"{block}.{branch}" for block in ("Mixed_5b", "Mixed_5c", "Mixed_5d") for branch in A),
    *(f"Mixed_6a.{branch}" for branch in B),
    *(f"{block}.{branch}" for block in ("Mixed_6b", "Mixed_6c") for branch in C),
]


class Pictures(Dataset):
    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> Tensor:
        return self.images[i]


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return fidelity(NETWORK)


@pytest.fixture(scope="module")
def network(module: ModuleType) -> Any:
    """FID's architecture with random weights."""
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *a, **k: {})
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda *a, **k: None)
        found = module.FeatureExtractorInceptionV3("random", ["2048"])
    for layer in found.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(layer.bias, 0, 0.1)
            torch.nn.init.uniform_(layer.running_var, 0.5, 2)
    return found


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    """uint8 [12,3,40,40] of noise, more and more smooth."""
    z = torch.rand(12, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    return torch.cat([(255 * torch.nn.functional.avg_pool2d(z[i : i + 1], 2 * i + 1, 1, i)) for i in range(12)]).byte()


def folded(network: Any) -> dict[str, Tensor]:
    """The trunk's tensors: convolutions in Keras' order, batch norms folded in."""
    tensors = {}
    for i, name in enumerate(ORDER, 1):
        block = network.get_submodule(name)
        gain = block.bn.weight / (block.bn.running_var + block.bn.eps).sqrt()
        tensors[f"conv{i}.weight"] = block.conv.weight * gain[:, None, None, None]
        tensors[f"conv{i}.bias"] = block.bn.bias - block.bn.running_mean * gain
    return {name: t.detach().clone().contiguous() for name, t in tensors.items()}


@torch.no_grad()
def test_the_trunk_is_the_first_half_of_an_inception(network: Any) -> None:
    x = torch.rand(1, 3, 299, 299, generator=torch.Generator().manual_seed(1))
    h, wanted = 2 * x - 1, {}
    depths = {"MaxPool_2": "pool2", "Mixed_5d": "mixed2", "Mixed_6c": "mixed5"}
    for name, layer in network.named_children():
        h = layer(h)
        if name in depths:
            wanted[depths[name]] = h.mean((2, 3))
        if name == "Mixed_6c":
            break
    trunk = Trunk.of(folded(network))
    for depth, values in wanted.items():
        assert values.std() > 0.01
        assert torch.allclose(trunk(x, depth), values, atol=1e-3 * values.abs().max().item()), depth
    assert {depth: values.shape[1] for depth, values in wanted.items()} == DEPTHS


def test_fid_of_files_is_that_of_torch_fidelity(network: Any, pictures: Tensor, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(network.state_dict(), path)
    features = load_features(path)
    assert (features.distance, features.dim) == ("FID", 2048)
    assert len(features.sha256) == 64
    found = fidelity().calculate_metrics(
        input1=Pictures(pictures[:6]), input2=Pictures(pictures[6:]), fid=True, cuda=False, verbose=False, batch_size=6,
        feature_extractor_weights_path=str(path), save_cpu_ram=True,
    )  # fmt: skip
    ours = frechet(features(pictures[:6]), features(pictures[6:]))
    assert ours == pytest.approx(found["frechet_inception_distance"], rel=1e-4)


def test_a_substitute_is_named_and_never_fid(network: Any, pictures: Tensor, tmp_path: Path) -> None:
    path = tmp_path / "trunk.safetensors"
    save_file({name: t.half() for name, t in folded(network).items()}, path)
    features = load_features(f"{path}:pool2")
    assert not features.fid
    assert "FID" not in features.distance
    assert "pool2" in features.distance
    found = features(pictures)
    assert found.shape == (12, 192)
    assert torch.allclose(features(pictures[5:6]), found[5:6], atol=1e-5)
    with pytest.raises(TextureError, match="uint8"):
        features(pictures.float())


def test_what_is_no_network_is_refused_in_a_line(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, broken = tmp_path / "other.safetensors", tmp_path / "broken.safetensors"
    save_file({"a": torch.zeros(1)}, other)
    broken.write_bytes(b"nothing")
    pickle = tmp_path / "broken.pth"
    pickle.write_bytes(b"nothing")
    said = [(other, "conv1 is missing"), (broken, "damaged"), (pickle, "could not be had"), ("nowhere", "no file")]
    for path, words in said:
        with pytest.raises(TextureError, match=words) as caught:
            load_features(path)
        assert "\n" not in str(caught.value)

    def offline(*arguments: object, **options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(module, "load_state_dict_from_url", offline)
    with pytest.raises(TextureError, match=f"no network.*{VARIABLE}"):
        load_features("fid")
    monkeypatch.setenv(VARIABLE, "elsewhere")
    with pytest.raises(TextureError, match="elsewhere"):
        load_features()


@pytest.mark.skipif(
    not Path(os.environ.get(VARIABLE, "").split(":")[0]).is_file(), reason=f"no weights: name their file in {VARIABLE}"
)
def test_trained_features_tell_texture_from_its_spectrum() -> None:
    protocol, features = Protocol(16), load_features()
    sets = protocol.reference("cloth"), protocol.crops("cloth"), protocol.samples("cloth", "gaussian")
    reference, crops, flat = (features(x) for x in sets)
    assert frechet(crops, reference) < 0.5 * frechet(flat, reference)
