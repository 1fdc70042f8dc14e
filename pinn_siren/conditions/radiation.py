"""Sides that let waves out: first-order radiation and perfectly matched layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from ..coefficients import Coefficient, values
from ..domains import Box, Domain, On
from ..errors import ProblemError
from ..points import Points
from .base import ConditionBase, Constraint, Fields, Place, label_of, on_boundary, pick
from .sides import Dirichlet

DEEP, ATTENUATION = 1.5, 30.0
"""Of a layer that is chosen: wavelengths, and the exponent by which a wave decays through it and back: exp(-30 cos a)
for one that meets it at an angle a. Patches resolve it as well as the waves outside."""


@dataclass(frozen=True, eq=False)
class Absorbing(ConditionBase):
    """First-order radiation: waves along the outward normal leave.

    Helmholtz (time factor exp(-i omega t)): ``du/dn - i (wavenumber / speed) u = 0``; wave equation:
    ``du/dt + speed du/dn = 0`` (Engquist and Majda 1977, doi 10.1090/S0025-5718-1977-0436612-4, first order).
    The built-in equations know their own; for another, give ``wavenumber`` (no time axis) or ``speed`` (with one).
    """

    on: On = None
    speed: Coefficient | None = None
    wavenumber: Coefficient | None = None
    output: str | None = None
    weight: float = 1.0

    def constraints(self, problem: Any) -> list[Constraint]:
        """One constraint on the boundary. Raises ``ProblemError`` where neither speed nor wavenumber is known."""
        speed, wavenumber = self.speed, self.wavenumber
        if speed is None and wavenumber is None:
            speed, wavenumber = problem.radiation()
        if speed is None and wavenumber is None:
            raise ProblemError(
                f"Absorbing() does not know the waves of {type(problem).__name__}: give speed= (with a time axis) or "
                "wavenumber= (without one)."
            )

        def residual(points: list[Points], fields: list[Fields]) -> Tensor:
            p, u = points[0], pick(fields[0], self.output, problem, "Absorbing")
            if wavenumber is not None:
                return u.normal_derivative - 1j * values(wavenumber, p, "Absorbing wavenumber") * u.value
            assert speed is not None
            return u.t + values(speed, p, "Absorbing speed") * u.normal_derivative

        label = label_of("absorbing", self.on, self.output)
        sample = on_boundary(problem.domain, self.on)
        return [Constraint(label, sample, residual, self.weight, place=Place("boundary", self.on))]


@dataclass(frozen=True, eq=False)
class Radiating(ConditionBase):
    """Sommerfeld's radiation condition, exactly: beyond the named sides is open space, and waves only leave.

    ``lim r^((d - 1) / 2) (du/dr - i k u) = 0``, with the time factor exp(-i omega t), around obstacles in a homogeneous
    medium of ``laplacian u + k^2 u = 0`` without a source. Nothing is left to satisfy at points: every feature does,
    being the wave of a source inside an obstacle, so ``method`` is ``"least-squares"`` or ``"auto"``.
    """

    on: On = None

    def constraints(self, problem: Any) -> list[Constraint]:
        """None: the features satisfy it. Raises ``ProblemError`` where waves have no number."""
        if not problem.complex_valued or problem.radiation()[1] is None:
            raise ProblemError(
                f"Radiating() is for time-harmonic waves such as Helmholtz's, not for {type(problem).__name__}: use "
                "Absorbing()."
            )
        return []


@dataclass(frozen=True, eq=False)
class PML(ConditionBase):
    """A perfectly matched layer inside the domain, along all or the named sides, with ``u = 0`` behind it.

    Coordinates are stretched by ``e(d) = 1 + i strength (d / thickness)^order``, ``d`` the depth in the layer
    (Berenger 1994, doi 10.1006/jcph.1994.1159; Chew and Weedon 1994); ``strength`` is nondimensional, 5 unless given,
    ``order`` is 2 unless given. ``PML()`` chooses its thickness, ``DEEP`` of the longest wavelengths on its sides but
    at most a quarter of the box, and a strength by which a wave that goes straight through it and back is smaller by
    ``exp(-ATTENUATION)``. The solution is physical outside the layer only, and compared only there.
    """

    thickness: float | None = None
    strength: float | None = None
    order: int | None = None
    on: str | Sequence[str] | None = None
    output: str | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.thickness, int | float | None):
            raise ProblemError(f"PML(thickness={self.thickness!r}) must be a number, the layer's thickness.")
        if self.strength is not None and not self.strength > 0:
            raise ProblemError(f"PML(strength={self.strength}) must be positive, or the layer amplifies.")
        if self.order is not None and self.order < 1:
            raise ProblemError(f"PML(order={self.order}) must be at least 1.")

    def chosen(self, domain: Domain, wavenumber: float) -> PML:
        """The same with a thickness, and a strength unless given, for the least wavenumber on its sides."""
        if self.thickness is not None:
            return self
        spans = [domain.bounds[a][1] - domain.bounds[a][0] for a in domain.space_axes]
        thickness = min(DEEP * 2 * math.pi / wavenumber, min(spans) / 4)
        order = 2 if self.order is None else self.order
        strength = (order + 1) * ATTENUATION / (2 * wavenumber * thickness) if self.strength is None else self.strength
        return replace(self, thickness=thickness, strength=strength)

    def depths(self, domain: Domain) -> dict[str, tuple[float, float]]:
        """The layer's thickness at the minimum and maximum of each space axis, 0 where there is none."""
        if not isinstance(domain, Box):
            raise ProblemError(f"PML needs a Box, got {domain}.")
        if self.thickness is None:
            raise ProblemError("PML() chooses its layer for a Helmholtz equation of known wavenumber: give thickness=.")
        sides = domain.side_names() if self.on is None else (self.on,) if isinstance(self.on, str) else tuple(self.on)
        depth = {axis: [0.0, 0.0] for axis in domain.space_axes}
        for name in sides:
            axis, end = domain.side(name)
            depth[axis][end] = float(self.thickness)
        for axis, (low, high) in depth.items():
            length = domain.bounds[axis][1] - domain.bounds[axis][0]
            if self.thickness <= 0 or low + high >= length:
                raise ProblemError(
                    f"PML(thickness={self.thickness:g}) must be positive and leave a physical region: axis {axis} is "
                    f"{length:g} long, its layers {low + high:g}. The layer lies inside the domain: enlarge the box."
                )
        return {axis: (low, high) for axis, (low, high) in depth.items()}

    def physical(self, domain: Domain) -> Box:
        """The box without the layer."""
        depths = self.depths(domain)
        bounds = {
            a: (low + depths.get(a, (0.0, 0.0))[0], high - depths.get(a, (0.0, 0.0))[1])
            for a, (low, high) in domain.bounds.items()
        }
        return Box(**bounds)

    def walls(self, domain: Domain, fields: Sequence[str] = ()) -> list[Dirichlet]:
        """``u = 0`` on the sides behind the layer, of all fields unless ``output`` names one."""
        depths, box = self.depths(domain), domain
        assert isinstance(box, Box)
        names = [n for n in box.side_names() if depths[box.side(n)[0]][box.side(n)[1]]]
        all_of_them = len(names) == len(box.side_names())
        outputs = fields if self.output is None and len(fields) > 1 else [self.output]
        sides = [None] if all_of_them else names
        return [Dirichlet(0.0, on=n, output=output, weight=self.weight) for n in sides for output in outputs]

    def constraints(self, problem: Any) -> list[Constraint]:
        """``u = 0`` of every field on the sides behind the layer."""
        if not problem.stretches:
            raise ProblemError(f"PML works with Helmholtz only, not with {type(problem).__name__}: use Absorbing().")
        return [c for wall in self.walls(problem.domain, problem.stated_fields) for c in wall.constraints(problem)]
