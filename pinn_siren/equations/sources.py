"""Where travel times start: ansatz functions that start an eikonal solve on the right branch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..domains import Ball, Box, Disk, Domain, Polygon, from_configuration
from ..jet import Jet, JetPoints, jet
from ..jet.functions import sqrt
from ..points import Points


@dataclass(frozen=True, eq=False)
class PointSources:
    """The ansatz ``T_i = T0_i (1 + u_i)``, with ``T0_i`` the travel time at the source's own slowness.

    It takes the singularity at the source out of the unknown (Fomel, Luo and Zhao 2009, doi 10.1016/j.jcp.2009.05.029).
    """

    sources: tuple[tuple[float, ...], ...]
    slownesses: tuple[float, ...]

    def __call__(self, p: Points, *factors: Jet) -> tuple[Jet, ...]:
        """The travel times from the factors, a source each."""
        assert isinstance(p, JetPoints)
        return tuple(
            self._distance(p, s) * slowness * (1 + u)
            for s, slowness, u in zip(self.sources, self.slownesses, factors, strict=True)
        )

    @staticmethod
    def _distance(p: JetPoints, source: tuple[float, ...]) -> Jet:
        squares: Any = 0.0
        for axis, s in zip(p.space_axes, source, strict=True):
            squares = squares + (getattr(p, axis) - s) ** 2
        # At the source itself the derivatives are infinite; the value, zero, is all that is asked for there.
        return squares.apply(sqrt)


@dataclass(frozen=True, eq=False)
class SurfaceStart:
    """The ansatz ``T = slowness D + u``, with ``D`` a smoothed distance to the surface's points, zero on it on average.

    ``|grad T| = slowness`` has many solutions, folded ones too. This one starts from times that grow away from the
    surface. ``D = -width log sum_i exp(-|x - x_i| / width)``, up to a constant.
    """

    points: tuple[tuple[float, ...], ...]
    slowness: float
    width: float

    def __call__(self, p: Points, u: Jet) -> Jet:
        """The travel time from the raw field."""
        surface = torch.tensor(self.points, dtype=p.coordinates.dtype, device=p.coordinates.device)
        level = self._smoothed(surface, surface).mean()
        return jet(lambda q: self.slowness * (self._smoothed(q.space, surface) - level), p) + u

    def _smoothed(self, x: Tensor, surface: Tensor) -> Tensor:
        """``(n, d), (m, d) -> (n,)``; rounded off at the points themselves, where a distance has no gradient."""
        square = (x[:, None] - surface[None]).square().sum(-1)
        return -self.width * torch.logsumexp(-torch.sqrt(square + (0.1 * self.width) ** 2) / self.width, dim=1)


@dataclass(frozen=True, eq=False)
class SurfaceFactor:
    """The ansatz ``T = slowness D (1 + u)``, with ``D`` the distance to a shape's boundary: zero on it, kinks included.

    ``surface``: the shape's ``configuration()``, plain values that a file can hold.
    """

    surface: dict[str, Any]
    slowness: float

    def __call__(self, p: Points, u: Jet) -> Jet:
        """The travel time from the raw field."""
        return self.slowness * jet(lambda q: self._shape.level(q.coordinates).abs(), p) * (1 + u)

    @cached_property
    def _shape(self) -> Domain:
        return from_configuration(self.surface)


def surface_factor(surface: Domain, slowness: float) -> SurfaceFactor | None:
    """The factored form for a shape whose level is the distance to its boundary; None for set operations."""
    if not isinstance(surface, Box | Disk | Ball | Polygon):
        return None
    return SurfaceFactor(surface.configuration(), slowness)


def surface_start(places: Sequence[tuple[float, ...]], slowness: float, size: float) -> SurfaceStart:
    """The start for a surface in a domain of a size: 256 of its points at most, smoothed over a twentieth of it."""
    stride = math.ceil(len(places) / 256)
    return SurfaceStart(tuple(places[::stride]), slowness, size / 20)
