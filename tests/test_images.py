"""Reading, saving and checking images: exact pixels for every kind of file, one line for each error."""

import numpy as np
import pytest
import torch
from PIL import Image

from lib.errors import TextureError
from lib.images import check_image, read_image, save_image

SIDE = 40


def write(path, array):
    Image.fromarray(array).save(path)
    return path


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE + 8, 3), dtype=np.uint8)


def test_rgb_is_exact(tmp_path, rgb):
    x = read_image(write(tmp_path / "a.png", rgb))
    assert x.shape == (3, SIDE, SIDE + 8)
    assert x.dtype == torch.float32
    assert torch.equal((x * 255).round().byte(), torch.from_numpy(rgb).permute(2, 0, 1))


def test_grey_is_repeated(tmp_path, rgb):
    x = read_image(write(tmp_path / "a.png", rgb[..., 0]))
    assert x.shape[0] == 3
    assert torch.equal(x[0], x[2])


def test_sixteen_bits_use_the_whole_range(tmp_path):
    grey = np.linspace(0, 65535, SIDE * SIDE).reshape(SIDE, SIDE).astype(np.uint16)
    x = read_image(write(tmp_path / "a.png", grey))
    assert torch.allclose(x[1], torch.from_numpy(grey.astype(np.float32) / 65535), atol=1e-6)


def test_transparency_is_laid_over_white(tmp_path):
    rgba = np.zeros((SIDE, SIDE, 4), np.uint8)
    rgba[..., 0] = 200
    rgba[:20, :, 3] = 255
    rgba[20:, :, 3] = 51  # a fifth
    x = read_image(write(tmp_path / "a.png", rgba))
    assert torch.allclose(x[:, 0, 0], torch.tensor([200 / 255, 0, 0]), atol=1e-6)
    assert torch.allclose(x[:, -1, 0], torch.tensor([0.2 * 200 / 255 + 0.8, 0.8, 0.8]), atol=1e-6)


def test_palette_is_looked_up(tmp_path):
    image = Image.new("P", (SIDE, SIDE), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.save(tmp_path / "a.png")
    assert torch.allclose(read_image(tmp_path / "a.png")[:, 5, 5] * 255, torch.tensor([10.0, 20.0, 30.0]))


def test_cmyk_becomes_rgb(tmp_path):
    Image.new("CMYK", (SIDE, SIDE), (0, 255, 255, 0)).save(tmp_path / "a.tif")
    assert torch.allclose(read_image(tmp_path / "a.tif")[:, 0, 0], torch.tensor([1.0, 0.0, 0.0]))


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("L", (SIDE, SIDE), v) for v in (0, 255)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "a.gif").max() == 0


def test_the_camera_s_orientation_is_applied(tmp_path, rgb):
    image = Image.fromarray(rgb)
    exif = image.getexif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    image.save(tmp_path / "a.png", exif=exif)
    upright = np.rot90(rgb, k=-1).copy()
    x = read_image(tmp_path / "a.png")
    assert torch.equal((x * 255).round().byte(), torch.from_numpy(upright).permute(2, 0, 1))


def test_what_is_saved_is_read_back(tmp_path, rgb):
    x = torch.from_numpy(rgb).permute(2, 0, 1).float() / 255
    for given in (x, x[None]):
        assert torch.allclose(read_image(save_image(given, tmp_path / "deep" / "b.png")), x, atol=1e-6)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["b.png"]


def test_saving_clips(tmp_path):
    x = torch.full((3, SIDE, SIDE), 1.7)
    x[:, :20] = -0.3
    back = read_image(save_image(x, tmp_path / "b.png"))
    assert back[:, :20].max() == 0
    assert back[:, 20:].min() == 1


def test_a_failed_save_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch):
    old = save_image(torch.zeros(3, SIDE, SIDE), tmp_path / "b.png").read_bytes()

    def full(*_args, **_options):
        raise OSError("no space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="space"):
        save_image(torch.ones(3, SIDE, SIDE), tmp_path / "b.png")
    assert (tmp_path / "b.png").read_bytes() == old
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.zeros(2, 3, SIDE, SIDE), r"one \[3"),
        (torch.zeros(SIDE, SIDE), "shape"),
        (torch.full((3, SIDE, SIDE), torch.nan), "not finite"),
        ("picture", "str"),
    ],
)
def test_save_refuses(tmp_path, x, words):
    with pytest.raises(TextureError, match=words):
        save_image(x, tmp_path / "b.png")
    assert not list(tmp_path.iterdir())


def test_save_needs_a_format(tmp_path):
    with pytest.raises(TextureError, match=r"\.png or \.jpg"):
        save_image(torch.zeros(3, SIDE, SIDE), tmp_path / "b.texture")


def test_read_refuses_in_one_line_naming_the_file(tmp_path, rgb):
    whole = write(tmp_path / "whole.jpg", rgb).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "words.png").write_text("not a picture")
    (tmp_path / "empty.png").write_bytes(b"")
    write(tmp_path / "small.png", rgb[:31])
    cases = {
        "none.png": "does not exist",
        "": "is a folder",
        "cut.jpg": "damaged",
        "words.png": "not an image",
        "empty.png": "not an image",
        "small.png": "at least 32",
    }
    for name, words in cases.items():
        with pytest.raises(TextureError, match=words) as caught:
            read_image(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert str(tmp_path / name) in str(caught.value)


def test_read_refuses_an_enormous_file_before_decoding_it(tmp_path, rgb, monkeypatch):
    monkeypatch.setattr("lib.images.LARGEST", 1000)
    with pytest.raises(TextureError, match="crop it"):
        read_image(write(tmp_path / "a.png", rgb))


def test_read_calls_a_bomb_enormous_and_not_damaged(tmp_path, rgb, monkeypatch, recwarn):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(TextureError, match="larger than 100,000,000 pixels in all; crop it"):
        read_image(write(tmp_path / "a.png", rgb))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", rgb.shape[0] * rgb.shape[1] * 2 // 3)
    read_image(tmp_path / "a.png")
    assert not recwarn.list



def test_check_gives_one_image_in_a_batch():
    x = torch.rand(3, SIDE, SIDE, dtype=torch.float64)
    for given in (x, x[None], x.half()):
        y = check_image(given)
        assert y.shape == (1, 3, SIDE, SIDE)
        assert y.dtype == torch.float32


def test_check_forgives_rounding_and_no_more():
    assert check_image(torch.full((3, SIDE, SIDE), 1 + 5e-7)).max() == 1
    with pytest.raises(TextureError, match=r"\[0, 1\]"):
        check_image(torch.full((3, SIDE, SIDE), 1.01))


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros((3, SIDE, SIDE)), "ndarray"),
        (torch.zeros(2, 3, SIDE, SIDE), "a batch"),
        (torch.zeros(1, SIDE, SIDE, 3), "colours last"),
        (torch.zeros(1, SIDE, SIDE), "three channels"),
        (torch.zeros(3, SIDE, SIDE, dtype=torch.uint8), "uint8"),
        (torch.zeros(3, 31, SIDE), "40x31"),
        (torch.full((3, SIDE, SIDE), torch.inf), "not finite"),
        (torch.rand(3, SIDE, SIDE) * 255, "divide it by 255"),
        (torch.rand(3, SIDE, SIDE) * 2 - 1, r"\(x \+ 1\) / 2"),
        (torch.randn(3, SIDE, SIDE) * 9, "clamp or rescale"),
    ],
)
def test_check_says_what_is_wrong(x, words):
    with pytest.raises(TextureError, match=words) as caught:
        check_image(x, "the exemplar")
    assert str(caught.value).startswith("the exemplar")
    assert "\n" not in str(caught.value)
