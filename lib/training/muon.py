"""Muon (Jordan et al. 2024, torch's own) for weights that are matrices, AdamW for all others, as one optimiser.

AdamW moves every weight about as far as every other, whatever its gradient. In a filter bank of hundreds of inputs that
adds up in the one direction on which all gradients agree: after a hundred steps each feature of a U-Net of its own is
nearly the same map, and what is read across it fades. Muon makes all singular values of a step equal, so that no
direction outruns the others (`lib/evaluation/rank.py` counts directions).
"""

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn
from torch.optim import AdamW, Muon


class MuonAndAdamW:
    """Groups of parameters with their `share` of the rate; those for which `turned` is true are Muon's.

    A convolution's filters [out,in,h,w] are the rows of a matrix [out,in h w] that shares their memory, in whatever
    order they lie: equal singular values know no order of columns.
    """

    def __init__(
        self, groups: list[dict[str, Any]], rate: float, turned: Callable[[nn.Parameter], bool], **settings: Any
    ) -> None:
        """`settings` are AdamW's; its decay of weights is Muon's too."""
        kept = [{**group, "params": [p for p in group["params"] if not turned(p)]} for group in groups]
        self.turned = [[p for p in group["params"] if turned(p)] for group in groups]
        matrices = [
            {**group, "params": [nn.Parameter(matrix(p.detach())) for p in own]}
            for group, own in zip(groups, self.turned, strict=True)
            if own
        ]
        self.turned = [own for own in self.turned if own]
        self.muon = Muon(matrices, rate, settings["weight_decay"], adjust_lr_fn="match_rms_adamw")
        self.adamw = AdamW([group for group in kept if group["params"]], rate, **settings)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Those of both, as they are now: loading a state makes new ones."""
        return [*self.muon.param_groups, *self.adamw.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.adamw.zero_grad(set_to_none)
        for own, _ in self._pairs():
            own.grad = None

    def step(self) -> None:
        for own, rows in self._pairs():
            rows.grad = None if own.grad is None else matrix(own.grad, own)
        self.muon.step()
        self.adamw.step()

    def state_dict(self) -> dict[str, Any]:
        return {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.muon.load_state_dict(state["muon"])
        self.adamw.load_state_dict(state["adamw"])

    def _pairs(self) -> Iterable[tuple[nn.Parameter, Tensor]]:
        for own, group in zip(self.turned, self.muon.param_groups, strict=True):
            yield from zip(own, group["params"], strict=True)


def matrix(x: Tensor, like: Tensor | None = None) -> Tensor:
    """The filters x [out,in,h,w] as rows [out,in h w], in the order in which those of `like` lie in memory."""
    like = x if like is None else like
    return (x if like.is_contiguous() else x.permute(0, 2, 3, 1)).flatten(1)
