"""An elastic plate in plane strain, clamped on the left, sheared and pulled by tractions on its other sides.

Navier's equations (lambda + mu) grad div u + mu laplacian u + b = 0, u the displacement, nondimensional. The body
force b and the tractions are those of a known smooth displacement, which is the exact solution.
"""

from collections.abc import Callable

import torch

from pinn_siren import Box, Condition, Dirichlet, Problem

LAMBDA, MU = 1.0, 0.5  # Lame's parameters, in units of the load


class PlaneStrain(Problem):
    """``(lam + mu) grad div (u, v) + mu laplacian (u, v) + force = 0``."""

    outputs = ("u", "v")

    lam: float
    mu: float
    force: Callable

    def residual(self, p, u, v):
        """Zero where forces are in balance, along x and y."""
        force_x, force_y = self.force(p)
        return (
            (self.lam + self.mu) * (u.xx + v.xy) + self.mu * u.laplacian + force_x,
            (self.lam + self.mu) * (u.xy + v.yy) + self.mu * v.laplacian + force_y,
        )


def traction(normal, u_x, u_y, v_x, v_y):
    """Stress times the outward normal, from the displacement's derivatives."""
    pressure, shear = LAMBDA * (u_x + v_y), MU * (u_y + v_x)
    stress_xx, stress_yy = pressure + 2 * MU * u_x, pressure + 2 * MU * v_y
    return stress_xx * normal[:, 0] + shear * normal[:, 1], shear * normal[:, 0] + stress_yy * normal[:, 1]


def loaded(p, u, v):
    """The traction less that of the exact displacement."""
    x, y = torch.pi * p.x / 2, torch.pi * p.y
    exact = (
        torch.pi / 2 * torch.cos(x) * torch.cos(y),
        -torch.pi * torch.sin(x) * torch.sin(y),
        torch.pi / 4 * torch.cos(x) * torch.sin(y),
        torch.pi / 2 * torch.sin(x) * torch.cos(y),
    )
    found = traction(p.normal, u.x, u.y, v.x, v.y)
    return tuple(here - there for here, there in zip(found, traction(p.normal, *exact), strict=True))


def displacement(p):
    x, y = torch.pi * p.x / 2, torch.pi * p.y
    return torch.sin(x) * torch.cos(y), 0.5 * torch.sin(x) * torch.sin(y)


def force(p):
    """Minus Navier's operator applied to the displacement."""
    u, v = displacement(p)
    x, y = torch.pi * p.x / 2, torch.pi * p.y
    square = torch.pi**2
    u_xx, u_yy, v_xx, v_yy = -square / 4 * u, -square * u, -square / 4 * v, -square * v
    u_xy = -square / 2 * torch.cos(x) * torch.sin(y)
    v_xy = square / 4 * torch.cos(x) * torch.cos(y)
    return (
        -(LAMBDA + MU) * (u_xx + v_xy) - MU * (u_xx + u_yy),
        -(LAMBDA + MU) * (u_xy + v_yy) - MU * (v_xx + v_yy),
    )


problem = PlaneStrain(
    domain=Box(x=(0, 1), y=(0, 1)),
    lam=LAMBDA,
    mu=MU,
    force=force,
    conditions=[
        Dirichlet(0, on="left", output="u"),
        Dirichlet(0, on="left", output="v"),
        *(Condition(loaded, on=side) for side in ("right", "bottom", "top")),
    ],
    exact=displacement,
)
