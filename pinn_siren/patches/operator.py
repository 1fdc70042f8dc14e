"""The equation and its conditions on every patch: coefficients of a second-order operator, right sides, traces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..domains import Box
from ..points import Points
from ..problem import Problem
from .decomposition import Decomposition
from .linearized import NotCoveredError, coefficients, definite, stated
from .square import KEYS, Reference

NORMALS = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]], dtype=torch.float64)
"""Of the left, right, bottom and top side."""


@dataclass(frozen=True, eq=False)
class Operator:
    """``sum_key c_key D_key u = right`` at N nodes of P patches, ``sum_key b_key D_key u = data`` at E on their sides.

    Derivatives are by the coordinates of the reference square. ``coefficients`` ``(P, 6, N)``, ``right`` ``(P, N, k)``
    for k sources; ``traces`` ``(P, 3, E)`` and ``data`` ``(P, E, k)``: on the outer sides the conditions, on the others
    the impedance ``s du/dn / eta - i u`` that a patch takes in, of unknown data; ``outer`` ``(P, 4)``: left, right,
    bottom, top. Every row is scaled to about 1.

    ``s`` is the root of the normal derivative's coefficient, so that in an absorbing layer it is a derivative by the
    stretched coordinate. In place of ``-i`` stands ``i`` where losses say that waves leave as ``exp(-i k x)``, and 1
    where the operator is real and definite. An impedance against the losses gives traces of norm 1e5 instead of 1.
    """

    coefficients: Tensor
    right: Tensor
    traces: Tensor
    data: Tensor
    outer: Tensor
    shape: tuple[int, int]

    def to(self, device: torch.device | None) -> Operator:
        """The same on a device."""
        coefficients, right, traces, data, outer = (
            t.to(device) for t in (self.coefficients, self.right, self.traces, self.data, self.outer)
        )
        return Operator(coefficients, right, traces, data, outer, self.shape)


def read_operator(problems: Sequence[Problem], decomposition: Decomposition, square: Reference) -> Operator:
    """The operator of a problem on all patches; further problems of the same operator bring other sources and data.

    Raises ``NotCoveredError`` where a boundary node has no condition or two.
    """
    problem = problems[0]
    unit = 1.0 if definite(problem) else -1j
    dtype = torch.float64 if unit == 1.0 else torch.complex128
    center, half = decomposition.centers(), decomposition.half_widths()
    count = len(center)
    inside = (center[:, None] + half[:, None] * square.inside).reshape(-1, 2)
    c, right = coefficients(problems, [stated(p)[0] for p in problems], Points(problem.domain.axes, inside), dtype)
    principal = c[:, [3, 5]]
    wavenumber = float((c[:, 0].abs() / principal.abs().amax(1)).sqrt().median())
    eta = max(wavenumber, 1 / float(half.mean()))
    conditions, data, outer = _outer_sides(problems, decomposition, square, dtype, eta)
    if unit != 1.0:
        # Im k^2 > 0 in the medium, and du/dn = i k u on the sides, belong to waves exp(i k x).
        normal = (conditions[:, 1:] * NORMALS.repeat_interleave(square.edge, dim=0).T).sum(1)
        losses = (c[:, :1] / principal).imag.mean() / eta**2 - (conditions[:, 0] * normal.conj()).imag.mean()
        unit = -1j if float(losses) >= 0 else 1j
    largest = principal.flatten()[principal.abs().argmax()]
    impedances = _impedances(problem, decomposition, square, largest, unit, eta)
    traces = torch.where(outer.repeat_interleave(square.edge, dim=1)[:, None], conditions, impedances)
    local = torch.stack([(c[:, i].reshape(count, -1) / _stretch(key, half)) for i, key in enumerate(KEYS)], dim=1)
    size = local[:, 3:].abs().amax((1, 2))[:, None, None]
    right = right.reshape(count, -1, len(problems))
    return Operator(local / size, right / size, traces, data, outer, decomposition.shape)


def outgoing(traces: Tensor) -> Tensor:
    """The impedances that patches give, from those that they take in: the value's sign changes."""
    return torch.cat([-traces[:, :1], traces[:, 1:]], dim=1)


def _side_points(decomposition: Decomposition, square: Reference, axes: tuple[str, ...]) -> Points:
    """The nodes on all sides of all patches; an interface's are bit for bit the same from both sides."""
    center, half = decomposition.centers(), decomposition.half_widths()
    at = center[:, None] + half[:, None] * square.sides
    q = square.edge
    for axis, ends in enumerate(decomposition.breaks.values()):
        line = torch.tensor(ends, dtype=torch.float64)
        number = torch.arange(len(center)) // decomposition.shape[1]
        number = number if axis == 0 else torch.arange(len(center)) % decomposition.shape[1]
        for end in (0, 1):
            side = 2 * axis + end
            at[:, side * q : (side + 1) * q, axis] = line[number + end][:, None]
    normals = NORMALS.repeat_interleave(q, dim=0).repeat(len(center), 1)
    return Points(axes, at.reshape(-1, 2), normals)


def _impedances(
    problem: Problem, decomposition: Decomposition, square: Reference, largest: Tensor, unit: complex, eta: float
) -> Tensor:
    """``(P, 3, E)``: the impedances that patches take in."""
    half, q = decomposition.half_widths(), square.edge
    p = _side_points(decomposition, square, problem.domain.axes)
    c = coefficients([problem], [stated(problem)[0]], p, largest.dtype)[0].reshape(len(half), 4, q, 6)
    traces = torch.zeros(len(half), 3, 4, q, dtype=largest.dtype)
    traces[:, 0] += unit
    for side in range(4):
        axis = side // 2
        slope = (c[:, side, :, 3 + 2 * axis] / largest).sqrt() / eta
        traces[:, 1 + axis, side] = NORMALS[side, axis] * slope / half[:, axis, None]
    return traces.flatten(2)


def _outer_sides(
    problems: Sequence[Problem], decomposition: Decomposition, square: Reference, dtype: torch.dtype, eta: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows and data of the conditions on the box's sides, zero elsewhere, and which sides of patches these are."""
    (first, second), q, half = decomposition.shape, square.edge, decomposition.half_widths()
    count = first * second
    number = torch.arange(count).reshape(first, second)
    outer = torch.zeros(count, 4, dtype=torch.bool)
    for side, patches in enumerate((number[0], number[-1], number[:, 0], number[:, -1])):
        outer[patches, side] = True
    nodes = torch.nonzero(outer.repeat_interleave(q, dim=1).flatten())[:, 0]
    p = _side_points(decomposition, square, problems[0].domain.axes)[nodes]
    c, known = _conditions(problems, p, dtype)
    size = torch.maximum(c[:, 0].abs(), c[:, 1:].abs().amax(1) * eta)
    c, known = c / size[:, None], known / size[:, None]
    widths = half.repeat_interleave(4 * q, dim=0)[nodes]
    traces = torch.zeros(count * 4 * q, 3, dtype=dtype)
    traces[nodes] = torch.stack([c[:, 0], c[:, 1] / widths[:, 0], c[:, 2] / widths[:, 1]], dim=1)
    data = torch.zeros(count * 4 * q, len(problems), dtype=dtype)
    data[nodes] = known
    return traces.reshape(count, 4 * q, 3).mT, data.reshape(count, 4 * q, -1), outer


def _conditions(problems: Sequence[Problem], p: Points, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """``(n, 3)`` coefficients and ``(n, k)`` data of the conditions that hold at points of the boundary."""
    assert isinstance(problems[0].domain, Box)
    found = torch.zeros(len(p), 3, dtype=dtype)
    data = torch.zeros(len(p), len(problems), dtype=dtype)
    seen = torch.zeros(len(p), dtype=torch.long)
    for constraints in zip(*(stated(problem)[1] for problem in problems), strict=True):
        place = constraints[0].place
        assert place is not None
        here = problems[0].domain.lies_on(p, place.on)
        if bool(here.any()):
            c, known = coefficients(problems, constraints, p[here], dtype)
            found[here], data[here] = c[:, :3], known
            seen += here
    if bool((seen != 1).any()):
        where = dict(zip(p.axes, p.coordinates[seen != 1][0].tolist(), strict=True))
        raise NotCoveredError(f"Patches need one condition everywhere on the boundary, and there is not at {where}.")
    return found, data


def _stretch(key: str, half: Tensor) -> Tensor:
    """``(P, 1)``: what a derivative by reference coordinates is larger by."""
    stretch = torch.ones(len(half), 1, dtype=half.dtype)
    for axis in key:
        stretch = stretch * half[:, ["xy".index(axis)]]
    return stretch


__all__ = ["Operator", "outgoing", "read_operator"]
