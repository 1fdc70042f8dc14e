"""Grids with absorbing layers: cells that end at the layer's inner edge, and their complex stretch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ..conditions import PML
from ..domains import Box
from ..errors import ProblemError
from .lines import Grid, Line, cell_count

STRENGTH = 5.0
ORDER = 2
LEAST_CELLS = 8

Layers = dict[tuple[str, int], tuple[float, float, int]]
"""(axis, 0 for its minimum or 1 for its maximum) to thickness, strength and order."""


def layers(domain: Box, conditions: Sequence[PML]) -> Layers:
    """The layers of all PML conditions together. Raises ``ProblemError`` where two lie at one side, or all is layer."""
    found: Layers = {}
    for pml in conditions:
        strength = STRENGTH if pml.strength is None else pml.strength
        order = ORDER if pml.order is None else pml.order
        for axis, depths in pml.depths(domain).items():
            for end, thickness in enumerate(depths):
                if thickness and (axis, end) in found:
                    raise ProblemError(f"Two PML lie at the same end of axis {axis}: keep one.")
                if thickness:
                    found[axis, end] = (thickness, strength, order)
    for axis, (low, high) in physical(domain, found).items():
        if low >= high:
            raise ProblemError(f"The PML at both ends of axis {axis} leave no physical region: enlarge the box.")
    return found


def physical(domain: Box, found: Layers) -> dict[str, tuple[float, float]]:
    """The bounds of the region without layers."""
    none = (0.0, STRENGTH, ORDER)
    return {
        axis: (low + found.get((axis, 0), none)[0], high - found.get((axis, 1), none)[0])
        for axis, (low, high) in domain.bounds.items()
    }


def layered(
    domain: Box, cells: Mapping[str, int], periodic: frozenset[str], found: Layers
) -> tuple[Grid, tuple[slice, ...]]:
    """A grid with a node at every inner edge of a layer, and the slices of its physical nodes.

    The physical region and each layer have equal cells of their own, about ``length / cells[axis]`` wide and never
    wider; doubling ``cells`` halves every cell.
    """
    bounds = physical(domain, found)
    lines, inside = [], []
    for axis in domain.space_axes:
        layer_ends = [end for end in (0, 1) if (axis, end) in found]
        if layer_ends and axis in periodic:
            raise ProblemError(f"Axis {axis} is Periodic and has a PML: keep one of them.")
        count = cell_count(cells, axis, LEAST_CELLS if layer_ends else 3 if axis in periodic else 2)
        (low, high), (inner_low, inner_high) = domain.bounds[axis], bounds[axis]
        parts = [(low, inner_low), (inner_low, inner_high), (inner_high, high)]
        counts = [_share(count, (b - a) / (high - low)) for a, b in parts]
        pieces = [np.linspace(a, b, n + 1)[:-1] for (a, b), n in zip(parts, counts, strict=True)]
        nodes = np.concatenate([*pieces, [high]])
        lines.append(
            Line(axis, nodes, _stretch(axis, (nodes[:-1] + nodes[1:]) / 2, bounds[axis], found), axis in periodic)
        )
        inside.append(slice(counts[0], counts[0] + counts[1] + 1))
    return Grid(domain.axes, tuple(lines)), tuple(inside)


def _share(count: int, fraction: float) -> int:
    """About ``fraction * count``, never less, and twice as much for twice the count.

    ``count = m 2^k`` with m odd, or as small as ``LEAST_CELLS`` allows: the rounding is that of m cells.
    """
    doublings = 0
    while count % 2 == 0 and count // 2 >= LEAST_CELLS:
        count, doublings = count // 2, doublings + 1
    return math.ceil(fraction * count - 1e-9) * 2**doublings


def _stretch(axis: str, middles: np.ndarray, inner: tuple[float, float], found: Layers) -> np.ndarray:
    """``e(d) = 1 + i strength (d / thickness)^order`` at half nodes of depth d; real where there is no layer."""
    stretch = np.ones(len(middles))
    for end, depths in enumerate((inner[0] - middles, middles - inner[1])):
        if (axis, end) in found:
            thickness, strength, order = found[axis, end]
            ratio = np.clip(depths / thickness, 0, None)
            stretch = stretch + np.where(ratio > 0, 1j * strength * ratio**order, 0)
    return stretch
