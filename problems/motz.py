"""Motz's problem: laplacian u = 0 above a slit's end, where the value held turns into a slope held.

u = 0 on the slit (x < 0, y = 0), u = 500 at the right, no flow through the other sides. At the origin
u = a r^(1/2) cos(theta/2) + ..., with a = 401.1624537452 (Motz 1946, Quart. Appl. Math. 4:371; the digits: Li, Mathon
and Sermer 1987, SIAM J. Numer. Anal. 24:487). Mirrored in y = 0 it is a whole slit, of angle 2 pi.
"""

from pinn_siren import Box, Dirichlet, Neumann, Poisson

problem = Poisson(
    domain=Box(x=(-1, 1), y=(0, 1)),
    source=0.0,
    conditions=[
        Dirichlet(0, on=lambda p: (p.y < 1e-9) & (p.x <= 0)),
        Dirichlet(500, on="right"),
        Neumann(0, on="left"),
        Neumann(0, on="top"),
        Neumann(0, on=lambda p: (p.y < 1e-9) & (p.x > 0)),
    ],
)
