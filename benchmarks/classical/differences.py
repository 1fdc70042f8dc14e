"""Finite differences on uniform grids: second order, Richardson's extrapolation of it, compact fourth order.

Zero-order terms are taken at the node, or averaged as the right side is (compact). Constant coefficients with values
all round are solved by sine transforms, other problems in the plane by Newton and GMRES preconditioned by them, on a
line by Newton and a direct solve. Waves march by leapfrog with ``c dt = h``, which d'Alembert's formula makes exact at
the nodes. Travel times are pinn_siren's reference: factored fast marching of second order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, sparse
from scipy.interpolate import RectBivariateSpline, make_interp_spline
from scipy.sparse.linalg import LinearOperator, gmres, spsolve

from .sequence import Solved, refine

Array = NDArray[np.float64]
CELLS = {
    1: (16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536, 262144),
    2: (8, 16, 32, 64, 128, 256, 512, 1024, 2048),
    3: (8, 16, 32, 64, 128, 256),
    5: (4, 8, 12, 16, 20),
}


def states(name: str, statement: Any, method: str) -> bool:
    """Boxes; compact differences where the operator has no first derivative, and no time."""
    if statement.polygon is not None:
        return False
    if method == "compact4":
        return statement.initial is None and statement.values is not None and statement.dimensions > 1
    return method == "fd2" or statement.initial is None


def run(race: Any, method: str) -> None:
    """Twice as many cells each time; ``fd-richardson`` takes each size with its half and its quarter."""
    s = race.statement
    order = 4 if method == "compact4" else 2

    def grid(cells: int) -> list[Array]:
        if race.name == "eikonal":
            axes = race.row.problem.domain.axes
            found = race.row.problem.finite_differences({axes[0]: 2 * cells, axes[1]: cells})
            return [next(iter(found.values.values()))]
        return differences(s, cells, order)

    def solve(cells: int) -> Solved:
        values = grid(cells)
        if method == "fd-richardson":
            half, quarter = grid(cells // 2), grid(cells // 4)
            values = [_richardson(*v) for v in zip(values, half, quarter, strict=True)]
        note = f"{cells} cells an axis" + (", half and a quarter of them" if method == "fd-richardson" else "")
        unknowns = values[0].size * len(values)
        if s.dimensions <= 2:
            # Fast marching gives the travel time itself, all else the unknown.
            seen = (lambda x, v: v[:, 0]) if race.name == "eikonal" else race.observe
            return Solved(lambda x: seen(x, _spline(s, values, x)), unknowns, note)
        nodes = np.meshgrid(*_nodes(s, values[0].shape), indexing="ij")
        truth = s.values(np, nodes)  # manufactured: what holds on the boundary holds inside
        error = np.linalg.norm(np.stack(values) - np.stack(truth)) / np.linalg.norm(np.stack(truth))
        return Solved(None, unknowns, note + "; the error at its nodes", float(error))

    sizes = [
        n
        for n in CELLS[s.dimensions]
        if method != "fd-richardson" or (n % 4 == 0 and n >= (24 if s.dimensions < 3 else 8))
    ]
    refine(race, sizes, solve, growth=3.0)


def differences(statement: Any, cells: int, order: int) -> list[Array]:
    """The components at the nodes."""
    if statement.initial is not None:
        return [_leapfrog(statement, cells)]
    shape = (cells + 1,) * statement.dimensions
    x = np.meshgrid(*_nodes(statement, shape), indexing="ij")
    if statement.affine:
        return _direct(statement, x, order)
    return [_line(statement, x) if statement.dimensions == 1 else _plane(statement, x, order)]


def _nodes(statement: Any, shape: Sequence[int]) -> list[Array]:
    return [np.linspace(*bounds, n) for bounds, n in zip(statement.bounds, shape, strict=True)]


def _richardson(fine: Array, half: Array, quarter: Array) -> Array:
    """Without the errors of second and fourth order, at the coarsest nodes."""
    every = tuple([slice(None, None, 2)] * fine.ndim)
    coarse = half[every]
    first, second = (4 * fine[every] - half) / 3, (4 * coarse - quarter) / 3
    return (16 * first[every] - second) / 15


def _spline(statement: Any, values: list[Array], points: Array) -> Array:
    """Quintic splines through the nodes."""
    found = []
    for v in values:
        nodes = _nodes(statement, v.shape)
        if v.ndim == 1:
            found.append(make_interp_spline(nodes[0], v, k=5)(points[:, 0]))
        else:
            found.append(RectBivariateSpline(*nodes, v, kx=5, ky=5)(points[:, 0], points[:, 1], grid=False))
    return np.stack(found, axis=1)


def _second(v: Array, axis: int) -> Array:
    v = np.moveaxis(v, axis, 0)
    return np.moveaxis(v[2:] - 2 * v[1:-1] + v[:-2], 0, axis)


def _inner(v: Array, axis: int) -> Array:
    return np.moveaxis(np.moveaxis(v, axis, 0)[1:-1], 0, axis)


def _mean(v: Array, axis: int, order: int) -> Array:
    """``1 + delta^2 / 12`` for compact differences, nothing otherwise; the outer nodes go."""
    return _inner(v, axis) + _second(v, axis) / 12 if order == 4 else _inner(v, axis)


def _averaged(v: Array, order: int) -> Array:
    for axis in range(v.ndim):
        v = _mean(v, axis, order)
    return v


def _operator(v: Array, second: Sequence[float], steps: Sequence[float], order: int) -> Array:
    """``sum of c_i delta_i^2 / h_i^2``, each averaged along the other axes."""
    total = 0.0
    for i, (c, h) in enumerate(zip(second, steps, strict=True)):
        term = _second(v, i) * (c / h**2)
        for axis in range(v.ndim):
            if axis != i:
                term = _mean(term, axis, order)
        total = total + term
    return total


def _symbols(shape: Sequence[int], second: Sequence[float], steps: Sequence[float], order: int) -> tuple[Array, Array]:
    """What the operator and the average do to each product of sines."""
    d = len(shape)
    squares = []
    for i, n in enumerate(shape):
        s = -4 * np.sin(np.pi * np.arange(1, n - 1) / (2 * (n - 1))) ** 2
        squares.append(s.reshape([-1 if j == i else 1 for j in range(d)]))
    means = [1 + s / 12 if order == 4 else np.ones_like(s) for s in squares]
    average = np.ones([1] * d)
    for m in means:
        average = average * m
    return sum(c / h**2 * s / m for c, h, s, m in zip(second, steps, squares, means, strict=True)) * average, average


def _sines(v: Array, symbol: Array) -> Array:
    return fft.idstn(fft.dstn(v, type=1) / symbol, type=1)


def _direct(statement: Any, x: list[Array], order: int) -> list[Array]:
    reaction, _, second = statement.linear(np, x, 0.0, ())
    shape = x[0].shape
    steps = [(b - a) / (n - 1) for (a, b), n in zip(statement.bounds, shape, strict=True)]
    symbol, average = _symbols(shape, second, steps, order)
    inner = tuple([slice(1, -1)] * len(shape))
    found = []
    for held, f in zip(statement.values(np, x), statement.source(np, x), strict=True):
        v = np.array(held)
        v[inner] = 0
        right = _averaged(f - reaction * v, order) - _operator(v, second, steps, order)
        v[inner] = _sines(right, symbol + reaction * average)
        found.append(v)
    return found


def _plane(statement: Any, x: list[Array], order: int) -> Array:
    """Newton for ``c laplacian u + g(u) = f``, each step by GMRES, the mean of g' in its preconditioner."""
    shape = x[0].shape
    steps = [(b - a) / (n - 1) for (a, b), n in zip(statement.bounds, shape, strict=True)]
    none = [0.0] * len(shape)
    second = statement.linear(np, x, np.zeros(()), none)[2]
    symbol, average = _symbols(shape, second, steps, order)
    inner = tuple([slice(1, -1)] * len(shape))
    (f,), (held,) = statement.source(np, x), statement.values(np, x)
    u = np.array(held)
    u[inner] = 0
    small = u[inner].shape

    def residual(u: Array) -> Array:
        return _operator(u, second, steps, order) + _averaged(statement.operator(np, x, u, none, none) - f, order)

    def padded(step: Array) -> Array:
        return np.pad(step.reshape(small), 1)

    for _ in range(20):
        r = residual(u)
        slope = np.broadcast_to(statement.linear(np, x, u, none)[0], shape)

        def jacobian(step: Array, slope: Array = slope) -> Array:
            full = padded(step)
            return (_operator(full, second, steps, order) + _averaged(slope * full, order)).ravel()

        frozen = symbol + slope.mean() * average

        def precondition(step: Array, frozen: Array = frozen) -> Array:
            return _sines(step.reshape(small), frozen).ravel()

        size = (r.size, r.size)
        step, _ = gmres(LinearOperator(size, jacobian), -r.ravel(), M=LinearOperator(size, precondition), rtol=1e-8,
                        restart=40, maxiter=2)  # fmt: skip
        u = u + padded(step)
        if np.abs(step).max() < 1e-13 * np.abs(u).max() or np.abs(step).max() < 1e-9:
            break
    return u


def _line(statement: Any, x: list[Array]) -> Array:
    """Newton on a line, the matrix of three diagonals."""
    (nodes,) = x
    n, h = len(nodes), nodes[1] - nodes[0]
    off = np.ones(n - 1)
    first = sparse.diags_array([-off, off], offsets=[-1, 1], format="csr") / (2 * h)
    second = sparse.diags_array([off, -2 * np.ones(n), off], offsets=[-1, 0, 1], format="csr") / h**2
    keep = sparse.diags_array(np.r_[0.0, np.ones(n - 2), 0.0])
    ends = sparse.diags_array(np.r_[1.0, np.zeros(n - 2), 1.0])
    (f,), (held,) = statement.source(np, x), statement.values(np, x)
    u = np.interp(nodes, nodes[[0, -1]], held[[0, -1]])

    def residual(u: Array) -> Array:
        return keep @ (statement.operator(np, x, u, [first @ u], [second @ u]) - f)

    r = residual(u)
    for _ in range(30):
        c0, (c1,), (c2,) = statement.linear(np, x, u, [first @ u])
        rows = [np.broadcast_to(c, n) for c in (c0, c1, c2)]
        jacobian = sum(
            sparse.diags_array(c) @ m for c, m in zip(rows, (sparse.eye_array(n), first, second), strict=True)
        )
        step = -spsolve((keep @ jacobian + ends).tocsc(), r)
        for halving in range(8):
            tried = residual(u + step * 0.5**halving)
            if np.linalg.norm(tried) < np.linalg.norm(r):
                break
        else:
            break
        u, r = u + step * 0.5**halving, tried
        if np.abs(step).max() < 1e-12:
            break
    return u


def _leapfrog(statement: Any, cells: int) -> Array:
    """``u_tt = c^2 u_xx``, zero at both ends and at rest, with ``c dt = h``."""
    speed = (-statement.linear(np, (), 0.0, ())[2][0]) ** 0.5
    (low, high), (begin, end) = statement.bounds
    steps = round((end - begin) * speed * cells / (high - low))
    x = np.linspace(low, high, cells + 1)
    values = np.zeros((cells + 1, steps + 1))
    values[1:-1, 0] = statement.initial(np, [x])[1:-1]
    values[1:-1, 1] = (values[2:, 0] + values[:-2, 0]) / 2
    for n in range(1, steps):
        values[1:-1, n + 1] = values[2:, n] + values[:-2, n] - values[1:-1, n - 1]
    return values
