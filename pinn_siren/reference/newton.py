"""Newton's method with a sparse LU that is kept as long as it serves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sparse

from ..errors import NoReferenceError
from .factors import GIVE, Factors
from .lines import Field, Real

STEPS = 60
HALVINGS = 12
CONTRACTION = 0.2
"""By how much a kept LU must lower the residual, or a fresh one is made."""
CONVERGED = 1e-11
"""The last step, of the field's largest value."""
ROUNDING = 1e-11
"""The residual of balanced rows, of the field's largest value, below which it may stop falling."""


class Newton:
    """Solves ``residual(x) = 0`` again and again, as in a march: the LU of one solve begins the next."""

    def __init__(self, residual: Callable[[Field], Field], jacobian: Callable[[Field], sparse.csr_matrix]) -> None:
        self.residual, self.jacobian = residual, jacobian
        self._scale: Real | None = None
        self._factors: Factors | None = None

    def solve(self, x: Field) -> Field:
        """The root near ``x``. Raises ``NoReferenceError`` where none is found, or the matrix is singular."""
        fresh = self._factors is None
        if fresh:
            self._factor(x)
        left = self._left(x)
        if not np.isfinite(left).all():
            raise NoReferenceError(f"The discrete equations are not finite at their start, {_named(x)}: {GIVE}")
        for _ in range(STEPS):
            assert self._factors is not None
            step = self._factors.solve(-left)
            trial, after = x + step, self._left(x + step)
            before, now = np.abs(left).max(), np.abs(after).max()
            size = max(np.abs(trial).max(), np.finfo(np.float64).tiny)
            if now <= CONTRACTION * before or (fresh and now < before):
                x, left, fresh = trial, after, False
                if np.abs(step).max() <= CONVERGED * size:
                    return x
            elif before <= ROUNDING * size:
                return trial if now < before else x
            elif not fresh:
                self._factor(x)
                left, fresh = self._left(x), True
            else:
                x, left = self._damped(x, step, before)
                fresh = False
        raise NoReferenceError(f"Newton's method does not converge on this grid in {STEPS} steps: {GIVE}")

    def _damped(self, x: Field, step: Field, before: float) -> tuple[Field, Field]:
        """The first half, quarter, ... of a step that lowers the residual."""
        for halving in range(1, HALVINGS):
            trial = x + step / 2**halving
            left = self._left(trial)
            if np.abs(left).max() < before:
                return trial, left
        raise NoReferenceError(f"Newton's method finds no step that lowers the residual on this grid: {GIVE}")

    def _left(self, x: Field) -> Field:
        assert self._scale is not None
        with np.errstate(all="ignore"):
            left = self._scale * self.residual(x)
        return np.where(np.isfinite(left), left, np.inf)

    def _factor(self, x: Field) -> None:
        matrix = self.jacobian(x)
        if not np.isfinite(matrix.data).all():
            raise NoReferenceError(f"The linearized equations are not finite at {_named(x)}: {GIVE}")
        rows = np.asarray(abs(matrix).sum(axis=1)).ravel()
        if not rows.all():
            raise NoReferenceError(f"An equation or a condition does not depend on the fields at {_named(x)}: {GIVE}")
        self._scale = 1 / rows
        self._factors = Factors(sparse.csc_matrix(sparse.diags(self._scale) @ matrix))


def _named(x: Field) -> str:
    return "the zero field" if not np.any(x) else "the field reached"
