"""A U-Net measured against the whole picture: means, variances, sizes and shifts, exact."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib.statistics.periodic import doubled
from lib.statistics.unet import GROUP, Block, GroupedUNet, Normalise, along, normalised

H = 3 + 50 * torch.randn(2, 32, 17, 24, generator=torch.Generator().manual_seed(0))


def test_channels_lose_their_own_means_and_groups_have_variance_one() -> None:
    """A mean that stayed would turn what is read into something linear (see the head of unet.py)."""
    h = H + torch.arange(32.0)[:, None, None] * 100
    out = normalised(h)
    assert out.mean((2, 3)).abs().max() < 1e-4
    variance = out.unflatten(1, (-1, GROUP)).square().mean((2, 3, 4))
    torch.testing.assert_close(variance, torch.ones(2, 2), rtol=1e-4, atol=0)


def test_channels_of_a_group_keep_their_sizes_to_each_other() -> None:
    h = H.clone()
    h[:, 0] *= 4
    sizes = [normalised(x).square().mean((2, 3)).sqrt()[:, 0] / normalised(x).square().mean((2, 3)).sqrt()[:, 1]
             for x in (H, h)]  # fmt: skip
    torch.testing.assert_close(sizes[1], 4 * sizes[0])


def test_at_rest_and_in_training_it_is_the_same() -> None:
    """By hand where the weights are fixed, by autograd where they are not: the same features, the same gradient."""
    torch.manual_seed(0)
    norm, h = Normalise(32), H.clone().requires_grad_()
    nn.init.normal_(norm.scale), nn.init.normal_(norm.offset)
    wanted = torch.randn(H.shape)
    found = []
    for trained in (True, False):
        out = norm.requires_grad_(trained)(h)
        found.append((out.detach(), *torch.autograd.grad((out * wanted).sum(), h)))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)


def test_the_gradient_by_hand_can_be_differentiated() -> None:
    """gradgradcheck wants double precision, in which the ordinary way is taken: so the two are compared."""
    norm = Normalise(32).requires_grad_(False)
    h, direction = H[:1, :, :8, :8].clone().requires_grad_(), torch.randn(1, 32, 8, 8)
    second = []
    for x in (h, h.detach().double().requires_grad_()):
        (first,) = torch.autograd.grad(torch.tanh(norm.to(x.dtype)(x)).sum(), x, create_graph=True)
        second.append(torch.autograd.grad((first * direction.to(x.dtype)).sum(), x)[0].double())
    scale = second[1].abs().max()
    torch.testing.assert_close(second[0] / scale, second[1] / scale, rtol=0, atol=1e-4)


def test_nothing_stays_nothing() -> None:
    assert torch.equal(normalised(torch.full((1, 16, 8, 8), 7.0)), torch.zeros(1, 16, 8, 8))


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (40, 36)])
def test_every_scale_is_half_of_the_finer_one(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    net = GroupedUNet((16, 32, 48), (1, 1, 2)).requires_grad_(False)
    found = net(torch.randn(1, 6, *size))
    height, width = size
    for channels, h in zip((16, 32, 48), found, strict=True):
        height, width = (height + 1) // 2, (width + 1) // 2
        assert h.shape == (1, channels, height, width)
        assert h.mean((2, 3)).abs().max() < 1e-4
        assert h.square().mean().item() == pytest.approx(1, abs=0.01)


def test_shifts_by_the_coarsest_pixel_shift_what_is_seen() -> None:
    torch.manual_seed(0)
    net = GroupedUNet((16, 32), (1, 1)).requires_grad_(False)
    y = torch.randn(1, 6, 32, 32)
    for s, (a, b) in enumerate(zip(net(y), net(y.roll((4, 8), (2, 3))), strict=True), 1):
        torch.testing.assert_close(a.roll((4 >> s, 8 >> s), (2, 3)), b, rtol=1e-3, atol=1e-4)


def test_a_dilated_block_does_to_every_second_pixel_what_an_ordinary_one_does_to_each() -> None:
    near, far = Block(32).requires_grad_(False), Block(32, 2).requires_grad_(False)
    far.load_state_dict(near.state_dict())
    torch.testing.assert_close(far(doubled(H)), doubled(near(H)), rtol=1e-4, atol=1e-3)


def test_dilations_are_those_of_the_first_blocks_of_a_scale() -> None:
    net = GroupedUNet((16, 32), (3, 2), (1, 2))
    found = [[block.convolutions[k].dilation for block in level for k in range(2)] for level in net.encoder]
    assert found == [[(1, 1)] * 2 + [(2, 2)] * 2 + [(1, 1)] * 2, [(1, 1)] * 2 + [(2, 2)] * 2]
    assert all(conv.dilation == (1, 1) for conv in net.decoder[0].convolutions)


def test_read_early_it_shows_what_each_block_is_given() -> None:
    torch.manual_seed(0)
    net, y = GroupedUNet((16,), (3,), (1, 2), early=True).requires_grad_(False), torch.randn(1, 6, 32, 48)
    given = list[torch.Tensor]()
    for block in net.encoder[0]:
        block.register_forward_pre_hook(lambda _, arguments: given.append(normalised(arguments[0])))
    *early, last = net(y)
    assert len(early) == len(given) == 3
    assert all(torch.equal(a, b) for a, b in zip(early, given, strict=True))
    net.early = False
    (alone,) = net(y)
    assert torch.equal(last, alone)


def test_reading_is_along_unit_vectors() -> None:
    read = nn.Conv2d(32, 5, 1, bias=False).requires_grad_(False)
    unit = F.normalize(read.weight[:, :, 0, 0], dim=1)
    torch.testing.assert_close(along(H, read), torch.einsum("nc,bchw->bnhw", unit, H), rtol=1e-4, atol=1e-3)
    read.weight.mul_(7)
    torch.testing.assert_close(along(H, read), torch.einsum("nc,bchw->bnhw", unit, H), rtol=1e-4, atol=1e-3)
