"""Adam: first-order training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..errors import UsageError, expect_positive, suggest
from ..loss import Objective
from ..siren import Siren
from .stage import Stage, Update


@dataclass(frozen=True)
class Adam(Stage):
    """Adam (Kingma and Ba 2015, arXiv 1412.6980) on fresh points every ``resample`` steps.

    ``lr``: the learning rate after a linear warm-up of ``warmup`` steps; ``schedule``: ``"cosine"`` lowers it to
    ``lr * final`` at the last step (Loshchilov and Hutter 2017, arXiv 1608.03983), ``"exponential"`` likewise by a
    constant factor a step, ``"constant"`` keeps it. The last step is that of ``steps``, or the one that a budget leaves
    time for at the pace so far, if that comes first. A network may slow layers down (``Siren.paces``).
    """

    steps: int = 2000
    resample: int = 1
    lr: float = 1e-3
    schedule: Literal["cosine", "exponential", "constant"] = "cosine"
    final: float = 0.01
    warmup: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_positive("Adam's learning rate", self.lr)
        known = ("cosine", "exponential", "constant")
        if self.schedule not in known:
            raise UsageError(
                f"Adam's schedule is one of {', '.join(known)}; got {self.schedule!r}.{suggest(self.schedule, known)}"
            )

    def rate(self, step: int, end: float) -> float:
        """The learning rate of a step, of ``end`` altogether."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, end - self.warmup)
        if self.schedule == "cosine":
            return self.lr * (self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))
        return self.lr * (self.final**progress if self.schedule == "exponential" else 1.0)

    def begin(self, objective: Objective) -> Update:
        """Adam with its moments at zero."""
        network = objective.model.network
        paces = network.paces() if isinstance(network, Siren) else []
        own = {id(w) for _, layer in paces for w in layer}
        # What else is trained: another network, unknowns, the parameters of an ansatz.
        paces.append((1.0, [w for w in objective.parameters() if id(w) not in own]))
        groups = [(pace, [w for w in layer if w.requires_grad]) for pace, layer in paces]
        groups = [(pace, layer) for pace, layer in groups if layer]
        optimizer = torch.optim.Adam([{"params": layer} for _, layer in groups], lr=self.lr, fused=True)

        def step(number: int, end: float) -> Tensor:
            for group, (pace, _) in zip(optimizer.param_groups, groups, strict=True):
                group["lr"] = pace * self.rate(number, end)
            optimizer.zero_grad(set_to_none=True)
            loss = objective.backward()
            optimizer.step()
            return loss

        return Update(step, optimizer)
