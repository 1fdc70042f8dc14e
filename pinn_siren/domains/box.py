"""Box: an interval for every axis."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..errors import ProblemError, suggest
from ..points import TIME, Points, join
from .domain import ROUNDING, Domain
from .pieces import Piece
from .sampling import Sampler, allot

SIDES = (("left", "right"), ("bottom", "top"), ("front", "back"))
"""Minimum and maximum of the first, second and third space axis."""

NEAR = 1e-9
"""How far from a side, in units of the largest coordinate, a point counts as on it."""


class Box(Domain):
    """``Box(x=(a, b), y=(c, d), t=(0, T))``: any number of axes, in the order given.

    An axis is named by one lowercase letter; ``t`` is time, all others are space. Units are the user's.
    Raises ``ProblemError`` for another name, or bounds that are not two finite ascending numbers.
    """

    def __init__(self, **axes: tuple[float, float]) -> None:
        if not axes:
            raise ProblemError("Box needs at least one axis, as in Box(x=(0, 1), t=(0, 2)).")
        for name, bounds in axes.items():
            if not (len(name) == 1 and name.isascii() and name.islower()):
                raise ProblemError(f"An axis is named by one lowercase letter, as in Box(x=(0, 1)); got {name!r}.")
            try:
                low, high = (float(b) for b in bounds)
            except (TypeError, ValueError):
                raise ProblemError(f"Axis {name} needs two numbers, as in {name}=(0, 1); got {bounds!r}.") from None
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ProblemError(f"Axis {name} needs two finite numbers in ascending order; got {bounds!r}.")
        self.axes = tuple(axes)
        self._bounds = {name: (float(low), float(high)) for name, (low, high) in axes.items()}
        self.scale = max(abs(end) for bounds in self._bounds.values() for end in bounds)

    def __repr__(self) -> str:
        return "Box(" + ", ".join(f"{a}=({low:g}, {high:g})" for a, (low, high) in self._bounds.items()) + ")"

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """An interval an axis."""
        return dict(self._bounds)

    @property
    def measure(self) -> float:
        """The product of the lengths, time included."""
        return math.prod(high - low for low, high in self._bounds.values())

    def contains(self, coordinates: Tensor) -> Tensor:
        """``(n, d) -> (n,)`` bool: inside or on the boundary, up to rounding."""
        low, high = self._corners(coordinates.dtype, coordinates.device)
        slack = (high - low) * (1e-12 if coordinates.dtype == torch.float64 else 1e-6)
        return ((coordinates >= low - slack) & (coordinates <= high + slack)).all(dim=1)

    def level(self, coordinates: Tensor) -> Tensor:
        """``(n, d) -> (n,)``: the signed distance to the boundary, negative inside; time counts as a length."""
        low, high = self._corners(coordinates.dtype, coordinates.device)
        beyond = torch.maximum(low - coordinates, coordinates - high)
        return beyond.clamp(min=0).norm(dim=1) + beyond.amax(dim=1).clamp(max=0)

    def configuration(self) -> dict[str, Any]:
        """Plain values that ``from_configuration`` turns into the same box."""
        return {"shape": "Box", **{a: list(bounds) for a, bounds in self._bounds.items()}}

    def side_names(self) -> tuple[str, ...]:
        """``left``, ``right``, ``bottom``, ``top``, ``front``, ``back``: as many as there are space axes."""
        return tuple(name for pair in SIDES[: len(self.space_axes)] for name in pair)

    def side(self, name: str) -> tuple[str, int]:
        """The axis of a side, and 0 for its minimum or 1 for its maximum."""
        for axis, pair in zip(self.space_axes, SIDES, strict=False):
            if name in pair:
                return axis, pair.index(name)
        names = self.side_names()
        raise ProblemError(f"{name!r} is no side of {self}; its sides are {', '.join(names)}.{suggest(name, names)}")

    def interior(self, n: int, sampler: Sampler) -> Points:
        """``n`` points inside."""
        return self._on({}, n, sampler)

    def start(self, n: int, sampler: Sampler) -> Points:
        """``n`` points inside at the first time; one point where time is the only axis."""
        if not self.has_time:
            raise ProblemError(f"{self} has no time axis t, so there is no first time.")
        return self._on({TIME: 0}, n if self.space_axes else 1, sampler)

    def faces(self, axis: str, n: int, sampler: Sampler) -> list[Points]:
        """The same ``n`` points on the minimum and on the maximum face of an axis, normals included."""
        count = n if len(self.axes) > 1 else 1
        low = self._on({axis: 0}, count, sampler)
        other = low.coordinates.clone()
        other[:, self.axes.index(axis)] = self._bounds[axis][1]
        return [low, Points(self.axes, other, None if low.outward is None else -low.outward)]

    def _boundary(self, n: int, sampler: Sampler, side: str | None) -> Points:
        self._needs_space()
        sides = [self.side(side)] if side else [(a, end) for a in self.space_axes for end in (0, 1)]
        lone = len(self.axes) == 1
        counts = [1] * len(sides) if lone else allot(n, [self.measure / self._length(a) for a, _ in sides])
        parts = [self._on({a: end}, count, sampler) for (a, end), count in zip(sides, counts, strict=True)]
        return join(parts)

    def _on_side(self, points: Points, side: str) -> Tensor:
        axis, end = self.side(side)
        near = (getattr(points, axis) - self._bounds[axis][end]).abs() <= NEAR * self.scale
        return near & (points.normal[:, points.space_axes.index(axis)].abs() > 0.5)

    def pieces(self) -> tuple[Piece, ...]:
        """A piece a side, in the order of ``side_names``."""
        self._needs_space()
        return tuple(self._piece(name, *self.side(name)) for name in self.side_names())

    def normals_at(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """Indices and outward unit normals of the points that lie on the spatial boundary: a corner has several."""
        within = self.contains(coordinates)
        indices, normals = [], []
        for name in self.side_names():
            axis, end = self.side(name)
            off = (coordinates[:, self.axes.index(axis)] - self._bounds[axis][end]).abs()
            indices.append(torch.nonzero(within & (off <= ROUNDING * self.scale))[:, 0])
            normal = coordinates.new_zeros(len(indices[-1]), len(self.space_axes))
            normal[:, self.space_axes.index(axis)] = 2.0 * end - 1.0
            normals.append(normal)
        return torch.cat(indices), torch.cat(normals)

    def _needs_space(self) -> None:
        if not self.space_axes:
            raise ProblemError(f"{self} has no space axis, so it has no boundary; use Initial.")

    def _piece(self, name: str, axis: str, end: int) -> Piece:
        def place(unit: Tensor) -> tuple[Points, Tensor]:
            return self._place({axis: end}, unit), torch.ones(len(unit), dtype=torch.bool, device=unit.device)

        return Piece(len(self.axes) - 1, self.measure / self._length(axis), place, name)

    def _fill(self, unit: Tensor) -> Tensor:
        return self._place({}, unit).coordinates

    def _on(self, fixed: dict[str, int], n: int, sampler: Sampler) -> Points:
        """Points with some axes held at their minimum (0) or maximum (1)."""
        return self._place(fixed, sampler.unit_cube(n, len(self.axes) - len(fixed)))

    def _place(self, fixed: dict[str, int], free: Tensor) -> Points:
        """``(n, free axes)`` points of the unit cube on the part of the box where the other axes are held."""
        n = len(free)
        unit = torch.zeros(n, len(self.axes), dtype=free.dtype, device=free.device)
        unit[:, [i for i, a in enumerate(self.axes) if a not in fixed]] = free
        for axis, end in fixed.items():
            unit[:, self.axes.index(axis)] = float(end)
        low, high = self._corners(free.dtype, free.device)
        # lerp is exact at 0 and 1, so points on a face are on it to the last bit.
        coordinates = torch.lerp(low.expand_as(unit), high.expand_as(unit), unit)
        spatial = [(a, end) for a, end in fixed.items() if a != TIME]
        if not spatial:
            return Points(self.axes, coordinates)
        normal = torch.zeros(n, len(self.space_axes), dtype=free.dtype, device=free.device)
        for axis, end in spatial:
            normal[:, self.space_axes.index(axis)] = 2.0 * end - 1.0
        return Points(self.axes, coordinates, normal)

    def _length(self, axis: str) -> float:
        low, high = self._bounds[axis]
        return high - low

    def _corners(self, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
        corners = torch.tensor([self._bounds[a] for a in self.axes], dtype=dtype, device=device)
        return corners[:, 0], corners[:, 1]
