"""A problem's constraints at nodes: their residuals, and the sparse matrices of their linearizations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sparse
import torch

from ..conditions import Constraint
from ..domains import Sampler
from ..jet import LAPLACIAN, Column, Jet, Linearization, Plan, linearize, make_plan
from ..points import TIME, Points
from ..problem import Problem, record
from ..system import checked
from .lines import Field, Index, Real
from .nodes import Nodes

Weights = dict[int, float]
"""Level of time to its factor in a difference quotient."""
Scheme = Callable[[int, int], Weights]
"""``(level, order)`` to the weights of a derivative in time at a level."""
Levels = Mapping[int, Field]
"""Level of time to the fields there, ``(fields, N)``."""


@dataclass(frozen=True, eq=False)
class Stated:
    """A constraint at some nodes, with the outward normals there where it holds on the boundary."""

    constraint: Constraint
    nodes: Index
    outward: Real | None = None
    matrices: dict[str, sparse.csr_matrix] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Source:
    """One part of a constraint, at its nodes and a level of time."""

    stated: Stated
    level: int
    part: int

    @property
    def key(self) -> tuple[int, int]:
        """The same for all parts that are evaluated together."""
        return id(self.stated), self.level


@dataclass(eq=False)
class Discretization:
    """Constraints of a problem, evaluated by difference matrices in space and difference quotients in time."""

    problem: Problem
    nodes: Nodes
    times: Real
    scheme: Scheme
    asked: dict[str, frozenset[str]] = field(default_factory=dict)

    @property
    def fields(self) -> int:
        """How many fields are unknown."""
        return len(self.problem.fields)

    @property
    def dtype(self) -> type:
        """Of the fields."""
        return np.complex128 if self.problem.complex_valued else np.float64

    def points(self, stated: Stated, level: int) -> Points:
        """The nodes of a constraint at a level of time."""
        place = dict(zip(self.nodes.space_axes, self.nodes.coordinates[stated.nodes].T, strict=True))
        if self.problem.domain.has_time:
            place[TIME] = np.full(len(stated.nodes), self.times[level])
        columns = [torch.from_numpy(np.ascontiguousarray(place[a])) for a in self.problem.domain.axes]
        outward = None if stated.outward is None else torch.from_numpy(stated.outward)
        return Points(self.problem.domain.axes, torch.stack(columns, dim=1), outward)

    def probe(self, stated: Stated, level: int, seed: int = 3) -> Linearization:
        """The linearization at random jets: which derivatives a constraint speaks of."""
        points = self.points(stated, level)

        def evaluate(plan: Plan) -> Linearization:
            sampler = Sampler(torch.Generator().manual_seed(seed))
            return self._linearize(stated, points, self.problem.random_fields(points, plan, sampler))

        return self._record(stated, evaluate)

    def parts(self, stated: Stated, level: int, levels: Levels) -> tuple[torch.Tensor, ...]:
        """``(n,)`` each: what is left of a constraint's parts, with the graph of what its coefficients depend on."""
        points = self.points(stated, level)

        def evaluate(plan: Plan) -> tuple[torch.Tensor, ...]:
            return checked(stated.constraint, [points], [self._jets(stated, points, plan, level, levels)])

        return tuple(self._record(stated, evaluate))

    def residual(self, stated: Stated, level: int, levels: Levels) -> Field:
        """``(parts, n)``: what is left of a constraint."""
        with torch.no_grad():
            return np.stack([part.numpy() for part in self.parts(stated, level, levels)])

    def linearization(self, stated: Stated, level: int, levels: Levels) -> Linearization:
        """The linearization at the fields of some levels."""
        points = self.points(stated, level)
        plan = make_plan(self.problem.domain.axes, self.asked.get(stated.constraint.name, frozenset()))
        return self._linearize(stated, points, self._jets(stated, points, plan, level, levels))

    def matrix(
        self, stated: Stated, coefficients: Field, columns: list[Column], level: int, unknown: tuple[int, ...]
    ) -> sparse.csr_matrix:
        """``(n, levels fields N)``: the derivative of one part by the fields at some levels.

        ``coefficients``: ``(n, columns)``, from a linearization.
        """
        empty = sparse.csr_matrix((len(stated.nodes), len(self.nodes.coordinates)), dtype=coefficients.dtype)
        blocks = {(m, f): empty for m in unknown for f in range(self.fields)}
        for factor, column in zip(coefficients.T, columns, strict=True):
            key, order = _split(column.key)
            for m, weight in self.scheme(level, order).items() if factor.any() else ():
                if m in unknown:
                    scaled = _scaled(self._difference(stated, key), weight * factor)
                    blocks[m, column.field] = blocks[m, column.field] + scaled
        return sparse.csr_matrix(sparse.hstack(list(blocks.values()), format="csr"))

    def _linearize(self, stated: Stated, points: Points, jets: tuple[Jet, ...]) -> Linearization:
        def residual(at: list[Points], free: list[tuple[Jet, ...]]) -> tuple[torch.Tensor, ...]:
            return checked(stated.constraint, at, free)

        return linearize(residual, [points], [jets])

    def _record(self, stated: Stated, evaluate: Callable[[Plan], Any]) -> Any:
        name = stated.constraint.name
        came, self.asked[name] = record(evaluate, self.problem, self.asked.get(name, frozenset()))
        return came

    def _jets(self, stated: Stated, points: Points, plan: Plan, level: int, levels: Levels) -> tuple[Jet, ...]:
        def channel(key: str) -> Field:
            space, order = _split(key)
            weights = self.scheme(level, order)
            combined = np.sum([weight * levels[m] for m, weight in weights.items()], axis=0)
            return np.asarray((self._difference(stated, space) @ combined.T).T)

        stacked = np.stack([channel(key) for key in plan.keys])
        channels = [torch.from_numpy(np.ascontiguousarray(stacked[:, f])) for f in range(self.fields)]
        return tuple(Jet(c, plan, points) for c in channels)

    def _difference(self, stated: Stated, key: str) -> sparse.csr_matrix:
        if key not in stated.matrices:
            keys = [2 * a for a in self.nodes.space_axes] if key == LAPLACIAN else [key]
            stated.matrices[key] = sum(self.nodes.derivative(k)[stated.nodes] for k in keys)
        return stated.matrices[key]


def _split(key: str) -> tuple[str, int]:
    """The derivative in space, and the order in time."""
    return (key, 0) if key == LAPLACIAN else (key.replace(TIME, ""), key.count(TIME))


def _scaled(matrix: sparse.csr_matrix, factor: Field) -> sparse.csr_matrix:
    """``diag(factor) matrix``."""
    data = matrix.data * np.repeat(factor, np.diff(matrix.indptr))
    return sparse.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape)
