"""Poisson equation on an L, laplacian u = -1 with u = 0 on the outline: its gradient is infinite at the inner corner.

There u grows like r^(2/3) sin(2 theta/3), so no smooth network comes near: sines alone stop at a few per cent, finite
differences at order 4/3. The singular functions of all six corners (Fox, Henrici and Moler 1967, doi:10.1137/0704008)
stand beside the sines; the method finds them from the outline and the conditions.
"""

from pinn_siren import Dirichlet, Poisson, Polygon

problem = Poisson(
    domain=Polygon([(-1, -1), (1, -1), (1, 0), (0, 0), (0, 1), (-1, 1)]),
    source=-1.0,
    conditions=[Dirichlet(0)],
)
