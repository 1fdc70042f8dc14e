"""Poisson equation on a square, with a manufactured solution: laplacian u = -2 pi^2 sin(pi x) sin(pi y)."""

import torch

from pinn_siren import Box, Dirichlet, Poisson


def u(p):
    return torch.sin(torch.pi * p.x) * torch.sin(torch.pi * p.y)


problem = Poisson(
    domain=Box(x=(-1, 1), y=(-1, 1)),
    source=lambda p: -2 * torch.pi**2 * u(p),
    conditions=[Dirichlet(0)],
    exact=u,
)
