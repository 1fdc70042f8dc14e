"""The wave equation in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ..coefficients import Coefficient, values
from ..domains import Box
from ..errors import ProblemError
from ..jet import Jet
from ..points import TIME, Points
from ..problem import Problem
from ..reference import solve_wave
from ..reference.wave_fourier import fourier_wave
from ..reference.wave_spectral import spectral_wave

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..reference import GridSolution, Reference

SHOWN = 128
"""Cells an axis that a Fourier series is shown on at least, about."""


class Wave(Problem):
    """``u_tt = speed^2 laplacian u + source`` over space and time ``t``.

    ``speed`` (positive, space per time) and ``source`` are numbers or functions ``p -> (n,)``. Needs
    ``Initial(value, rate)``. Raises ``ProblemError`` for a domain without time.
    """

    reference_method = "leapfrog finite differences, second order"

    speed: Coefficient
    source: Coefficient = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.domain.has_time and self.domain.space_axes):
            raise ProblemError(
                f"Wave needs space axes and a time axis t, as in Box(x=(0, 1), t=(0, 2)); got {self.domain}."
            )

    def residual(self, p: Points, u: Jet) -> Tensor:
        """``u_tt - speed^2 laplacian u - source``, ``(n,)``."""
        return u.tt - values(self.speed, p, "speed") ** 2 * u.laplacian - values(self.source, p, "source")

    def radiation(self) -> tuple[Coefficient | None, Coefficient | None]:
        """Waves of the equation's speed leave through ``Absorbing()``."""
        return self.speed, None

    def cells(self, resolution: int | None = None) -> dict[str, int]:
        """As for any problem, but twice as fine on a plane box: the explicit steps are cheap."""
        fine = isinstance(self.domain, Box) and len(self.domain.space_axes) == 2 and self.reference is None
        return super().cells(32 if resolution is None and fine else resolution)

    def alternatives(self) -> dict[str, Callable[[dict[str, int]], Reference]]:
        """``"fourier"``, exact in time, for a constant speed; ``"spectral"``: spectral elements, for smooth media and
        data; both on boxes of one or two space axes."""
        domain = self.domain
        if self.reference is not None or not isinstance(domain, Box) or len(domain.space_axes) > 2:
            return {}

        def spectral(cells: dict[str, int]) -> Reference:
            return spectral_wave(domain, speed=self.speed, source=self.source, conditions=self.conditions, cells=cells)

        def fourier(cells: dict[str, int]) -> Reference:
            # It costs little, and narrow pulses are to be seen.
            finer = {a: n if a == TIME else n * max(1, SHOWN // n) for a, n in cells.items()}
            return fourier_wave(domain, speed=self.speed, source=self.source, conditions=self.conditions, cells=finer)

        return {"fourier": fourier, "spectral": spectral}

    def finite_differences(self, cells: dict[str, int]) -> GridSolution:
        """Leapfrog in time, second order in space, on one grid; on cut cells where the domain is no box."""
        if self.reference is not None or not isinstance(self.domain, Box):
            return super().finite_differences(cells)
        return solve_wave(self.domain, speed=self.speed, source=self.source, conditions=self.conditions, cells=cells)
