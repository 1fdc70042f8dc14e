"""L-BFGS: quasi-Newton training on fixed points."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import expect_whole
from ..loss import Objective
from .stage import Stage, Update


@dataclass(frozen=True)
class LBFGS(Stage):
    """Limited-memory BFGS with a strong Wolfe line search (Liu and Nocedal 1989, doi 10.1007/BF01589116).

    A step is one quasi-Newton iteration; ``history``: the number of pairs kept. Points stay for ``resample``
    iterations; fresh ones start a new history, since the old one speaks of another function.
    """

    steps: int = 2000
    resample: int = 500
    history: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_whole("LBFGS's history", self.history, 1)

    @property
    def forgets(self) -> bool:
        """The curvature pairs belong to the points they were measured on."""
        return True

    def begin(self, objective: Objective) -> Update:
        """L-BFGS with an empty history."""
        parameters = list(objective.parameters())
        optimizer = torch.optim.LBFGS(
            parameters, max_iter=1, max_eval=25, history_size=self.history, line_search_fn="strong_wolfe",
            tolerance_grad=0.0, tolerance_change=0.0,
        )  # fmt: skip
        # The line search ends on the point where the next iteration begins: its loss and gradient are kept.
        last: dict[str, Tensor] = {}

        def closure() -> Tensor:
            here = torch.nn.utils.parameters_to_vector(parameters).detach()
            if "at" in last and torch.equal(last["at"], here):
                return last["loss"]
            optimizer.zero_grad(set_to_none=False)
            last["loss"] = objective.backward()
            last["at"] = here
            return last["loss"]

        def step(number: int, end: float) -> Tensor:
            return torch.as_tensor(optimizer.step(closure))

        return Update(step, optimizer)
