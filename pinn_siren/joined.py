"""Which fields of a problem its constraints join."""

from __future__ import annotations

from functools import partial

import torch

from .conditions import Constraint
from .domains import Sampler
from .jet import Jet, Plan, linearize
from .problem import Problem, record
from .system import checked

PROBED = 50


def speaks(problem: Problem, c: Constraint) -> list[set[int]]:
    """Which fields each part of a constraint depends on."""
    sampler = Sampler(torch.Generator().manual_seed(6))
    points = c.sample(PROBED, sampler)
    residual = partial(checked, c)

    def drawn(plan: Plan) -> list[tuple[Jet, ...]]:
        jets = [problem.random_fields(p, plan, sampler) for p in points]
        residual(points, jets)
        return jets

    jets, _ = record(drawn, problem)
    seen = linearize(residual, points, jets)
    matters = seen.coefficients.abs().amax(0) > 0
    found: list[set[int]] = [set() for _ in range(max(seen.parts) + 1)]
    for row, part in zip(matters, seen.parts, strict=True):
        found[part] |= {column.field for column, one in zip(seen.columns, row.tolist(), strict=True) if one}
    return found


def together(problem: Problem) -> int:
    """How many fields the largest system holds: all of them, but of fields that no residual joins one."""
    count = len(problem.fields)
    group = list(range(count))
    for c in problem.constraints() if count > 1 else ():
        for fields in speaks(problem, c):
            merged = {group[f] for f in fields}
            group = [min(merged) if g in merged else g for g in group]
    return max(group.count(g) for g in group)


__all__ = ["speaks", "together"]
