"""Marching in time: backward differences of second order, and a start that is of second order too."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..conditions import Constraint
from ..errors import NoReferenceError
from .block import Block
from .discrete import Discretization, Scheme, Source, Stated, Weights
from .factors import GIVE
from .lines import Field
from .rows import Rows


def quotients(step: float) -> Scheme:
    """The weights of time derivatives at a level: of second order but for d2/dt2 at level 2, where it starts.

    Level 0: ``(-3 u0 + 4 u1 - u2) / (2 step)``; level 1: central; then ``(3 u_n - 4 u_{n-1} + u_{n-2}) / (2 step)``
    and ``(2 u_n - 5 u_{n-1} + 4 u_{n-2} - u_{n-3}) / step^2`` (Houbolt 1950, doi 10.2514/8.1722).
    """

    def scheme(level: int, order: int) -> Weights:
        if order == 0:
            return {level: 1.0}
        if order == 1:
            offsets = {0: {0: -1.5, 1: 2.0, 2: -0.5}, 1: {-1: -0.5, 1: 0.5}}.get(level, {0: 1.5, -1: -2.0, -2: 0.5})
        elif level <= 2:
            offsets = {-level: 1.0, 1 - level: -2.0, 2 - level: 1.0}
        else:
            offsets = {0: 2.0, -1: -5.0, -2: 4.0, -3: -1.0}
        return {level + offset: weight / step**order for offset, weight in offsets.items()}

    return scheme


def march(d: Discretization, rows: Rows) -> list[Field]:
    """``(fields, N)`` at every level of time; NaN at the first one where nothing is known of a field there.

    Equations without time derivatives are solved level by level. Otherwise levels 1 and 2 are solved together, with
    central quotients at level 1; where the equation is of second order in time, the initial rate stands in its place at
    level 2. Raises ``NoReferenceError`` for a missing initial value or rate, and for a higher order in time.
    """
    if max(rows.orders) > 2:
        raise NoReferenceError(f"The equation is of order {max(rows.orders)} in time, the solver goes up to 2: {GIVE}")
    zero: Field = np.zeros((d.fields, len(d.nodes.coordinates)), dtype=d.dtype)
    block = Block(d, rows, lambda level: [Source(s, level, part) for s, part in rows.pieces])
    found: list[Field] = []
    if max(rows.orders) > 0:
        first, rates = _first(d, rows)
        start = Block(d, rows, _started(rows, rates))
        guess = np.where(np.isnan(first), 0.0, first)
        found = [first, *start.solve((1, 2), {0: first}, np.stack([guess, guess]))]
    while len(found) < len(d.times):
        level = len(found)
        known = {m: found[m] for m in range(max(0, level - 3), level)}
        guess = found[-1] if found else zero
        found += list(block.solve((level,), known, guess[None]))
    return found


def _first(d: Discretization, rows: Rows) -> tuple[Field, list[Constraint]]:
    """The fields at the first time, and the constraints that hold their rates there."""
    size = len(d.nodes.coordinates)
    nodes = np.union1d(d.nodes.inside, d.nodes.boundary)
    zero: Field = np.zeros((d.fields, size), dtype=d.dtype)
    first: Field = np.full((d.fields, size), np.nan, dtype=d.dtype)
    rates: list[Constraint] = []
    for constraint in rows.first:
        stated = Stated(constraint, nodes)
        seen = d.probe(stated, 0)
        speaks = seen.coefficients.abs().amax(dim=(0, 1)) > 0
        columns = [c for c, occurs in zip(seen.columns, speaks, strict=True) if occurs]
        if any(c.key for c in columns):
            rates.append(constraint)
        else:
            first[columns[0].field, nodes] = -d.residual(stated, 0, {0: zero})[0]
    for f, order in enumerate(rows.orders):
        name = d.problem.fields[f]
        if order and np.isnan(first[f, nodes]).any():
            raise NoReferenceError(f"{name} has no value at the first time: add Initial(value), output={name!r}.")
    if len(rates) != len(rows.second):
        raise NoReferenceError(
            f"{len(rows.second)} part(s) of the equation are of second order in time, and {len(rates)} rate(s) are "
            "given: Initial needs a rate for each of these fields and for no other."
        )
    return first, rates


def _started(rows: Rows, rates: Sequence[Constraint]) -> Callable[[int], list[Source]]:
    """The sources of levels 1 and 2: at level 2 the rates instead of the equation's parts of second order."""
    equation = rows.pieces[0][0].constraint
    own = dict(zip(rows.second, rates, strict=True))
    moved = {
        i: Stated(own[part], stated.nodes)
        for i, (stated, part) in enumerate(rows.pieces)
        if stated.constraint is equation and part in own
    }

    def sources(level: int) -> list[Source]:
        return [
            Source(moved[i], 0, 0) if level == 2 and i in moved else Source(stated, level, part)
            for i, (stated, part) in enumerate(rows.pieces)
        ]

    return sources
