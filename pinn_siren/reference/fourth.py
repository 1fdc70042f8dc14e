"""Fourth-order second derivative with the summation-by-parts property, on a line of equal cells.

Inside, ``u'' = (-u[i-2] + 16 u[i-1] - 30 u[i] + 16 u[i+1] - u[i+2]) / (12 h^2)``; four nodes at each end have
second-order closures, which leaves the solution of a wave equation fourth order. With the diagonal norm H,
``H u'' = -M u + (outward derivative at both ends)`` and M is symmetric and positive semidefinite, so leapfrog in time
is stable for any positive speed. Mattsson and Nordstrom 2004, doi 10.1016/j.jcp.2004.03.001.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

LEAST_CELLS = 8
_NORM = np.array([17, 59, 43, 49]) / 48
_CORNER = np.array(
    [
        [9 / 8, -59 / 48, 1 / 12, 1 / 48, 0, 0],
        [-59 / 48, 59 / 24, -59 / 48, 0, 0, 0],
        [1 / 12, -59 / 48, 55 / 24, -59 / 48, 1 / 12, 0],
        [1 / 48, 0, -59 / 48, 59 / 24, -4 / 3, 1 / 12],
    ]
)
_INSIDE = np.array([1, -16, 30, -16, 1]) / 12


def masses(cells: int, step: float, periodic: bool) -> NDArray[np.float64]:
    """The diagonal of H: (cells + 1,), or (cells,) where periodic."""
    norm = np.full(cells if periodic else cells + 1, step)
    if not periodic:
        norm[:4] = step * _NORM
        norm[-4:] = step * _NORM[::-1]
    return norm


def stiffness(cells: int, step: float, periodic: bool) -> sparse.csr_array:
    """M: symmetric, (cells + 1, cells + 1), or (cells, cells) where periodic."""
    if periodic:
        rows = np.repeat(np.arange(cells), 5)
        columns = (rows + np.tile(np.arange(-2, 3), cells)) % cells
        return sparse.csr_array((np.tile(_INSIDE / step, cells), (rows, columns)), shape=(cells, cells))
    size = cells + 1
    bands = sparse.diags_array(_INSIDE, offsets=[-2, -1, 0, 1, 2], shape=(size, size), dtype=np.float64)
    matrix = bands.tolil()
    matrix[:4, :6] = _CORNER
    matrix[-4:, -6:] = _CORNER[::-1, ::-1]
    return sparse.csr_array(matrix / step)
