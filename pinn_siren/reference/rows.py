"""Which equation stands at which node: the discrete system has a row for every unknown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from ..conditions import Constraint
from ..errors import NoReferenceError
from ..jet import LAPLACIAN, Linearization
from ..points import TIME
from .corners import ADD, Offers, occurs_in, place_of
from .discrete import Discretization, Stated
from .factors import GIVE
from .lines import Index


@dataclass(frozen=True, eq=False)
class Rows:
    """The parts of constraints at nodes, one after the other, and the (unknowns, candidates) matrix that picks rows.

    ``first``: the constraints at the first time; ``orders``: each field's order in time; ``second``: the equation's
    parts of second order there; ``split``: complex fields must be solved for in real and imaginary parts.
    """

    pieces: tuple[tuple[Stated, int], ...]
    select: sparse.csr_matrix
    first: tuple[Constraint, ...]
    orders: tuple[int, ...]
    second: tuple[int, ...]
    split: bool


def lay_out(d: Discretization) -> Rows:
    """Decide which row stands where.

    The equation stands inside, the conditions on the boundary: one row a field at a node, one more for each ghost
    behind it. Where conditions meet at a corner, one that holds the value of a field goes before one of derivatives,
    the first of two such; of derivatives of the same order the rows are added. What conditions leave open, as on the
    outflow side of a first-order equation, the equation fills.

    Raises ``NoReferenceError`` where the rows are not as many as the unknowns, or a constraint has no place here.
    """
    equation, *others = _covered(d)
    inside = Stated(equation, d.nodes.inside)
    seen = d.probe(inside, _middle(d))
    parts = _parts(d, inside, seen)
    if parts != d.fields:
        raise NoReferenceError(
            f"The equation has {parts} part(s) for {d.fields} field(s), so rows and unknowns differ in number: {GIVE}"
        )
    held = [_on_boundary(d, c) for c in others if c.place is not None and c.place.kind == "boundary"]
    offers = Offers(d)
    # The equation comes first among the candidates, at inner nodes; the conditions follow; filled rows come last.
    begin = d.fields * len(inside.nodes)
    probes, pieces = [seen], [(inside, part) for part in range(parts)]
    for stated, entries in held:
        probe = d.probe(stated, _middle(d))
        probes.append(probe)
        count = _parts(d, stated, probe)
        pieces += [(stated, part) for part in range(count)]
        begin = offers.add(probe, count, entries, begin)
    picks, open_rows = offers.decide()
    chosen = [(f * len(d.nodes.coordinates) + node, f * len(inside.nodes) + i)
              for f in range(d.fields) for i, node in enumerate(inside.nodes)] + picks  # fmt: skip
    if open_rows:
        filled = Stated(equation, np.array(sorted({node for node, _, _ in open_rows})))
        _refuse_unheld(d, filled, offers)
        at = {int(node): i for i, node in enumerate(filled.nodes)}
        chosen += [(row, begin + f * len(at) + at[node]) for node, f, row in open_rows]
        begin += d.fields * len(at)
        pieces += [(filled, part) for part in range(parts)]
    rows, candidates = np.array(chosen).T
    size = d.fields * len(d.nodes.coordinates)
    if len(np.unique(rows)) != size:
        raise NoReferenceError(f"{size} unknowns meet {len(np.unique(rows))} rows: {GIVE}")
    select = sparse.csr_matrix((np.ones(len(rows)), (rows, candidates)), shape=(size, begin))
    orders = np.max([_time_orders(probe, d.fields).max(axis=0) for probe in probes], axis=0)
    in_equation = _time_orders(seen, d.fields)
    return Rows(
        tuple(pieces),
        select,
        tuple(c for c in others if c.place is not None and c.place.kind == "start"),
        tuple(int(m) for m in orders),
        tuple(int(part) for part in np.flatnonzero(in_equation.max(axis=1) == 2)),
        d.problem.complex_valued and any(probe.complex_blocks() is None for probe in probes),
    )


def _covered(d: Discretization) -> list[Constraint]:
    """The constraints, the equation first. Raises ``NoReferenceError`` for what has no place on a grid."""
    constraints = d.problem.constraints()
    for c in constraints[1:]:
        if c.place is None or c.place.kind == "interior":
            where = "inside the domain" if c.place is not None else "at points of its own"
            raise NoReferenceError(
                f"The finite-difference solver takes conditions on the boundary and at the first time; {c.name!r} is "
                f"stated {where}: {GIVE}"
            )
    return constraints


def _middle(d: Discretization) -> int:
    return len(d.times) // 2


def _on_boundary(d: Discretization, c: Constraint) -> tuple[Stated, Index]:
    """A condition at the boundary nodes where it holds, and which of the boundary's entries these are."""
    assert c.place is not None
    whole = Stated(c, d.nodes.boundary, d.nodes.outward)
    masks = [
        d.problem.domain.lies_on(d.points(whole, level), c.place.on).numpy()
        for level in sorted({0, _middle(d), len(d.times) - 1})
    ]
    if any((mask != masks[0]).any() for mask in masks):
        raise NoReferenceError(f"Where {c.name!r} holds changes in time, which the solver does not follow: {GIVE}")
    entries = np.flatnonzero(masks[0])
    if not len(entries):
        raise NoReferenceError(f"{c.name!r} holds at none of the grid's boundary nodes: {GIVE}")
    return Stated(c, whole.nodes[entries], d.nodes.outward[entries]), entries


def _parts(d: Discretization, stated: Stated, seen: Linearization) -> int:
    """How many parts a residual has, complex ones counted once."""
    if d.problem.complex_valued and not seen.complex_parts:
        raise NoReferenceError(f"The {stated.constraint.name} residual is real and the fields are complex: {GIVE}")
    return seen.values.shape[1] // (2 if seen.complex_parts else 1)


def _time_orders(seen: Linearization, fields: int) -> NDArray[np.int64]:
    """``(parts, fields)``: the order in time."""
    occurs = np.logical_or.reduce(occurs_in(seen), axis=0)
    orders = np.zeros((occurs.shape[0], fields), dtype=int)
    for i, column in enumerate(seen.columns):
        m = 0 if column.key == LAPLACIAN else column.key.count(TIME)
        orders[:, column.field] = np.maximum(orders[:, column.field], m * occurs[:, i])
    return orders


def _refuse_unheld(d: Discretization, filled: Stated, offers: Offers) -> None:
    """A side where the equation is of second or higher order along the normal needs half as many conditions."""
    seen = d.probe(filled, _middle(d))
    occurs = np.logical_or.reduce(occurs_in(seen), axis=1)
    for i, node in enumerate(filled.nodes):
        entries = offers.entries[int(node)]
        if len(entries) > 1:
            continue
        normal = d.nodes.outward[entries[0]]
        orders = np.zeros(d.fields, dtype=int)
        for column, here in zip(seen.columns, occurs[i], strict=True):
            key = "" if column.key == LAPLACIAN else column.key
            across = [key.count(a) for a, n in zip(d.nodes.space_axes, normal, strict=True) if abs(n) > 1e-6]
            order = 2 if column.key == LAPLACIAN else max(across)
            orders[column.field] = max(orders[column.field], order * here)
        needed, given = int((orders // 2).sum()), len(offers.rows[entries[0]])
        if given < needed:
            raise NoReferenceError(
                f"{given} condition(s) hold at {place_of(d, int(node))}, where the equation needs {needed}: "
                + (ADD if d.problem.ansatz is None else f"what the ansatz builds in is not seen here; {ADD}")
            )
