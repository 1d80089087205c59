"""Pictures that are on every machine after installation, labelled: textures, and what is none.

The exemplars that come with this code, and the test pictures inside the scikit-image package (its
data/README.txt has their licences). Too few to judge a criterion by; enough to see what it does.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from lib.images import EXEMPLARS, exemplar

TEXTURES = ("brick", "grass", "gravel")
# Each shows one thing or a few; the Hubble deep field is left out, being the exemplar "star".
SCENES = (
    "astronaut",
    "camera",
    "cat",
    "cell",
    "coffee",
    "coins",
    "immunohistochemistry",
    "moon",
    "page",
    "retina",
    "rocket",
    "stereo_motorcycle",
    "text",
)


def write_pictures(folder: Path) -> Path:
    """Write the pictures and their labels.tsv into a folder, as a small photograph library; return it."""
    from skimage import data

    folder.mkdir(parents=True, exist_ok=True)
    labels = {f"exemplar_{name}": "texture" for name in EXEMPLARS}
    for name in EXEMPLARS:
        _write(
            exemplar(name).permute(1, 2, 0).mul(255).round().byte().numpy(), folder / f"exemplar_{name}.png"
        )
    for label, names in (("texture", TEXTURES), ("scene", SCENES)):
        for name in names:
            pixels = getattr(data, name)()
            _write(pixels[0] if isinstance(pixels, tuple) else pixels, folder / f"{name}.png")
            labels[name] = label
    rows = ["member\tlabel", *(f"{name}.png\t{label}" for name, label in labels.items())]
    (folder / "labels.tsv").write_text("\n".join(rows) + "\n")
    return folder


def _write(pixels: np.ndarray, path: Path) -> None:
    Image.fromarray(pixels).save(path, compress_level=1)
