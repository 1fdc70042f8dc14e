"""Least squares: the last layer of a network by one linear solve, or by Gauss-Newton where the problem is nonlinear."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..conditions import Constraint
from ..domains import Sampler
from ..errors import UsageError
from ..loss import Objective
from ..model import Model
from ..points import Points
from ..system import System
from .design import Block, assemble, last_layer, linear, put
from .stage import Stage, Update

OVERSAMPLING = 2
"""Points inside for every feature."""
EDGE_WEIGHT = 3.0
"""The weight of conditions beside the equation; from 0.1 to 1000 it changes smooth solutions little."""
RIDGE = 1e-15
"""In units of a column's length."""
CLOSE = 1e-12
LEAST_DAMPED, MOST_DAMPED, MORE_DAMPED = 1e-7, 1e-1, 30.0
"""In units of a column's length: the damping of a step where the whole one raises the residual, and its growth."""


@dataclass(frozen=True)
class LeastSquares(Stage):
    """Solve for the last layer, all others frozen: at least ``steps`` Gauss-Newton iterations, one where it is linear.

    ``min |A w - b|`` over the last layer's weights, rows of the equation at Chebyshev-distributed points and of every
    condition, each group divided by the root mean square of its rows, columns scaled to unit length; by QR with a ridge
    of ``1e-15``. float64 only. Random features: Rahimi and Recht
    2007 (NeurIPS 20); for differential equations: Calabro, Fabiani and Siettos 2021, doi 10.1016/j.cma.2021.114188.
    """

    steps: int = 20
    resample: int = 0

    def begin(self, objective: Objective) -> Update:
        """One Gauss-Newton iteration a step, on points of its own."""
        model = objective.model
        if model.center.dtype != torch.float64:
            raise UsageError("LeastSquares needs dtype=torch.float64: its weights cancel to many digits.")
        width = last_layer(model.network).in_features
        objective.points = collocation(objective.system, width, objective.sampler.generator)
        solver = LastLayer(objective.system, model, objective.points)

        def step(number: int) -> Tensor:
            solver.step()
            with torch.no_grad():
                terms = objective.terms()
            objective.latest = terms
            return torch.stack(list(terms.values())).sum()

        return _Iteration(step, torch.optim.SGD(last_layer(model.network).parameters()), solver)

    @property
    def cadence(self) -> tuple[int, int]:
        """Every step is looked at: there are few."""
        return 1, 1


@dataclass(frozen=True, eq=False)
class _Iteration(Update):
    solver: LastLayer

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
    last, and its blocks' factors; ``weigh``: another choice of these.
    """

    system: System
    model: Model
    points: dict[str, list[Points]]
    linear: bool | None = None
    weigh: Callable[[list[Block], list[float]], list[float]] | None = None
    scales: list[float] = field(default_factory=list, init=False)
    whole: bool = field(default=False, init=False)
    residual: float = field(default=math.inf, init=False)
    done: bool = field(default=False, init=False)
    damping: float = field(default=RIDGE, init=False)
    weights: list[float] = field(default_factory=list, init=False)
    matrix: Tensor = field(default_factory=lambda: torch.empty(0, 0), init=False)
    right: Tensor = field(default_factory=lambda: torch.empty(0), init=False)

    def step(self) -> None:
        """Linearize, solve, and take as much of the step as lowers the residual."""
        if self.linear is None:
            self.linear = linear(self.system, self.points, self.model)
        blocks, self.whole = assemble(self.system, self.points, self.model)
        self.scales = [float(b.matrix.abs().square().mean().sqrt()) or 1.0 for b in blocks]
        self.weights = weights = (self.weigh or weigh)(blocks, self.scales)
        matrix = torch.cat([b.matrix * w for b, w in zip(blocks, weights, strict=True)])
        right = torch.cat([b.right * w for b, w in zip(blocks, weights, strict=True)])
        self.right = right
        if not bool(torch.isfinite(matrix).all() and torch.isfinite(right).all()):
            # Where the residual has no linearization, as log(u) at u = 0, there is no step.
            self.residual, self.done = math.inf, True
            return
        before = self.unknowns()
        width = len(before) // (last_layer(self.model.network).out_features // (1 + self.whole))
        self.damping = self.damping / MORE_DAMPED if self.damping > LEAST_DAMPED else RIDGE
        if self.damping > RIDGE:
            solved = before + solve_apart(matrix, right - matrix @ before, width, self.damping)
        else:
            solved = solve_apart(matrix, right, width)
        self.matrix = matrix = matrix.to(solved.dtype)
        linear_residual = float((matrix @ solved - right).norm())
        put(self.model, solved, self.whole)
        if self.linear:
            self.residual, self.done = linear_residual, True
            return
        here = float((matrix @ before - right).norm())
        there = self._measured(weights)
        if there > here and math.isfinite(here):
            there = self._shortened(before, here, weights, width)
        self.residual = there
        # Where the linearization said it would be, or no better than before: another step would change nothing.
        self.done = abs(there - linear_residual) <= 1e-6 * here + CLOSE or there > (1 - 1e-3) * here

    def _shortened(self, before: Tensor, here: float, weights: list[float], width: int) -> float:
        """Where the whole step raises the residual: the first damped one that lowers it, and what that leaves.

        What inequalities add to the rows changes with the step, and holds for a short one alone (Levenberg 1944,
        doi 10.1090/qam/10666).
        """
        left = self.right - self.matrix @ before
        while self.damping < MOST_DAMPED:
            self.damping = max(LEAST_DAMPED, MORE_DAMPED * self.damping)
            put(self.model, before + solve_apart(self.matrix, left, width, self.damping), self.whole)
            there = self._measured(weights)
            if there <= here:
                return there
        put(self.model, before, self.whole)
        return here

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
        parts = self.system.parts(c, self.points[c.name], self.model)
        return [part.mean(0, keepdim=True) if c.reduce == "mean" else part for part in parts]

    def unknowns(self) -> Tensor:
        """The last layer's weights, as ``matrix`` takes them."""
        layer = last_layer(self.model.network)
        rows = layer.weight.detach()
        if layer.bias is not None:
            rows = torch.cat([rows, layer.bias.detach()[:, None]], dim=1)
        if self.whole:
            half = len(rows) // 2
            return torch.complex(rows[:half], rows[half:]).reshape(-1)
        return rows.reshape(-1)


def collocation(system: System, width: int, generator: torch.Generator) -> dict[str, list[Points]]:
    """Points for every constraint: ``OVERSAMPLING`` a feature inside, as densely on boundaries; denser at the sides."""
    dimensions = len(system.problem.domain.axes)
    inside = OVERSAMPLING * (width + 1)
    beside = max(32, int(4 * dimensions * inside ** ((dimensions - 1) / dimensions)))
    # Features that satisfy the equation are held by conditions alone.
    alone = not any(c.on_interior for c in system.constraints)
    numbers = {c.name: inside if c.on_interior or alone else min(beside, inside // 2) for c in system.constraints}
    return system.sample(numbers, Sampler(generator, torch.float64, "chebyshev"))


def solve_apart(matrix: Tensor, right: Tensor, width: int, ridge: float = RIDGE) -> Tensor:
    """``solve``, every ``width`` columns alone where no row joins them, as those of several sources of travel times."""
    count = matrix.shape[1] // width
    if count < 2:
        return solve(matrix, right, ridge)
    among = matrix.reshape(len(matrix), count, width).ne(0).any(dim=2)
    if bool((among.sum(dim=1) > 1).any()):
        return solve(matrix, right, ridge)
    parts = [solve(matrix[rows, k * width : (k + 1) * width], right[rows], ridge) for k, rows in enumerate(among.T)]
    return torch.cat(parts)


def solve(matrix: Tensor, right: Tensor, ridge: float = RIDGE) -> Tensor:
    """``min |A x - b|^2 + ridge^2 |D x|^2``, ``D`` the columns' lengths, by one QR; ``b`` real or complex.

    ``right``: ``(rows,)``, or ``(rows, k)`` for several at once. Features are dependent within rounding by design. The
    ridge, at rounding, holds the weights of what the rows do not see; it is as accurate as singular values cut off
    there, for the work of one factorization.
    """
    if right.ndim == 1:
        return solve(matrix, right[:, None], ridge)[:, 0]
    n, k = matrix.shape[1], right.shape[1]
    lengths = matrix.norm(dim=0)
    lengths = torch.where(lengths > 0, lengths, 1.0)
    split = right.is_complex() and not matrix.is_complex()
    columns = torch.cat([right.real, right.imag], dim=1) if split else right.to(matrix.dtype)
    both = matrix.new_zeros(len(matrix) + n, n + columns.shape[1])
    torch.div(matrix, lengths, out=both[: len(matrix), :n])
    both[: len(matrix), n:] = columns
    both[len(matrix) :, :n].fill_diagonal_(ridge)
    triangle = torch.linalg.qr(both, mode="r").R
    found = torch.linalg.solve_triangular(triangle[:n, :n], triangle[:n, n:], upper=True) / lengths[:, None]
    return torch.complex(found[:, :k], found[:, k:]) if split else found


def remainder(matrix: Tensor, right: Tensor) -> Tensor:
    """What no combination of a matrix's columns takes from ``right``: ``b - A x`` at the least-squares solution."""
    fitted = solve(matrix, right)
    return right - matrix.to(fitted.dtype) @ fitted


def weigh(blocks: list[Block], scales: list[float]) -> list[float]:
    """The factors of blocks: 1 over the root mean square of their rows, more beside the equation."""

    def one(block: Block, scale: float) -> float:
        edge = 1.0 if block.constraint.on_interior else EDGE_WEIGHT
        return edge * math.sqrt(block.constraint.weight) / (scale * math.sqrt(len(block.matrix)))

    return [one(b, s) for b, s in zip(blocks, scales, strict=True)]


__all__ = ["LastLayer", "LeastSquares", "collocation", "remainder", "solve", "weigh"]
