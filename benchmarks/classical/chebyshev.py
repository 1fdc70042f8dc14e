"""Collocation on tensor Chebyshev points (Trefethen 2000, Spectral Methods in MATLAB, doi:10.1137/1.9780898719598).

Constant coefficients and values all round: fast diagonalization (Lynch, Rice and Thomas 1964). Waves: modes in space,
collocation in time. All else: Newton on the dense system.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .sequence import Solved, refine

Array = NDArray[np.float64]
SIZES = {
    1: (8, 12, 16, 24, 32, 48, 64, 96, 128),
    2: (6, 8, 10, 12, 14, 16, 18, 20, 24, 28, 32, 40, 48, 64, 80, 96, 128),
    3: (5, 6, 8, 10, 12, 14, 16, 18, 20, 24, 28),
    5: (4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16),
}
DENSE = 2500
"""Unknowns of a dense system at most."""


def states(name: str, statement: Any, method: str) -> bool:
    """Boxes."""
    return statement.polygon is None


def run(race: Any, method: str) -> None:
    """More and more points an axis."""
    s = race.statement

    def solve(points: int) -> Solved:
        sizes = [points] * s.dimensions
        if s.initial is not None:  # as many points a half-wave in time as in space
            sizes[-1] = max(points, round(points * max(1.0, 0.75 * (-s.linear(np, (), 0, ())[2][0]) ** 0.5)))
        field, unknowns = collocate(s, sizes)
        return Solved(lambda x: race.observe(x, field(x)), unknowns, f"{' x '.join(map(str, sizes))} points")

    sizes = SIZES[s.dimensions]
    refine(race, sizes if s.affine or s.dimensions == 1 else [n for n in sizes if n**s.dimensions <= DENSE], solve)


def collocate(statement: Any, sizes: Sequence[int]) -> tuple[Callable[[Array], Array], int]:
    """The components at ``(n, d)`` points, ``(n, components)``, and the number of unknowns."""
    axes = [Axis(n, *bounds) for n, bounds in zip(sizes, statement.bounds, strict=True)]
    x = np.meshgrid(*(a.nodes for a in axes), indexing="ij")
    if statement.initial is not None:
        values = [_waves(statement, axes, x)]
    elif statement.affine and statement.values is not None:
        values = _diagonal(statement, axes, x)
    else:
        values = [_newton(statement, axes, x, k) for k in range(statement.components)]

    def field(points: Array) -> Array:
        rows = [a.interpolate(p) for a, p in zip(axes, points.T, strict=True)]
        return np.stack([_evaluate(v, rows) for v in values], axis=1)

    return field, int(np.prod(sizes)) * len(values)


class Axis:
    """Chebyshev points of the second kind on an interval, ascending, and their differentiation matrices."""

    def __init__(self, points: int, low: float, high: float) -> None:
        n = points - 1
        j = np.arange(points)
        unit = np.sin(np.pi * (2 * j - n) / (2 * n))
        self.nodes = low + (high - low) * (unit + 1) / 2
        self.weights = (-1.0) ** j * np.where((j == 0) | (j == n), 0.5, 1.0)
        # Differences of the points by a product of sines: no digits are lost.
        a = np.pi * (2 * j - n) / (2 * n)
        gap = 2 * np.cos((a[:, None] + a) / 2) * np.sin((a[:, None] - a) / 2)
        np.fill_diagonal(gap, 1.0)
        first = self.weights / self.weights[:, None] / gap
        np.fill_diagonal(first, 0.0)
        np.fill_diagonal(first, -first.sum(1))
        second = 2 * first * (np.diag(first)[:, None] - 1 / gap)
        np.fill_diagonal(second, 0.0)
        np.fill_diagonal(second, -second.sum(1))
        scale = 2 / (high - low)
        self.first, self.second = first * scale, second * scale**2

    def interpolate(self, x: Array) -> Array:
        """``(n, points)``: from values at the nodes to values at ``x`` (barycentric, Berrut and Trefethen 2004)."""
        gap = x[:, None] - self.nodes
        hit = np.abs(gap) < 1e-15
        rows = self.weights / np.where(hit, 1.0, gap)
        found = hit.any(1)
        rows[found] = hit[found]
        return rows / rows.sum(1, keepdims=True)


def _evaluate(values: Array, rows: list[Array]) -> Array:
    parts = []
    for part in range(0, len(rows[0]), 500):
        found = np.tensordot(rows[0][part : part + 500], values, axes=1)
        for row in rows[1:]:
            found = np.einsum("pi,pi...->p...", row[part : part + 500], found)
        parts.append(found)
    return np.concatenate(parts)


def _along(matrix: Array, values: Array, axis: int) -> Array:
    return np.moveaxis(np.tensordot(matrix, values, axes=(1, axis)), 0, axis)


def _rim(shape: Sequence[int]) -> NDArray[np.bool_]:
    rim = np.ones(shape, dtype=bool)
    rim[tuple([slice(1, -1)] * len(shape))] = False
    return rim


def _diagonal(statement: Any, axes: list[Axis], x: list[Array]) -> list[Array]:
    """``sum of c_i u_ii + r u = f``: diagonal in the eigenvectors of each axis."""
    reaction, _, second = statement.linear(np, x, 0.0, ())
    inner = tuple([slice(1, -1)] * len(axes))
    values = [np.where(_rim(x[0].shape), v, 0.0) for v in statement.values(np, x)]
    vectors, inverses, symbol = [], [], np.full([1] * len(axes), float(reaction))
    for i, (axis, c) in enumerate(zip(axes, second, strict=True)):
        eigen, vector = np.linalg.eig(axis.second[1:-1, 1:-1])
        order = np.argsort(eigen.real)
        vectors.append(vector.real[:, order])
        inverses.append(np.linalg.inv(vectors[-1]))
        symbol = symbol + c * eigen.real[order].reshape([-1 if j == i else 1 for j in range(len(axes))])
    for value, f in zip(values, statement.source(np, x), strict=True):
        rest = f - sum(c * _along(a.second, value, i) for i, (a, c) in enumerate(zip(axes, second, strict=True)))
        solved = rest[inner]
        for i, matrix in enumerate(inverses):
            solved = _along(matrix, solved, i)
        solved = solved / symbol
        for i, matrix in enumerate(vectors):
            solved = _along(matrix, solved, i)
        value[inner] = solved
    return values


def _waves(statement: Any, axes: list[Axis], x: list[Array]) -> Array:
    """``u_tt = c^2 u_xx``, zero at both ends: one collocation problem in time a mode in space."""
    space, time = axes
    speed2 = -statement.linear(np, x, 0.0, ())[2][0]
    eigen, vectors = np.linalg.eig(space.second[1:-1, 1:-1])
    start = np.linalg.solve(vectors.real, statement.initial(np, [space.nodes])[1:-1])
    systems = time.second - speed2 * eigen.real[:, None, None] * np.eye(len(time.nodes))
    # The value and the rate at the start stand in the rows of the first two nodes.
    systems[:, 0] = np.eye(len(time.nodes))[0]
    systems[:, 1] = time.first[0]
    right = np.zeros((len(eigen), len(time.nodes), 1))
    right[:, 0, 0] = start
    values = np.zeros(x[0].shape)
    values[1:-1] = vectors.real @ np.linalg.solve(systems, right)[:, :, 0]
    return values


def _newton(statement: Any, axes: list[Axis], x: list[Array], component: int) -> Array:
    """Newton's method, its steps halved until the residual falls."""
    flat = [c.ravel() for c in x]
    shape = x[0].shape
    rim = np.zeros(shape, dtype=bool) if statement.values is None else _rim(shape)
    rim = rim.ravel()
    eye = [np.eye(n) for n in shape]

    def matrix(i: int, which: Array) -> Array:
        return reduce(np.kron, [which if j == i else eye[j] for j in range(len(shape))])

    first = [matrix(i, a.first) for i, a in enumerate(axes)]
    second = [matrix(i, a.second) for i, a in enumerate(axes)]
    source = statement.source(np, flat)[component]
    u = np.zeros(len(flat[0]))
    if statement.values is not None:
        held = statement.values(np, flat)[component]
        u = np.interp(flat[0], statement.bounds[0], held[[0, -1]]) if len(shape) == 1 else np.where(rim, held, 0.0)

    def residual(u: Array) -> Array:
        d, dd = [m @ u for m in first], [m @ u for m in second]
        return np.where(rim, 0.0, statement.operator(np, flat, u, d, dd) - source)

    r = residual(u)
    for _ in range(30):
        c0, c1, c2 = statement.linear(np, flat, u, [m @ u for m in first])
        jacobian = np.diag(np.broadcast_to(c0, u.shape).astype(float))
        for c, m in itertools.chain(zip(c1, first, strict=True), zip(c2, second, strict=True)):
            jacobian += np.broadcast_to(c, u.shape)[:, None] * m
        jacobian[rim] = np.eye(len(u))[rim]
        step = -np.linalg.solve(jacobian, r)
        for halving in range(8):
            tried = residual(u + step * 0.5**halving)
            if np.linalg.norm(tried) < np.linalg.norm(r):
                break
        else:
            break  # at rounding
        u, r = u + step * 0.5**halving, tried
        if np.abs(step).max() < 1e-13 * np.abs(u).max():
            break
    return u.reshape(shape)
