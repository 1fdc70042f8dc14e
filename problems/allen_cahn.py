"""A new equation in full: the steady Allen-Cahn equation, epsilon laplacian(u) + u - u^3 = source.

With 2 pi^2 epsilon > 1 the solution is unique; below that there are several, and a solver may find any of them.
"""

from collections.abc import Callable

import torch

from pinn_siren import Box, Dirichlet, Problem

EPSILON = 0.1


class AllenCahn(Problem):
    """``epsilon laplacian(u) + u - u^3 = source``, nondimensional."""

    epsilon: float
    source: Callable

    def residual(self, p, u):
        """Zero where the equation holds."""
        return self.epsilon * u.laplacian + u.value - u.value**3 - self.source(p)


def u(p):
    return torch.sin(torch.pi * p.x) * torch.sin(torch.pi * p.y)


problem = AllenCahn(
    domain=Box(x=(0, 1), y=(0, 1)),
    epsilon=EPSILON,
    source=lambda p: (1 - 2 * EPSILON * torch.pi**2) * u(p) - u(p) ** 3,
    conditions=[Dirichlet(0)],
    exact=u,
)
