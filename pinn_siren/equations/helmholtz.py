"""The Helmholtz equation: time-harmonic waves, complex-valued."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..coefficients import Coefficient, values
from ..conditions import PML
from ..domains import Box, Sampler
from ..errors import ProblemError
from ..jet import Jet
from ..points import Points
from ..problem import Problem
from ..reference import converge, solve_helmholtz
from ..unknowns import Unknown
from .stretch import STRENGTH, stretch

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..reference import GridSolution, Reference
    from ..solution import Solution

CELLS_PER_WAVELENGTH = 20
FOURTH = "finite differences, fourth order, sparse LU"
LEAST_WIDE = 8
PROBES = 400
MOST_UNKNOWNS = {2: 400_000, 3: 45_000}
"""Of the finest reference grid, by the number of axes."""


class Helmholtz(Problem):
    """``laplacian u + (wavenumber / speed)^2 u = -source``, complex, with the time factor ``exp(-i omega t)``.

    An outgoing wave of a point source at the origin is ``i/4 H0^(1)(k r)`` in two dimensions. ``wavenumber`` is
    ``omega`` over the speed's unit, positive; ``speed`` (positive) and ``source`` are numbers or functions
    ``p -> (n,)``. With a ``PML`` the derivatives are those of the stretched coordinates.
    """

    reference_method = "finite differences, second order, sparse LU"
    complex_valued = True
    stretches = True

    wavenumber: float
    source: Coefficient
    speed: Coefficient = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.wavenumber, Unknown):
            return
        if not isinstance(self.wavenumber, int | float):
            raise ProblemError("wavenumber must be a number; a medium that varies is speed=, a function of points.")
        if not self.wavenumber > 0:
            raise ProblemError(f"wavenumber must be positive, got {self.wavenumber}.")
        if any(isinstance(c, PML) and c.thickness is None for c in self.conditions):
            sides = self.domain.boundary(PROBES, Sampler(torch.Generator().manual_seed(1)))
            least = float(self.local_wavenumber(sides).min())
            layered = [c.chosen(self.domain, least) if isinstance(c, PML) else c for c in self.conditions]
            object.__setattr__(self, "conditions", layered)

    def local_wavenumber(self, p: Points) -> Tensor:
        """``wavenumber / speed``, ``(n,)``."""
        return self.wavenumber / values(self.speed, p, "speed")

    def residual(self, p: Points, u: Jet) -> Tensor:
        """``laplacian u + (wavenumber / speed)^2 u + source``, ``(n,)`` complex."""
        rest = self.local_wavenumber(p) ** 2 * u.value + values(self.source, p, "source")
        if self.layer is None:
            return u.laplacian + rest
        for axis, (e, slope) in stretch(p, self.layer, self.domain).items():
            rest = rest + u.channel(2 * axis) / e**2 - slope / e**3 * u.channel(axis)
        return rest

    def metrics(self, solution: Solution) -> dict[str, float]:
        """What the absorbing layer reflects, by a second one: ``patches.reflection``."""
        if self.layer is None:
            return {}
        # Patches solve problems, so they are known only when one is solved.
        from ..patches import reflection

        found = reflection(self, STRENGTH if self.layer.strength is None else self.layer.strength)
        return {} if found is None else {"estimated reflection of the layer": found}

    def radiation(self) -> tuple[Coefficient | None, Coefficient | None]:
        """The local wavenumber leaves through ``Absorbing()``."""
        return None, self.local_wavenumber

    def cells(self, resolution: int | None = None) -> dict[str, int]:
        """20 cells a wavelength on the coarsest grid at least, as far as the finest one's LU fits into memory."""
        cells = super().cells(resolution)
        if resolution is not None:
            return cells
        slowest = self._shortest_wavelength()
        bounds = self.domain.bounds
        wanted = {
            a: max(n, math.ceil(CELLS_PER_WAVELENGTH * (bounds[a][1] - bounds[a][0]) / slowest))
            for a, n in cells.items()
        }
        # The finest grid has four times the cells along each axis, and its sparse LU must fit into memory.
        size = math.prod(4 * n for n in wanted.values())
        fit = min(1.0, (MOST_UNKNOWNS.get(len(wanted), size) / size) ** (1 / len(wanted)))
        return {a: max(4, int(n * fit)) for a, n in wanted.items()}

    def _shortest_wavelength(self) -> float:
        axes = [torch.linspace(*bounds, 25, dtype=torch.float64) for bounds in self.domain.bounds.values()]
        grid = torch.stack([g.reshape(-1) for g in torch.meshgrid(*axes, indexing="ij")], dim=1)
        return 2 * math.pi / float(self.local_wavenumber(Points(self.domain.axes, grid)).max())

    def alternatives(self) -> dict[str, Callable[[dict[str, int]], Reference]]:
        """``"fourth-order"``: wide finite differences on grids half as fine; for smooth media and sources on boxes."""
        if self.reference is not None or not isinstance(self.domain, Box):
            return {}

        def solve_on(cells: dict[str, int]) -> GridSolution:
            return self._differences(cells, 4)

        def fourth(cells: dict[str, int]) -> Reference:
            half = {a: max(LEAST_WIDE, n // 2) for a, n in cells.items()}
            return converge(solve_on, half, method=FOURTH, formal_order=4.0)

        return {"fourth-order": fourth}

    def finite_differences(self, cells: dict[str, int]) -> GridSolution:
        """Second-order finite differences on one grid, over the physical region; on cut cells on other domains."""
        if self.reference is not None or not isinstance(self.domain, Box):
            return super().finite_differences(cells)
        return self._differences(cells, 2)

    def _differences(self, cells: dict[str, int], order: int) -> GridSolution:
        assert isinstance(self.domain, Box)
        return solve_helmholtz(
            self.domain, wavenumber=self.wavenumber, speed=self.speed, source=self.source,
            conditions=self.conditions, cells=cells, order=order,
        )  # fmt: skip
