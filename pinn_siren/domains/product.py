"""Products with time: a region of space over an interval of ``t``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import ProblemError
from ..points import TIME, Points
from .box import Box
from .domain import Domain
from .pieces import Piece, fill, spread
from .sampling import Sampler


class Product(Domain):
    """``space * Box(t=(0, T))``: all (x, t) with x in a region of space, which does not move.

    Its boundary is the boundary of the region at all times, normals ``(n, space dims)``; its sides are the region's.
    Raises ``ProblemError`` where the first has time already or the second is more than an interval of time.
    """

    def __init__(self, space: Domain, time: Box) -> None:
        if not (isinstance(space, Domain) and isinstance(time, Box) and time.axes == (TIME,)) or space.has_time:
            raise ProblemError(f"A product is space * Box(t=(0, T)), with space free of t; got {space!r} * {time!r}.")
        self.space, self.time = space, time
        self.axes = (*space.axes, TIME)
        self.scale = max(space.scale, time.scale)

    def __repr__(self) -> str:
        return f"{self.space} * {self.time}"

    def configuration(self) -> dict[str, Any]:
        """Plain values that ``from_configuration`` turns into the same domain."""
        return {"shape": "Product", "space": self.space.configuration(), "time": self.time.configuration()}

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """An interval an axis."""
        return {**self.space.bounds, **self.time.bounds}

    @property
    def measure(self) -> float:
        """Length, area or volume, times the duration."""
        return self.space.measure * self.time.measure

    def contains(self, coordinates: Tensor) -> Tensor:
        """``(n, d) -> (n,)`` bool: inside or on the boundary, up to rounding."""
        return self.space.contains(coordinates[:, :-1]) & self.time.contains(coordinates[:, -1:])

    def level(self, coordinates: Tensor) -> Tensor:
        """``(n, d) -> (n,)``: negative inside, positive outside; time counts as a length."""
        return torch.maximum(self.space.level(coordinates[:, :-1]), self.time.level(coordinates[:, -1:]))

    def side_names(self) -> tuple[str, ...]:
        """The names of the region's sides."""
        return self.space.side_names()

    def interior(self, n: int, sampler: Sampler) -> Points:
        """``n`` points strictly inside."""
        return Points(self.axes, fill(self._fill, self.level, n, sampler, len(self.axes)))

    def start(self, n: int, sampler: Sampler) -> Points:
        """``n`` points inside the region at the first time."""
        inside = self.space.interior(n, sampler).coordinates
        first = torch.full_like(inside[:, :1], self.time.bounds[TIME][0])
        return Points(self.axes, torch.cat([inside, first], dim=1))

    def pieces(self) -> tuple[Piece, ...]:
        """The pieces of the region's boundary, at all times."""
        return tuple(self._over_time(piece) for piece in self.space.pieces())

    def normals_at(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """Indices and outward unit normals of the points over the region's boundary."""
        return self.space.normals_at(coordinates[:, :-1])

    def _over_time(self, piece: Piece) -> Piece:
        def place(unit: Tensor) -> tuple[Points, Tensor]:
            points, kept = piece.place(unit[:, :-1])
            coordinates = torch.cat([points.coordinates, self.time._fill(unit[:, -1:])], dim=1)
            return Points(self.axes, coordinates, points.normal), kept

        return Piece(piece.dimensions + 1, piece.whole * self.time.measure, place, piece.name, piece.fraction)

    def _boundary(self, n: int, sampler: Sampler, side: str | None) -> Points:
        return spread([piece for piece in self.pieces() if side in (None, piece.name)], n, sampler)

    def _on_side(self, points: Points, side: str) -> Tensor:
        return self.space._on_side(Points(self.space.axes, points.space, points.normal), side)

    def _fill(self, unit: Tensor) -> Tensor:
        return torch.cat([self.space._fill(unit[:, :-1]), self.time._fill(unit[:, -1:])], dim=1)


def product(space: Domain, time: Domain) -> Domain:
    """``space * time``; of two boxes, a box."""
    if isinstance(space, Box) and isinstance(time, Box) and not set(space.axes) & set(time.axes):
        return Box(**space.bounds, **time.bounds)
    return Product(space, time)  # type: ignore[arg-type]  # anything else is refused there
