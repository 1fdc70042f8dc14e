"""Stage: a piece of training that a Trainer runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import expect_whole
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
    """What is minimized how: ``steps`` updates at most, on fresh points every ``resample`` of them (0: never)."""

    steps: int
    resample: int

    def __post_init__(self) -> None:
        expect_whole(f"{self.name}'s steps", self.steps, 1)
        expect_whole(f"{self.name}'s resample", self.resample, 0)

    @property
    def name(self) -> str:
        """The stage's name in reports."""
        return type(self).__name__

    @property
    def cadence(self) -> tuple[int, int]:
        """After how many steps the losses are recorded, and the error is estimated."""
        return 10, 100

    def prepare(self, objective: Objective) -> None:  # noqa: B027
        """Change the network before the stage; nothing unless a stage says otherwise."""

    @abstractmethod
    def begin(self, objective: Objective) -> Update:
        """The update, with its state new. Called again after every resampling where the state holds old points."""

    @property
    def forgets(self) -> bool:
        """Whether the optimizer's state is void on new points."""
        return False
