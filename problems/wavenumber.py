"""Which frequency is it? laplacian u + k^2 u = 0 in a cavity driven at its left wall; receivers hear u with noise.

The wavenumber k is unknown, with a 95% interval in the report. In a mode sin(pi y) of the wall the wave along x has
the wavenumber sqrt(k^2 - pi^2), which is the exact solution; u is complex, as in every Helmholtz problem.
"""

import numpy as np
import torch

from pinn_siren import Box, Data, Dirichlet, Helmholtz, Unknown

WAVENUMBER, NOISE = 8.0, 0.05  # what is to be found; the deviation of the receivers' errors, real and imaginary


def wave(x, y):
    along = np.sqrt(WAVENUMBER**2 - np.pi**2)
    return np.sin(np.pi * y) * np.sin(along * (1 - x)) / np.sin(along)


def measured(noise=NOISE, seed=5, receivers=24):
    random = np.random.default_rng(seed)
    places = random.uniform(0.1, 0.9, (receivers, 2))
    errors = random.standard_normal((2, receivers))
    return Helmholtz(
        domain=Box(x=(0, 1), y=(0, 1)),
        wavenumber=Unknown(7.5, bounds=(7.0, 8.5)),
        source=0.0,
        conditions=[
            Dirichlet(lambda p: torch.sin(torch.pi * p.y), on="left"),
            Dirichlet(0, on="right"),
            Dirichlet(0, on="bottom"),
            Dirichlet(0, on="top"),
            Data(places, wave(*places.T) + noise * (errors[0] + 1j * errors[1])),
        ],
    )


problem = measured()
