"""Grids and the solutions on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64] | NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class GridSolution:
    """Fields on the nodes of one uniform grid.

    ``coordinates``: axis name to its ascending nodes, both ends included, in the problem's order of axes.
    ``values``: output name to an array with one dimension an axis, in that same order; NaN at masked nodes.
    ``weights``: quadrature weights in the grid's shape, where the domain is no box (``cell_weights``).
    """

    coordinates: dict[str, NDArray[np.float64]]
    values: dict[str, Array]
    weights: NDArray[np.float64] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Nodes an axis."""
        return tuple(len(nodes) for nodes in self.coordinates.values())

    def nodes(self) -> NDArray[np.float64]:
        """``(nodes, d)``: every node's coordinates, the last axis fastest, like ``values[...].ravel()``."""
        return np.stack([m.ravel() for m in np.meshgrid(*self.coordinates.values(), indexing="ij")], axis=1)

    def quadrature(self) -> NDArray[np.float64]:
        """The weights of the nodes, in the grid's shape: its own, or trapezoidal ones."""
        if self.weights is not None:
            return self.weights
        weights = np.ones(())
        for nodes in self.coordinates.values():
            weights = np.multiply.outer(weights, trapezoidal(nodes))
        return weights


def masked(values: Array, outside: NDArray[np.bool_]) -> Array:
    """The values, NaN outside: in both parts of complex ones, since files and pictures show the parts."""
    blank = complex(np.nan, np.nan) if np.iscomplexobj(values) else np.nan
    return np.asarray(np.where(outside, blank, values))


def trapezoidal(nodes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,): the weights of the trapezoidal rule on ascending nodes."""
    weights = np.zeros(len(nodes))
    weights[:-1] += np.diff(nodes) / 2
    weights[1:] += np.diff(nodes) / 2
    return weights


@dataclass(frozen=True, eq=False)
class Reference:
    """A classical solution on three grids, each twice as fine as the one before, with its error bar; or one on a single
    grid, without.

    ``observed_order`` is the order p seen over the three; ``error`` is the bar of the finest grid's relative L2 error,
    1.25 times Richardson's estimate with min(p, formal_order), or None where p < 0.5 (no bar can be given). An infinite
    ``formal_order`` stands for a spectral method at three resolutions, shown on one grid.

    ``extrapolated``: where p is the formal order, what the grids extrapolate to, on the middle grid, a solution of its
    own with the bar ``extrapolated_error`` (``convergence.extrapolate``).
    """

    method: str
    levels: tuple[GridSolution, ...]
    formal_order: float
    observed_order: float | None
    error: float | None
    seconds: float
    extrapolated: GridSolution | None = None
    extrapolated_error: float | None = None

    @property
    def finest(self) -> GridSolution:
        """The finest of the grids."""
        return self.levels[-1]

    @property
    def best(self) -> GridSolution:
        """What others are compared with: the extrapolated solution where its bar is the smaller one, else the finest
        grid's."""
        return self.extrapolated if self._gains and self.extrapolated is not None else self.finest

    @property
    def bar(self) -> float | None:
        """The bar of ``best``."""
        return self.extrapolated_error if self._gains else self.error

    @property
    def name(self) -> str:
        """The method, and whether ``best`` is extrapolated."""
        return f"{self.method}, extrapolated" if self._gains else self.method

    @property
    def _gains(self) -> bool:
        own = self.extrapolated_error
        return own is not None and (self.error is None or own < self.error)
