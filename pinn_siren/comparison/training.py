"""One network trained as all others of a comparison are, with its metrics at some steps."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from ..check import StatementWarning
from ..optimizers import Adam
from ..problem import Problem
from ..reference import GridSolution
from ..scales import measure_scales
from ..solution import Solution
from ..trainer import Trainer
from .baselines import make_network
from .curves import Curve
from .series import reason
from .snapshots import Snapshots
from .yardstick import Yardstick

SNAPSHOTS = 40
RELATIVE = "relative"
"""How the names of errors begin."""


@dataclass(frozen=True)
class Trained:
    """One network trained: ``curves``, a metric's values against the step, by the metric's name."""

    network: str
    seed: int
    parameters: int = 0
    seconds: float = 0.0
    curves: dict[str, Curve] | None = None
    remark: str = ""
    refused: str | None = None

    def last(self, metric: str) -> float:
        """What it ended with; NaN where it has none."""
        curve = (self.curves or {}).get(metric)
        return curve[-1][1] if curve else math.nan

    def plain(self) -> dict[str, Any]:
        """Plain types for JSON, which has no infinity and no NaN: None stands for them."""
        curves = {
            name: [[step, value if math.isfinite(value) else None] for step, value in curve]
            for name, curve in (self.curves or {}).items()
        }
        return {**self.__dict__, "curves": curves}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Trained:
        """A trained network's figures back from plain types."""
        curves = {
            name: tuple((step, math.inf if value is None else value) for step, value in curve)
            for name, curve in plain["curves"].items()
        }
        return cls(**{**plain, "curves": curves})


@dataclass(frozen=True, eq=False)
class Training:
    """What all networks share: problem, size, steps, learning rate, seconds at most, device, precision, measure and
    grid."""

    problem: Problem
    width: int
    depth: int
    steps: int
    rate: float
    budget: float | None
    device: str | torch.device | None
    dtype: torch.dtype
    stick: Yardstick
    grid: GridSolution

    @property
    def measure(self) -> str:
        """The error's name."""
        return f"{RELATIVE} misfit" if self.stick.against == "data" else f"{RELATIVE} L2 error"

    def train(self, name: str, seed: int) -> tuple[Trained, GridSolution | None]:
        """Train one network; its fields where it could be trained."""
        shots = Snapshots(lambda _: trainer.steps % every == 0 or trainer.steps == self.steps)
        every = max(1, round(self.steps / SNAPSHOTS / 10)) * 10
        try:
            with warnings.catch_warnings(record=True) as heard:
                warnings.simplefilter("always")
                network = make_network(name, self.problem, measure_scales(self.problem), self.width, self.depth, seed)
                trainer = Trainer(
                    self.problem, network, device=self.device, dtype=self.dtype, seed=seed, progress=False, watch=shots
                )  # fmt: skip
                outcome = trainer.run(Adam(steps=self.steps, lr=self.rate), budget=self.budget)
        except Exception as error:
            # What one network cannot do, the others may.
            return Trained(name, seed, refused=reason(error)), None
        if outcome.end == "interrupted":
            raise KeyboardInterrupt
        solution = trainer.solution()
        blind = any(
            issubclass(w.category, StatementWarning) and "derivatives of order" in str(w.message) for w in heard
        )
        remarks = ["its highest derivatives vanish: the equation does not see it"] if blind else []
        if outcome.end in ("budget", "diverged"):
            remarks.append(outcome.message)
        rows = list(self._rows(shots, solution))
        if not rows or rows[-1][0] < trainer.steps:
            rows.append((float(trainer.steps), self._figures(solution)))
        curves = {metric: tuple((step, found[metric]) for step, found in rows) for metric in rows[-1][1]}
        run = Trained(name, seed, solution.parameters, solution.provenance.seconds, curves, "; ".join(remarks))
        return run, GridSolution(self.grid.coordinates, solution.on_grid(self.grid.coordinates), self.grid.weights)

    def _rows(self, shots: Snapshots, final: Solution) -> Iterator[tuple[float, dict[str, float]]]:
        recorded = dict(zip(final.history["seconds"], final.history["step"], strict=True))
        for seconds, shot in shots.solutions(self.problem, final):
            yield recorded[seconds], self._figures(shot)

    def _figures(self, solution: Solution) -> dict[str, float]:
        return {self.measure: self.stick.error_of(solution), **self.problem.metrics(solution)}
