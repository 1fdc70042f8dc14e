"""Conditions held exactly: each field is a lift of its data plus a factor times the network's output."""

from __future__ import annotations

import math
import weakref
from typing import Any

import torch
from torch import Tensor, nn

from ..jet import Jet, JetPoints, Plan, constant
from ..points import Points
from .box import BoxPiece
from .circle import CirclePiece

KEPT = 16
"""Evaluations of lifts and factors that are kept: the points of a loss stay the same for many steps."""

PIECES: dict[str, type[BoxPiece] | type[CirclePiece]] = {"box": BoxPiece, "circle": CirclePiece}


class HardConditions(nn.Module):
    """``u = sum_i w_i lift_i + prod_i factor_i N`` for each field, over the pieces of the boundary that hold values.

    ``w_i = prod_(j != i) factor_j / sum_k prod_(j != k) factor_j`` is 1 on piece i and 0 on the others (Rvachev's
    inverse-distance weights; Sukumar and Srivastava 2022, doi 10.1016/j.cma.2021.114333). It is an ``ansatz`` as a
    user may write one, made of numbers alone, so that a file keeps it.
    """

    def __init__(self, fields: list[list[BoxPiece | CirclePiece]]) -> None:
        super().__init__()
        self.fields = [list(pieces) for pieces in fields]
        self.pieces = nn.ModuleList(piece for pieces in fields for piece in pieces)
        self._kept: list[tuple[weakref.ref[Tensor], Plan, list[tuple[Jet, Jet] | None]]] = []

    def forward(self, p: JetPoints, *raw: Jet) -> tuple[Jet, ...]:
        """The fields from the raw ones."""
        found = self._evaluated(p)
        return tuple(u if held is None else held[0] + held[1] * u for held, u in zip(found, raw, strict=True))

    def configuration(self) -> dict[str, Any]:
        """What rebuilds this, but for the numbers in its buffers."""
        return {"name": "HardConditions", "fields": [[piece.configuration() for piece in f] for f in self.fields]}

    @classmethod
    def from_configuration(cls, described: dict[str, Any]) -> HardConditions:
        """The same without its numbers, which ``load_state_dict`` brings."""
        return cls([[PIECES[d["piece"]].from_configuration(d) for d in field] for field in described["fields"]])

    def _evaluated(self, p: JetPoints) -> list[tuple[Jet, Jet] | None]:
        self._kept = [entry for entry in self._kept if entry[0]() is not None][-KEPT:]
        for where, plan, found in self._kept:
            if where() is p.coordinates and plan is p.plan:
                return found
        plain = Points(p.axes, p.coordinates, p.outward)
        with torch.no_grad():
            found = [_blended(pieces, plain, p.plan) for pieces in self.fields]
        self._kept.append((weakref.ref(p.coordinates), p.plan, found))
        return found

    def __getstate__(self) -> dict[str, Any]:
        # Weak references cannot be copied.
        return {**super().__getstate__(), "_kept": []}


def _blended(pieces: list[BoxPiece | CirclePiece], points: Points, plan: Plan) -> tuple[Jet, Jet] | None:
    """The lift and the factor of one field."""
    if not pieces:
        return None
    factors = [piece.factor(points, plan) for piece in pieces]
    whole = math.prod(factors[1:], start=factors[0])
    if len(pieces) == 1:
        return pieces[0].lift(points, plan), whole
    others = [
        math.prod((f for j, f in enumerate(factors) if j != i), start=constant(points, plan, 1.0))
        for i in range(len(factors))
    ]
    total = sum(others[1:], start=others[0])
    lift = constant(points, plan, 0.0)
    for piece, other in zip(pieces, others, strict=True):
        lift = lift + piece.lift(points, plan) * other / total
    return lift, whole
