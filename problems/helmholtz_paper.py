"""The Helmholtz problem of the SIREN paper (Sitzmann et al. 2020, arXiv 2006.09661): a point-like source.

laplacian u + (k / c)^2 u = -source, k = 20, on [-1, 1]^2; the outer 0.5 on every side is an absorbing layer of
e(d) = 1 + 5 i (d / 0.5)^2. The source is a Gaussian of variance 1e-4 and integral 1, the time factor exp(-i omega t).
The authors' code has exp(+i omega t) and the source on the right as (1 + i) times the Gaussian: its field is
-(1 + i) times the conjugate of ours.

``medium``: "uniform", with the source at the center; or c = 2 in a "square" (half-width 0.3) or a "disc" (radius 0.1)
around it, with the source at (-0.35, 0). ``edge``: the length over which the speed rises, 0 for the jump of the paper.
"""

import torch

from pinn_siren import PML, Box, Helmholtz
from pinn_siren.errors import UsageError

WAVENUMBER, VARIANCE, SPEED = 20.0, 1e-4, 2.0
HALF, RADIUS = 0.3, 0.1


def problem(medium: str = "uniform", edge: float = 0.02) -> Helmholtz:
    if medium not in ("uniform", "square", "disc"):
        raise UsageError(f"medium must be uniform, square or disc, got {medium!r}.")
    place = 0.0 if medium == "uniform" else -0.35

    def source(p):
        return torch.exp(-((p.x - place) ** 2 + p.y**2) / (2 * VARIANCE)) / (2 * torch.pi * VARIANCE)

    def within(distance):
        """1 inside, where the signed distance to an edge is negative, 0 outside."""
        return torch.sigmoid(-distance / edge) if edge else (distance < 0).to(distance.dtype)

    def speed(p):
        if medium == "disc":
            # The distance to the edge, but for a factor, that is smooth at the disc's center too.
            return 1 + (SPEED - 1) * within((p.x**2 + p.y**2 - RADIUS**2) / (2 * RADIUS))
        sides = within(p.x - HALF) * within(-p.x - HALF) * within(p.y - HALF) * within(-p.y - HALF)
        return 1 + (SPEED - 1) * sides

    return Helmholtz(
        domain=Box(x=(-1, 1), y=(-1, 1)),
        wavenumber=WAVENUMBER,
        speed=1.0 if medium == "uniform" else speed,
        source=source,
        conditions=[PML(thickness=0.5)],
    )
