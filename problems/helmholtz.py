"""A time-harmonic wave radiated by a small Gaussian source into open space.

laplacian u + k^2 u = -source on 2 by 2 wavelengths, in a perfectly matched layer half a wavelength thick. Lengths are
in wavelengths; the time factor is exp(-i omega t).
"""

import torch

from pinn_siren import PML, Box, Helmholtz

WAVELENGTH = 1.0
WIDTH = WAVELENGTH / 8  # standard deviation of the source


def source(p):
    return torch.exp(-(p.x**2 + p.y**2) / (2 * WIDTH**2)) / (2 * torch.pi * WIDTH**2)


problem = Helmholtz(
    domain=Box(x=(-1.5, 1.5), y=(-1.5, 1.5)),
    wavenumber=2 * torch.pi / WAVELENGTH,
    source=source,
    conditions=[PML(thickness=0.5)],
)
