"""Poisson equation on an arrow, with a manufactured solution: laplacian u = -2 pi^2 cos(pi x) cos(pi y).

The outline has a re-entrant corner at the origin. This solution is smooth there; that of laplacian u = -1 with u = 0 on
the outline grows like r^(pi / angle) from such a corner, so neither a smooth network nor finite differences would reach
their usual accuracy.
"""

import torch

from pinn_siren import Dirichlet, Poisson, Polygon


def u(p):
    return torch.cos(torch.pi * p.x) * torch.cos(torch.pi * p.y)


problem = Poisson(
    domain=Polygon([(0, 0), (0.8, -0.7), (0, 1), (-0.8, -0.7)]),
    source=lambda p: -2 * torch.pi**2 * u(p),
    conditions=[Dirichlet(u)],
    exact=u,
)
