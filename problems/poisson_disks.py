"""Potential between round electrodes in a grounded box: laplacian u = 0, a voltage of its own on each hole."""

from pinn_siren import Box, Dirichlet, Disk, Poisson

ROOM = Box(x=(-1, 1), y=(-1, 1))
VOLTAGES = {
    Disk(center=(-0.45, 0.35), radius=0.25): 1.0,
    Disk(center=(0.5, 0.4), radius=0.2): -1.0,
    Disk(center=(0.1, -0.45), radius=0.3): 0.5,
}

domain = ROOM
for hole in VOLTAGES:
    domain = domain - hole

problem = Poisson(
    domain=domain,
    source=0,
    conditions=[Dirichlet(0, on=ROOM), *(Dirichlet(v, on=hole) for hole, v in VOLTAGES.items())],
)
