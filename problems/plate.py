"""A square plate clamped on all sides, under a uniform load: D laplacian^2 w = q (Kirchhoff), nondimensional.

The deflection at the centre is 0.00126532 q a^4 / D (Timoshenko and Woinowsky-Krieger 1959, Theory of Plates and
Shells, table 35: 0.00126). ``python -m pinn_siren reference problems/plate.py`` gives it by finite differences.
"""

from pinn_siren import Box, Dirichlet, Neumann, Problem

SIDE, STIFFNESS, LOAD = 1.0, 1.0, 1.0


class Plate(Problem):
    """``stiffness (w_xxxx + 2 w_xxyy + w_yyyy) = load``, w the deflection."""

    outputs = ("w",)

    stiffness: float
    load: float

    def residual(self, p, w):
        """Zero where the plate is in equilibrium."""
        return self.stiffness * (w.xxxx + 2 * w.xxyy + w.yyyy) - self.load


problem = Plate(
    domain=Box(x=(0, SIDE), y=(0, SIDE)),
    stiffness=STIFFNESS,
    load=LOAD,
    conditions=[Dirichlet(0), Neumann(0)],
)
