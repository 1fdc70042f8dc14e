"""Stage: a piece of training that a Trainer runs."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..errors import UsageError, expect_whole
from ..loss import Objective


@dataclass(frozen=True, eq=False)
class Update:
    """``advance(number, end)``: one update of the network, given the step's number and how many steps there will be,
    as far as is known; returns the loss before it."""

    advance: Callable[[int, float], Tensor]
    optimizer: torch.optim.Optimizer | None

    @property
    def done(self) -> bool:
        """Whether another step would change nothing."""
        return False

    @property
    def reason(self) -> str:
        """Why it is done, in words."""
        return "converged"

    def state(self) -> dict[str, Any]:
        """What continues the update bit for bit: tensors and plain types."""
        return {} if self.optimizer is None else self.optimizer.state_dict()

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        if self.optimizer is not None:
            self.optimizer.load_state_dict(state)


@dataclass(frozen=True)
class Stage(ABC):
    """What is minimized how: ``steps`` updates at most, on fresh points every ``resample`` of them (0: never).

    ``blur``: narrow sources of the problem are smoothed by a Gaussian of this standard deviation, in half-widths of the
    domain; training begins with a wide one and goes on with narrower ones. ``far``: their residual counts by what it
    does far away (``Concentration``). Neither is anything where sources are not narrow.
    """

    steps: int
    resample: int
    blur: float = field(default=0.0, kw_only=True)
    far: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        expect_whole(f"{self.name}'s steps", self.steps, 1)
        expect_whole(f"{self.name}'s resample", self.resample, 0)
        if not 0 <= self.blur < math.inf:
            raise UsageError(f"{self.name}'s blur is a number of half-widths, 0 or more; got {self.blur!r}.")

    @property
    def name(self) -> str:
        """The stage's name in reports."""
        return type(self).__name__

    @property
    def cadence(self) -> tuple[int, int]:
        """After how many steps the losses are recorded, and the error is estimated."""
        return 10, 100

    @property
    def settles(self) -> bool:
        """Whether steps become smaller towards the end, so that no stall before it is one."""
        return False

    def prepare(self, objective: Objective) -> None:
        """Change the problem's sources, or the network, before the stage."""
        for narrow in objective.narrow.values():
            narrow.sharpen(self.blur, self.far)

    @abstractmethod
    def begin(self, objective: Objective) -> Update:
        """The update, with its state new. Called again after every resampling where the state holds old points."""

    @property
    def forgets(self) -> bool:
        """Whether the optimizer's state is void on new points."""
        return False
