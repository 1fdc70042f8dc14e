"""Snapshots of a training: weights at growing times, evaluated when it is over, so that no second is charged for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..build import zero_mean
from ..model import Model
from ..problem import Problem
from ..solution import Solution

GROWTH = 1.12
"""The factor between the times of two snapshots: 20 a decade."""


@dataclass
class Snapshots:
    """What ``solve(watch=...)`` and ``Trainer(watch=...)`` call: keeps a copy of the weights where it is due.

    ``due(seconds)``: whether this record is wanted; unless given, one every ``GROWTH`` times the seconds of the last.
    """

    due: Callable[[float], bool] | None = None
    kept: list[tuple[float, Model, dict[str, Tensor]]] = field(default_factory=list, init=False)

    def __call__(self, seconds: float, model: Model) -> None:
        """Keep the weights, or pass."""
        wanted = self.due(seconds) if self.due else not self.kept or seconds >= GROWTH * self.kept[-1][0]
        if wanted or (self.kept and model is not self.kept[-1][1]):
            self.kept.append((seconds, model, weights_of(model)))

    def solutions(self, problem: Problem, final: Solution) -> Iterator[tuple[float, Solution]]:
        """Each snapshot as a solution, with its seconds; valid until the next one is asked for."""
        for seconds, model, weights in self.kept:
            after = weights_of(model)
            model.load_state_dict(weights)
            try:
                if problem.free_constant:
                    zero_mean(model, problem)
                yield seconds, Solution(problem, model, final.provenance, {})
            finally:
                model.load_state_dict(after)


def weights_of(model: torch.nn.Module) -> dict[str, Tensor]:
    """A copy of all weights."""
    return {name: w.detach().clone() for name, w in model.state_dict().items()}
