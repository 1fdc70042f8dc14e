"""Trainer: one loop for every problem, network, stage and device."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from tqdm import tqdm

from .build import build_model, default_points, device_name, pick_device
from .check import check
from .domains import Sampler, Scheme
from .errors import ResidualError, UsageError
from .loss import Objective
from .model import Model
from .optimizers import Stage
from .problem import Problem
from .scales import measure_scales
from .siren import count_parameters
from .solution import Provenance, Solution
from .system import System

RECORD_EVERY = 10
CHECK_EVERY = 100
BOUNDARY_SHARE = 0.25
SAFETY = 3.0
"""A stage ends at the tolerance where its estimate is this much below: the estimate has the error's size, no more."""
STALL_CHECKS, STALL_GAIN = 10, 0.9
"""A stage is stalled where the best of so many checks is not this much below the best one before them."""
MEMORIZED = 30.0
"""A loss this much larger at fresh points than at the trained ones: the network has learned the points by heart."""
MOST_POINTS = 40_000
DTYPES = {"float32": torch.float32, "float64": torch.float64}

End = Literal["steps", "tolerance", "stalled", "budget", "interrupted", "diverged"]


@dataclass(frozen=True)
class Outcome:
    """How a stage ended: the reason, a sentence on it, its steps, and the error estimated last."""

    end: End
    message: str
    steps: int
    estimate: float


@dataclass
class Trainer:
    """Trains a network on a problem, stage after stage, in any sequence.

    ``network``: a module from as many inputs as the domain has axes to the problem's fields (twice as many where they
    are complex), made of the functions that jets know; a ``Siren`` of ``width`` 48 and first frequencies from the
    problem's scales unless given. ``device``: CUDA where there is one, else the CPU, unless given; ``points``:
    collocation points inside (a quarter of them on every condition); ``scheme``: how they are drawn. The same seed on
    the same device and thread count gives the same weights. ``exact`` is never looked at.

    Raises ``ProblemError`` for a wrong statement, ``UsageError`` for arguments that cannot be.
    """

    problem: Problem
    network: nn.Module | None = None
    device: str | torch.device | None = None
    dtype: torch.dtype = torch.float64
    seed: int = 0
    points: int | None = None
    scheme: Scheme = "sobol"
    progress: bool = True
    outcomes: list[tuple[Stage, Outcome]] = field(default_factory=list, init=False)
    history: dict[str, list[float]] = field(default_factory=dict, init=False)
    seconds: float = field(default=0.0, init=False)
    steps: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES.values():
            raise UsageError(f"dtype must be torch.float32 or torch.float64, got {self.dtype}.")
        if self.points is not None and self.points < 16:
            raise UsageError(f"points must be at least 16, got {self.points}.")
        started = time.perf_counter()
        device = pick_device(self.device)
        self.device = device
        self.scales = measure_scales(self.problem)
        system = System(self.problem)
        model = build_model(self.problem, self.scales, self.network, self.dtype, self.seed).to(device)
        sampler = Sampler(torch.Generator(device).manual_seed(self.seed), self.dtype, self.scheme)
        inside = self.points or default_points(self.scales, count_parameters(model))
        counts = {c.name: inside if c.on_interior else max(8, int(inside * BOUNDARY_SHARE)) for c in system.constraints}
        check(self.problem, self.scales, inside)
        self.objective = Objective(system, model, counts, self.scales, sampler)
        self._probe(system, model)
        self.seconds += time.perf_counter() - started

    @property
    def model(self) -> Model:
        """The fields as a function of points."""
        return self.objective.model

    def _probe(self, system: System, model: Model) -> None:
        """Evaluate every constraint at a few points: a wrong shape shows here, before an (n, n) fills the memory."""
        sampler = Sampler(torch.Generator(self.objective.sampler.device).manual_seed(1), self.dtype)
        for c in system.constraints:
            for part in system.parts(c, c.sample(7, sampler), model):
                if not bool(torch.isfinite(part).all()):
                    raise ResidualError(
                        f"The {c.name} residual is NaN or infinite before the first step: look at its coefficients and "
                        "data inside the domain, such as a division by zero or a root of a negative number."
                    )

    def run(self, stage: Stage, *, tolerance: float = 0.0, budget: float | None = None) -> Outcome:
        """Run a stage until its steps are done, the estimated error is at most ``tolerance``, or ``budget`` seconds.

        Ctrl-C and a loss that is NaN or infinite end it early and keep the last good weights; the outcome says which.
        Raises ``ResidualError`` where not even the first loss is finite.
        """
        started = time.perf_counter()
        loop = _Loop(self, stage, tolerance, math.inf if budget is None else started + budget)
        try:
            outcome = loop.run()
        finally:
            self.seconds += time.perf_counter() - started
        self.outcomes.append((stage, outcome))
        return outcome

    def record(self, stage: Stage, loss: Tensor, elapsed: float) -> None:
        """Add a row to the history's columns."""
        row = {"step": float(self.steps), "seconds": self.seconds + elapsed, "loss": float(loss)}
        row |= {name: float(term) for name, term in self.objective.latest.items()}
        for name, value in row.items():
            self.history.setdefault(name, []).append(value)

    def solution(self, *, tolerance: float = 1e-6, method: str | None = None) -> Solution:
        """What was reached so far, with how it was reached."""
        stages = [f"{s.name} {o.steps}" for s, o in self.outcomes]
        provenance = Provenance(
            method=method or " + ".join(stages) or "untrained",
            stages=", ".join(f"{name}: {o.message}" for name, (_, o) in zip(stages, self.outcomes, strict=True)),
            tolerance=tolerance,
            estimate=self.outcomes[-1][1].estimate if self.outcomes else math.inf,
            seconds=self.seconds,
            seed=self.seed,
            dtype=str(self.dtype).removeprefix("torch."),
            device=device_name(self.objective.sampler.device),
            threads=torch.get_num_threads(),
            points=sum(self.objective.counts.values()),
            interrupted=any(o.end == "interrupted" for _, o in self.outcomes),
        )
        return Solution(self.problem, self.model, provenance, {k: list(v) for k, v in self.history.items()})


class _Loop:
    """One run of one stage."""

    def __init__(self, trainer: Trainer, stage: Stage, tolerance: float, deadline: float) -> None:
        self.trainer, self.stage, self.tolerance, self.deadline = trainer, stage, tolerance, deadline
        self.started = time.perf_counter()
        self.objective = trainer.objective
        self.estimate = math.inf
        self.checks: list[float] = []
        self.kept = self._weights()
        self.kept_at = 0

    def run(self) -> Outcome:
        self.objective.resample()
        step = self.stage.begin(self.objective)
        quiet = not self.trainer.progress
        bar = tqdm(total=self.stage.steps, desc=self.stage.name, disable=True if quiet else None, leave=False)
        number, loss = 0, torch.tensor(math.inf)
        try:
            with bar:
                while number < self.stage.steps:
                    if number and self.stage.resample and number % self.stage.resample == 0:
                        self._resample(loss)
                        step = self.stage.begin(self.objective) if self.stage.forgets else step
                    loss = step(number)
                    self.trainer.steps += 1
                    number += 1
                    if number % RECORD_EVERY and number != self.stage.steps:
                        continue
                    bad = self._not_finite(loss)
                    if bad:
                        return self._diverged(bad, number)
                    self.kept, self.kept_at = self._weights(), number
                    self.trainer.record(self.stage, loss, time.perf_counter() - self.started)
                    self._show(bar, number, loss)
                    if number % CHECK_EVERY == 0 or number == self.stage.steps:
                        self.estimate = self.objective.estimate()
                        self.checks.append(self.estimate)
                        if SAFETY * self.estimate <= self.tolerance:
                            return self._end("tolerance", f"estimated error {self.estimate:.1e}", number)
                        if self.tolerance and self._stalled():
                            return self._end("stalled", f"stalled at an estimated error of {self.estimate:.1e}", number)
                    if time.perf_counter() > self.deadline:
                        return self._end("budget", "the budget is spent", number)
        except KeyboardInterrupt:
            # A line search may be half way: the weights of the last record are whole.
            self._restore()
            return self._end("interrupted", f"interrupted, weights of step {self.kept_at} kept", self.kept_at)
        return self._end("steps", "all steps done", number)

    def _resample(self, loss: Tensor) -> None:
        """Fresh points; twice as many where the loss there shows that the old ones were learned by heart."""
        self.objective.resample()
        if not self.stage.forgets:
            return
        with torch.no_grad():
            fresh = float(torch.stack(list(self.objective.terms().values())).sum())
        if fresh > MEMORIZED * float(loss) and max(self.objective.counts.values()) < MOST_POINTS:
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

    def _diverged(self, term: str, number: int) -> Outcome:
        self._restore()
        if self.kept_at == 0 and not self.trainer.history:
            raise ResidualError(
                f"The loss term {term!r} is NaN or infinite within the first {number} steps: look at its coefficients "
                "and data inside the domain, or lower the learning rate."
            )
        message = f"the loss term {term!r} became NaN or infinite by step {number}; weights of step {self.kept_at} kept"
        print(f"{self.stage.name}: {message}", file=sys.stderr)
        return self._end("diverged", message, self.kept_at)

    def _not_finite(self, loss: Tensor) -> str | None:
        if math.isfinite(float(loss)):
            return None
        return next((n for n, t in self.objective.latest.items() if not math.isfinite(float(t))), "the sum")

    def _show(self, bar: Any, number: int, loss: Tensor) -> None:
        bar.update(number - bar.n)
        bar.set_postfix(
            {"loss": f"{float(loss):.1e}"} | {n: f"{float(t):.0e}" for n, t in self.objective.latest.items()}
        )

    def _weights(self) -> dict[str, Tensor]:
        return {name: w.detach().clone() for name, w in self.trainer.model.state_dict().items()}

    def _restore(self) -> None:
        self.trainer.model.load_state_dict(self.kept)
