"""Views: which keep noise white, and that each leads back."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import lib
from lib.samplers.step import white_noise
from lib.views import VIEWS, View, as_view, departure, disc, jigsaw, same_colours

each = pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
SIZE = (48, 70)


def averaged(x: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(x, (1,) * 4, mode="circular"), 3, 1)


def tilted(x: Tensor) -> Tensor:
    """Turned by 30 degrees, bilinear."""
    matrix = torch.tensor([[3**0.5 / 2, -0.5, 0.0], [0.5, 3**0.5 / 2, 0.0]]).expand(len(x), -1, -1)
    return F.grid_sample(x, F.affine_grid(matrix, list(x.shape), align_corners=False), align_corners=False)


REFUSED = {
    "blur": View("blur", averaged, lambda x: x),
    "half size": View("half size", lambda x: F.avg_pool2d(x, 2), lambda x: F.interpolate(x, scale_factor=2.0)),
    "30 degrees": View("30 degrees", tilted, tilted),
    "darker": View("darker", lambda x: x / 2, lambda x: x * 2),
    "grey": View("grey", lambda x: x.mean(1, keepdim=True).expand_as(x), lambda x: x),
}


@each
def test_admissible_views_are_orthogonal_and_lead_back(view: View) -> None:
    x = torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    assert departure(view, *SIZE) < 1e-6
    assert torch.allclose(view.picture(view(x)), x, atol=1e-6)
    assert torch.allclose(view(view.picture(x.mT)), x.mT, atol=1e-6)
    assert view(x).sort().values.min() >= 0  # a picture is seen as a picture
    assert view(x).max() <= 1


@each
def test_noise_stays_white_noise(view: View) -> None:
    """Variance one and no correlation with neighbours, channels, or the same pixel of another colour."""
    seen = view.see(white_noise(200, 40, 40, 3))
    assert seen.var().item() == pytest.approx(1, abs=0.01)
    for other in (seen.roll(1, -1), seen.roll(1, -2), seen.roll(1, 1), seen.roll((4, 4), (-2, -1))):
        assert abs((seen * other).mean().item()) < 0.01


@pytest.mark.parametrize("view", REFUSED.values(), ids=REFUSED)
def test_views_that_colour_noise_are_refused(view: View) -> None:
    assert departure(view, 48, 64) > 0.3
    with pytest.raises(lib.TextureError, match="noise would not stay white noise") as caught:
        as_view(view, 48, 64)
    assert "\n" not in str(caught.value)


def test_views_that_add_pixels_are_refused() -> None:
    """Isometries, V'V = 1, under which noise is not white: with a frame of zeros, and each pixel four times."""
    framed = View("framed", lambda x: F.pad(x, (8, 8, 8, 8)), lambda x: x[..., 8:-8, 8:-8])
    fourfold = View(
        "fourfold",
        lambda x: x.repeat_interleave(2, -1).repeat_interleave(2, -2) / 2,
        lambda x: 2 * x[..., ::2, ::2],
    )
    for view in (framed, fourfold):
        assert departure(view, 48, 64) < 1e-4
        with pytest.raises(lib.TextureError, match="noise would not stay white"):
            as_view(view, 48, 64)



def test_departure_is_the_norm_of_what_is_missing() -> None:
    """For a map that scales by c, V'V - 1 = c^2 - 1."""
    for c in (0.5, 1.0, 2.0):
        view = View("scaled", lambda x, c=c: c * x, lambda x, c=c: x / c)
        assert departure(view, 64, 64) == pytest.approx(abs(c**2 - 1), rel=0.02)


def test_a_view_must_lead_back() -> None:
    with pytest.raises(lib.TextureError, match="does not lead back"):
        as_view(View("one way", lambda x: -x, lambda x: x), 48, 64)
    with pytest.raises(lib.TextureError, match="no view 'sideways'; known are upright"):
        as_view("sideways", 48, 64)
    with pytest.raises(lib.TextureError, match="not a int"):
        as_view(90, 48, 64)  # type: ignore[arg-type]


def test_what_the_views_do() -> None:
    x = torch.rand(1, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(VIEWS["negative"](x), 1 - x)
    assert torch.equal(VIEWS["turned"].see(x), torch.rot90(x, 1, (-2, -1)))
    assert torch.equal(VIEWS["mirrored"].see(x), x.flip(-1))
    pieces, moved = (
        {tuple(i[0, :, a : a + 8, b : b + 8].flatten().tolist()) for a in range(0, 40, 8) for b in range(0, 56, 8)}
        for i in (x, jigsaw(8).see(x))
    )
    assert pieces == moved
    assert not torch.equal(jigsaw(8).see(x), x)
    corner = jigsaw(16).see(x)
    assert torch.equal(corner[..., 32:, :], x[..., 32:, :])  # what fills no piece stays
    assert not torch.equal(corner, x)
    apart = (disc(1, 0.4).see(x) != x).any(1)[0]
    r = (torch.arange(40) - 19.5)[:, None] ** 2 + (torch.arange(56) - 27.5) ** 2
    assert not apart[r >= 16**2].any()
    assert apart[r < 16**2].float().mean() > 0.99


def test_textures_are_brought_to_the_same_colours() -> None:
    pale = [0.5 + 0.4 * (lib.exemplar(name)[:, :64, :80] - 0.5) for name in ("grass", "pebble", "cloth")]
    found = same_colours(pale)
    means, covariances = ([of(x.flatten(1)) for x in found] for of in (lambda u: u.mean(1), torch.cov))
    for m, c in zip(means, covariances, strict=True):
        assert torch.allclose(m, torch.stack([x.mean((1, 2)) for x in pale]).mean(0), atol=1e-3)
        assert torch.allclose(c, torch.stack([torch.cov(x.flatten(1)) for x in pale]).mean(0), atol=2e-4)
    again = same_colours(found)
    assert torch.allclose(again[0], found[0], atol=5e-3)  # nothing is left to do
    assert torch.allclose(same_colours([pale[0]])[0], pale[0], atol=1e-5)
