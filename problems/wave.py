"""Two standing waves on a string with fixed ends: u_tt = c^2 u_xx, c = 2, over one period of the first mode."""

import torch

from pinn_siren import Box, Dirichlet, Initial, Wave

SPEED = 2.0
MODES = {1: 1.0, 3: 0.5}  # number of half waves: amplitude


def u(p):
    return sum(a * torch.sin(n * torch.pi * p.x) * torch.cos(n * torch.pi * SPEED * p.t) for n, a in MODES.items())


problem = Wave(
    domain=Box(x=(0, 1), t=(0, 1)),
    speed=SPEED,
    conditions=[
        Dirichlet(0),
        Initial(lambda p: sum(a * torch.sin(n * torch.pi * p.x) for n, a in MODES.items()), rate=0),
    ],
    exact=u,
)
