"""One block of unknowns: the fields at all nodes, at one level of time or at a few together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sparse

from ..errors import NoReferenceError
from ..jet import Column, Linearization
from .discrete import Discretization, Levels, Source, Stated
from .factors import GIVE
from .lines import Field
from .newton import Newton
from .rows import Rows

Quarter = tuple[Field, list[Column]]
"""``(n, parts, columns)`` coefficients and the columns' meaning."""


class Block:
    """The discrete system of a few levels, given the levels before; its LU serves the blocks after it.

    ``sources``: from a level to the candidates of its rows. With ``mean`` the equations leave a constant free: the
    field of zero mean over the nodes inside is meant, and data that are not quite compatible are shifted by a constant.
    Complex fields are solved for in complex numbers where the linearization allows, else in real and imaginary parts.
    """

    def __init__(
        self, d: Discretization, rows: Rows, sources: Callable[[int], Sequence[Source]], mean: bool = False
    ) -> None:
        self.d, self.rows, self.sources, self.mean = d, rows, sources, mean
        self.newton = Newton(self._residual, self._jacobian)
        self.unknown: tuple[int, ...] = ()
        self.known: Levels = {}

    def solve(self, unknown: tuple[int, ...], known: Levels, guess: Field) -> Field:
        """``(levels, fields, N)`` at the unknown levels, from those before and a guess of the same shape."""
        self.unknown, self.known = unknown, known
        return self._unpacked(self.newton.solve(self._packed(guess)))

    def linearized(self, unknown: tuple[int, ...], known: Levels, at: Field) -> tuple[sparse.csr_matrix, Field]:
        """The system's matrix and residual at fields ``(levels, fields, N)``: of a linear problem the system itself."""
        self.unknown, self.known = unknown, known
        x = self._packed(at)
        return self._jacobian(x), self._residual(x)

    def _packed(self, u: Field) -> Field:
        flat = u.ravel()
        flat = np.concatenate([flat.real, flat.imag]) if self.rows.split else flat
        return np.append(flat, 0.0) if self.mean else flat

    def _unpacked(self, x: Field) -> Field:
        x = x[:-1] if self.mean else x
        if self.rows.split:
            x = x[: len(x) // 2] + 1j * x[len(x) // 2 :]
        return x.reshape(len(self.unknown), self.d.fields, -1)

    def _levels(self, x: Field) -> Levels:
        return {**self.known, **dict(zip(self.unknown, self._unpacked(x), strict=True))}

    def _residual(self, x: Field) -> Field:
        levels, left = self._levels(x), []
        for level in self.unknown:
            found = _each(self.sources(level), lambda stated, at: self.d.residual(stated, at, levels))
            left.append(self.rows.select @ np.concatenate([found[s.key][s.part] for s in self.sources(level)]))
        r = np.concatenate(left)
        r = np.concatenate([r.real, r.imag]) if self.rows.split else r
        if self.mean:
            r[self.d.nodes.inside] += x[-1]
            r = np.append(r, x[self.d.nodes.inside].mean())
        return r

    def _jacobian(self, x: Field) -> sparse.csr_matrix:
        levels = self._levels(x)
        by_level = []
        for level in self.unknown:
            found = _each(
                self.sources(level),
                lambda stated, at: _quarters(self.d.linearization(stated, at, levels), self.d, self.rows.split),
            )
            sides = range(2 if self.rows.split else 1)
            by_level.append([[self._rows(level, found, a, b) for b in sides] for a in sides])
        stacked = [
            [sparse.vstack([level[a][b] for level in by_level]) for b in range(len(by_level[0]))]
            for a in range(len(by_level[0]))
        ]
        matrix = sparse.csr_matrix(sparse.bmat(stacked))
        return self._bordered(matrix) if self.mean else matrix

    def _rows(self, level: int, found: dict[tuple[int, int], list[list[Quarter]]], a: int, b: int) -> sparse.csr_matrix:
        candidates = [
            self.d.matrix(s.stated, found[s.key][a][b][0][:, s.part], found[s.key][a][b][1], s.level, self.unknown)
            for s in self.sources(level)
        ]
        return self.rows.select @ sparse.vstack(candidates, format="csr")

    def _bordered(self, matrix: sparse.csr_matrix) -> sparse.csr_matrix:
        inside = self.d.nodes.inside
        ones = sparse.csr_matrix(
            (np.ones(len(inside)), (inside, np.zeros(len(inside), dtype=int))), shape=(matrix.shape[0], 1)
        )
        return sparse.csr_matrix(sparse.bmat([[matrix, ones], [ones.T / len(inside), None]]))


def _each(sources: Sequence[Source], evaluate: Callable[[Stated, int], Any]) -> dict[tuple[int, int], Any]:
    """What there is to evaluate for some sources, once for all parts of a constraint."""
    return {key: evaluate(*of) for key, of in {s.key: (s.stated, s.level) for s in sources}.items()}


def _quarters(seen: Linearization, d: Discretization, split: bool) -> list[list[Quarter]]:
    """The coefficients by real and imaginary parts of residuals and fields, or in one where that is one."""
    if not d.problem.complex_valued:
        return [[(seen.coefficients.numpy(), list(seen.columns))]]
    real = [i for i, c in enumerate(seen.columns) if not c.imaginary]
    if not split:
        blocks = seen.complex_blocks()
        if blocks is None:
            raise NoReferenceError(f"The equation is not differentiable in complex numbers everywhere: {GIVE}")
        return [[(blocks.numpy(), [seen.columns[i] for i in real])]]
    imaginary = [i for i, c in enumerate(seen.columns) if c.imaginary]
    return [
        [(seen.coefficients.numpy()[:, part::2, side], [seen.columns[i] for i in side]) for side in (real, imaginary)]
        for part in (0, 1)
    ]
