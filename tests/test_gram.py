"""Gram matrices: the published count, by hand, and what a spatial average may not depend on."""

import pytest
import torch
from recognisers import random_backbone
from torch import Tensor

from lib.statistics.gram import Gram, gram, upper


@pytest.fixture(scope="module")
def f() -> Gram:
    return Gram(random_backbone())


def noise(n: int = 1, height: int = 32, width: int = 48) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_vgg_has_176_640_statistics() -> None:
    """64, 64, 128, 256 and 512 maps; Gatys et al. 2015 speak of 177k parameters."""
    f = Gram(random_backbone("vgg19"))
    assert f.dim == 2080 + 2080 + 8256 + 32896 + 131328 == 176_640
    assert f.layers == ("conv1_1", "pool1", "pool2", "pool3", "pool4")
    assert f(noise()).shape == (1, 176_640)
    assert f.name == "Gram matrices of VGG-19"


def test_by_hand() -> None:
    h = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[0.0, 1.0], [0.0, 2.0]]])[None]
    g = gram(h)
    assert g.tolist() == [[[(1 + 4 + 9 + 16) / 4, (2 + 8) / 4], [(2 + 8) / 4, (1 + 4) / 4]]]
    assert upper(g).tolist() == [[7.5, 2.5, 1.25]]


def test_entries_are_the_matrices(f: Gram) -> None:
    x = noise(2)
    first = f.matrices(x)[0]
    assert torch.equal(first, first.transpose(1, 2))
    assert f(x).shape == (2, f.dim)
    torch.testing.assert_close(f(x)[:, :96], first[:, 0])
    assert (torch.linalg.eigvalsh(first) > -1e-3 * first.norm()).all()


def test_shifts_do_not_matter(f: Gram) -> None:
    x = noise()
    torch.testing.assert_close(f(x.roll((8, 16), (2, 3))), f(x), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(f(x.flip(2)), f(x), rtol=1e-2)


def test_the_size_of_a_tiled_image_does_not_matter(f: Gram) -> None:
    x = noise()
    torch.testing.assert_close(f(x.repeat(1, 1, 3, 2)), f(x), rtol=1e-4, atol=1e-4)


def test_images_do_not_see_each_other(f: Gram) -> None:
    x = noise(3)
    torch.testing.assert_close(f(x)[1:2], f(x[1:2]), rtol=1e-4, atol=1e-4)


def test_layers_may_be_chosen() -> None:
    network = random_backbone()
    assert Gram(network, ["fire4", "conv1"]).dim == 256 * 257 // 2 + 96 * 97 // 2


def test_it_is_differentiable() -> None:
    f, x = Gram(random_backbone(), ["conv1"]), noise().requires_grad_()
    (gradient,) = torch.autograd.grad(f(x).sum(), x)
    e = torch.zeros_like(x)
    e[0, 1, 5, 6] = 1e-2
    with torch.no_grad():
        slope = (f(x + e).double().sum() - f(x - e).double().sum()) / 2e-2
    assert gradient[0, 1, 5, 6].item() == pytest.approx(slope.item(), rel=0.05)
