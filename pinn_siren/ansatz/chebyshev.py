"""Chebyshev interpolants of boundary and initial data: read once, differentiated exactly, kept as numbers in a file.

Trefethen, Approximation Theory and Approximation Practice (2013), chapters 3, 4 and 8.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dctn
from torch import Tensor

from ..jet import LAPLACIAN, Jet, Plan
from ..points import Points

ACCURACY = 1e-12
"""Where the last coefficients, and the misfit between the nodes, are this small of the largest value, the fit ends."""
MOST = {0: 1, 1: 1025, 2: 257, 3: 33}
"""Nodes an axis at most, by the number of axes."""
BETWEEN = 64

Function = Callable[[NDArray[np.float64]], NDArray]
"""``(n, d)`` coordinates to ``(n,)`` values."""


def fit(function: Function, bounds: list[tuple[float, float]]) -> NDArray | None:
    """Coefficients ``(m_1, ..., m_d)`` of an interpolant on a box, or None where the function is not smooth enough."""
    if not bounds:
        return np.asarray(function(np.zeros((1, 0))))[0]
    low, high = np.array(bounds).T
    between = np.random.default_rng(5).random((BETWEEN, len(bounds))) * (high - low) + low
    truth = function(between)
    nodes = [9] * len(bounds)
    while max(nodes) <= MOST.get(len(bounds), 9):
        angles = [np.pi * np.arange(m) / (m - 1) for m in nodes]
        mesh = np.stack([g.ravel() for g in np.meshgrid(*map(np.cos, angles), indexing="ij")], axis=1)
        values = function((low + high) / 2 + (high - low) / 2 * mesh).reshape(nodes)
        size = max(float(np.abs(values).max()), float(np.abs(truth).max()))
        found = _coefficients(values)
        wide = [j for j in range(len(nodes)) if _tail(found, j) > ACCURACY * size]
        if not wide:
            if np.abs(evaluate(found, between, bounds) - truth).max() <= 100 * ACCURACY * size:
                return _trimmed(found, size)
            wide = list(range(len(nodes)))
        nodes = [2 * m - 1 if j in wide else m for j, m in enumerate(nodes)]
    return None


def evaluate(coefficients: NDArray, at: NDArray[np.float64], bounds: list[tuple[float, float]]) -> NDArray:
    """``(n,)`` values of an interpolant at ``(n, d)`` points."""
    found = torch.from_numpy(np.array(coefficients))
    return _sum(found, [_polynomials(torch.from_numpy(at[:, j]), *b, m) for j, (b, m) in
                        enumerate(zip(bounds, found.shape, strict=True))], len(at)).numpy()  # fmt: skip


def interpolant_jet(coefficients: Tensor, bounds: dict[str, tuple[float, float]], points: Points, plan: Plan) -> Jet:
    """The jet of an interpolant over some of the axes, the same along all others; evaluated in double precision."""
    axes = list(bounds)
    bases = [
        _polynomials(points.coordinates[:, points.axes.index(a)].double(), *bounds[a], m)
        for a, m in zip(axes, coefficients.shape, strict=True)
    ]

    def derivative(key: str) -> Tensor:
        if any(letter not in axes for letter in key):
            return coefficients.new_zeros(len(points))
        found = coefficients
        for j, a in enumerate(axes):
            low, high = bounds[a]
            for _ in range(key.count(a)):
                found = _differentiated(found, j) * (2 / (high - low))
        return _sum(found, bases, len(points))

    channels = [
        torch.stack([derivative(2 * a) for a in plan.space_axes]).sum(0) if key == LAPLACIAN else derivative(key)
        for key in plan.keys
    ]
    kind = points.coordinates.dtype
    kind = kind.to_complex() if coefficients.is_complex() else kind
    return Jet(torch.stack(channels).to(kind), plan, points)


def _coefficients(values: NDArray) -> NDArray:
    """From values at ``cos(pi j / (m - 1))`` to coefficients of ``T_0 ... T_(m-1)``, along every axis."""
    if np.iscomplexobj(values):
        return _coefficients(values.real) + 1j * _coefficients(values.imag)
    found = dctn(values, type=1)
    for j, m in enumerate(values.shape):
        share = np.full(m, 1 / (m - 1))
        share[[0, -1]] /= 2
        found *= share.reshape([-1 if i == j else 1 for i in range(values.ndim)])
    return found


def _tail(coefficients: NDArray, axis: int) -> float:
    return float(np.abs(np.moveaxis(coefficients, axis, 0)[-3:]).max())


def _trimmed(coefficients: NDArray, size: float) -> NDArray:
    for j in range(coefficients.ndim):
        rest = tuple(i for i in range(coefficients.ndim) if i != j)
        kept = np.flatnonzero(np.abs(coefficients).max(axis=rest) > 1e-3 * ACCURACY * size)
        last = int(kept[-1]) + 1 if len(kept) else 1
        coefficients = np.take(coefficients, range(last), axis=j)
    return coefficients


def _polynomials(x: Tensor, low: float, high: float, count: int) -> Tensor:
    """``(n, count)``: ``T_k`` on the interval, by ``cos(k arccos)``; points beyond it by rounding count as its ends."""
    angle = ((2 * x - low - high) / (high - low)).clamp(-1, 1).arccos()
    return torch.cos(angle[:, None] * torch.arange(count, dtype=x.dtype, device=x.device))


def _differentiated(coefficients: Tensor, axis: int) -> Tensor:
    """Coefficients of the derivative by the variable on [-1, 1], of the same shape."""
    found = np.polynomial.chebyshev.chebder(coefficients.cpu().numpy(), axis=axis)
    padded = np.zeros(tuple(coefficients.shape), dtype=found.dtype)
    kept = min(found.shape[axis], coefficients.shape[axis] - 1)
    np.moveaxis(padded, axis, 0)[:kept] = np.moveaxis(found, axis, 0)[:kept]
    return torch.from_numpy(padded).to(coefficients.device)


def _sum(coefficients: Tensor, bases: list[Tensor], count: int) -> Tensor:
    """``(n,)``: the sum over all products of the bases."""
    if not bases:
        return coefficients.expand(count).clone()
    kind = coefficients.dtype
    total = torch.tensordot(bases[0].to(kind), coefficients, dims=1)
    for basis in bases[1:]:
        total = (basis.to(kind).reshape(*basis.shape, *[1] * (total.ndim - 2)) * total).sum(1)
    return total
