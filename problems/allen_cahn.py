"""A new equation in full: the steady Allen-Cahn equation, epsilon laplacian(u) + u - u^3 = source."""

from typing import Callable

import torch

from pinn_siren import Box, Dirichlet, Problem


class AllenCahn(Problem):
    """epsilon * laplacian(u) + u - u**3 = source."""

    epsilon: float
    source: Callable

    def residual(self, p, u):
        return self.epsilon * u.laplacian + u.value - u.value**3 - self.source(p)


def u(p):
    return torch.sin(torch.pi * p.x) * torch.sin(torch.pi * p.y)


problem = AllenCahn(
    domain=Box(x=(0, 1), y=(0, 1)),
    epsilon=0.01,
    source=lambda p: (1 - 0.02 * torch.pi**2) * u(p) - u(p) ** 3,
    conditions=[Dirichlet(0)],
    exact=u,
)
