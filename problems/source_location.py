"""Where is the source, and how strong? laplacian u = -strength exp(-|p - place|^2 / (2 width^2)), u = 0 on the walls.

Sixteen receivers along the walls measure u with noise; place and strength are unknown, with 95% intervals in the
report. The measured values come from a sine series, which shares nothing with the solver.
"""

import numpy as np
import torch

from pinn_siren import Box, Data, Dirichlet, Problem, Unknown

PLACE, STRENGTH, WIDTH = (0.35, -0.2), 8.0, 0.2  # what is to be found; the width is known
NOISE = 2e-3  # standard deviation of the receivers' errors, about 2% of what they measure


class Source(Problem):
    """Diffusion away from one source, in a room with cold walls."""

    place: torch.Tensor
    strength: float

    def residual(self, p, u):
        """``laplacian u + source``."""
        x, y = self.place
        return u.laplacian + self.strength * torch.exp(-((p.x - x) ** 2 + (p.y - y) ** 2) / (2 * WIDTH**2))


def receivers():
    s = np.linspace(-0.75, 0.75, 4)
    wall = np.full(4, 0.85)
    return np.concatenate([np.stack(side, 1) for side in ((s, -wall), (s, wall), (-wall, s), (wall, s))])


def series(points, modes=40):
    """The solution in sine modes of the square [-1, 1]^2."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    k = np.pi / 2 * np.arange(1, modes + 1)
    b = [np.sin(np.outer(k, nodes + 1)) @ (weights * np.exp(-((nodes - c) ** 2) / (2 * WIDTH**2))) for c in PLACE]
    coefficients = STRENGTH * np.outer(*b) / (k[:, None] ** 2 + k[None, :] ** 2)
    sx, sy = (np.sin(np.outer(points[:, i] + 1, k)) for i in (0, 1))
    return np.einsum("pm,mn,pn->p", sx, coefficients, sy)


def measured(noise=NOISE, seed=11):
    values = series(receivers()) + noise * np.random.default_rng(seed).standard_normal(16)
    return Source(
        domain=Box(x=(-1, 1), y=(-1, 1)),
        place=Unknown((0.0, 0.0), bounds=(-0.9, 0.9)),
        strength=Unknown(5.0, bounds=(0.0, None)),
        conditions=[Dirichlet(0), Data(receivers(), values)],
    )


problem = measured()
