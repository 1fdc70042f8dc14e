"""A plane wave exp(i k x) meets a disk in open space: the scattered wave u, with laplacian u + k^2 u = 0.

``wall``: "hard", where the whole field has no slope on the disk, or "soft", where it is zero. Beyond the box the space
is open, and waves leave it exactly (Radiating). The exact solution is the series of Bessel and Hankel functions
(Bowman, Senior and Uslenghi 1969, Electromagnetic and acoustic scattering by simple shapes, chapter 2); it validates
alone. Lengths are in disk diameters; the time factor is exp(-i omega t).
"""

import numpy as np
import torch
from scipy.special import h1vp, hankel1, jv, jvp

from pinn_siren import Box, Dirichlet, Disk, Helmholtz, Neumann, Radiating
from pinn_siren.errors import UsageError

RADIUS, ORDERS = 0.5, 30
ROOM = Box(x=(-1.5, 1.5), y=(-1.5, 1.5))
OBSTACLE = Disk(radius=RADIUS)


def problem(wall: str = "hard", wavenumber: float = 5.0) -> Helmholtz:
    if wall not in ("hard", "soft"):
        raise UsageError(f"wall must be hard or soft, got {wall!r}.")
    k = wavenumber

    def incident(p):
        return torch.exp(1j * k * p.x)

    def series(p):
        z, angle = k * RADIUS, torch.atan2(p.y, p.x).numpy()
        # Inside the disk is no field; pictures ask there all the same.
        r = torch.sqrt(p.x**2 + p.y**2).clamp(min=RADIUS).numpy()
        total = np.zeros(len(r), dtype=complex)
        for m in range(int(z) + ORDERS):
            ratio = jvp(m, z) / h1vp(m, z) if wall == "hard" else jv(m, z) / hankel1(m, z)
            total -= (1 if m == 0 else 2) * 1j**m * ratio * hankel1(m, k * r) * np.cos(m * angle)
        return torch.from_numpy(total)

    if wall == "hard":
        on_disk = Neumann(lambda p: -1j * k * p.normal[:, 0] * incident(p), on=OBSTACLE)
    else:
        on_disk = Dirichlet(lambda p: -incident(p), on=OBSTACLE)
    return Helmholtz(
        domain=ROOM - OBSTACLE,
        wavenumber=k,
        source=0,
        conditions=[on_disk, Radiating(on=ROOM)],
        exact=series,
    )
