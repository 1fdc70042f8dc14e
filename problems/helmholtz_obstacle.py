"""A plane wave exp(i k x) meets a sound-hard disk: the scattered wave u, with laplacian u + k^2 u = 0.

The whole field has no slope on the disk, so du/dn = -d exp(i k x)/dn there. The sides of the box let waves out to first
order: what they reflect is in the network's solution and in the reference alike. Lengths are in disk diameters; the
time factor is exp(-i omega t).
"""

import torch

from pinn_siren import Absorbing, Box, Disk, Helmholtz, Neumann

WAVENUMBER = 5.0
ROOM = Box(x=(-1.5, 1.5), y=(-1.5, 1.5))
OBSTACLE = Disk(radius=0.5)


def scattered_slope(p):
    incident_slope = 1j * WAVENUMBER * p.normal[:, 0] * torch.exp(1j * WAVENUMBER * p.x)
    return -incident_slope


problem = Helmholtz(
    domain=ROOM - OBSTACLE,
    wavenumber=WAVENUMBER,
    source=0,
    conditions=[Neumann(scattered_slope, on=OBSTACLE), Absorbing(on=ROOM)],
)
