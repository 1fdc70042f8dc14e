"""Gauss-Newton: second-order training of all layers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..domains import Sampler
from ..errors import ResidualError, UsageError, expect_whole
from ..loss import Objective
from ..memory import ran_out
from ..siren import Siren, widened
from .damped import Damped
from .jacobian import Rows
from .stage import Stage, Update
from .ways import Ways

FIRST, EASIER, HARDER = 1e-3, 20.0, 2.0
"""The first damping, of the largest eigenvalue; by what it falls after a step, and rises after a refused one."""
FLOOR = {torch.float64: 1e-17, torch.float32: 1e-9}
"""The least damping, of the largest eigenvalue."""
TRIES = 40
CORRECTIONS, SHRINK = 2, 0.7
"""Corrections of a step at most, and how much shorter each must be than the one before."""
GAIN = 0.5
"""Not stalled: the residual at held-out points falls to this much within the stage's patience."""
TRIAL = 8
"""Steps of every start before the best goes on."""
MEMORIZED = 100.0
"""Held-out over trained loss from which the points are doubled."""
MOST_POINTS, HELD = 40_000, 500
BLURRED = 5e-3
"""Smoothed sources are met well enough where this much of the zero field's loss is left at held-out points."""


@dataclass(frozen=True)
class GaussNewton(Stage):
    """Levenberg-Marquardt on all layers: ``min |J d + r|^2 + mu |d|^2`` a step, by QR, Cholesky where ``mu`` allows.

    ``mu`` is divided by 20 after a step that lowers the loss and doubled after one that does not (Marquardt 1963, doi
    10.1137/0111030). A step is corrected by the same factors for what the linearization missed; the first correction is
    the geodesic acceleration (Transtrum and Sethna 2012, arXiv 1201.5885). The weights kept are those of the least
    residual at held-out points.

    ``density``: rows of the equation for every parameter, 0 for the trainer's points; points are doubled where the
    held-out residual is 10 times the trained one. ``starts``: weights to start from, the network's own and shuffled
    ones, the best after a few steps goes on. ``wider``: by how many neurons a ``Siren``'s layers are widened first, its
    function unchanged. ``patience``: the stage ends where the held-out residual has not halved in so many steps.

    With fewer rows than parameters the step is the shortest one. Where half of the free memory does not hold the
    derivative, a triangle takes up its rows; where it holds no triangle, preconditioned LSQR finds the step. If memory
    runs out after all, fewer points are taken at once, or the next of these ways, with one line saying so. In float32
    it ends near 1e-4.
    """

    steps: int = 1000
    resample: int = 0
    density: float = 1.8
    starts: int = 1
    wider: int = 0
    patience: int = 15

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_whole("GaussNewton's starts", self.starts, 1)
        expect_whole("GaussNewton's wider", self.wider, 0)
        expect_whole("GaussNewton's patience", self.patience, 1)
        if not 0 <= self.density < math.inf:
            raise UsageError(f"GaussNewton's density is a number of rows a parameter, 0 or more; got {self.density}.")

    @property
    def cadence(self) -> tuple[int, int]:
        """Every step is looked at."""
        return 1, 5

    def prepare(self, objective: Objective) -> None:
        """Widen the network. Raises ``UsageError`` where it is no ``Siren``."""
        super().prepare(objective)
        network = objective.model.network
        if not self.wider:
            return
        if not isinstance(network, Siren):
            raise UsageError(f"GaussNewton(wider=...) widens a Siren; the network is a {type(network).__name__}.")
        width = network.width + self.wider
        wide = widened(network, width, torch.Generator().manual_seed(width))
        objective.model.network = wide.to(objective.model.center)

    def begin(self, objective: Objective) -> Update:
        """New damping, on as many points as the parameters need. Raises ``UsageError`` with causal weights, and where a
        condition counts by its mean absolute residual."""
        absolute = next((c.name for c in objective.system.constraints if c.norm != 2), None)
        if absolute is not None:
            raise UsageError(f"GaussNewton makes mean squares small: give {absolute!r} norm=2, or use Adam or LBFGS.")
        if objective.causal is not None:
            raise UsageError("GaussNewton has no causal weights: leave out causal=True, or use Adam or LBFGS.")
        descent = Descent(objective, self)
        return _Descent(descent.advance, None, descent)


@dataclass(frozen=True, eq=False)
class _Descent(Update):
    descent: Descent

    @property
    def done(self) -> bool:
        """Whether no step is left that helps."""
        return bool(self.descent.end)

    @property
    def reason(self) -> str:
        """Why it is done."""
        return self.descent.end

    def state(self) -> dict[str, Any]:
        """Where each start is."""
        return {"runs": [vars(run) for run in self.descent.runs], "end": self.descent.end, "grown": self.descent.grown}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        like, runs = self.descent.objective.model.center, list[Run]()
        for run in state["runs"]:
            moved: dict[str, Any] = dict(run) | {name: run[name].to(like) for name in ("theta", "best")}
            runs.append(Run(**moved))
        self.descent.runs = runs
        self.descent.end, self.descent.grown = state["end"], state["grown"]


@dataclass
class Run:
    """One start: the parameters it is at, its damping, and the best by the held-out loss (``fell``: every step's)."""

    theta: Tensor
    best: Tensor
    mu: float = 0.0
    held: float = math.inf
    fell: list[float] = field(default_factory=list)
    stuck: bool = False


class Descent:
    """The steps of a stage. The model always holds the best weights so far."""

    def __init__(self, objective: Objective, stage: GaussNewton) -> None:
        self.objective, self.stage = objective, stage
        self.end, self.grown = "", False
        self.enough = BLURRED * objective.zero_loss() if stage.blur else 0.0
        self.ways = Ways()
        size = Rows(objective, {}).size
        wanted = _counts(objective, stage.density * size)
        # A run that goes on has its points already, doubled perhaps.
        if stage.density and objective.counts not in (wanted, {name: 2 * n for name, n in wanted.items()}):
            objective.counts = wanted
            objective.resample()
        sampler = Sampler(torch.Generator(objective.sampler.device).manual_seed(31), objective.sampler.dtype)
        numbers = {name: max(HELD, n // 2) for name, n in objective.counts.items()}
        self.held = Rows(objective, objective.system.sample(numbers, sampler))
        own = self.held.where()
        starts = [own, *(_shuffled(self.held, seed) for seed in range(1, stage.starts))]
        self.runs = [Run(theta, theta) for theta in starts]
        self.held.at(own)

    def advance(self, number: int, end: float) -> Tensor:
        """One step of one start; the loss before it."""
        trials = TRIAL * len(self.runs) if len(self.runs) > 1 else 0
        if trials and number >= trials:
            self.runs = [min(self.runs, key=lambda run: run.held)]
        run = self.runs[number // TRIAL] if trials and number < trials else self.runs[0]
        loss = self._step(run)
        if len(self.runs) == 1:
            self._judge(run, loss)
        best = min(self.runs, key=lambda one: one.held)
        self.held.at(best.best)
        with torch.no_grad():
            self.objective.latest = self.objective.terms()
        return torch.tensor(loss)

    def _step(self, run: Run) -> float:
        """One step, held in less memory where it ran out; the loss before it."""
        while True:
            try:
                return self._stepped(run)
            except (MemoryError, RuntimeError) as error:
                if not ran_out(error):
                    raise
                said = " ".join(str(error).split())
            # What the failed step held is free only now, after its traceback.
            self.ways.smaller(said, self.objective.system.ranks)

    def _stepped(self, run: Run) -> float:
        rows = Rows(self.objective, self.objective.points)
        ranks = self.objective.system.ranks
        count = int(ranks.sum(torch.tensor(len(rows.at(run.theta)))))
        problem = self.ways.damped(partial(rows.chunks, run.theta), count, rows.size, rows.device, ranks)
        loss = rows.total(problem.right)
        if not (math.isfinite(loss) and math.isfinite(problem.top)):
            raise ResidualError(
                "The residual or its derivative by the weights is NaN or infinite where Gauss-Newton starts: look for "
                "a root or a logarithm of the field at zero in the residual, or train with Adam first."
            )
        floor = FLOOR.get(rows.parameters[0].dtype, FLOOR[torch.float64]) * problem.top
        # On a network that is trained already the damping begins where training left it, a power of the loss.
        run.mu = run.mu or min(FIRST, loss**1.5) * problem.top
        run.stuck = True
        for _ in range(TRIES if loss else 0):
            run.mu = max(run.mu, floor)
            found, to = _bent(rows, problem, run.theta, run.mu)
            if found < loss:
                run.theta, run.stuck = to, False
                run.mu /= EASIER
                break
            run.mu *= HARDER
        held = self.held.total(self.held.at(run.theta))
        if held < run.held:
            run.held, run.best = held, run.theta
        run.fell.append(run.held)
        return loss

    def _judge(self, run: Run, loss: float) -> None:
        """Whether to end, or to take more points."""
        patience = self.stage.patience
        counts = self.objective.counts
        if run.held > MEMORIZED * loss and self.stage.density and max(counts.values()) < MOST_POINTS and not self.grown:
            self.objective.counts = {name: 2 * n for name, n in counts.items()}
            self.objective.resample()
            run.theta, self.grown = run.best, True
        elif run.held < self.enough:
            self.end = "the smoothed sources are met"
        elif run.stuck:
            self.end = "no step lowers the loss: converged" if loss else "the residual is zero: converged"
        elif len(run.fell) > patience and run.fell[-1] > GAIN**2 * run.fell[-1 - patience]:
            self.end = f"stalled, the held-out residual fell by less than half in {patience} steps,"


def _bent(rows: Rows, problem: Damped, theta: Tensor, mu: float) -> tuple[float, Tensor]:
    """The least loss along a step and its corrections, and where it is."""
    d = problem.solve(mu)
    line = problem.right + problem.along(d)
    length, best, to = float(d.norm()), math.inf, theta
    for number in range(CORRECTIONS + 1):
        there = rows.at(theta + d)
        size = rows.total(there)
        if size < best:
            best, to = size, theta + d
        if number == CORRECTIONS or not math.isfinite(size) or (number > 1 and size > best):
            break
        # What the linearization missed, removed by the same factors.
        fix = problem.again(there - line)
        if not float(fix.norm()) <= SHRINK * length:
            break
        length = float(fix.norm())
        d = d + fix
    return best, to


def _counts(objective: Objective, rows: float) -> dict[str, int]:
    """Points of every constraint so that those inside make so many rows; complex fields need points more than rows."""
    parts = len(objective.model.fields) * (1.4 if objective.model.complex_valued else 1.0)
    inside = max(64, int(rows / parts))
    return {c.name: inside if c.on_interior else max(8, inside // 4) for c in objective.system.constraints}


def _shuffled(rows: Rows, seed: int) -> Tensor:
    """Other weights of the same sizes: every column of every matrix, and every bias, in another order."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for p in rows.parameters:
        columns = p.detach().reshape(len(p), -1)
        order = torch.rand(columns.shape, generator=generator).argsort(0).to(p.device)
        found.append(columns.gather(0, order).reshape(-1))
    return torch.cat(found)


__all__ = ["Descent", "GaussNewton"]
