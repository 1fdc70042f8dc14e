"""The eikonal equation: first-arrival travel times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..coefficients import Coefficient, values
from ..conditions import Constraint
from ..domains import Box, Domain, Sampler
from ..errors import ProblemError
from ..jet import Jet
from ..points import Points
from ..problem import Problem
from ..reference import solve_eikonal
from ..spectra import of_points
from .branches import Branches, branches, crossed, taut
from .layers import passing
from .rays import crossing
from .roadmap import Roadmap, roadmap
from .sources import PointSources, SurfaceFactor, surface_factor, surface_start

if TYPE_CHECKING:
    from ..reference import GridSolution

SURFACE_POINTS = 512
"""How many points stand for a surface that is given as a domain."""
ROUGH = 2
"""Times of this more points are looked at around obstacles: near walls they have no second derivatives."""
MEDIUM = 2000
"""At how many points the medium's wavenumbers are read."""
TURN = 9.0
"""The least wavenumber of times around obstacles, in radians per half the domain's side."""
AWAY = 0.02
"""On boundaries nearer than this to a surface, in units of the domain's diagonal, rays may come out."""


class Eikonal(Problem):
    """``velocity |grad T| = 1`` over space, with ``T = 0`` at the source: the first-arrival travel time.

    ``velocity``: a number or a function ``p -> (n,)``, positive. Give one of ``source``, one point or a list of points
    (factored form, an unknown factor each, the earliest arrival shown), or ``surface``, where T = 0 (T is not
    negative): ``(m, d)`` points, or a domain, whose boundary is meant. Units: time = length / velocity.

    Obstacles are what is taken out of the domain, as in ``Box(...) - Disk(...)``; paths run around them. T is then the
    viscosity solution with state constraints (Soner 1986, doi 10.1137/0324032; Capuzzo-Dolcetta and Lions 1990):
    no ray comes out of a boundary, ``dT/dn >= 0``. The straight distance through an obstacle solves the equation too,
    and so do fields with valleys where no front starts, so T is also held within bounds from shortest paths over a
    coarse map (``Roadmap``). In the plane each source has a field a side that the map's paths pass an obstacle on
    (``Branches``): each is smooth, and the earliest has the kinks where fronts meet. So has each side of a caustic, in
    a plane box, where rays cross.

    ``jumps``: shapes in a plane box across whose boundaries the velocity jumps, constant between them. Then each
    sequence of parts that rays pass has a field: direct, transmitted and head waves. Without it one field smooths them.
    """

    reference_method = "factored fast marching"
    cut_method = reference_method

    velocity: Coefficient
    source: Sequence[Any] | None = None
    surface: Any = None
    jumps: Sequence[Domain] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.source is None) == (self.surface is None):
            raise ProblemError(
                "Eikonal needs source= (one point or a list of points) or surface= (points, or a domain), one of them."
            )
        if self.domain.has_time:
            raise ProblemError(f"Eikonal has space axes only: the travel time is the unknown; got {self.domain}.")
        self._check_jumps()
        start = Points(self.domain.axes, self._start)
        velocities = values(self.velocity, start, "velocity")
        if velocities.is_complex() or not bool((velocities > 0).all()):
            where = "source" if self.surface is None else "surface"
            raise ProblemError(f"velocity must be positive; at the {where} it is {velocities.tolist()[:3]}.")
        if self.sides is not None:
            raise ProblemError("Eikonal takes no Interface: its velocity may jump, and times are continuous.")
        if self.ansatz is not None:
            return
        places = tuple(map(tuple, start.coordinates.tolist()))
        slownesses = 1 / velocities
        mean = float(slownesses.mean())
        if self.source is not None:
            if isinstance(self.domain, Box):
                parted = None if self._crossed is None else self._crossed[0]
            else:
                parted = branches(self.domain, self._map, self._lone)
            ansatz: Any = parted or self._lone
        elif isinstance(self.surface, Domain):
            ansatz = surface_factor(self.surface, mean) or surface_start(places, mean, self._size)
        else:
            ansatz = surface_start(places, mean, self._size)
        object.__setattr__(self, "ansatz", ansatz)

    def _check_jumps(self) -> None:
        if not isinstance(self.jumps, Sequence) or not all(isinstance(shape, Domain) for shape in self.jumps):
            raise ProblemError(
                f"jumps must be a list of domains, across whose boundaries velocity jumps; got {self.jumps!r}."
            )
        for shape in self.jumps:
            if shape.axes != self.domain.axes:
                raise ProblemError(
                    f"jumps must have the axes of the domain, {', '.join(self.domain.axes)}; {shape} has "
                    f"{', '.join(shape.axes)}."
                )
        plane = isinstance(self.domain, Box) and len(self.domain.axes) == 2 and self.source is not None
        if self.jumps and not plane:
            raise ProblemError(
                f"jumps= covers plane boxes with point sources, not {self.domain}: leave it out, and one field takes "
                "the jumps to about two digits."
            )

    @property
    def _size(self) -> float:
        return math.dist(*zip(*self.domain.bounds.values(), strict=True))

    @cached_property
    def _start(self) -> Tensor:
        """``(m, d)``: the sources, the surface's points, or points of the boundary that is the surface."""
        axes, name = self.domain.axes, "surface" if self.source is None else "source"
        given = getattr(self, name)
        if isinstance(given, Domain):
            return self._sampled(given)
        try:
            places = torch.as_tensor(given, dtype=torch.float64).detach().cpu()
        except (TypeError, ValueError, RuntimeError):
            places = torch.empty(0)
        places = places[None] if places.ndim == 1 else places
        if places.ndim != 2 or places.shape[1] != len(axes) or not len(places):
            raise ProblemError(f"{name} must be points with the coordinates ({', '.join(axes)}), got {given!r}.")
        outside = ~self.domain.contains(places)
        if bool(outside.any()):
            raise ProblemError(
                f"{name} {tuple(places[outside][0].tolist())} lies outside {self.domain}, or in an obstacle: move it "
                "inside."
            )
        return places

    def _sampled(self, surface: Domain) -> Tensor:
        if surface.axes != self.domain.axes:
            raise ProblemError(
                f"surface must have the axes of the domain, {', '.join(self.domain.axes)}; {surface} has "
                f"{', '.join(surface.axes)}."
            )
        boundary = surface.boundary(SURFACE_POINTS, Sampler(torch.Generator().manual_seed(1))).coordinates
        inside = boundary[self.domain.contains(boundary)]
        if not len(inside):
            raise ProblemError(f"The boundary of surface {surface} lies outside {self.domain}.")
        return inside

    @property
    def fields(self) -> tuple[str, ...]:
        """One unknown a source, or a branch; a single one keeps the name of the output."""
        count = len(self._start) if self.source is not None else 1
        count = len(self.ansatz.own) if isinstance(self.ansatz, Branches) else count
        return self.outputs if count == 1 else tuple(f"u{i + 1}" for i in range(count))

    def observe(self, values: Tensor) -> Tensor:
        """The earliest arrival over the sources, and their branches."""
        return values.min(dim=1, keepdim=True).values

    def residual(self, p: Points, *times: Jet) -> tuple[Tensor, ...]:
        """``velocity |grad T| - 1`` for each source's T, of a branch where it arrives; with a surface also
        ``min(T, 0)``."""
        velocity = values(self.velocity, p, "velocity")
        parts = self._arriving(p, [velocity * torch.linalg.vector_norm(u.grad, dim=-1) - 1 for u in times])
        if self.surface is not None:
            # Divided by the time to cross the domain, to be nondimensional like the first part.
            parts += [u.value.clamp(max=0.0) * velocity / self._size for u in times]
        return tuple(parts)

    @property
    def apart(self) -> bool:
        """Each source, and each branch, has an equation of its own."""
        return True

    def slowness(self, p: Points) -> Tensor:
        """``1 / velocity``, ``(n,)``."""
        return 1 / values(self.velocity, p, "velocity")

    def constraints(self) -> list[Constraint]:
        """Off a box, no rays from boundaries, and the bounds of a map; T = 0 on a surface, unless that is built in."""
        stated = super().constraints()
        if not isinstance(self.domain, Box):
            stated.append(Constraint("walls", self._on_walls, self._emerging))
        if not isinstance(self.domain, Box) or isinstance(self.ansatz, Branches):
            stated.append(self._known)
        if isinstance(self.ansatz, Branches):
            # The edges of branches are jumps that the fields need not follow; at walls they turn.
            stated = [replace(c, wavenumbers=self._of_medium) for c in stated]
        if self.surface is None or isinstance(self.ansatz, SurfaceFactor):
            return stated

        def sample(n: int, sampler: Any) -> list[Points]:
            chosen = torch.randperm(len(self._start), generator=sampler.generator, device=sampler.device)[:n].cpu()
            return [Points(self.domain.axes, self._start[chosen].to(device=sampler.device, dtype=sampler.dtype))]

        def zero(points: list[Points], fields: list[tuple[Jet, ...]]) -> Tensor:
            return fields[0][0].value

        return [*stated, Constraint("surface", sample, zero)]

    def _of_medium(self) -> dict[str, float]:
        p = self.domain.interior(MEDIUM, Sampler(torch.Generator().manual_seed(1)))
        found = of_points(p.coordinates, values(self.velocity, p, "velocity")[:, None])
        least = {a: 2 * TURN / (high - low) for a, (low, high) in self.domain.bounds.items()}
        return {a: max(k, least[a]) for a, k in zip(self.domain.axes, found, strict=True)}

    @cached_property
    def _crossed(self) -> tuple[Branches, Tensor] | None:
        """The branches of rays that cross in a plane box, and their times."""
        if not isinstance(self.domain, Box) or len(self.domain.axes) != 2 or self.source is None:
            return None
        if self.jumps:
            ways = [passing(self.domain, self.velocity, start, self.jumps, self._size) for start in self._start]
            return crossed(ways, self._lone, self._size, self.jumps)
        if not callable(self.velocity):
            return None
        fans = [crossing(self.domain, self.velocity, start) for start in self._start]
        return crossed(fans, self._lone, self._size)

    @property
    def _lone(self) -> PointSources:
        """A field a source."""
        slownesses = 1 / values(self.velocity, Points(self.domain.axes, self._start), "velocity")
        return PointSources(tuple(map(tuple, self._start.tolist())), tuple(slownesses.tolist()))

    @cached_property
    def _map(self) -> Roadmap:
        starts = [self._start] if self.source is None else list(self._start[:, None])
        return roadmap(self.domain, self.velocity, starts)

    @cached_property
    def _known(self) -> Constraint:
        """What the map says of the times."""
        if isinstance(self.ansatz, Branches):
            times = self._crossed[1] if self._crossed else taut(self.ansatz, self._map, self.domain, self.velocity)
            return self.ansatz.constraint(self.domain.axes, times)
        return self._map.constraint(self.domain.axes)

    def _arriving(self, p: Points, parts: list[Tensor]) -> list[Tensor]:
        """A residual a field, of a branch only where it arrives."""
        if not isinstance(self.ansatz, Branches):
            return parts
        arrives = self.ansatz.arrives(p.coordinates.detach()).T
        return [torch.where(on, part, 0.0) for on, part in zip(arrives, parts, strict=True)]

    def _inside(self, n: int, sampler: Sampler) -> list[Points]:
        return super()._inside(self._enough(n), sampler)

    def _on_walls(self, n: int, sampler: Sampler) -> list[Points]:
        return [self.domain.boundary(n, sampler)]

    def _enough(self, n: int) -> int:
        """So many points that each branch has its ``n``, and more of them where it is rough."""
        if not isinstance(self.ansatz, Branches):
            return n
        sizes = [len(own) for own in self.ansatz.own]
        return round(ROUGH * n * len(self.ansatz.points) / max(min(sizes), max(sizes) / 2))

    def _emerging(self, points: list[Points], fields: list[tuple[Jet, ...]]) -> tuple[Tensor, ...]:
        """``velocity dT/dn`` where it is negative: n leads out of the domain, and rays would come in."""
        velocity = values(self.velocity, points[0], "velocity")
        if self.surface is not None:
            start = self._start.to(points[0].coordinates)
            velocity = velocity * (torch.cdist(points[0].coordinates, start).amin(dim=1) > AWAY * self._size)
        out = self._arriving(points[0], [(velocity * u.normal_derivative).clamp(max=0.0) for u in fields[0]])
        if isinstance(self.ansatz, Branches):
            # Rays creep along walls, all the way through what the equation leaves there.
            out += self.residual(points[0], *fields[0])
        return tuple(out)

    def finite_differences(self, cells: dict[str, int]) -> GridSolution:
        """Factored fast marching of second order on one grid."""
        if self.reference is not None:
            return super().finite_differences(cells)
        return solve_eikonal(self.domain, velocity=self.velocity, source=self.source, surface=self.surface, cells=cells)


__all__ = ["Branches", "Eikonal", "PointSources"]
