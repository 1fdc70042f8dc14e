"""Sparse LU: checked, refined, and cut into the systems that no entry joins."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.csgraph as csgraph
import scipy.sparse.linalg as solvers

from ..errors import NoReferenceError
from .lines import Field, Index

DIAGONAL = 0.01
"""The least diagonal pivot, of its column's largest entry."""
GROWTH = 1e13
"""A matrix that answers random data by more than this is singular."""
MOST_PARTS = 64
"""Systems that a matrix is cut into at most."""
GIVE = "there is no classical solution to compare with; give reference= for your own."


class Solve(Protocol):
    """``matrix x = load``, or with ``transposed`` its transpose (not conjugated); loads ``(N,)`` or ``(N, k)``."""

    def __call__(self, load: Field, transposed: bool = False) -> Field:
        """``x``, in the load's shape."""


class Factors:
    """The LU of a matrix, of each of its systems that no entry joins apart, as of several sources; equal ones once.

    Raises ``NoReferenceError`` where the matrix is singular.
    """

    def __init__(self, matrix: sparse.csc_matrix) -> None:
        self.size, self.dtype = matrix.shape[0], matrix.dtype
        self.parts, self.solvers = list[tuple[Index, int]](), list[Solve]()
        count, label = csgraph.connected_components(abs(matrix), directed=False)
        if count == 1 or count > MOST_PARTS:
            self.parts, self.solvers = [(np.arange(self.size), 0)], [lu(matrix)]
            return
        systems = list[sparse.csc_matrix]()
        for number in range(count):
            mine = np.flatnonzero(label == number)
            system = sparse.csc_matrix(matrix[mine][:, mine])
            same = (i for i, s in enumerate(systems) if s.shape == system.shape and (s != system).nnz == 0)
            place = next(same, len(systems))
            if place == len(systems):
                systems.append(system)
                self.solvers.append(lu(system))
            self.parts.append((mine, place))

    def solve(self, load: Field) -> Field:
        """``(size,)``: the solution."""
        found: Field = np.zeros(self.size, dtype=np.result_type(self.dtype, load.dtype))
        for mine, place in self.parts:
            found[mine] = self.solvers[place](load[mine])
        return found

    def transposed(self, q: sparse.csr_matrix) -> Field:
        """``(R, size)``: ``A^-T`` of every row of ``q``; equal rows of equal systems are solved once."""
        found: Field = np.zeros((q.shape[0], self.size), dtype=np.result_type(self.dtype, q.dtype))
        for place, solve in enumerate(self.solvers):
            known: dict[bytes, int] = {}
            loads, asked = list[Field](), list[tuple[int, Index, int]]()
            for mine in (mine for mine, at in self.parts if at == place):
                rows = sparse.csr_matrix(q[:, mine])
                for r in np.flatnonzero(np.diff(rows.indptr)):
                    row = rows[[r]]
                    number = known.setdefault(row.indices.tobytes() + row.data.tobytes(), len(loads))
                    if number == len(loads):
                        loads.append(row.toarray()[0])
                    asked.append((int(r), mine, number))
            if loads:
                states = solve(np.stack(loads, axis=1).astype(found.dtype), transposed=True)
                for reading, mine, number in asked:
                    found[reading, mine] = states[:, number]
        return found


def lu(matrix: sparse.csc_matrix) -> Solve:
    """A sparse LU with one step of refinement. Raises ``NoReferenceError`` where the matrix is singular."""
    probe = np.random.default_rng(11).standard_normal(matrix.shape[0])
    # Near-diagonal pivots keep the fill low, but where they are too small, as in advection, pivoting spoils the order.
    strong = np.abs(matrix.diagonal()) >= DIAGONAL * abs(matrix).max(axis=0).toarray().ravel()
    for threshold, symmetric in ((DIAGONAL, True), (1.0, False))[0 if strong.mean() > 0.9 else 1 :]:
        try:
            factors = solvers.splu(
                matrix,
                permc_spec="MMD_AT_PLUS_A" if symmetric else "COLAMD",
                diag_pivot_thresh=threshold,
                options={"SymmetricMode": symmetric},
            )
        except RuntimeError:
            continue

        def solve(load: Field, transposed: bool = False, factors: solvers.SuperLU = factors) -> Field:
            side, kind = (matrix.T, "T") if transposed else (matrix, "N")
            found = factors.solve(load, kind)
            return np.asarray(found + factors.solve(load - side @ found, kind))

        found = solve(probe.astype(matrix.dtype))
        size = np.abs(found).max()
        if np.isfinite(size) and size <= GROWTH and np.abs(probe - matrix @ found).max() <= 1e-10 * (1 + size):
            return solve
    raise NoReferenceError(
        "The discrete equations are singular: the conditions leave something free (a constant, a pressure, a rigid "
        f"motion) or demand too much of it; {GIVE}"
    )
