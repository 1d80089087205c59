"""A texture in one pass: a convolutional network that turns a grid of noise into an image of any size.

Jetchev, Bergmann & Vollgraf (2016), the spatial GAN: z has a vector of independent noise at each cell, each cell
becomes CELL x CELL pixels, and as nothing in the network knows where it is, a larger z makes a larger image of the same
texture. Bergmann, Jetchev & Vollgraf (2017), the periodic spatial GAN, add sine waves to z,

    z_c(i, j) = N(0, 1) for c <= LOCAL        z_c(i, j) = sin(2 pi k_c.(i, j) + phi_c) beyond

whose wave vectors k are learned and whose phases phi are drawn once an image: regular textures keep their step farther
than the network sees. lib/training/gan.py learns both.

Departures. Convolutions go round the torus, where the papers' pad with zeros, so that a texture may tile. Doubling is
by repetition, then a convolution, in place of transposed convolutions, which leave a checkerboard. Noise is normal, not
uniform. The papers' z has a third part, alike at all cells, which chooses among the textures of several exemplars; with
one exemplar there is nothing to choose, and k is a parameter instead of a function of it.
"""

import json
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lib.errors import TextureError
from lib.samplers.step import white_noise
from lib.whole import write_whole

SHIPPED = Path(__file__).parents[1] / "checkpoints" / "gan"
FORMAT = "textures-gan-1"
LOCAL = 24  # channels of noise, a multiple of three
WIDTHS = (128, 96, 64, 32)  # channels of the maps, one cell to CELL pixels, to CELL/2, ...
CELL = 16  # pixels: 2^len(WIDTHS)
REACH = 48  # pixels: no pixel depends on what lies farther away, but for the waves
PHASES = LOCAL  # the stream of noise that phases are drawn from


class Generator(nn.Module):
    """z [B,LOCAL+waves,h,w] -> images [B,3,H,W] in [0,1] on a torus, H x W about CELL h x CELL w."""

    def __init__(self, waves: int = 0) -> None:
        super().__init__()
        self.waves = nn.Parameter(torch.rand(waves, 2) - 0.5)  # k, cycles a cell
        widths = (LOCAL + waves, *WIDTHS)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1, padding_mode="circular", bias=False) for a, b in pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in WIDTHS)
        self.colours = nn.Conv2d(WIDTHS[-1], 3, 5, padding=2, padding_mode="circular")

    def forward(self, z: Tensor, height: int, width: int) -> Tensor:
        """An image of any size; cells of other than CELL pixels are only repeated more or less often."""
        h = z
        for octave, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            if octave:
                h = F.interpolate(h, cells(height, width, CELL >> octave))
            h = F.relu(norm(convolution(h)))
        return torch.sigmoid(self.colours(F.interpolate(h, (height, width))))

    def periodic(self, phases: Tensor, h: int, w: int, tileable: bool) -> Tensor:
        """The waves on h x w cells, [B,waves,h,w], for phases [B,waves] in cycles.

        To tile, each wave goes round the torus a whole number of times, the nearest.
        """
        k: Tensor = self.waves
        if tileable:
            sides = k.new_tensor([h, w])
            k = (k * sides).round() / sides
        i, j = torch.arange(h, dtype=k.dtype)[:, None], torch.arange(w, dtype=k.dtype)
        turns = k[:, :1, None] * i + k[:, 1:, None] * j + phases[..., None, None]
        return torch.sin(2 * torch.pi * turns)


def cells(height: int, width: int, side: int) -> tuple[int, int]:
    """How many cells of side x side pixels cover an image."""
    return -(-height // side), -(-width // side)


@torch.no_grad()
def generated(
    generator: Generator, n: int, height: int, width: int, seed: int = 0, tileable: bool = False
) -> Tensor:
    """n textures [n,3,H,W]; sample i depends on (seed, i) alone. `tileable` makes opposite edges meet.

    Otherwise the texture is cut from a larger torus, whose edges, where waves need not meet, it does not see.
    """
    margin = 0 if tileable else REACH
    H, W = height + 2 * margin, width + 2 * margin
    h, w = cells(H, W, CELL)
    noise = torch.cat([white_noise(n, h, w, seed, stream) for stream in range(LOCAL // 3)], 1)
    waves = len(generator.waves)
    phases = torch.special.ndtr(white_noise(n, 1, max(waves, 1), seed, PHASES)[:, 0, 0, :waves])
    z = torch.cat([noise, generator.periodic(phases, h, w, tileable)], 1)
    training = generator.training
    generator.eval()
    images = torch.cat([generator(one[None], H, W) for one in z])  # one by one: rounding depends on the batch
    generator.train(training)
    return images[..., margin : margin + height, margin : margin + width]


def save(generator: Generator, path: Path, recipe: dict[str, object]) -> Path:
    """Write weights in float16, and how they were made, to `path` (.safetensors); returns it."""
    weights = {key: w.half() if w.is_floating_point() else w for key, w in generator.state_dict().items()}
    header = {"format": FORMAT, "recipe": json.dumps(recipe)}
    write_whole(path, lambda draft: save_file(weights, draft, metadata=header))
    return path


def load(name_or_path: str | Path) -> Generator:
    """The generator of a shipped exemplar ("pebble"), or of a file, ready to be drawn from.

    Raises TextureError for a name nobody ships, and a file that is missing, damaged or another's.
    """
    path = SHIPPED / f"{name_or_path}.safetensors"
    path = path if path.is_file() else Path(str(name_or_path))  # a number is no name either
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in SHIPPED.glob("*.safetensors")))
        raise TextureError(f"no generator {str(name_or_path)!r}; known are {names}, or give the path of one")
    try:
        with safe_open(path, framework="pt") as file:
            known = (file.metadata() or {}).get("format") == FORMAT
            weights = {key: file.get_tensor(key) for key in file.keys()} if known else {}  # noqa: SIM118
        generator = Generator(len(weights["waves"])).eval()
        generator.load_state_dict(weights)
    except (SafetensorError, OSError, KeyError, RuntimeError, ValueError):
        raise TextureError(f"{path} holds no generator of textures, or is damaged; get it again") from None
    return generator
