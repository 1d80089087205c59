"""Images: reading, checking and saving them, and the nine exemplars that come with the code.

One convention holds everywhere: float32, three colour channels, pixels in [0, 1] as the file stores them
(sRGB, not linear light), which is also what the paper trains on.
"""

import os
import warnings
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps, UnidentifiedImageError

from lib.errors import TextureError
from lib.whole import write_whole

EXEMPLARS = ("grass", "pebble", "star", "cloth", "rug", "flower", "marble", "rubber", "glitter")
SMALLEST = 32  # pixels on the short side: five halvings, the depth of the encoder
LARGEST = 100_000_000  # pixels in all: above it a file is more likely broken than meant
ENDINGS = (".jpg", ".jpeg", ".png")  # of the files that are taken from a folder
TEXTURE_SIDE = 512  # pixels on the short side: the scale of the exemplars; statistics reach some 50 pixels
_FOLDER = Path(__file__).parent / "exemplars"


def read_image(path: str | os.PathLike[str]) -> torch.Tensor:
    """The picture in a file, float32 [3, H, W], pixels in [0, 1].

    Whatever the file holds becomes RGB by fixed rules: grey is repeated over the channels; 16-bit grey is
    divided by 65535; a palette is looked up; CMYK is converted; transparency is laid over white; of an
    animation the first frame is taken; the camera's orientation (EXIF) is applied. Colour profiles are not.

    Raises TextureError when the file is missing, is a folder, is no image, is damaged, is enormous, or has
    fewer than 32 pixels on a side.
    """
    path = Path(path)
    if path.is_dir():
        raise TextureError(f"{path} is a folder; give the path of one image in it.")
    if not path.exists():
        raise TextureError(f"{path} does not exist; check the path.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata do not concern the pixels
            with Image.open(path) as image:
                width, height = image.size
                if width * height > LARGEST:
                    raise TextureError(f"{path} is {width}x{height} pixels; crop it to {LARGEST:,} in all.")
                if min(width, height) < SMALLEST:
                    raise TextureError(
                        f"{path} is {width}x{height} pixels; a texture needs at least {SMALLEST} on each side."
                    )
                image.seek(0)
                pixels = _rgb(ImageOps.exif_transpose(image))
    except TextureError:
        raise
    except Image.DecompressionBombError:
        raise TextureError(f"{path} is larger than {LARGEST:,} pixels in all; crop it.") from None
    except UnidentifiedImageError:
        raise TextureError(f"{path} is not an image that can be read; convert it to PNG or JPEG.") from None
    except PermissionError:
        raise TextureError(f"{path} may not be read; check its permissions.") from None
    except Exception as error:  # a damaged file raises OSError, ValueError, SyntaxError, struct.error, ...
        raise TextureError(f"{path} is damaged ({error}); save it again, as PNG or JPEG.") from None
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def image_files(folder: Path, below: bool = True) -> list[Path]:
    """The JPEG and PNG files of a folder, and `below` it, sorted by path; not those that begin with a dot."""
    found = folder.rglob("*") if below else folder.glob("*")
    return sorted(p for p in found if p.suffix.lower() in ENDINGS and not p.name.startswith("."))


def _rgb(image: Image.Image) -> np.ndarray:
    """Pixels of any Pillow image, float32 [H, W, 3] in [0, 1]."""
    if image.mode.startswith("I") or image.mode == "F":
        grey = np.asarray(image, dtype=np.float32)
        if image.mode == "F":
            # A floating-point file names no range: [0, 1] is taken as it stands, anything else is refused.
            if not np.isfinite(grey).all() or grey.min() < 0 or grey.max() > 1:
                raise ValueError("floating-point pixels outside [0, 1]")
        else:
            grey = np.clip(grey / 65535, 0, 1)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        rgba = np.asarray(image.convert("RGBA"), dtype=np.float32) / 255
        alpha = rgba[:, :, 3:]
        return rgba[:, :, :3] * alpha + (1 - alpha)
    return np.asarray(image.convert("RGB"), dtype=np.float32) / 255


def save_image(x: torch.Tensor, path: str | os.PathLike[str]) -> Path:
    """Write an image [3, H, W] or [1, 3, H, W] to a file whose name says the format (.png, .jpg, ...).

    Pixels are clipped to [0, 1] and rounded to 8 bits. The file appears whole or not at all. Returns its
    path. Raises TextureError for another shape, pixels that are not finite, or a name without a known ending.
    """
    path = Path(path)
    if not isinstance(x, torch.Tensor):
        raise TextureError(f"{path}: the image is a {type(x).__name__}; give a torch tensor [3, H, W].")
    if x.ndim == 4 and len(x) == 1:
        x = x[0]
    if x.ndim != 3 or x.shape[0] != 3:
        raise TextureError(f"{path}: the image has shape {list(x.shape)}; save one [3, H, W] at a time.")
    x = x.detach().to("cpu", torch.float32)
    if not torch.isfinite(x).all():
        raise TextureError(f"{path}: the image has pixels that are not finite; nothing was written.")
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind is None or kind not in Image.SAVE:
        raise TextureError(f"{path} does not say an image format; end the name in .png or .jpg.")
    image = Image.fromarray((x.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy())

    def write(draft: Path) -> None:
        with draft.open("wb") as file:
            image.save(file, format=kind, **({"quality": 95} if kind == "JPEG" else {}))

    write_whole(path, write)
    return path


def check_image(x: torch.Tensor, name: str = "the image") -> torch.Tensor:
    """What a user handed in as one image, as float32 [1, 3, H, W].

    Accepts [3, H, W] or [1, 3, H, W], any floating-point type, pixels in [0, 1], at least 32 on each side.
    Raises TextureError for anything else, calling the image by `name`: one in [0, 255] or [-1, 1] is a
    mistake worth hearing of, so nothing is rescaled in silence.
    """
    if not isinstance(x, torch.Tensor):
        raise TextureError(f"{name} is a {type(x).__name__}, not a tensor; read a file with lib.read_image.")
    if x.ndim == 3:
        x = x[None]
    shape = list(x.shape)
    if x.ndim == 4 and shape[0] != 1:
        raise TextureError(f"{name} has shape {shape}: a batch; pass one image [3, H, W] at a time.")
    if x.ndim == 4 and shape[1] != 3 and shape[3] == 3:
        raise TextureError(f"{name} has shape {shape}, colours last; permute it to [3, H, W].")
    if x.ndim != 4 or shape[1] != 3:
        raise TextureError(f"{name} has shape {shape}; an image is [3, H, W], three channels even if grey.")
    if not x.is_floating_point():
        raise TextureError(f"{name} holds {str(x.dtype)[6:]} pixels; convert with x.float() / 255.")
    if min(shape[2:]) < SMALLEST:
        raise TextureError(
            f"{name} is {shape[3]}x{shape[2]} pixels; a texture needs at least {SMALLEST} on each side."
        )
    x = x.to(torch.float32)
    if not torch.isfinite(x).all():
        raise TextureError(f"{name} has pixels that are not finite (NaN or infinity); look at what made it.")
    low, high = x.min().item(), x.max().item()
    if low < -1e-6 or high > 1 + 1e-6:
        if low >= 0 and high > 2:
            remedy = "divide it by 255"
        elif low >= -1.001 and high <= 1.001:
            remedy = "use (x + 1) / 2"
        else:
            remedy = "clamp or rescale it"
        raise TextureError(f"{name} has pixels in [{low:.3g}, {high:.3g}], not in [0, 1]; {remedy}.")
    return x.clamp(0, 1)


def at_texture_scale(x: torch.Tensor) -> torch.Tensor:
    """A photograph [3, H, W] with its short side reduced to 512 pixels; smaller ones are left alone."""
    short = min(x.shape[-2:])
    if short <= TEXTURE_SIDE:
        return x
    sides = [round(side * TEXTURE_SIDE / short) for side in x.shape[-2:]]
    return F.interpolate(x[None], sides, mode="bilinear", antialias=True)[0].clamp(0, 1)


def exemplar(name: str) -> torch.Tensor:
    """One of nine textures of the materials in the paper's figures, float32 [3, H, W], at least 512 a side.

    Names are in EXEMPLARS, authors and licences in lib/exemplars/LICENCES.tsv. Raises TextureError for
    another name.
    """
    if name not in EXEMPLARS:
        raise TextureError(f"there is no exemplar {name!r}; choose one of {', '.join(EXEMPLARS)}.")
    return _exemplar(name).clone()  # the cache must not see what the caller does to it


@lru_cache(maxsize=len(EXEMPLARS))
def _exemplar(name: str) -> torch.Tensor:
    return read_image(_FOLDER / f"{name}.jpg")
