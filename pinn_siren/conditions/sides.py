"""Values and slopes on the spatial boundary."""

from __future__ import annotations

import numbers
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ..coefficients import Coefficient, values
from ..domains import On
from ..errors import ProblemError
from ..points import Points
from ..unknowns import Unknown
from .base import ConditionBase, Constraint, Fields, Place, label_of, on_boundary, pick


class Boundary(ConditionBase):
    """``a u + b du/dn = value`` on the spatial boundary, ``n`` the outward normal."""

    a: Coefficient
    b: Coefficient
    value: Coefficient
    on: On
    output: str | None
    weight: float

    def constraints(self, problem: Any) -> list[Constraint]:
        """One constraint on the boundary."""
        name = type(self).__name__

        def residual(points: list[Points], fields: list[Fields]) -> Tensor:
            p, u = points[0], pick(fields[0], self.output, problem, name)
            left = -values(self.value, p, f"{name} value")
            if not is_zero(self.a):
                left = left + values(self.a, p, f"{name} a") * u.value
            if not is_zero(self.b):
                left = left + values(self.b, p, f"{name} b") * u.normal_derivative
            return left

        label = label_of(name.lower(), self.on, self.output)
        sample = on_boundary(problem.domain, self.on)
        return [Constraint(label, sample, residual, self.weight, place=Place("boundary", self.on))]


@dataclass(frozen=True, eq=False)
class Dirichlet(Boundary):
    """``u = value`` on the spatial boundary.

    ``value``: a number or a function of points; ``on``: a side's name, a function of points to a bool mask, or None
    for the whole boundary; ``output``: which field, where there are several; ``weight``: a factor in the loss.
    """

    value: Coefficient
    on: On = None
    output: str | None = None
    weight: float = 1.0
    a: Coefficient = field(default=1.0, init=False)
    b: Coefficient = field(default=0.0, init=False)


@dataclass(frozen=True, eq=False)
class Neumann(Boundary):
    """``du/dn = value`` on the spatial boundary, along the outward unit normal, never times a coefficient."""

    value: Coefficient
    on: On = None
    output: str | None = None
    weight: float = 1.0
    a: Coefficient = field(default=0.0, init=False)
    b: Coefficient = field(default=1.0, init=False)


@dataclass(frozen=True, eq=False)
class Robin(Boundary):
    """``a u + b du/dn = value`` on the spatial boundary, along the outward unit normal."""

    a: Coefficient
    b: Coefficient
    value: Coefficient
    on: On = None
    output: str | None = None
    weight: float = 1.0


def is_zero(coefficient: Coefficient) -> bool:
    """Whether a coefficient is the number zero (a function never is)."""
    if callable(coefficient) or isinstance(coefficient, Unknown | Tensor):
        return False
    if not isinstance(coefficient, numbers.Number):
        raise ProblemError(f"A coefficient must be a number or a function of points, got {coefficient!r}.")
    return coefficient == 0
