"""The loop of one stage: steps, records, checks, ends, and what continues it."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from tqdm import tqdm

from .errors import ResidualError
from .loss import Objective
from .optimizers import Stage, Update
from .parallel import ALONE

SAFETY = 3.0
"""A stage ends at the tolerance where its estimate is this much below: the estimate has the error's size, no more."""
STALL_CHECKS, STALL_GAIN = 10, 0.9
"""A stage is stalled where the best of so many checks is not this much below the best one before them."""
MEMORIZED = 30.0
"""A loss this much larger at fresh points than at the trained ones: the network has learned the points by heart."""
MOST_POINTS = 40_000
SAVE_SECONDS = 20.0

End = Literal["steps", "tolerance", "converged", "rounding", "size", "stalled", "budget", "interrupted", "diverged"]


@dataclass(frozen=True)
class Outcome:
    """How a stage ended: the reason, a sentence on it, its steps, and the error estimated last."""

    end: End
    message: str
    steps: int
    estimate: float


class Loop:
    """One run of one stage."""

    def __init__(
        self,
        objective: Objective,
        stage: Stage,
        tolerance: float,
        deadline: float,
        record: Callable[[], None],
        save: Callable[[], None] | None,
        quiet: bool,
        saved_at: float,
    ) -> None:
        self.objective, self.stage, self.tolerance, self.deadline = objective, stage, tolerance, deadline
        self.record, self.save, self.quiet = record, save, quiet
        self.saved_at = saved_at
        self.number, self.loss, self.estimate = 0, math.inf, math.inf
        self.checks: list[float] = []
        self.kept, self.kept_at = self._weights(), 0
        self.update: Update | None = None
        self.began = time.perf_counter(), 0

    def state(self) -> dict[str, Any]:
        """What continues this run bit for bit: tensors and plain types."""
        assert self.update is not None
        return {
            "number": self.number,
            "loss": self.loss,
            "estimate": self.estimate,
            "checks": list(self.checks),
            "update": self.update.state(),
            "objective": self.objective.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a state; the weights are the model's already."""
        self.number, self.loss, self.estimate = state["number"], state["loss"], state["estimate"]
        self.checks = list(state["checks"])
        self.objective.load(state["objective"])
        self.update = self.stage.begin(self.objective)
        self.update.load(state["update"])
        self.kept_at = self.number

    def run(self) -> Outcome:
        """Steps until an end."""
        if self.update is None:
            before = self.objective.points
            self.objective.resample()
            self.objective.concentrate(before, True)
            self.update = self._begin()
        hidden = True if self.quiet else None
        self.began = time.perf_counter(), self.number
        try:
            with tqdm(
                total=self.stage.steps, initial=self.number, desc=self.stage.name, disable=hidden, leave=False
            ) as bar:
                while self.number < self.stage.steps:
                    self._step()
                    if self.number % self.stage.cadence[0] and self.number != self.stage.steps:
                        continue
                    outcome = self._look(bar)
                    if outcome is not None:
                        return outcome
        except KeyboardInterrupt:
            # Other processes are somewhere else: from here on this one needs none.
            self.objective.system.ranks = ALONE
            # A line search may be half way: the weights of the last record are whole.
            self._restore()
            return self._end("interrupted", f"interrupted, weights of step {self.kept_at} kept", self.kept_at)
        return self._end("steps", "all steps done", self.number)

    def _begin(self) -> Update:
        self.objective.settle(self.stage.forgets)
        return self.stage.begin(self.objective)

    def _step(self) -> None:
        assert self.update is not None
        if self.number and self.stage.resample and self.number % self.stage.resample == 0:
            self._resample()
            self.update = self._begin() if self.stage.forgets else self.update
        self.objective.reweigh(self.number, self.stage.forgets)
        self.last = self.update.advance(self.number, self._expected())
        self.number += 1

    def _expected(self) -> float:
        """How many steps there will be: all, or those that the budget leaves time for at the pace so far."""
        now = time.perf_counter()
        done = self.number - self.began[1]
        if not done or self.deadline == math.inf:
            return self.stage.steps
        left = max(0.0, self.deadline - now) * done / (now - self.began[0])
        return self.objective.system.ranks.agree(min(self.stage.steps, self.number + left))

    def _look(self, bar: Any) -> Outcome | None:
        """Record, and decide whether to go on."""
        self.loss = float(self.last)
        if not math.isfinite(self.loss):
            return self._diverged()
        weights = self._weights()
        if not all(bool(torch.isfinite(w).all()) for w in weights.values()):
            return self._diverged()
        self.kept, self.kept_at = weights, self.number
        self.record()
        self._show(bar)
        if self.number % self.stage.cadence[1] == 0 or self.number == self.stage.steps:
            self.estimate = self.objective.estimate()
            self.checks.append(self.estimate)
            if SAFETY * self.estimate <= self.tolerance:
                return self._end("tolerance", f"estimated error {self.estimate:.1e}", self.number)
            if self.tolerance and self._stalled():
                return self._end("stalled", f"stalled at an estimated error of {self.estimate:.1e}", self.number)
        if self.update is not None and self.update.done:
            self.estimate = self.objective.estimate()
            message = f"{self.update.reason} at an estimated error of {self.estimate:.1e}"
            return self._end("converged", message, self.number)
        if self.objective.system.ranks.agree(time.perf_counter() > self.deadline):
            return self._end("budget", "the budget is spent", self.number)
        if self.save is not None and time.perf_counter() - self.saved_at >= SAVE_SECONDS:
            self.save()
            self.saved_at = time.perf_counter()
        return None

    def _resample(self) -> None:
        """Fresh points, placed as asked."""
        before = self.objective.points
        self.objective.resample()
        if self.stage.forgets:
            self._compare()
        due = self.stage.forgets or self.number % self.objective.resampling.every < self.stage.resample
        self.objective.concentrate(before, due)

    def _compare(self) -> None:
        """Twice as many points where the loss at fresh ones shows that the old ones were learned by heart."""
        with torch.no_grad():
            fresh = float(torch.stack(list(self.objective.terms().values())).sum())
        if fresh > MEMORIZED * self.loss and max(self.objective.counts.values()) < MOST_POINTS:
            self.objective.counts = {name: 2 * n for name, n in self.objective.counts.items()}
            self.objective.resample()

    def _stalled(self) -> bool:
        if len(self.checks) <= STALL_CHECKS:
            return False
        return min(self.checks[-STALL_CHECKS:]) > STALL_GAIN * min(self.checks[:-STALL_CHECKS])

    def _end(self, end: End, message: str, steps: int) -> Outcome:
        if not math.isfinite(self.estimate):
            self.estimate = self.objective.estimate()
        return Outcome(end, message, steps, self.estimate)

    def _diverged(self) -> Outcome:
        latest = self.objective.latest.items()
        term = next((name for name, t in latest if not math.isfinite(float(t))), "the sum")
        self._restore()
        with torch.no_grad():
            kept = float(torch.stack(list(self.objective.terms().values())).sum())
        if not math.isfinite(kept):
            raise ResidualError(
                f"The loss term {term!r} is NaN or infinite within the first {self.number} steps: look at its "
                "coefficients and data inside the domain, or lower the learning rate."
            )
        message = (
            f"the loss term {term!r} became NaN or infinite by step {self.number}; weights of step {self.kept_at} kept"
        )
        print(f"{self.stage.name}: {message}", file=sys.stderr)
        return self._end("diverged", message, self.kept_at)

    def _show(self, bar: Any) -> None:
        bar.update(self.number - bar.n)
        terms = {name: f"{float(t):.0e}" for name, t in self.objective.latest.items()}
        bar.set_postfix({"loss": f"{self.loss:.1e}"} | terms)

    def _weights(self) -> dict[str, Tensor]:
        return {name: w.detach().clone() for name, w in self.objective.model.state_dict().items()}

    def _restore(self) -> None:
        self.objective.model.load_state_dict(self.kept)
