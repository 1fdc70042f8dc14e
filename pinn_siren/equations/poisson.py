"""The Poisson equation, with variable diffusion and a reaction term."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ..coefficients import Coefficient, values
from ..conditions import Interface, leaves_constant
from ..domains import Box
from ..jet import Jet, lift, make_plan
from ..points import Points
from ..problem import Problem, rectangle
from ..reference import mean_around, on_grid_lines, solve_poisson, solve_sides

if TYPE_CHECKING:
    from ..reference import GridSolution


class Poisson(Problem):
    """``div(diffusion grad u) - reaction u = source`` over space.

    ``source``, ``diffusion`` (positive, differentiable) and ``reaction`` (not negative) are numbers or functions
    ``p -> (n,)``; where the diffusion jumps, an ``Interface`` says so. Note the sign: ``laplacian u = source`` where
    ``diffusion`` is 1. Units: the user's, consistent.

    Where all conditions are ``Neumann`` or ``Periodic`` and there is no reaction, the solution is free up to a
    constant: the one of zero mean is given, unless an ``Integral`` says another. The data must be compatible: the
    source's integral is the flux's.
    """

    reference_method = "conservative finite differences, second order"

    source: Coefficient
    diffusion: Coefficient = 1.0
    reaction: Coefficient = 0.0

    @property
    def free_constant(self) -> bool:
        """Without reaction, and with Neumann and periodic sides only, the constant is free."""
        no_reaction = not callable(self.reaction) and self.reaction == 0
        return no_reaction and all(leaves_constant(c) for c in self.conditions)

    def residual(self, p: Points, u: Jet) -> Tensor:
        """``div(diffusion grad u) - reaction u - source``, ``(n,)``."""
        left = values(self.diffusion, p, "diffusion") * u.laplacian
        if callable(self.diffusion):
            first = make_plan(p.axes, frozenset(p.space_axes))
            left = left + (lift(self.diffusion, p, first).grad * u.grad).sum(-1)
        if callable(self.reaction) or self.reaction:
            left = left - values(self.reaction, p, "reaction") * u.value
        return left - values(self.source, p, "source")

    def finite_differences(self, cells: dict[str, int]) -> GridSolution:
        """Conservative second-order finite differences on one grid; on cut cells where the domain is no box, on those
        of each side where interfaces cut it."""
        sides = self.sides
        if self.reference is None and sides is not None and on_grid_lines(sides, self.conditions, cells):
            given = ((self.diffusion, "diffusion"), (self.reaction, "reaction"), (self.source, "source"))
            diffusion, reaction, source = (mean_around(sides, c, name) for c, name in given)
            plain = [c for c in self.conditions if not isinstance(c, Interface)]
            return solve_poisson(
                rectangle(self), diffusion=diffusion, reaction=reaction, source=source, conditions=plain, cells=cells
            )
        if self.reference is None and sides is not None:
            return solve_sides(
                sides, diffusion=self.diffusion, reaction=self.reaction, source=self.source,
                conditions=self.conditions, cells=cells, free_constant=self.free_constant,
            )  # fmt: skip
        if self.reference is not None or not isinstance(self.domain, Box):
            return super().finite_differences(cells)
        return solve_poisson(
            self.domain, diffusion=self.diffusion, reaction=self.reaction, source=self.source,
            conditions=self.conditions, cells=cells,
        )  # fmt: skip
