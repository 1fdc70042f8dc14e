"""The Helmholtz problem of the SIREN paper (Sitzmann et al. 2020, arXiv 2006.09661): a point-like source.

laplacian u + (k / c)^2 u = -source, k = 20, on [-1, 1]^2; the outer 0.5 on every side is an absorbing layer of
e(d) = 1 + 5 i (d / 0.5)^2. The source: a Gaussian of variance 1e-4 and integral 1. The paper's code solves for +source
with height 1: its field is ours times -2 pi 1e-4. The time factor is exp(-i omega t).

``medium``: "uniform" (source at the center), or c = 2 in a "square" or a "disc" (source at (-0.35, 0)), with an "edge"
over which the speed rises, 0 for a jump. The paper shows these two without sizes; ours have a half-width of 0.15.
"""

import torch

from pinn_siren import PML, Box, Helmholtz
from pinn_siren.errors import UsageError

WAVENUMBER, VARIANCE, SPEED, HALF = 20.0, 1e-4, 2.0, 0.15


def problem(medium: str = "uniform", edge: float = 0.02) -> Helmholtz:
    if medium not in ("uniform", "square", "disc"):
        raise UsageError(f"medium must be uniform, square or disc, got {medium!r}.")
    place = 0.0 if medium == "uniform" else -0.35

    def source(p):
        return torch.exp(-((p.x - place) ** 2 + p.y**2) / (2 * VARIANCE)) / (2 * torch.pi * VARIANCE)

    def inside(distance):
        """1 where the distance to the edge is negative, 0 where it is positive."""
        return torch.sigmoid(-distance / edge) if edge else (distance < 0).to(distance.dtype)

    def speed(p):
        if medium == "disc":
            return 1 + (SPEED - 1) * inside(torch.sqrt(p.x**2 + p.y**2 + 1e-12) - HALF)
        within = inside(p.x - HALF) * inside(-p.x - HALF) * inside(p.y - HALF) * inside(-p.y - HALF)
        return 1 + (SPEED - 1) * within

    return Helmholtz(
        domain=Box(x=(-1, 1), y=(-1, 1)),
        wavenumber=WAVENUMBER,
        speed=1.0 if medium == "uniform" else speed,
        source=source,
        conditions=[PML(thickness=0.5)],
    )
