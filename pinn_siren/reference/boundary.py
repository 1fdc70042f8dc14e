"""Conditions on the sides of a grid: which one holds at which node of which side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..coefficients import Coefficient
from ..conditions import Absorbing, Boundary, ConditionBase, Periodic, is_zero
from ..domains import Box
from ..errors import NoReferenceError, ProblemError, suggest
from ..points import TIME, Points
from .faces import Face, at_time, faces
from .lines import Field, Grid, Index
from .stencil import evaluate

Sided = Boundary | Absorbing


@dataclass(frozen=True, eq=False)
class Piece:
    """``a u + b du/dn = value`` at some nodes of one face; ``areas`` are the nodes' shares of it."""

    condition: Sided
    side: str
    nodes: Index
    areas: Field
    points: Points
    a: Field
    b: Field

    @property
    def steady(self) -> bool:
        """Whether the data is a number."""
        return isinstance(self.condition, Absorbing) or not callable(self.condition.value)

    def data(self, time: float | None = None) -> Field:
        """(n,): the value at the nodes."""
        if isinstance(self.condition, Absorbing):
            return np.zeros(len(self.nodes))
        p = self.points if time is None else at_time(self.points, time)
        return evaluate(self.condition.value, p, f"{type(self.condition).__name__} value")


def periodic_axes(domain: Box, conditions: Sequence[ConditionBase]) -> frozenset[str]:
    """The axes that are periodic. Raises ``ProblemError`` where one is no space axis, or has a condition on a side."""
    axes = frozenset(c.axis for c in conditions if isinstance(c, Periodic))
    for axis in axes:
        if axis not in domain.space_axes:
            raise ProblemError(f"Periodic({axis!r}): the space axes of {domain} are {', '.join(domain.space_axes)}.")
    for c in conditions:
        if isinstance(c, Boundary | Absorbing) and isinstance(c.on, str) and domain.side(c.on)[0] in axes:
            axis = domain.side(c.on)[0]
            raise ProblemError(f"{_say(c)} and Periodic({axis!r}) speak of the same side: keep one of them.")
    return axes


def sided(conditions: Sequence[ConditionBase], output: str, equation: str, allowed: tuple[type, ...]) -> list[Sided]:
    """The conditions that hold on sides. Raises ``NoReferenceError`` for a kind that the solver does not cover."""
    kept: list[Sided] = []
    for c in conditions:
        if not isinstance(c, allowed):
            raise NoReferenceError(f"The {equation} reference does not cover {type(c).__name__}.")
        named = getattr(c, "output", None)
        if named not in (None, output):
            raise ProblemError(
                f"{type(c).__name__}(output={named!r}): the output is {output!r}.{suggest(named, [output])}"
            )
        if isinstance(c, Boundary | Absorbing):
            kept.append(c)
    return kept


def assign(
    grid: Grid, domain: Box, conditions: Sequence[Sided], time: float | None = None
) -> tuple[list[Piece], list[Piece]]:
    """Pieces with a prescribed value, and pieces with a prescribed flux, for every node of every side.

    A node with a value on one of its sides has that value (corners); else each of its sides keeps its own flux, and
    flux conditions that meet at a node of one side share it. Raises ``ProblemError`` where a node has no condition, a
    side has two that contradict each other, or a Robin condition is empty (a = b = 0).
    """
    fixed: list[Piece] = []
    flux: list[Piece] = []
    sides = faces(grid, domain, time)
    for face in sides:
        _refuse_two(face, conditions)
        masks = [_mask(c, face, domain) for c in conditions]
        kinds = [_split(c, mask, face) for c, mask in zip(conditions, masks, strict=True)]
        valued = np.any([mask for _, mask, _ in kinds], axis=0) if kinds else np.zeros(len(face.nodes), dtype=bool)
        meeting = np.sum([mask & ~valued for _, _, mask in kinds], axis=0) if kinds else valued.astype(int)
        for condition, ours, flows in kinds:
            if ours.any():
                fixed.append(_piece(condition, face, ours, np.ones(len(face.nodes))))
            if (flows & ~valued).any():
                flux.append(_piece(condition, face, flows & ~valued, 1 / np.maximum(meeting, 1)))
    held = np.zeros(grid.size, dtype=bool)
    for piece in fixed:
        held[piece.nodes] = True
    _refuse_bare(sides, flux, held)
    return fixed, flux


def prescribe(grid: Grid, fixed: list[Piece], time: float | None = None) -> tuple[Index, Field]:
    """The nodes with a prescribed value, and the values; where several sides prescribe one, their mean."""
    total: Field = np.zeros(grid.size)
    count = np.zeros(grid.size)
    for piece in fixed:
        found = piece.data(time) / piece.a
        total = total.astype(np.result_type(total, found))
        np.add.at(total, piece.nodes, found)
        np.add.at(count, piece.nodes, 1.0)
    nodes = np.flatnonzero(count)
    return nodes, total[nodes] / count[nodes]


def _mask(condition: Sided, face: Face, domain: Box) -> np.ndarray:
    on = condition.on
    if on is None:
        return np.ones(len(face.nodes), dtype=bool)
    if isinstance(on, str):
        domain.side(on)
        return np.full(len(face.nodes), on == face.side)
    if not callable(on):
        raise NoReferenceError(f"The reference takes on= as a side's name or a function of points, not {on!r}.")
    mask = on(face.points)
    if not isinstance(mask, torch.Tensor) or mask.dtype != torch.bool or mask.shape != (len(face.nodes),):
        raise ProblemError(f"on= must return a bool tensor of shape ({len(face.nodes)},) for as many points.")
    return mask.numpy()


def _split(condition: Sided, mask: np.ndarray, face: Face) -> tuple[Sided, np.ndarray, np.ndarray]:
    """Where a condition prescribes a value (b = 0) and where a flux."""
    if isinstance(condition, Absorbing) or not mask.any():
        return condition, np.zeros_like(mask), mask
    name = type(condition).__name__
    value = mask & (evaluate(condition.b, face.points, f"{name} b") == 0)
    if (value & (evaluate(condition.a, face.points, f"{name} a") == 0)).any():
        raise ProblemError(f"{_say(condition)}: a and b are both zero on side {face.side}, so it says nothing.")
    return condition, value, mask & ~value


def _piece(condition: Sided, face: Face, mask: np.ndarray, share: np.ndarray) -> Piece:
    points = face.points[torch.from_numpy(mask)]
    a, b = (0.0, 1.0) if isinstance(condition, Absorbing) else (condition.a, condition.b)
    coefficients: list[Coefficient] = [a, b]
    at = [evaluate(c, points, f"{type(condition).__name__} {n}") for c, n in zip(coefficients, "ab", strict=True)]
    return Piece(condition, face.side, face.nodes[mask], (face.areas * share)[mask], points, *at)


def _refuse_two(face: Face, conditions: Sequence[Sided]) -> None:
    whole = [c for c in conditions if c.on is None or c.on == face.side]
    for other in whole[1:]:
        first = whole[0]
        if _value_only(first) and _value_only(other):
            inner = face.points[torch.from_numpy(~face.edge)]
            one, two = (_prescribed(c, inner) for c in (first, other))
            if np.allclose(one, two, rtol=1e-9, atol=1e-12):
                continue
        raise ProblemError(
            f"Side {face.side} has both {_say(first)} and {_say(other)}: one condition a side is enough. "
            "Restrict them with on=, a side's name or a function of points."
        )


def _prescribed(condition: Sided, p: Points) -> Field:
    assert isinstance(condition, Boundary)
    name = type(condition).__name__
    return evaluate(condition.value, p, f"{name} value") / evaluate(condition.a, p, f"{name} a")


def _value_only(condition: Sided) -> bool:
    return isinstance(condition, Boundary) and is_zero(condition.b)


def _refuse_bare(sides: list[Face], flux: list[Piece], held: np.ndarray) -> None:
    for face in sides:
        known = held.copy()
        for piece in flux:
            known[piece.nodes] |= piece.side == face.side
        known = known[face.nodes]
        if not known.all():
            where = dict(zip(face.points.axes, face.points.coordinates[int((~known).argmax())].tolist(), strict=True))
            where.pop(TIME, None)
            raise ProblemError(
                f"Side {face.side} has no condition, for example at {where}: add Dirichlet, Neumann, Robin or Periodic "
                "there, or widen an on= (>= rather than >)."
            )


def _say(condition: Sided) -> str:
    on = condition.on
    where = "" if on is None else f"on={on!r}" if isinstance(on, str) else "on=..."
    return f"{type(condition).__name__}({where})"
