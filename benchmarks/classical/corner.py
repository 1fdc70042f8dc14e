"""The L-shape by its own singular functions (Fox, Henrici and Moler 1967, doi:10.1137/0704008).

``laplacian u = -1``, zero on the boundary. At each corner of angle w the polynomial particular solution needs a term
``Im(z^2 log z)`` (w = pi/2 or 3 pi/2 are resonant): its factor is known, -1/pi at the five convex corners and
-1/(3 pi) at the re-entrant one. What is left is harmonic, zero on the two sides of the re-entrant corner up to what
the other corners bring, and smooth but for ``r^(2k/3) sin(2 k theta/3)`` there. Those and the harmonic polynomials
(symmetric in the diagonal) are fitted to the boundary by least squares. The difference to the solution is harmonic, so
its largest value is on the boundary (maximum principle): the error is bounded by what is measured there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
CORNERS = np.array([(-1, -1), (1, -1), (1, 0), (0, 0), (0, 1), (-1, 1)], dtype=float)


def _resonant(x: Array, corner: Array, start: float, factor: float) -> Array:
    """``factor Im(z^2 log z)``, z from the corner, its angle counted from the direction ``start``."""
    z = (x[:, 0] - corner[0] + 1j * (x[:, 1] - corner[1])) * np.exp(-1j * start)
    r, angle = np.abs(z), np.angle(z * np.exp(-1j * 0.75 * np.pi)) + 0.75 * np.pi  # cut outside, in [-pi/4, 7pi/4]
    log = np.log(np.where(r > 0, r, 1.0))
    return factor * r**2 * (log * np.sin(2 * angle) + angle * np.cos(2 * angle))


def _known(x: Array) -> Array:
    """A solution of ``laplacian u = -1`` with the right logarithms at all six corners."""
    total = -(x**2).sum(1) / 4
    # The direction of the first side, counter-clockwise into the domain, at each corner of the L.
    starts = (0.0, np.pi / 2, np.pi, np.pi / 2, np.pi, -np.pi / 2)
    for index, (corner, start) in enumerate(zip(CORNERS, starts, strict=True)):
        total += _resonant(x, corner, start, -1 / (3 * np.pi) if index == 3 else -1 / np.pi)
    return total


def _columns(x: Array, singular: int) -> Array:
    """``r^(2k/3) sin(2k theta/3)`` about the re-entrant corner, and harmonic polynomials, of unit size on the L."""
    z = (x[:, 0] + 1j * x[:, 1]) * np.exp(-1j * np.pi / 2)
    r, angle = np.abs(z) / np.sqrt(2), np.mod(np.angle(z) + 1e-9, 2 * np.pi) - 1e-9
    k = np.arange(1, singular + 1) * 2 / 3
    sines = r[:, None] ** k * np.sin(k * angle[:, None])
    n = np.arange(singular // 3 + 1)
    return np.concatenate([sines, r[:, None] ** n * np.cos(n * angle[:, None]),
                           r[:, None] ** n[1:] * np.sin(n[1:] * angle[:, None])], axis=1)  # fmt: skip


def _boundary(points: int) -> Array:
    """Chebyshev points on each side: dense at the corners."""
    s = (1 - np.cos(np.pi * (np.arange(points) + 0.5) / points)) / 2
    ends = np.roll(CORNERS, -1, axis=0)
    return np.concatenate([a + s[:, None] * (b - a) for a, b in zip(CORNERS, ends, strict=True)])


def l_shape(singular: int) -> tuple[Callable[[Array], Array], float, int]:
    """The field, the largest value on the boundary at points between those of the fit, and the unknowns."""
    x = _boundary(2 * singular)
    matrix = _columns(x, singular)
    found = np.linalg.lstsq(matrix, -_known(x), rcond=1e-14)[0]

    def field(points: Array) -> Array:
        return _known(points) + _columns(points, singular) @ found

    return field, float(np.abs(field(_boundary(5 * singular + 1))).max()), len(found)


@functools.cache
def l_shape_reference() -> Callable[[Array], Array]:
    """The field that all errors on the L are measured against: wrong by less than 1e-12 of its largest value, 0.15."""
    field, bound, _ = l_shape(80)
    if bound > 1e-12:
        raise ArithmeticError(f"the corner series of the L-shape is off by {bound:.1e} on the boundary")
    return field


def states(name: str, statement: object, method: str) -> bool:
    """The L alone."""
    return name == "l_shape"


def run(race: object, method: str) -> None:
    """More and more singular functions."""
    from .sequence import Solved, refine

    def solve(size: int) -> Solved:
        field, bound, unknowns = l_shape(size)
        return Solved(field, unknowns, f"{size} singular functions, {bound:.0e} on the boundary")

    refine(race, (8, 12, 16, 24, 32, 40, 48, 60), solve)
