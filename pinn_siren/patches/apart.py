"""Fields that no residual joins, such as those of several sources in one medium: one factorization for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch

from ..conditions import PML, Constraint
from ..jet import Jet
from ..joined import speaks
from ..patchwork import Patchwork
from ..points import Points
from ..problem import Problem
from ..scales import Scales, measure_scales
from ..system import checked
from .linearized import NotCoveredError
from .search import Found, search_many

Pick = tuple[Constraint, int]
"""A constraint of several fields, and its part that speaks of one."""


class Alone(Problem):
    """One field of several that no residual joins, as a problem of its own: ``picks`` are its parts of constraints."""

    whole: Problem
    number: int
    picks: Sequence[Pick]

    @property
    def complex_valued(self) -> bool:  # type: ignore[override]
        """As the other fields."""
        return self.whole.complex_valued

    def constraints(self) -> list[Constraint]:
        """The parts that speak of this field; named alike for all fields, the equation first."""
        names = ["equation", *(f"condition {k}" for k in range(1, len(self.picks)))]
        return [
            replace(c, name=name, residual=partial(self._part, c, part))
            for name, (c, part) in zip(names, self.picks, strict=True)
        ]

    def _part(self, c: Constraint, part: int, points: list[Points], fields: list[tuple[Jet, ...]]) -> torch.Tensor:
        """One part where all other fields are zero."""
        every = []
        for (u,) in fields:
            zero = Jet(torch.zeros_like(u.channels), u.plan, u.points)
            every.append(tuple(u if i == self.number else zero for i in range(len(self.whole.fields))))
        return checked(c, points, every)[part]


def apart(problem: Problem) -> list[Alone] | None:
    """A problem a field, where no residual joins two of several; else None."""
    if len(problem.fields) == 1 or problem.fields != problem.outputs or problem.ansatz is not None or problem.is_fit:
        return None
    picks: list[list[Pick]] = [[] for _ in problem.fields]
    for c in problem.constraints():
        for part, fields in enumerate(speaks(problem, c)):
            if len(fields) != 1:
                return None
            picks[fields.pop()].append((c, part))
    layer = [c for c in problem.conditions if isinstance(c, PML)]
    return [
        Alone(domain=problem.domain, conditions=layer, whole=problem, number=number, picks=mine)  # type: ignore[call-arg]
        for number, mine in enumerate(picks)
    ]


def search_apart(problem: Problem, scales: Scales, tolerance: float, seed: int, deadline: float) -> Found | None:
    """Patches for all fields of a problem that no residual joins; None where they do not cover it."""
    problems = apart(problem)
    if problems is None:
        return None
    each = [replace(measure_scales(one), amplitude=scales.amplitude) for one in problems]
    try:
        found = search_many(problems, each, tolerance, seed, deadline, together=True)
    except NotCoveredError:
        return None
    equation, *beside = problem.constraints()
    sides = [n for name, n in found[0].points.items() if name != "equation"]
    points = {equation.name: found[0].points["equation"], **{c.name: max(sides) for c in beside}}
    return replace(
        found[0], network=_joined([f.network for f in found], problem.complex_valued), points=points,
        estimate=max(f.estimate for f in found),
    )  # fmt: skip


def _joined(networks: list[Patchwork], complex_valued: bool) -> Patchwork:
    """All fields in one network: all real parts, then all imaginary parts."""
    first = networks[0]
    breaks = [line.tolist() for line in first.lines]
    width = len(networks) * (1 + complex_valued)
    made = Patchwork(breaks, width, first.width, first.bandwidth, first.basis, dtype=torch.float64)
    weights = torch.stack([n.weight.detach() for n in networks], dim=2)
    with torch.no_grad():
        for name, buffer in first.named_buffers():
            made.get_buffer(name).copy_(buffer)
        made.weight.copy_(weights.flatten(1, 2))
    return made


__all__ = ["Alone", "apart", "search_apart"]
