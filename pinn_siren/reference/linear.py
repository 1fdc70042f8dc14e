"""Linear systems of the stencils: sparse LU, and conjugate gradients with a multigrid preconditioner."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg as solvers

from ..errors import ProblemError
from .lines import Field, Grid, Index, Line
from .stencil import kron

COARSEST = 2000
SWEEPS = 2
DAMPING = 0.8
TOLERANCE = 1e-11
GROWTH = 1e13


def eliminate(
    matrix: sparse.csr_array,
    load: Field,
    held: Index,
    prescribed: Field,
    solve: Callable[[sparse.csr_array, Field, Index], Field],
) -> Field:
    """Solve ``matrix u = load`` with ``u = prescribed`` at the nodes ``held``; ``solve`` gets the rest."""
    solution = np.zeros(len(load), dtype=np.result_type(matrix.dtype, load.dtype, prescribed.dtype))
    solution[held] = prescribed
    mask = np.ones(len(load), dtype=bool)
    mask[held] = False
    free = np.flatnonzero(mask)
    if len(free):
        rest = load - matrix @ solution
        solution[free] = solve(matrix[free][:, free], rest[free], free)
    return solution


def direct(matrix: sparse.csr_array, load: Field, free: Index) -> Field:
    """Sparse LU (SuperLU, minimum degree on the symmetric pattern), checked, with one step of iterative refinement.

    Raises ``ProblemError`` where the matrix is singular: the homogeneous problem then has a solution of its own.
    """
    kind = np.result_type(matrix.dtype, load.dtype)
    system = sparse.csc_array(matrix.astype(kind))
    # Near-diagonal pivots keep the fill low; full pivoting is the fallback where they are too small.
    for threshold, symmetric in ((0.01, True), (1.0, False)):
        try:
            factors = solvers.splu(
                system,
                permc_spec="MMD_AT_PLUS_A" if symmetric else "COLAMD",
                diag_pivot_thresh=threshold,
                options={"SymmetricMode": symmetric},
            )
        except RuntimeError:
            continue
        found = factors.solve(load.astype(kind))
        found = found + factors.solve(load - system @ found)
        size, given = abs(system).sum(axis=1).max() * np.abs(found).max(), np.abs(load).max()
        small = np.abs(load - system @ found).max() <= 1e-10 * (size + given)
        # A solution this much larger than its data is rounding along the null vector of a singular matrix.
        if np.isfinite(size) and small and size <= GROWTH * given:
            return found
    raise ProblemError(
        "The discrete equations are singular: the problem without data has a nonzero solution (a resonance, or a "
        "constant that no condition fixes). Change the wavenumber or reaction, or add a condition that fixes it."
    )


def conjugate_gradients(grid: Grid) -> Callable[[sparse.csr_array, Field, Index], Field]:
    """A solver of symmetric positive definite systems on the nodes ``free`` of a grid of equal cells a line.

    Preconditioned by one V-cycle of Galerkin multigrid with damped Jacobi sweeps (Tatebe 1993, "The multigrid
    preconditioned conjugate gradient method"); the direct solver takes over where that does not converge.
    """

    def solve(matrix: sparse.csr_array, load: Field, free: Index) -> Field:
        cycle = _hierarchy(matrix, grid, free)
        operator = solvers.LinearOperator(matrix.shape, matvec=cycle, dtype=np.float64)
        found, failure = solvers.cg(matrix, load, rtol=TOLERANCE, maxiter=200, M=operator)
        return direct(matrix, load, free) if failure else found

    return solve


def _hierarchy(matrix: sparse.csr_array, grid: Grid, free: Index) -> Callable[[Field], Field]:
    """One V-cycle for ``matrix``, as a function of the right-hand side."""
    if len(free) <= COARSEST:
        return solvers.splu(sparse.csc_array(matrix)).solve
    coarse, interpolation = _coarsen(grid)
    if coarse.size > 0.7 * grid.size:
        return solvers.splu(sparse.csc_array(matrix)).solve
    # A coarse node whose fine node has a prescribed value has that value too, and no correction.
    kept = interpolation[free]
    nearest = np.asarray(interpolation.tocsc().argmax(axis=0)).ravel()
    coarse_free = np.flatnonzero(np.isin(nearest, free))
    kept = sparse.csr_array(kept[:, coarse_free])
    below = _hierarchy(sparse.csr_array(kept.T @ matrix @ kept), coarse, coarse_free)
    restriction = sparse.csr_array(kept.T)
    smoother = DAMPING / matrix.diagonal()

    def cycle(load: Field) -> Field:
        found = smoother * load
        for _ in range(SWEEPS - 1):
            found = found + smoother * (load - matrix @ found)
        found = found + kept @ below(restriction @ (load - matrix @ found))
        for _ in range(SWEEPS):
            found = found + smoother * (load - matrix @ found)
        return found

    return cycle


def _coarsen(grid: Grid) -> tuple[Grid, sparse.csr_array]:
    """The grid with half the cells a line (rounded up), and the multilinear interpolation from it."""
    lines, factors = [], []
    for line in grid.lines:
        fine = len(line.steps)
        cells = (fine + 1) // 2 if fine >= 4 else fine
        nodes = np.linspace(line.nodes[0], line.nodes[-1], cells + 1)
        short = Line(line.name, nodes, np.ones(cells), line.periodic)
        place = np.arange(line.size) * cells / fine
        left = np.minimum(place.astype(int), cells - 1)
        right, share = left + 1, place - left
        rows = np.arange(line.size)
        entries = (np.concatenate([1 - share, share]), (np.tile(rows, 2), np.concatenate([left, right]) % short.size))
        lines.append(short)
        factors.append(sparse.csr_array(entries, shape=(line.size, short.size)))
    return Grid(grid.axes, tuple(lines)), kron(factors)
