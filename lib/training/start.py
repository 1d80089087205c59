"""What a training goes on from: the weights of a checkpoint, of the same configuration or of a related one."""

import torch
from torch import Tensor

from lib.errors import TextureError
from lib.model import Model
from lib.statistics.learned import Architecture
from lib.training import checkpoint

# What lambda_phi's outputs for the statistics of a U-Net of its own are multiplied by, in the place of a basis: at ten
# times as much, multipliers are ahead of the features that they are for, and the U-Net never learns any.
NETWORK_UNIT = 10.0
OF_MU = "lambda_phi.join.weight", "lambda_phi.join.bias"
OUTPUTS = "lambda_phi.out.weight", "lambda_phi.out.bias"
BASIS = "lambda_phi.preconditioner"
OF_STATISTICS = (*OF_MU, *OUTPUTS, BASIS)  # in f's order


def take(model: Model, start: str) -> bool:
    """The weights of a checkpoint: all, lambda's basis among them, or of another architecture what has a place.

    Of the same U-Net that is the U-Net, of read-outs and waves as many as there are, and of lambda_phi all but what is
    tied to single statistics. Of another U-Net it is the waves, if they are the same, and what lambda_phi says of them;
    of the U-Net's statistics nothing is said at first. Returns whether there is a basis among it.

    Raises TextureError for a checkpoint of which nothing has a place.
    """
    other, own = checkpoint.load(start), model.state_dict()
    given, a, b = other.state_dict(), model.architecture, other.architecture
    if a == b:
        model.load_state_dict(given)
        return True
    unets = [{k: v.shape for k, v in weights.items() if ".unet." in k} for weights in (own, given)]
    same = unets[0] == unets[1] and a.dilations == b.dilations
    kept = 0 if same else waves_in_common(a, b)
    if not same and not kept:
        raise TextureError(f"{start} has another U-Net than {model.name}, and other waves; give another --start")
    thresholds = [f".log_c.{k}" for k in range(a.octaves, len(a.readouts))]
    of_unet = (".unet.", ".read.", *thresholds) if kept else ()
    for key, value in given.items():
        fits = key in own and own[key].shape[1:] == value.shape[1:]
        if fits and key not in OF_STATISTICS and not any(part in key for part in of_unet):
            rows = min(len(value), len(own[key]))
            own[key][:rows] = value[:rows]
    if kept:
        _take_lambda(own, given, kept)
    model.load_state_dict(own)
    return kept > 0


def waves_in_common(a: Architecture, b: Architecture) -> int:
    """How many statistics of the same waves both begin with, where waves and U-Net are apart; else none."""
    waves = [(x.apart, x.singles, x.readouts[: x.octaves]) for x in (a, b)]
    return sum(a.readouts[: a.octaves]) if a.apart and waves[0] == waves[1] else 0


def _take_lambda(own: dict[str, Tensor], given: dict[str, Tensor], kept: int) -> None:
    """What lambda_phi says of the first `kept` statistics that are learned; of the others nothing."""
    learned = len(own[BASIS])
    own[BASIS].copy_(NETWORK_UNIT * torch.eye(learned))[:kept, :kept] = given[BASIS][:kept, :kept]
    weight, bias = OF_MU
    seen = own[weight].shape[1] - learned + kept
    own[weight].zero_()[:, :seen] = given[weight][:, :seen]
    own[bias].copy_(given[bias])
    for key in OUTPUTS:
        own[key].zero_()[:kept] = given[key][:kept]
