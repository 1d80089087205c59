"""What a training goes on from: the weights of a checkpoint, of the same configuration or of a related one."""

from collections.abc import Callable

import torch
from torch import Tensor

from lib.errors import TextureError
from lib.model import Model
from lib.multipliers import MU_SCALE
from lib.statistics.architecture import Architecture
from lib.statistics.waves import Waves
from lib.training import checkpoint

# What lambda_phi's outputs for the statistics of a U-Net of its own are multiplied by, in the place of a basis: at ten
# times as much, multipliers are ahead of the features that they are for, and the U-Net never learns any.
NETWORK_UNIT = 10.0
OF_MU = "lambda_phi.join.weight", "lambda_phi.join.bias"
OUTPUTS = "lambda_phi.out.weight", "lambda_phi.out.bias"
BASIS = "lambda_phi.preconditioner"
OF_STATISTICS = (*OF_MU, *OUTPUTS, BASIS)  # in f's order
THRESHOLDS = "statistics.log_c."
LEVELS = "statistics.waves.levels.{}.{}"
LAST = "convolutions.1.weight"  # of a block, which without it hands on what it is given


def take(model: Model, start: str, crops: Callable[[], Tensor]) -> bool:
    """The weights of a checkpoint: all, lambda's basis among them, or of another architecture what has a place.

    Of the same U-Net, or of one to which blocks are added, that is the U-Net (the new blocks hand on what they are
    given), and of read-outs and waves as many as there are; of another, the waves, where they are apart. Then also what
    lambda_phi says of the statistics that both have: of all others nothing is said at first, and what it was told of
    those that have no place is their mean over `crops` [B,3,H,W] from now on. Where they are not apart, it is all of
    lambda_phi but what is tied to single statistics. Returns whether there is a basis among it.

    Raises TextureError for a checkpoint of which nothing has a place.
    """
    other, own = checkpoint.load(start), model.state_dict()
    given, a, b = other.state_dict(), model.architecture, other.architecture
    if a == b:
        model.load_state_dict(given)
        return True
    unet, waves = _unet_is_part(a, b), a.apart and b.apart
    if not unet and not waves:
        raise TextureError(f"{start} has another U-Net than {model.name}, and other waves; give another --start")
    names = _names(a, b, unet)  # of weights that have another name here, or none
    for key, value in given.items():
        name = names.get(key, key) if unet or ".unet." not in key else ""
        if name not in ("", *OF_STATISTICS) and name in own and own[name].shape[1:] == value.shape[1:]:
            rows = min(len(value), len(own[name]))
            own[name][:rows] = value[:rows]
    for key in own:
        if unet and ".unet." in key and key not in given and key.endswith(LAST):
            own[key].zero_()
    if waves:
        here, there = _places(a, b, unet)
        _take_thresholds(own, given, here, there)
        _take_levels(own, given, a, b)
        with torch.no_grad():
            told = torch.asinh(other.statistics(crops().cpu()) / MU_SCALE).mean(0)
        _take_lambda(own, given, here, there, told[b.known :])
    model.load_state_dict(own)
    return waves


def _unet_is_part(a: Architecture, b: Architecture) -> bool:
    """Whether b's U-Net is a's, or where it is apart, what a's is with blocks added at the end of a scale."""
    if (a.apart, a.waves, a.channels) != (b.apart, b.waves, b.channels):
        return False
    pairs = zip(a.blocks, b.blocks, strict=True)
    return all(own == given or (a.apart and own > given) for own, given in pairs) and (
        a.dilations[: max(b.blocks)] == b.dilations
    )


def _shared(a: Architecture, b: Architecture, unet: bool) -> list[tuple[int, int]]:
    """Which groups of `readouts` are of one source in both, the U-Net's if it is common to both: (own, given)."""
    pairs = [(k, b.sources.index(name)) for k, name in enumerate(a.sources) if name in b.sources]
    return [(k, j) for k, j in pairs if unet or k < a.octaves]


def _names(a: Architecture, b: Architecture, unet: bool) -> dict[str, str]:
    """What is here called otherwise, by its name in the other's state: "" for what has no place."""
    if not a.apart:
        return {}
    names = {f"{THRESHOLDS}{j}": "" for j in range(len(b.readouts))}
    names |= {LEVELS.format(s, part): "" for s in range(b.octaves) for part in ("weight", "bias")}
    names |= {f"statistics.read.{j}.weight": "" for j in range(len(b.readouts) - b.octaves)}
    for k, j in _shared(a, b, unet):
        if j >= b.octaves:
            names[f"statistics.read.{j - b.octaves}.weight"] = f"statistics.read.{k - a.octaves}.weight"
    return names


def _places(a: Architecture, b: Architecture, unet: bool) -> tuple[Tensor, Tensor]:
    """Where the learned statistics that both have stand in the one and in the other: indices [n], [n]."""
    own, given = (torch.arange(sum(x.readouts)).split(x.readouts) for x in (a, b))
    here, there = list[Tensor](), list[Tensor]()
    for k, j in _shared(a, b, unet):
        mine, theirs = own[k], given[j]
        if k < a.octaves:
            mine, theirs = (_common(x, y, a.scales[k], group) for x, y, group in ((a, b, mine), (b, a, theirs)))
        n = min(len(mine), len(theirs))
        here.append(mine[:n])
        there.append(theirs[:n])
    return torch.cat(here), torch.cat(there)


def _common(a: Architecture, b: Architecture, octave: int, group: Tensor) -> Tensor:
    """Those of a's potentials of waves at an octave, `group`, that b has too."""
    own, given = (Waves.potentials(octave, x.singles, x.tints) for x in (a, b))
    return group[[k in given for k in own]]


def _take_thresholds(own: dict[str, Tensor], given: dict[str, Tensor], here: Tensor, there: Tensor) -> None:
    """ln c of the potentials that both have."""
    mine, theirs = ([value for key, value in state.items() if key.startswith(THRESHOLDS)] for state in (own, given))
    values = torch.cat(mine)
    values[here] = torch.cat(theirs)[there]
    for old, new in zip(mine, values.split([len(c) for c in mine]), strict=True):
        old.copy_(new)


def _take_levels(own: dict[str, Tensor], given: dict[str, Tensor], a: Architecture, b: Architecture) -> None:
    """Those levels of waves that both have."""
    for s in range(min(a.octaves, b.octaves) if a.singles and b.singles else 0):
        mine, theirs = (Waves.levels_of(s, x.tints) for x in (a, b))
        for part in ("weight", "bias"):
            new, old = own[LEVELS.format(s, part)], given[LEVELS.format(s, part)]
            new[[k in theirs for k in mine]] = old[[k in mine for k in theirs]]


def _take_lambda(
    own: dict[str, Tensor], given: dict[str, Tensor], here: Tensor, there: Tensor, told: Tensor
) -> None:  # fmt: skip
    """What lambda_phi says of the learned statistics that both have, at their places; of the others nothing.

    `told` [n] is what it was told of the other's in the mean.
    """
    basis = NETWORK_UNIT * torch.eye(len(own[BASIS]))
    basis[here[:, None], here] = given[BASIS][there[:, None], there]
    own[BASIS].copy_(basis)
    weight, bias = OF_MU
    known = own[weight].shape[1] - len(basis)  # lambda_phi's own features and what is built in
    own[weight].zero_()[:, :known] = given[weight][:, :known]
    own[weight][:, known + here] = given[weight][:, known + there]
    rest = torch.ones(len(given[BASIS]), dtype=torch.bool)
    rest[there] = False
    own[bias].copy_(given[bias] + given[weight][:, given[weight].shape[1] - len(rest) :][:, rest] @ told[rest])
    # the same multipliers without the outputs that have no place here, but for what was mixed from them by the basis
    mixed = given[BASIS][rest][:, there].double() @ torch.linalg.inv(basis[here[:, None], here].double())
    for key in OUTPUTS:
        own[key].zero_()[here] = given[key][there] + (mixed.T @ given[key][rest].double()).float()
