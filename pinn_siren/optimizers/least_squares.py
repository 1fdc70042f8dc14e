"""Least squares: the last layer of a network by one linear solve, or by Gauss-Newton where the problem is nonlinear."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from ..conditions import Constraint
from ..domains import Sampler
from ..errors import UsageError
from ..loss import Objective
from ..memory import Chunks, ran_out
from ..model import Model
from ..points import Points
from ..system import System
from .by_qr import remainder, solve
from .design import Block, Design, Layout, design, put
from .linearized import biased, last_layer, linear
from .stage import Stage, Update
from .weighted import Held, Streamed, Weighted, chunks_of, fits, say_streamed

OVERSAMPLING = 2
"""Points inside for every feature."""
EDGE_WEIGHT = 3.0
"""The weight of conditions beside the equation; from 0.1 to 1000 it changes smooth solutions little."""
LEAST, LITTLE = 1e-3, 3e-2
"""The gain of an iteration below which another one is not worth it, and where the solution is known roughly before."""
CLOSE = 1e-12
HALVINGS = 5
START = 1e-3
"""In units of a column's length: the ridge of the first fit, which has no equation between its points."""


@dataclass(frozen=True)
class LeastSquares(Stage):
    """Solve for the last layer, all others frozen: at least ``steps`` Gauss-Newton iterations, one where it is linear.

    ``min |A w - b|`` over the last layer's weights, rows of the equation at Chebyshev-distributed points and of every
    condition, each group divided by the root mean square of its rows, columns scaled to unit length; by QR with a ridge
    of ``1e-15``. float64 only. Random features: Rahimi and Recht
    2007 (NeurIPS 20); for differential equations: Calabro, Fabiani and Siettos 2021, doi 10.1016/j.cma.2021.114188.

    A matrix that takes more than half of the free memory is never held: its rows are made some at a time, and the
    triangle of the QR takes them up. ``gram``: such a matrix by Gram matrices instead, in three passes of products
    alone, to the same digits: faster on graphics processors.
    """

    steps: int = 20
    resample: int = 0
    gram: bool = False

    def begin(self, objective: Objective) -> Update:
        """One Gauss-Newton iteration a step, on points of its own."""
        model = objective.model
        if model.center.dtype != torch.float64:
            raise UsageError("LeastSquares needs dtype=torch.float64: its weights cancel to many digits.")
        width = last_layer(model.network).in_features
        objective.points = collocation(objective.system, width, objective.sampler.generator)
        return iteration(objective, LastLayer(objective.system, model, objective.points, gram=self.gram))

    @property
    def cadence(self) -> tuple[int, int]:
        """Every step is looked at: there are few."""
        return 1, 1


class Solver(Protocol):
    """Changes a model's last layer, a step at a time."""

    @property
    def done(self) -> bool:
        """Whether another step would change nothing."""

    def step(self) -> None:
        """One step."""


@dataclass(frozen=True, eq=False)
class _Iteration(Update):
    solver: Solver

    @property
    def done(self) -> bool:
        """Whether another iteration would change nothing."""
        return self.solver.done


@dataclass
class LastLayer:
    """The nonlinear least-squares problem of a model's last layer, and its iterations.

    ``residual``: the weighted root mean square of all rows at the collocation points; ``scales``: of every block, the
    root mean square of its matrix, the residual that a typical feature of coefficient 1 makes; ``linear``: whether the
    fields enter linearly, found out unless given; ``matrix``, ``right`` and ``weights``: the system that was solved
    last, and its blocks' factors, the first two empty where the matrix does not fit the memory; ``weigh``: another
    choice of these, for which it is always held; ``gram``: see ``LeastSquares``; ``chunks``: so many points at a time,
    however large the memory, else found out.
    """

    system: System
    model: Model
    points: dict[str, list[Points]]
    linear: bool | None = None
    weigh: Callable[[list[Block], list[float]], list[float]] | None = None
    gram: bool = False
    chunks: Chunks | None = None
    scales: list[float] = field(default_factory=list, init=False)
    whole: bool = field(default=False, init=False)
    residual: float = field(default=math.inf, init=False)
    done: bool = field(default=False, init=False)
    weights: list[float] = field(default_factory=list, init=False)
    matrix: Tensor = field(default_factory=lambda: torch.empty(0, 0), init=False)
    right: Tensor = field(default_factory=lambda: torch.empty(0), init=False)

    def step(self) -> None:
        """Linearize, solve, and take as much of the step as lowers the residual."""
        if self.linear is None:
            self.linear = linear(self.system, self.points, self.model)
        if not self.scales:
            self._start()
        found = design(self.system, self.points, self.model)
        self.whole = found.whole
        before = self.unknowns()
        weighted, solved = self._solved(found)
        self.scales, self.weights = weighted.scales, weighted.weights
        if isinstance(weighted, Held):
            self.matrix, self.right = weighted.matrix, weighted.right
        if solved is None:
            # Where the residual has no linearization, as log(u) at u = 0, there is no step.
            self.residual, self.done = math.inf, True
            return
        here, linear_residual = weighted.misfits(before, solved)
        put(self.model, solved, self.whole)
        if self.linear:
            self.residual, self.done = linear_residual, True
            return
        share = 1.0
        for _ in range(HALVINGS):
            there = self._measured(self.weights)
            if there <= here or not math.isfinite(here):
                break
            share /= 2
            put(self.model, before + share * (solved - before), self.whole)
        self.residual = there
        # Where the linearization said it would be, or no better than before: another step would change nothing.
        least = LITTLE if any(c.first for c in self.system.constraints) else LEAST
        self.done = abs(there - linear_residual) <= 1e-6 * here + CLOSE or there > (1 - least) * here

    def _start(self) -> None:
        """Fit what is known beforehand of a nonlinear problem's solution."""
        known = [c for c in self.system.constraints if c.first]
        if known and not self.linear:
            found = design(self.system, self.points, self.model, some=known)
            put(self.model, Held(found, self.weigh or weigh).solve(START), found.whole)

    def _solved(self, found: Design) -> tuple[Weighted, Tensor | None]:
        """The weighted system and its solution, ``None`` where a number is not finite."""
        if self.weigh is not None or (self.chunks is None and self.system.ranks.every(fits(found))):
            try:
                return _held(found, self.weigh or weigh)
            except (MemoryError, RuntimeError) as error:
                if self.weigh is not None or self.system.ranks.size > 1 or not ran_out(error):
                    raise
            say_streamed(found)
        self.chunks = self.chunks or chunks_of(found)
        streamed = Streamed(found, factor, self.chunks, self.gram)
        return streamed, streamed.solve() if streamed.finite else None

    def _measured(self, weights: list[float]) -> float:
        """The weighted norm of all rows, as they are now."""
        rows = [
            row
            for c in self.system.constraints
            for part in self._parts(c)
            for row in ([part.real, part.imag] if part.is_complex() and not self.whole else [part])
        ]
        total = sum(float(row.abs().square().sum()) * w**2 for row, w in zip(rows, weights, strict=True))
        return math.sqrt(total) if math.isfinite(total) else math.inf

    @torch.no_grad()
    def _parts(self, c: Constraint) -> list[Tensor]:
        ranks, n = self.system.ranks, len(self.points[c.name][0])
        points = ranks.own(self.points[c.name])
        chunks = self.chunks or Chunks(f"points of {c.name!r}", len(points[0]))

        def work(cut: slice) -> tuple[Tensor, ...]:
            return self.system.share_of_parts(c, [p[cut] for p in points], self.model)

        some = list(chunks.over(len(points[0]), work))
        parts = [ranks.gathered(torch.cat(pieces), n) for pieces in zip(*some, strict=True)]
        return [part.mean(0, keepdim=True) if c.reduce == "mean" else part for part in parts]

    def unknowns(self) -> Tensor:
        """The last layer's weights, as ``matrix`` takes them."""
        layer = last_layer(self.model.network)
        rows = layer.weight.detach()
        if biased(layer):
            rows = torch.cat([rows, layer.bias.detach()[:, None]], dim=1)
        layout = Layout.of(self.model)
        if self.whole:
            half = len(rows) // 2
            return torch.complex(layout.taken(rows[:half]), layout.taken(rows[half:]))
        return layout.taken(rows)


def iteration(objective: Objective, solver: Solver) -> Update:
    """A step of a solver as an update of a stage."""

    def step(number: int, end: float) -> Tensor:
        solver.step()
        with torch.no_grad():
            terms = objective.terms()
        objective.latest = terms
        return torch.stack(list(terms.values())).sum()

    return _Iteration(step, torch.optim.SGD(last_layer(objective.model.network).parameters()), solver)


def _held(found: Design, weigh: Callable[[list[Block], list[float]], list[float]]) -> tuple[Weighted, Tensor | None]:
    held = Held(found, weigh)
    return held, held.solve() if held.finite else None


def collocation(system: System, width: int, generator: torch.Generator) -> dict[str, list[Points]]:
    """Points for every constraint: ``OVERSAMPLING`` a feature inside, as densely on boundaries; denser at the sides."""
    dimensions = len(system.problem.domain.axes)
    inside = OVERSAMPLING * (width + 1)
    beside = max(32, int(4 * dimensions * inside ** ((dimensions - 1) / dimensions)))
    # Features that satisfy the equation are held by conditions alone.
    alone = not any(c.on_interior for c in system.constraints)
    numbers = {c.name: inside if c.on_interior or alone else min(beside, inside // 2) for c in system.constraints}
    return system.sample(numbers, Sampler(generator, torch.float64, "chebyshev"))


def weigh(blocks: list[Block], scales: list[float]) -> list[float]:
    """The factors of blocks: 1 over the root mean square of their rows, more beside the equation."""
    return [factor(b.constraint, b.total, scale) for b, scale in zip(blocks, scales, strict=True)]


def factor(constraint: Constraint, rows: int, scale: float) -> float:
    """That of one block, from the number of its rows and their root mean square."""
    edge = 1.0 if constraint.on_interior else EDGE_WEIGHT
    return edge * math.sqrt(constraint.weight) / (scale * math.sqrt(rows))


__all__ = ["LastLayer", "LeastSquares", "collocation", "iteration", "remainder", "solve", "weigh"]
