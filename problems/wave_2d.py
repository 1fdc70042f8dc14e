"""A pulse on a square membrane with fixed edges: u_tt = c^2 laplacian u, from rest, until it meets the edges."""

import torch

from pinn_siren import Box, Dirichlet, Initial, Wave

WIDTH = 0.15  # standard deviation of the pulse; the square has sides of 2 and c is 1


def pulse(p):
    return torch.exp(-(p.x**2 + p.y**2) / (2 * WIDTH**2))


problem = Wave(
    domain=Box(x=(-1, 1), y=(-1, 1), t=(0, 0.8)),
    speed=1.0,
    conditions=[Dirichlet(0), Initial(pulse, rate=0)],
)
