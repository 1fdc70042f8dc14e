"""Disk and Ball."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import ProblemError
from ..points import Points
from .shape import Shape, finite, space_axes


class Round(Shape):
    """All points within ``radius`` of ``center``."""

    dimensions: int

    def __init__(self, center: Sequence[float], radius: float, axes: Sequence[str]) -> None:
        name = type(self).__name__
        self.axes = space_axes(name, axes, self.dimensions)
        self.center, self.radius = finite(f"{name} center", center), finite(f"{name} radius", [radius])[0]
        if len(self.center) != self.dimensions:
            raise ProblemError(f"{name} needs a center of {self.dimensions} numbers, got {center!r}.")
        if self.radius <= 0:
            raise ProblemError(f"{name} needs a positive radius, got {radius!r}.")
        self.scale = max(abs(c) for c in self.center) + self.radius

    def __repr__(self) -> str:
        center = ", ".join(f"{c:g}" for c in self.center)
        return f"{type(self).__name__}(center=({center}), radius={self.radius:g})"

    def configuration(self) -> dict[str, Any]:
        """Plain values that ``from_configuration`` turns into the same domain."""
        kept = {"center": list(self.center), "radius": self.radius, "axes": list(self.axes)}
        return {"shape": type(self).__name__, **kept}

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """An interval an axis."""
        return {a: (c - self.radius, c + self.radius) for a, c in zip(self.axes, self.center, strict=True)}

    def level(self, coordinates: Tensor) -> Tensor:
        """``(n, d) -> (n,)``: the signed distance to the boundary, negative inside."""
        return (coordinates - coordinates.new_tensor(self.center)).norm(dim=1) - self.radius

    def _at(self, direction: Tensor, radius: Tensor | float) -> Tensor:
        return direction.new_tensor(self.center) + radius * direction

    def _fill(self, unit: Tensor) -> Tensor:
        # The radius is drawn first, so that shells of equal measure get equal shares.
        return self._at(self._direction(unit[:, 1:]), self.radius * unit[:, :1] ** (1 / self.dimensions))

    def _place(self, unit: Tensor) -> tuple[Points, Tensor]:
        normal = self._direction(unit)
        points = Points(self.axes, self._at(normal, self.radius), normal)
        return points, torch.ones(len(unit), dtype=torch.bool, device=unit.device)

    @abstractmethod
    def _direction(self, unit: Tensor) -> Tensor:
        """``(n, d - 1)`` in the unit cube to unit vectors ``(n, d)``, evenly."""


class Disk(Round):
    """``Disk(center=(0, 0), radius=1)``: the plane points with ``|(x, y) - center| <= radius``.

    ``axes`` names the two space axes. Units are the user's. Raises ``ProblemError`` for a radius that is not positive,
    a center that is not two finite numbers, or axes that are not two letters other than ``t``.
    """

    dimensions = 2

    def __init__(
        self, center: Sequence[float] = (0.0, 0.0), radius: float = 1.0, axes: Sequence[str] = ("x", "y")
    ) -> None:
        super().__init__(center, radius, axes)

    @property
    def measure(self) -> float:
        """``pi radius^2``."""
        return math.pi * self.radius**2

    @property
    def _surface(self) -> float:
        return 2 * math.pi * self.radius

    def _direction(self, unit: Tensor) -> Tensor:
        angle = 2 * torch.pi * unit[:, 0]
        return torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)


class Ball(Round):
    """``Ball(center=(0, 0, 0), radius=1)``: the points of space with ``|(x, y, z) - center| <= radius``.

    ``axes`` names the three space axes. Raises ``ProblemError`` as ``Disk`` does.
    """

    dimensions = 3

    def __init__(
        self, center: Sequence[float] = (0.0, 0.0, 0.0), radius: float = 1.0, axes: Sequence[str] = ("x", "y", "z")
    ) -> None:
        super().__init__(center, radius, axes)

    @property
    def measure(self) -> float:
        """``4/3 pi radius^3``."""
        return 4 / 3 * math.pi * self.radius**3

    @property
    def _surface(self) -> float:
        return 4 * math.pi * self.radius**2

    def _direction(self, unit: Tensor) -> Tensor:
        # Archimedes: on a sphere, height is even in area.
        height, angle = 1 - 2 * unit[:, 0], 2 * torch.pi * unit[:, 1]
        across = (1 - height.square()).clamp(min=0).sqrt()
        return torch.stack([across * torch.cos(angle), across * torch.sin(angle), height], dim=1)
