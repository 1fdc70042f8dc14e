"""Shape: what regions of space in one piece have in common."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import ProblemError
from ..points import TIME, Points
from .domain import Domain
from .pieces import Piece, fill, spread
from .sampling import Sampler


class Shape(Domain):
    """A region of space that is sampled evenly through maps from the unit cube; a single piece without named sides.

    The scheme ``"chebyshev"`` belongs to boxes: here it draws the even Sobol points.
    """

    def contains(self, coordinates: Tensor) -> Tensor:
        """``(n, d) -> (n,)`` bool: inside or on the boundary, up to rounding."""
        slack = self.scale * (1e-12 if coordinates.dtype == torch.float64 else 1e-6)
        return self.level(coordinates) <= slack

    def side_names(self) -> tuple[str, ...]:
        """None."""
        return ()

    def interior(self, n: int, sampler: Sampler) -> Points:
        """``n`` points strictly inside."""
        return Points(self.axes, fill(self._fill, self.level, n, sampler, len(self.axes)))

    def start(self, n: int, sampler: Sampler) -> Points:
        """Raises ``ProblemError``: there is no time."""
        raise without_time(self)

    def pieces(self) -> tuple[Piece, ...]:
        """The whole boundary as one piece."""
        return (Piece(len(self.axes) - 1, self._surface, self._place),)

    def _boundary(self, n: int, sampler: Sampler, side: str | None) -> Points:
        return spread(self.pieces(), n, sampler)

    @property
    @abstractmethod
    def _surface(self) -> float:
        """The length or area of the boundary."""

    @abstractmethod
    def _place(self, unit: Tensor) -> tuple[Points, Tensor]:
        """``(n, d - 1)`` in the unit cube to points of the boundary, evenly."""


def without_time(domain: Domain) -> ProblemError:
    """What to say where a first time is asked of a region of space."""
    return ProblemError(f"{domain} has no time axis t, so there is no first time; multiply it by Box(t=(0, T)).")


def space_axes(owner: str, axes: Sequence[str], count: int) -> tuple[str, ...]:
    """``count`` names of space axes. Raises ``ProblemError`` for others."""
    names = tuple(axes) if isinstance(axes, str | Sequence) else ()
    letters = all(isinstance(a, str) and len(a) == 1 and a.isascii() and a.islower() and a != TIME for a in names)
    if not letters or len(set(names)) != count or len(names) != count:
        raise ProblemError(f"{owner} needs {count} axes, different lowercase letters other than t; got {axes!r}.")
    return names


def finite(what: str, given: Sequence[float]) -> tuple[float, ...]:
    """Finite numbers. Raises ``ProblemError`` for anything else."""
    try:
        numbers = tuple(float(value) for value in given)
    except (TypeError, ValueError):
        numbers = (math.nan,)
    if not all(math.isfinite(value) for value in numbers):
        raise ProblemError(f"{what} needs finite numbers, got {given!r}.")
    return numbers
