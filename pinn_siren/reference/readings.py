"""What instruments read of a linear steady problem on a grid, and how it depends on coefficients, by adjoint states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.sparse as sparse
import torch

from ..conditions import Constraint
from ..domains import Sampler
from ..errors import NoReferenceError
from ..jet import LAPLACIAN, Jet, Plan, is_linear, linearize, make_plan
from ..parameters import Probed
from ..points import Points
from ..problem import Problem, record
from ..system import checked
from .block import Block
from .discrete import Discretization, Source
from .factors import Factors
from .interpolation import interpolation
from .levels import quotients
from .lines import Field, Real
from .residual import nodes_of
from .rows import lay_out

ACCURACY = 6
"""The formal order of the differences."""
AROUND = 8
"""Nodes an axis from which a reading is interpolated."""
SMALLEST = 1e-14
"""Of the largest, derivatives that count as none."""


@dataclass(frozen=True, eq=False)
class Slopes:
    """The derivatives ``by`` (R, n) of all readings by a channel, named by ``key``, of a coefficient at ``points``."""

    coefficient: int
    key: str
    points: Points
    by: Field


class Readings:
    """``readings = Q u`` where ``A(m) u = b(m)``: a problem's equation and conditions on a grid, and its measured data.

    ``problem``: linear, steady, on a box, of at most second order, without its data, its unknown fields ``probed``;
    ``measured``: the constraints of its data, whose residuals are what is read minus what was measured. Differences of
    sixth order. Adjoint states: Plessix (2006), doi 10.1111/j.1365-246X.2006.02978.x.

    Raises ``NoReferenceError`` for another problem.
    """

    def __init__(
        self, problem: Problem, measured: Sequence[Constraint], cells: Mapping[str, int], probed: Sequence[Probed]
    ) -> None:
        self.probed = probed
        self.d = Discretization(problem, nodes_of(problem, cells, ACCURACY), np.zeros(1), quotients(1.0))
        self.rows = lay_out(self.d)
        if self.rows.split:
            raise NoReferenceError("The equation takes real and imaginary parts apart.")
        self.block = Block(self.d, self.rows, lambda level: [Source(s, level, part) for s, part in self.rows.pieces])
        found = [self._read(c) for c in measured]
        self.q = sparse.vstack([q for q, _ in found], format="csr")
        self.start: Field = np.concatenate([at_zero for _, at_zero in found])
        self.counts = [len(at_zero) for _, at_zero in found]

    @property
    def measured(self) -> Field:
        """(R,): what was measured."""
        return -self.start

    def at(self) -> Read:
        """The readings at the coefficients' present values."""
        zero: Field = np.zeros((1, self.d.fields, len(self.d.nodes.coordinates)), dtype=self.d.dtype)
        matrix, load = self.block.linearized((0,), {}, zero)
        scale = 1 / np.asarray(abs(matrix).sum(axis=1)).ravel()
        factors = Factors(sparse.csc_matrix(sparse.diags(scale) @ matrix))
        u = factors.solve(-scale * load)
        return Read(self, factors, scale, u.reshape(self.d.fields, -1), self.start + self.q @ u)

    def _read(self, c: Constraint) -> tuple[sparse.csr_matrix, Field]:
        """The rows of ``Q``, and what is left of the data where all fields are zero."""
        problem = self.d.problem
        p = c.sample(2**62, Sampler(torch.Generator()))[0]
        kind = torch.complex128 if problem.complex_valued else torch.float64
        near = interpolation(self.d.nodes, p.coordinates.numpy(), AROUND)

        def jets(plan: Plan) -> tuple[Jet, ...]:
            zero = torch.zeros(len(plan.keys), len(p), dtype=kind)
            return tuple(Jet(zero, plan, p) for _ in problem.fields)

        _, asked = record(lambda plan: checked(c, [p], [jets(plan)]), problem)
        at_zero = [jets(make_plan(p.axes, asked))]
        residual = partial(checked, c)
        seen = linearize(residual, [p], at_zero)
        block = seen.complex_blocks() if problem.complex_valued else seen.coefficients
        if block is None or not is_linear(residual, [p], at_zero):
            raise NoReferenceError(f"What {c.name!r} measures is not linear in the fields.")
        values = seen.values[:, 0::2] + 1j * seen.values[:, 1::2] if problem.complex_valued else seen.values
        rows, columns = [], [column for column in seen.columns if not column.imaginary]
        for part in range(block.shape[1]):
            of = [sparse.csr_matrix(near.shape)] * self.d.fields
            for factor, column in zip(block[:, part].T.numpy(), columns, strict=True):
                if factor.any():
                    keys = [2 * a for a in self.d.nodes.space_axes] if column.key == LAPLACIAN else [column.key]
                    reading = sum(near @ self.d.nodes.derivative(k) for k in keys)
                    of[column.field] = of[column.field] + sparse.diags(factor) @ reading
            rows.append(sparse.hstack(of, format="csr"))
        return sparse.vstack(rows, format="csr"), values.T.reshape(-1).numpy()


@dataclass(frozen=True, eq=False)
class Read:
    """Fields ``u`` (fields, N), and ``left`` (R,): what is read of them minus what was measured; ``factors``: of the
    system with its rows scaled."""

    of: Readings
    factors: Factors
    scale: Real
    u: Field
    left: Field

    def slopes(self) -> list[Slopes]:
        """The derivatives of the readings by all channels of the coefficients that matter."""
        d, rows, probed = self.of.d, self.of.rows, self.of.probed
        adjoint = rows.select.T @ (self.factors.transposed(self.of.q) * self.scale).T
        found, begin = list[Slopes](), 0
        done: dict[int, tuple[torch.Tensor, ...]] = {}
        for number, (stated, part) in enumerate(rows.pieces):
            size = len(stated.nodes)
            if id(stated) not in done:
                done = {id(stated): self._parts(stated)}
                seen = [(i, *one) for i, each in enumerate(probed) for one in each.seen]
                total = {n: np.zeros((leaf.shape[0], self.of.q.shape[0], size), d.dtype)
                         for n, (_, _, _, leaf) in enumerate(seen)}  # fmt: skip
            own = adjoint[begin : begin + size].T
            for n, slope in enumerate(_by_leaves(done[id(stated)][part], [leaf for *_, leaf in seen])):
                if slope.shape[1] != size:
                    raise NoReferenceError(
                        f"{stated.constraint.name!r} takes a coefficient at other points than its own."
                    )
                total[n] -= own * slope[:, None]
            begin += size
            if number + 1 == len(rows.pieces) or rows.pieces[number + 1][0] is not stated:
                found += [_active(Slopes(i, key, p, total[n][k]))
                          for n, (i, p, plan, _) in enumerate(seen) for k, key in enumerate(plan.keys)]  # fmt: skip
        return [s for s in found if s.by.shape[1]]

    def _parts(self, stated: object) -> tuple[torch.Tensor, ...]:
        for each in self.of.probed:
            each.seen.clear()
        with torch.enable_grad():
            return self.of.d.parts(stated, 0, {0: self.u})  # type: ignore[arg-type]


def _by_leaves(part: torch.Tensor, leaves: list[torch.Tensor]) -> list[Field]:
    """(channels, n) of each leaf: the derivative of a residual's part at every point."""
    pieces = [part.real, part.imag] if part.is_complex() else [part]
    kind = np.complex128 if part.is_complex() else np.float64
    found: list[Field] = [np.zeros(tuple(leaf.shape), dtype=kind) for leaf in leaves]
    for unit, piece in zip((1.0, 1j), pieces, strict=False):
        if leaves and piece.requires_grad:
            slopes = torch.autograd.grad(piece.sum(), leaves, retain_graph=True, allow_unused=True)
            for total, slope in zip(found, slopes, strict=True):
                if slope is not None:
                    total += unit * slope.numpy()
    return found


def _active(s: Slopes) -> Slopes:
    """The points at which anything depends on a channel."""
    size = np.abs(s.by).max(axis=0, initial=0.0)
    kept = np.flatnonzero(size > SMALLEST * size.max(initial=0.0))
    return Slopes(s.coefficient, s.key, s.points[torch.from_numpy(kept)], s.by[:, kept])


__all__ = ["Read", "Readings", "Slopes"]
