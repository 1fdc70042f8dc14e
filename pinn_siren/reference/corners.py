"""The rows that conditions offer at each node of the boundary, and the choice among them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..errors import NoReferenceError
from ..jet import LAPLACIAN, Linearization
from ..points import TIME
from .discrete import Discretization
from .factors import GIVE
from .lines import Index

ADD = "add one there, or give reference= for your own."
NEGLIGIBLE = 1e-12
"""Below this share of a row's largest coefficient, a derivative does not occur in it."""


@dataclass(frozen=True)
class Row:
    """A candidate: its number, the order of its derivatives in space, the fields that it speaks of."""

    candidate: int
    order: int
    speaks: tuple[int, ...]


def occurs_in(seen: Linearization) -> NDArray[np.bool_]:
    """``(n, parts, columns)``: which derivatives occur in a row, a complex part's as its real part's."""
    size: NDArray[np.float64] = seen.coefficients.abs().numpy()
    if seen.complex_parts:
        size = size[:, 0::2] + size[:, 1::2]
    return np.greater(size, NEGLIGIBLE * size.max(axis=2, keepdims=True))


def place_of(d: Discretization, node: int) -> str:
    """A node's coordinates, to be read."""
    place = zip(d.nodes.space_axes, d.nodes.coordinates[node], strict=True)
    return ", ".join(f"{a}={value:.4g}" for a, value in place)


class Offers:
    """The rows that conditions offer at each boundary node, and the choice among them."""

    def __init__(self, d: Discretization) -> None:
        self.d, self.size = d, len(d.nodes.coordinates)
        self.entries: dict[int, list[int]] = defaultdict(list)
        for entry, node in enumerate(d.nodes.boundary):
            self.entries[int(node)].append(entry)
        self.ghosts = _ghosts(d)
        self.rows: dict[int, list[Row]] = defaultdict(list)

    def add(self, seen: Linearization, parts: int, entries: Index, begin: int) -> int:
        """Offer a condition's parts at its entries; returns the next candidate's number."""
        occurs = occurs_in(seen)
        order = np.array([2 if c.key == LAPLACIAN else len(c.key.replace(TIME, "")) for c in seen.columns])
        owner = np.array([c.field for c in seen.columns])
        for part in range(parts):
            for i, entry in enumerate(entries):
                here = occurs[i, part]
                speaks = tuple(int(f) for f in np.unique(owner[here]))
                highest = int(order[here].max(initial=0))
                self.rows[int(entry)].append(Row(begin + part * len(entries) + i, highest, speaks))
        return begin + parts * len(entries)

    def decide(self) -> tuple[list[tuple[int, int]], list[tuple[int, int, int]]]:
        """``(row, candidate)`` of what is chosen; ``(node, field, row)`` of what the equation must fill."""
        picks: list[tuple[int, int]] = []
        open_rows: list[tuple[int, int, int]] = []
        for node, entries in self.entries.items():
            offered = [_owned(self.rows[entry], self.d.fields) for entry in entries]
            chosen = self._single(node, offered[0]) if len(entries) == 1 else _corner(offered, self.d.fields)
            places = [(f, f * self.size + at) for at in (node, *self.ghosts[node]) for f in range(self.d.fields)]
            for f, candidates in chosen:
                place = min(places, key=lambda p, f=f: p[0] != f)  # type: ignore[misc]
                places.remove(place)
                picks += [(place[1], c) for c in candidates]
            open_rows += [(node, f, row) for f, row in places]
        return picks, open_rows

    def _single(self, node: int, offered: list[tuple[int, Row]]) -> list[tuple[int, list[int]]]:
        room, at = self.d.fields * (1 + len(self.ghosts[node])), place_of(self.d, node)
        if len(offered) > room:
            raise NoReferenceError(
                f"{len(offered)} conditions hold at {at}, where the grid has room for {room}: {GIVE}"
            )
        if room - len(offered) > self.d.fields:
            raise NoReferenceError(
                f"{len(offered)} condition(s) hold at {at}, where the equation needs at least "
                f"{room - self.d.fields}: {ADD}"
            )
        return [(f, [row.candidate]) for f, row in offered]


def _ghosts(d: Discretization) -> dict[int, list[int]]:
    """The ghosts behind each boundary node."""
    behind: dict[int, list[int]] = defaultdict(list)
    ghosts = np.setdiff1d(np.arange(len(d.nodes.coordinates)), np.concatenate([d.nodes.inside, d.nodes.boundary]))
    if len(ghosts):
        _, nearest = cKDTree(d.nodes.coordinates[d.nodes.boundary]).query(d.nodes.coordinates[ghosts])
        for ghost, entry in zip(ghosts, nearest, strict=True):
            behind[int(d.nodes.boundary[entry])].append(int(ghost))
    return behind


def _owned(rows: list[Row], fields: int) -> list[tuple[int, Row]]:
    """Each row with the field that it is for: the only one that it speaks of, else the one with the fewest rows."""
    count = [0] * fields
    found: list[tuple[int, Row]] = []
    for row in sorted(rows, key=lambda r: len(r.speaks)):
        choices = row.speaks or tuple(range(fields))
        f = min(choices, key=lambda f: count[f])
        count[f] += 1
        found.append((f, row))
    return found


def _corner(faces: list[list[tuple[int, Row]]], fields: int) -> list[tuple[int, list[int]]]:
    """One row a field where faces meet: a value, else the sum of the lowest derivatives, one a face."""
    chosen = []
    for f in range(fields):
        lowest = [min((row for g, row in face if g == f), key=lambda r: r.order, default=None) for face in faces]
        found = [row for row in lowest if row is not None]
        if not found:
            continue
        order = min(row.order for row in found)
        same = [row.candidate for row in found if row.order == order]
        chosen.append((f, same[:1] if order == 0 else same))
    return chosen
