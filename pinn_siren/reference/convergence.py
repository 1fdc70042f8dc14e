"""Three grids, the order seen over them, the error bar that follows, and what they extrapolate to.

Richardson 1911, doi 10.1098/rsta.1911.0009; Roache 1994, doi 10.1115/1.2910291.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..errors import UsageError
from .grid import Array, GridSolution, Reference
from .lines import Real

SAFETY = 1.25
LEAST_ORDER = 0.5
ROUNDING = 1e-12
CLEAN = 0.15
"""How far the observed order may lie from the formal one where the leading error is taken out by extrapolation."""
SPECTRAL_SAFETY = 2.0
LEAST_FALL = 4.0
"""By how much the differences of a spectral sequence must fall from one resolution to the next."""
PLATEAU = 1e-9
"""Differences of a spectral sequence below this, relative, are rounding where they stop falling."""
SPECTRAL_ROUNDING = 1e-13


def single(grid: GridSolution, method: str, seconds: float) -> Reference:
    """A reference on one grid: no order, no error bar."""
    return Reference(method, (grid,), 0.0, None, None, seconds)


def converge(
    solve_on: Callable[[dict[str, int]], GridSolution],
    cells: Mapping[str, int],
    *,
    method: str,
    formal_order: float = 2.0,
) -> Reference:
    """Solve on ``cells``, twice and four times as many, and judge the finest solution by the three.

    ``cells``: axis to number of cells, of the coarsest grid. ``solve_on`` returns grids of which each has the nodes of
    the coarser ones. Raises ``UsageError`` where grids are not nested.
    """
    began = time.perf_counter()
    coarse, middle, fine = (solve_on({axis: n * factor for axis, n in cells.items()}) for factor in (1, 2, 4))
    return judged((coarse, middle, fine), method, formal_order, time.perf_counter() - began)


def judged(levels: tuple[GridSolution, ...], method: str, formal_order: float, seconds: float) -> Reference:
    """Three solutions (or one alone), the order and bar of ``estimate``, and what ``extrapolate`` makes of them."""
    order, error = estimate(levels, formal_order)
    extrapolated, bar = extrapolate(levels, formal_order, order) or (None, None)
    return Reference(method, levels, formal_order, order, error, seconds, extrapolated, bar)


def estimate(levels: Sequence[GridSolution], formal_order: float = 2.0) -> tuple[float | None, float | None]:
    """The observed order p and the bar of the finest grid's relative L2 error, from three nested grids.

    With ``d1 = |u_h - u_{h/2}|`` and ``d2 = |u_{h/2} - u_{h/4}|``, quadrature-weighted L2 norms over the coarsest
    grid's nodes and all outputs, ``p = log2(d1 / d2)`` and the bar is ``1.25 d2 / (2^q - 1) / |u_{h/4}|`` with
    ``q = min(p, formal_order)`` (Roache 1994, doi 10.1115/1.2910291). Nodes that are NaN on any grid are left out.

    The bar is None where p < 0.5 or d1 = 0: the grids do not show convergence. Where the differences are at rounding
    level there is no order to see, and the bar is that level. With an infinite ``formal_order`` the levels are three
    resolutions of a spectral method, on grids that may be the same: there is no order, and the bar is twice d2. One
    grid alone has neither.
    """
    if len(levels) == 1:
        return None, None
    if len(levels) != 3:
        raise UsageError(f"The observed order needs three grids, got {len(levels)}.")
    coarse, middle, fine = (_common(level, levels[0]) for level in levels)
    weights = levels[0].quadrature()
    size = _norm(fine, weights, [coarse, middle, fine])
    first = _norm(_minus(coarse, middle), weights, [fine])
    second = _norm(_minus(middle, fine), weights, [coarse])
    if not (math.isfinite(first) and math.isfinite(second)):
        return None, None
    if math.isinf(formal_order):
        return None, _spectral(first, second, size)
    if max(first, second) <= _rounding(levels) * size or first == second == 0:
        level = max(first, second) / size if size else 0.0
        return None, max(level, float(np.finfo(np.float64).eps))
    if size == 0 or first == 0 or second == 0:
        return None, None
    order = math.log2(first / second)
    if order < LEAST_ORDER:
        return order, None
    return order, SAFETY * second / (2 ** min(order, formal_order) - 1) / size


def _spectral(first: float, second: float, size: float) -> float | None:
    """The bar of the last of three resolutions of a spectral method, from the two differences: there is no order.

    The last difference is nearly the error of the resolution before, so twice that is on the safe side. Where both
    differences are rounding and no longer fall, twice the larger one.
    """
    if size == 0:
        return None
    larger = max(first, second) / size
    if second * LEAST_FALL <= first:
        return max(SPECTRAL_SAFETY * second / size, SPECTRAL_ROUNDING)
    return max(SPECTRAL_SAFETY * larger, SPECTRAL_ROUNDING) if larger <= PLATEAU else None


def extrapolate(
    levels: Sequence[GridSolution], formal_order: float, observed_order: float | None
) -> tuple[GridSolution, float] | None:
    """Richardson's extrapolation with its own bar: a solution of its own, on the middle grid's nodes.

    ``E2 = u_{h/4} + (u_{h/4} - u_{h/2}) / (2^p - 1)`` with p the formal order, and ``E1`` the same from h and h/2. Its
    bar is ``1.25 |E1 - E2| / |E2|``, undivided: true as soon as E converges with order one, whatever its order is.

    None where the observed order is not the formal one, within 0.15: then p is not what the leading error shows.
    """
    if observed_order is None or math.isinf(formal_order) or abs(observed_order - formal_order) > CLEAN:
        return None
    coarse, middle, fine = levels
    first, second = _extrapolated(coarse, middle, formal_order), _extrapolated(middle, fine, formal_order)
    weights, below = coarse.quadrature(), _common(second, coarse)
    size = _norm(below, weights, [first.values])
    gap = _norm(_minus(first.values, below), weights, [])
    if size == 0 or not math.isfinite(gap):
        return None
    return second, max(SAFETY * gap / size, _rounding(levels))


def _extrapolated(coarse: GridSolution, fine: GridSolution, order: float) -> GridSolution:
    on_coarse = _common(fine, coarse)
    fields = {n: u + (u - coarse.values[n]) / (2**order - 1) for n, u in on_coarse.items()}
    return GridSolution(coarse.coordinates, fields, coarse.weights)


def _rounding(levels: Sequence[GridSolution]) -> float:
    """What rounding leaves, relative: a linear solve on n cells an axis leaves about n^2 roundings."""
    return max(ROUNDING, 10 * float(np.finfo(np.float64).eps) * max(levels[-1].shape) ** 2)


def _common(fine: GridSolution, coarse: GridSolution) -> dict[str, Array]:
    """The fields of ``fine`` on the nodes of ``coarse``."""
    if list(fine.coordinates) != list(coarse.coordinates) or set(fine.values) != set(coarse.values):
        raise UsageError("The grids have other axes or other outputs than the coarsest one.")
    picks = [_matching(fine.coordinates[axis], nodes, axis) for axis, nodes in coarse.coordinates.items()]
    return {name: field[np.ix_(*picks)] for name, field in fine.values.items()}


def _matching(fine: Real, coarse: Real, axis: str) -> np.ndarray:
    """The indices of the coarse nodes among the fine ones."""
    right = np.clip(np.searchsorted(fine, coarse), 1, len(fine) - 1)
    nearest = np.where(coarse - fine[right - 1] < fine[right] - coarse, right - 1, right)
    if np.abs(fine[nearest] - coarse).max() > 1e-9 * (coarse[-1] - coarse[0]):
        raise UsageError(f"The grids are not nested along axis {axis}: {len(coarse)} nodes are not among {len(fine)}.")
    return nearest


def _minus(one: dict[str, Array], two: dict[str, Array]) -> dict[str, Array]:
    return {name: one[name] - two[name] for name in one}


def _norm(fields: dict[str, Array], weights: Real, also: list[dict[str, Array]]) -> float:
    """The weighted L2 norm over all outputs, where neither these fields nor the others are NaN."""
    total = 0.0
    for name, field in fields.items():
        kept = ~np.isnan(field) & ~np.any([np.isnan(other[name]) for other in also], axis=0)
        total += float((weights * np.abs(field) ** 2)[kept].sum())
    return math.sqrt(total)
