"""Chebyshev collocation of the residual and the conditions of a problem on a box: one field, of second order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sparse
import torch

from ..conditions import Constraint
from ..domains import Box
from ..errors import NoReferenceError
from ..jet import LAPLACIAN, Jet, Linearization, Plan, linearize, make_plan
from ..points import Points
from ..problem import Problem, record
from ..system import checked
from .elements import Condensed, Elements
from .lines import Field, Index, Real

STEPS = 40
HALVINGS = 10
CONVERGED = 1e-13
"""The last step, of the field's largest value."""
NEGLIGIBLE = 1e-12

Coefficients = dict[str, Field]
"""Derivative, named by axis letters, to its coefficient at some nodes."""


def covered(problem: Problem) -> tuple[Constraint, list[Constraint], set[str]]:
    """The equation, the conditions on the boundary, and the periodic axes.

    Raises ``NoReferenceError`` unless the problem is one field on a box of 1 to 3 space axes, of second order along
    each, with conditions on the boundary that fix it.
    """
    refuse = "Chebyshev collocation takes one field of second order on a box without time"
    domain = problem.domain
    if not isinstance(domain, Box) or domain.has_time or not 1 <= len(domain.axes) <= 3:
        raise NoReferenceError(f"{refuse}, of up to three axes, not {domain}.")
    if len(problem.fields) != 1 or problem.fields != problem.outputs or problem.is_fit or problem.ansatz is not None:
        raise NoReferenceError(f"{refuse}, without an own ansatz; the fields here are {', '.join(problem.fields)}.")
    orders = {a: problem.order(a) for a in domain.axes}
    if set(orders.values()) != {2}:
        raise NoReferenceError(f"{refuse}; the orders here are {orders}.")
    if problem.free_constant:
        raise NoReferenceError(f"{refuse} that the conditions fix; here a constant is free.")
    equation, *others = problem.constraints()
    sides, periodic = [], set[str]()
    for c in others:
        if c.place is None or c.place.kind not in ("boundary", "periodic"):
            raise NoReferenceError(f"{refuse} with conditions on the boundary, not {c.name!r}.")
        if c.place.kind == "periodic":
            assert c.place.axis is not None
            periodic.add(c.place.axis)
        else:
            sides.append(c)
    return equation, sides, periodic


@dataclass(frozen=True, eq=False)
class Stated:
    """A constraint at some nodes, with the outward normals there where it holds on the boundary."""

    constraint: Constraint
    nodes: Index
    outward: Real | None = None


class Collocation:
    """The square nonlinear system of a problem: the equation inside the elements, equal slopes between them, the
    conditions on the boundary.

    Where the faces of elements cross, the jumps of all slopes across add up to zero; where sides meet, a condition of
    the value goes before the sum of those with slopes.
    """

    def __init__(self, problem: Problem, elements: Elements) -> None:
        self.problem, self.elements = problem, elements
        equation, sides, _ = covered(problem)
        self.equation = Stated(equation, elements.inside)
        self.asked: dict[str, frozenset[str]] = {}
        self.outside = np.setdiff1d(np.arange(elements.size), elements.inside)
        self.number = np.full(elements.size, -1)
        self.number[self.outside] = np.arange(len(self.outside))
        between = ((elements.depth < 2).all(axis=1) & (elements.depth == 1).any(axis=1)).nonzero()[0]
        self.smooth = self._smoothness(between)
        self.sides = self._chosen([s for c in sides for s in self._faces(c)])

    @property
    def dtype(self) -> type:
        """Of the field."""
        return np.complex128 if self.problem.complex_valued else np.float64

    def solve(self, guess: Field | None = None) -> Field:
        """``(N,)``: Newton's method from a guess or zero; two steps with one factorization where the problem is linear.

        Raises ``NoReferenceError`` where it does not converge.
        """
        u: Field = np.zeros(self.elements.size, dtype=self.dtype) if guess is None else guess.astype(self.dtype)
        system, left = self._factored(u), self.residual(u)
        for _ in range(STEPS):
            step = system.solve(-left)
            trial, share = u + step, 1.0
            after = self.residual(trial)
            for _ in range(HALVINGS):
                if _size(after) < _size(left) or _size(step) <= 1e-6 * _size(trial):
                    break
                share /= 2
                trial = u + share * step
                after = self.residual(trial)
            before, u, left = _size(left), trial, after
            if not np.isfinite(left).all():
                break
            # Rounding stops the residual from falling any more.
            if share * _size(step) <= max(CONVERGED, 1e-16 * self.elements.size) * _size(u):
                return u
            if share * _size(step) <= 1e-9 * _size(u) and _size(left) > 0.1 * before:
                return u
            if _size(left) > 1e-3 * before:
                system = self._factored(u)
        raise NoReferenceError(f"Newton's method does not converge on Chebyshev elements in {STEPS} steps.")

    def residual(self, u: Field) -> Field:
        """``(N,)``: what is left of the row of each node."""
        left: Field = np.zeros(self.elements.size, dtype=self.dtype)
        left[self.outside] = self.smooth @ u
        left[self.elements.inside] = self._residual(self.equation, u)
        for stated, kept in self.sides:
            np.add.at(left, stated.nodes[kept], self._residual(stated, u)[kept])
        return left

    def data(self, u: Field) -> tuple[Field, Coefficients]:
        """The equation's residual and coefficients at its nodes."""
        return self._residual(self.equation, u), self._coefficients(self.equation, u)

    def _factored(self, u: Field) -> Condensed:
        rows = [self.smooth.tocoo()]
        size = self.smooth.shape
        for stated, kept in self.sides:
            nodes = stated.nodes[kept]
            for key, factor in self._coefficients(stated, u).items():
                scaled = sparse.diags_array(factor[kept]) @ self.elements.rows(key, nodes)
                place = sparse.csr_array((np.ones(len(nodes)), (self.number[nodes], np.arange(len(nodes)))),
                                         shape=(size[0], len(nodes)))  # fmt: skip
                rows.append((place @ scaled).tocoo())
        whole = sparse.csr_array(sum(rows[1:], rows[0]))
        return Condensed(self.elements, self._coefficients(self.equation, u), whole)

    def _smoothness(self, between: Index) -> sparse.csr_array:
        """(outside, N): the jumps of the slopes at nodes between elements, zero rows on the boundary."""
        rows = sparse.csr_array((len(self.outside), self.elements.size))
        for i in range(len(self.elements.axes)):
            nodes = between[self.elements.depth[between, i] == 1]
            place = sparse.csr_array((np.ones(len(nodes)), (self.number[nodes], np.arange(len(nodes)))),
                                     shape=(len(self.outside), len(nodes)))  # fmt: skip
            rows = sparse.csr_array(rows + place @ self.elements.jumps(i, nodes))
        return rows

    def _faces(self, c: Constraint) -> list[Stated]:
        """A condition at the nodes of every face where it holds."""
        found = []
        assert c.place is not None
        for i, axis in enumerate(self.elements.axes):
            for sign, end in ((-1.0, axis.breaks[0]), (1.0, axis.breaks[-1])):
                if axis.periodic:
                    continue
                nodes = np.flatnonzero((self.elements.depth[:, i] == 2) & (self.elements.coordinates[:, i] == end))
                outward = np.zeros((len(nodes), len(self.elements.axes)))
                outward[:, i] = sign
                whole = Stated(c, nodes, outward)
                here = self.problem.domain.lies_on(self._points(whole), c.place.on).numpy()
                if here.any():
                    found.append(Stated(c, nodes[here], outward[here]))
        return found

    def _chosen(self, offered: list[Stated]) -> list[tuple[Stated, Index]]:
        """Which rows of which condition stand: one of the value alone, else the sum of those that have slopes."""
        zero: Field = np.zeros(self.elements.size, dtype=self.dtype)
        boundary = (self.elements.depth == 2).any(axis=1)
        valued, sloped = np.zeros((2, self.elements.size), dtype=int)
        kinds = []
        for stated in offered:
            found = self._coefficients(stated, zero)
            slopes = sum((np.abs(c) for key, c in found.items() if key), np.zeros(len(stated.nodes)))
            value = slopes <= NEGLIGIBLE * np.abs(found.get("", np.zeros(len(stated.nodes))))
            kinds.append(value)
            np.add.at(valued, stated.nodes[value], 1)
            np.add.at(sloped, stated.nodes[~value], 1)
        if (boundary & (valued + sloped == 0)).any():
            raise NoReferenceError("Part of the boundary has no condition: add one there.")
        taken = np.zeros(self.elements.size, dtype=bool)
        chosen = []
        for stated, value in zip(offered, kinds, strict=True):
            kept = np.where(value, ~taken[stated.nodes], valued[stated.nodes] == 0)
            taken[stated.nodes[value]] = True
            chosen.append((stated, np.flatnonzero(kept)))
        return [(stated, kept) for stated, kept in chosen if len(kept)]

    def _points(self, stated: Stated) -> Points:
        place = torch.from_numpy(self.elements.coordinates[stated.nodes])
        outward = None if stated.outward is None else torch.from_numpy(stated.outward)
        return Points(self.problem.domain.axes, place, outward)

    def _residual(self, stated: Stated, u: Field) -> Field:
        def evaluate(plan: Plan) -> Field:
            jet = self._jet(stated, u, plan)
            parts = checked(stated.constraint, [self._points(stated)], [(jet,)])
            if len(parts) != 1:
                raise NoReferenceError(f"{stated.constraint.name!r} has {len(parts)} parts, where one is taken.")
            return parts[0].detach().numpy()

        with torch.no_grad():
            return np.asarray(self._record(stated, evaluate))

    def _coefficients(self, stated: Stated, u: Field) -> Coefficients:
        """What the row is by derivative; a Laplacian as the derivatives that it is made of."""
        self._residual(stated, u)
        plan = make_plan(self.problem.domain.axes, self.asked[stated.constraint.name])
        seen = linearize(
            lambda at, free: checked(stated.constraint, at, free), [self._points(stated)],
            [(self._jet(stated, u, plan),)],
        )  # fmt: skip
        block, keys = self._block(seen)
        found: Coefficients = {}
        for factor, key in zip(block.T, keys, strict=True):
            for each in [2 * a for a in self.problem.domain.axes] if key == LAPLACIAN else [key]:
                if factor.any():
                    found[each] = found[each] + factor if each in found else factor
        return found

    def _block(self, seen: Linearization) -> tuple[Field, list[str]]:
        if not self.problem.complex_valued:
            return seen.coefficients[:, 0].numpy(), [c.key for c in seen.columns]
        blocks = seen.complex_blocks()
        if blocks is None:
            raise NoReferenceError("Chebyshev collocation takes complex equations that are differentiable as such.")
        return blocks[:, 0].numpy(), [c.key for c in seen.columns if not c.imaginary]

    def _record(self, stated: Stated, evaluate: Any) -> Any:
        name = stated.constraint.name
        came, self.asked[name] = record(evaluate, self.problem, self.asked.get(name, frozenset()))
        return came

    def _jet(self, stated: Stated, u: Field, plan: Plan) -> Jet:
        def channel(key: str) -> Field:
            keys = [2 * a for a in self.problem.domain.axes] if key == LAPLACIAN else [key]
            return np.asarray(sum(self.elements.derivative(k, u)[stated.nodes] for k in keys))

        stacked = np.ascontiguousarray(np.stack([channel(key) for key in plan.keys]))
        return Jet(torch.from_numpy(stacked), plan, self._points(stated))


def _size(u: Field) -> float:
    found = float(np.abs(u).max())
    return found if np.isfinite(found) else np.inf
