"""Lighter pictures for the notebooks that are kept: forges show no heavy ones, and figures/ has all in full.

Charts have few colours and sharp edges: with a palette they lose nothing that is seen. Photographs become JPEGs.
"""

import io

import numpy as np
from PIL import Image

HEAVY = 45_000  # bytes: what is lighter stays as it is
COLOURS, UNSEEN = 256, 1.0  # of a palette; root mean square error, in grey levels, that is not seen
QUALITY = 75  # of JPEGs


def lightened(png: bytes) -> tuple[str, bytes]:
    """(MIME type, bytes) of a PNG, made lighter where it is heavy."""
    if len(png) <= HEAVY:
        return "image/png", png
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    few = picture.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    error = np.asarray(picture, dtype=float) - np.asarray(few.convert("RGB"), dtype=float)
    candidates = [("image/png", png), ("image/jpeg", _encoded(picture, "jpeg", quality=QUALITY, subsampling=0))]
    if np.sqrt((error**2).mean()) <= UNSEEN:
        candidates.append(("image/png", _encoded(few, "png", optimize=True)))
    return min(candidates, key=lambda candidate: len(candidate[1]))


def _encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()
