"""Pictures that the tests of the data set share: a texture, and every kind of file that is none."""

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image


def noise(height: int = 128, width: int = 128, seed: int = 0, grain: int = 3) -> np.ndarray:
    """A texture, uint8 [H,W,3]: coloured noise of a few pixels' grain, periodic."""
    rng = np.random.default_rng(seed)
    frequency = np.fft.fftfreq(height)[:, None] ** 2 + np.fft.fftfreq(width)[None] ** 2
    smooth = np.exp(-2 * (np.pi * grain / 2) ** 2 * frequency)[..., None]
    x = np.fft.ifft2(np.fft.fft2(rng.normal(size=(height, width, 3)), axes=(0, 1)) * smooth, axes=(0, 1)).real
    return (128 + 30 * x / x.std()).clip(0, 255).round().astype(np.uint8)


def encode(pixels: np.ndarray, form: str = "PNG", mode: str | None = None, **options) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, form, **options)
    return file.getvalue()


def random_picture(height: int = 150, width: int = 140, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def animated() -> bytes:
    file = io.BytesIO()
    frames = [Image.fromarray(random_picture(seed=seed)) for seed in range(2)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


BAD = {
    "no image": b"<html>404 not found</html>",
    "corrupt": encode(random_picture())[:200] + b"\0" * 50 + encode(random_picture())[250:],
    "truncated": encode(random_picture(), "JPEG")[:-3000],
    "cmyk": encode(random_picture(), "JPEG", "CMYK"),
    "animated": animated(),
    "tiny": encode(random_picture(127, 300)),
    "huge": encode(np.zeros((10001, 10001), np.uint8), compress_level=1),
    "floating point": encode(random_picture(), "TIFF", "F"),
}


def make_tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
