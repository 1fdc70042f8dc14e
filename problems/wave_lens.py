"""A pulse meets a lens in which waves are faster by half: u_tt = c(x, y)^2 laplacian u, absorbing sides."""

import torch

from pinn_siren import Absorbing, Box, Initial, Wave

WIDTH = 0.1  # standard deviation of the pulse


def speed(p):
    return 1 + 0.5 * torch.exp(-20 * (p.x**2 + p.y**2))


def pulse(p):
    return torch.exp(-((p.x + 0.4) ** 2 + p.y**2) / (2 * WIDTH**2))


problem = Wave(
    domain=Box(x=(-1, 1), y=(-1, 1), t=(0, 1)),
    speed=speed,
    conditions=[Absorbing(), Initial(pulse, rate=0)],
)
