"""Where a coefficient jumps: continuous values and fluxes across a curve, a field on each side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..coefficients import Coefficient, values
from ..domains import Domain, Sampler, Sides, apart
from ..errors import ProblemError
from ..points import Points
from .base import ConditionBase, Constraint, Fields, Place


@dataclass(frozen=True, eq=False)
class Interface(ConditionBase):
    """``u+ - u- = jump`` and ``a+ du+/dn - a- du-/dn = flux`` across the boundary of ``on``, as far as it runs inside.

    ``on``: a domain in space, or a list of them; ``n`` is its outward unit normal, ``-`` its inside and ``+`` what is
    around it. Parts of a union that do not meet are taken alone. ``a``: the equation's ``diffusion``, 1 where it has
    none, unless ``coefficient`` is given; it is taken from each side's limit, so it may jump, and should jump nowhere
    else. ``jump`` and ``flux``: numbers or functions ``p -> (n,)``, with ``p.normal``; zero unless given. Units: those
    of the field, and of ``a`` times the field per length.

    The field of each side is a smooth function of its own: the equation holds for it on its side alone. Without this,
    a diffusion that jumps is refused: point by point ``div(a grad u)`` says nothing of the flux there.

    Raises ``ProblemError`` where ``on`` is no domain.
    """

    on: Domain | Sequence[Domain]
    jump: Coefficient = 0.0
    flux: Coefficient = 0.0
    coefficient: Coefficient | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        stated = self._stated
        for shape in stated:
            if not isinstance(shape, Domain) or shape.has_time:
                raise ProblemError(
                    "Interface(on=...) takes a domain in space whose boundary is the curve, such as Disk(center=(0, 0),"
                    f" radius=0.5), or a list of them; got {shape!r}."
                )
        if not stated:
            raise ProblemError("Interface(on=[]) has no curve: give a domain, or leave it out.")

    @property
    def shapes(self) -> list[Domain]:
        """The domains whose boundaries are the curves."""
        return [part for shape in self._stated for part in apart(shape)]

    @property
    def _stated(self) -> list[Domain]:
        return list(self.on) if isinstance(self.on, list | tuple) else [self.on]  # type: ignore[list-item]

    @property
    def plain(self) -> bool:
        """Whether values and fluxes are continuous."""
        return all(isinstance(c, int | float) and c == 0 for c in (self.jump, self.flux))

    def constraints(self, problem: Any) -> list[Constraint]:
        """One constraint a curve, of two parts for each output; its residual takes the fields of all sides."""
        sides: Sides = problem.sides
        found = []
        for shape in self.shapes:
            number = sides.shapes.index(shape)
            found.append(
                Constraint(
                    "interface", partial(_sample, sides, number), partial(self._residual, problem), self.weight,
                    place=Place("interface", shape), wavenumbers=dict,
                )
            )  # fmt: skip
        return found

    def _residual(self, problem: Any, points: list[Points], fields: list[Fields]) -> tuple[Tensor, ...]:
        sides, p = problem.sides, points[0]
        behind, before = sides.beside(p)
        inner, outer = own(fields[0], behind, len(sides)), own(fields[0], before, len(sides))
        jump, flux = values(self.jump, p, "Interface jump"), values(self.flux, p, "Interface flux")
        diffusion = getattr(problem, "diffusion", 1.0)
        inner_limit, outer_limit = (self.limit(sides, diffusion, p, side) for side in (-1, 1))
        parts: list[Tensor] = []
        for minus, plus in zip(inner, outer, strict=True):
            parts.append(plus.value - minus.value - jump)
            parts.append(outer_limit * plus.normal_derivative - inner_limit * minus.normal_derivative - flux)
        return tuple(parts)

    def limit(self, sides: Sides, diffusion: Coefficient, p: Points, side: int) -> Tensor:
        """``(n,)``: the coefficient as points of a curve are approached along the normal from one side, 1 or -1.

        Extrapolated from two places beside the curve.
        """
        coefficient = diffusion if self.coefficient is None else self.coefficient
        if not callable(coefficient):
            return values(coefficient, p, "diffusion")
        near, far = (values(coefficient, sides.moved(p, m * side), "diffusion") for m in (1, 2))
        return 2 * near - far


def own(fields: Fields, side: Tensor, sides: int) -> Fields:
    """The jets of the outputs at points of the sides ``(n,)``, from those of all sides' fields."""
    count = len(fields) // sides
    found = []
    for output in range(count):
        channels = fields[output].channels
        for k in range(1, sides):
            channels = torch.where(side == k, fields[k * count + output].channels, channels)
        found.append(fields[output]._like(channels))
    return tuple(found)


def sides_of(domain: Domain, conditions: Sequence[Any]) -> Sides | None:
    """The sides that interfaces among the conditions make; None where there are none."""
    shapes = [shape for c in conditions if isinstance(c, Interface) for shape in c.shapes]
    return Sides(domain, shapes) if shapes else None


def _sample(sides: Sides, number: int, n: int, sampler: Sampler) -> list[Points]:
    return [sides.on_curve(number, n, sampler)]


__all__ = ["Interface", "own", "sides_of"]
