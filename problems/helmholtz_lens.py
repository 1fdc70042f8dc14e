"""A point-like source beside a lens in which waves run faster: laplacian u + (k / c)^2 u = -source.

The speed c rises smoothly from 1 to 2 within a disk; an absorbing layer stands for open space. Lengths are in
wavelengths outside the lens; the time factor is exp(-i omega t).
"""

import torch

from pinn_siren import PML, Box, Helmholtz

RADIUS, EDGE, SPEED = 0.4, 0.08, 2.0  # of the lens; the width over which the speed rises; the speed within
SOURCE, WIDTH = (-0.6, 0.0), 0.125  # place and standard deviation of the source


def speed(p):
    # The distance to the edge, but for a factor, that is smooth at the lens' center too.
    inward = (RADIUS**2 - (p.x - 0.3) ** 2 - p.y**2) / (2 * RADIUS)
    return 1 + (SPEED - 1) * torch.sigmoid(inward / EDGE)


def source(p):
    square = (p.x - SOURCE[0]) ** 2 + (p.y - SOURCE[1]) ** 2
    return torch.exp(-square / (2 * WIDTH**2)) / (2 * torch.pi * WIDTH**2)


problem = Helmholtz(
    domain=Box(x=(-1.5, 1.5), y=(-1.5, 1.5)),
    wavenumber=2 * torch.pi,
    speed=speed,
    source=source,
    conditions=[PML(thickness=0.5)],
)
