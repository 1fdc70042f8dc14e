"""Whole references on domains that are no boxes: their order, and bars that hold the true error."""

import numpy as np
import pytest
import torch

from pinn_siren import (
    Ball,
    Box,
    Dirichlet,
    Disk,
    Initial,
    Neumann,
    Poisson,
    Polygon,
    Problem,
    Robin,
    Wave,
    solve_reference,
)
from pinn_siren.validation import exact_values, relative_l2

ROOM = Box(x=(-1, 1), y=(-1, 1))
HOLE = Disk((0.3, 0.2), 0.3)
TIME = Box(t=(0, 1))


def u(p):
    return torch.sin(2 * p.x + 0.3) * torch.cos(1.5 * p.y) + p.x * p.y


def source(p):
    return -6.25 * torch.sin(2 * p.x + 0.3) * torch.cos(1.5 * p.y)


def slope(p):
    along_x = 2 * torch.cos(2 * p.x + 0.3) * torch.cos(1.5 * p.y) + p.y
    along_y = -1.5 * torch.sin(2 * p.x + 0.3) * torch.sin(1.5 * p.y) + p.x
    return along_x * p.normal[:, 0] + along_y * p.normal[:, 1]


def standing(p):
    return torch.cos(3 * p.t) * torch.sin(3 * p.x)


def standing_slope(p):
    return 3 * torch.cos(3 * p.t) * torch.cos(3 * p.x) * p.normal[:, 0]


def cooling(p):
    return torch.exp(-2 * p.t) * torch.sin(p.x) * torch.sin(p.y)


def cubic(p):
    return torch.exp(p.x) * torch.sin(p.y) + p.z**2


class Heat(Problem):
    def residual(self, p, u):
        return u.t - u.laplacian


class AllenCahn(Problem):
    def residual(self, p, v):
        return 0.1 * (v.laplacian - source(p)) + v.value - v.value**3 - u(p) + u(p) ** 3


CORNERED = Polygon([(0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)])
CASES = {
    "holes, mixed": (
        Poisson(domain=ROOM - HOLE, source=source, conditions=[Neumann(slope, on=HOLE), Dirichlet(u, on=ROOM)],
                exact=u), 32, (1.6, 2.4), 1e-4,
    ),
    "robin": (
        Poisson(domain=ROOM - HOLE, source=lambda p: source(p) - u(p), reaction=1.0,
                conditions=[Robin(1.0, 2.0, lambda p: u(p) + 2 * slope(p))], exact=u), 32, (1.5, 2.4), 2e-4,
    ),
    "free constant": (
        Poisson(domain=Disk(), source=4.0, conditions=[Neumann(2.0)], exact=lambda p: p.x**2 + p.y**2 - 0.5),
        32, (1.8, 2.4), 5e-4,
    ),
    "ball": (Poisson(domain=Ball(), source=2.0, conditions=[Dirichlet(cubic)], exact=cubic), 6, (1.8, 2.8), 1e-4),
    "wave": (
        Wave(domain=(ROOM - HOLE) * TIME, speed=1.0, exact=standing,
             conditions=[Neumann(standing_slope, on=HOLE), Dirichlet(standing, on=ROOM), Initial(standing, rate=0)]),
        16, (1.5, 2.3), 4e-3,
    ),
    "heat": (
        Heat(domain=CORNERED * TIME, conditions=[Dirichlet(cooling), Initial(cooling)], exact=cooling),
        12, (1.8, 2.3), 2e-4,
    ),
    "nonlinear": (AllenCahn(domain=Disk(), conditions=[Dirichlet(u)], exact=u), 16, (1.8, 2.2), 3e-4),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_bar_holds_the_true_error(name):
    problem, resolution, (low, high), cap = CASES[name]
    reference = solve_reference(problem, resolution)
    fine = reference.finest
    found = fine.values["u"]
    truth = np.where(np.isnan(found), np.nan, exact_values(problem, fine)["u_exact"])
    error = relative_l2(found, truth, fine.quadrature())
    assert low <= reference.observed_order <= high
    assert 0 < error <= reference.error <= cap
    held = problem.domain.contains(torch.from_numpy(fine.nodes())).numpy().reshape(fine.shape)
    assert np.array_equal(np.isnan(found), ~held)
    assert "cut cells" in reference.method
