"""The Courant-Friedrichs-Lewy condition of leapfrog on the wave equation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..errors import ProblemError

SPECTRAL_RADIUS = {2: 4.0, 4: 118 / 17}
"""A bound of ``h^2`` times the second difference's largest eigenvalue, closures at the ends included (Gershgorin)."""


def cfl_limit(speed: float, spacing: Sequence[float], space_order: int = 2) -> float:
    """The largest stable leapfrog step: ``2 / (speed sqrt(sum of r / h^2))`` over the space axes.

    r bounds the second difference's spectral radius times h^2: 4 for second order (Courant, Friedrichs and Lewy 1928,
    doi 10.1007/BF01448839), 118/17 for fourth order with its closures. ``speed``: the largest one.
    """
    return 2 / (speed * math.sqrt(sum(SPECTRAL_RADIUS[space_order] / h**2 for h in spacing)))


def check_cfl(step: float, *, speed: float, spacing: Sequence[float], space_order: int = 2) -> float:
    """The time step as a fraction of ``cfl_limit``. Raises ``ProblemError`` above 1, where leapfrog is unstable."""
    limit = cfl_limit(speed, spacing, space_order)
    if not step <= limit * (1 + 1e-12):
        raise ProblemError(
            f"The time step {step:g} breaks the CFL condition: with speed {speed:g} and spacings "
            f"{', '.join(f'{h:g}' for h in spacing)} leapfrog is stable up to {limit:g}. Take more steps in t, or "
            "fewer cells in space."
        )
    return step / limit
