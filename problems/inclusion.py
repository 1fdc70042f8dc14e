"""A round inclusion of ten times the conductivity in a uniform field: div(a grad u) = 0, a = 10 in the disk, 1 around.

The potential and the flux a du/dn are continuous across the circle, the gradient is not. Exact: a uniform field inside,
a dipole's beside the given one outside.
"""

import torch

from pinn_siren import Box, Dirichlet, Disk, Interface, Poisson

DISK, RATIO = Disk(center=(0.2, -0.1), radius=0.45), 10.0
SLOPE = (0.8, 0.6)  # of the potential, far away


def square(p):
    return (p.x - DISK.center[0]) ** 2 + (p.y - DISK.center[1]) ** 2


def conductivity(p):
    return torch.where(square(p) < DISK.radius**2, RATIO, 1.0)


def u(p):
    along = SLOPE[0] * (p.x - DISK.center[0]) + SLOPE[1] * (p.y - DISK.center[1])
    dipole = (RATIO - 1) / (RATIO + 1) * DISK.radius**2 / square(p)
    return along * torch.where(square(p) < DISK.radius**2, 2 / (RATIO + 1), 1 - dipole)


problem = Poisson(
    domain=Box(x=(-1, 1), y=(-1, 1)),
    diffusion=conductivity,
    source=0,
    conditions=[Dirichlet(u), Interface(on=DISK)],
    exact=u,
)
