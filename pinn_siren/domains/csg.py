"""Set operations: the union, the difference and the intersection of regions of space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..errors import ProblemError
from ..points import Points
from .box import Box
from .domain import NUDGE, ROUNDING, Domain, sides_of
from .mesh import Mesh
from .pieces import Piece, fill, restrict, spread
from .sampling import Sampler, lattice
from .shape import without_time

NAMES = {"+": "union", "-": "difference", "&": "intersection"}


class SetOperation(Domain):
    """``first + second``, ``first - second`` or ``first & second``, for regions of space with the same axes.

    Its boundary is what of the operands' boundaries separates inside from outside: seams of a union, shared edges that
    are cut away and corners (within rounding, and cusps where both sides are closer than ``NUDGE``) are left out, edges
    that coincide count once, and normals of what is subtracted are turned round. Its side names are those of the one
    box in it, and mean what remains of that side; with two boxes there are none.

    Raises ``ProblemError`` for operands with time or other axes, and where nothing is left.
    """

    def __init__(self, first: Domain, second: Domain, operation: str) -> None:
        if operation not in NAMES:
            raise ProblemError(f"A set operation is one of {', '.join(NAMES)}; got {operation!r}.")
        for operand in (first, second):
            if not isinstance(operand, Domain):
                raise ProblemError(f"a {operation} b needs two domains, got {type(operand).__name__}.")
            if operand.has_time:
                raise ProblemError(
                    f"{operand} has time: write (a {operation} b) * Box(t=(0, T)), with a and b in space."
                )
        if first.axes != second.axes:
            raise ProblemError(
                f"The {NAMES[operation]} of {first} and {second} needs the same axes in the same order: "
                f"{', '.join(first.axes)} and {', '.join(second.axes)} differ."
            )
        self.first, self.second, self.operation = first, second, operation
        self.axes, self.scale = first.axes, max(first.scale, second.scale)
        self._refuse_empty()

    def __repr__(self) -> str:
        return f"({self.first} {self.operation} {self.second})"

    def configuration(self) -> dict[str, Any]:
        """Plain values that ``from_configuration`` turns into the same domain."""
        operands = {"first": self.first.configuration(), "second": self.second.configuration()}
        return {"shape": "SetOperation", "operation": self.operation, **operands}

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """An interval an axis, from the operands' intervals: of a difference, those of the first."""
        one, two = self.first.bounds, self.second.bounds
        if self.operation == "-":
            return one
        low, high = (min, max) if self.operation == "+" else (max, min)
        return {a: (low(one[a][0], two[a][0]), high(one[a][1], two[a][1])) for a in self.axes}

    @cached_property
    def measure(self) -> float:
        """The length, area or volume, by the divergence theorem from the boundary: the integral of x . n / d.

        An estimate, the same in every call: 2^15 midpoints a piece in the plane, 2^17 Sobol points in space, 2^14 with
        a mesh. Where the boundaries cross, the error is about 1e-4 of the operands in the plane and 1e-3 in space;
        where boxes and disks are apart or one holds the other, it is rounding.
        """
        placed = [piece.place(lattice(self._resolution, piece.dimensions)) for piece in self._remaining]
        # Seen from amid the boundary, what is missing of it in the estimate counts by the size of what remains.
        center = torch.cat([points.coordinates[kept] for points, kept in placed]).mean(dim=0)
        total = 0.0
        for piece, (points, kept) in zip(self._remaining, placed, strict=True):
            flux = ((points.coordinates - center) * points.normal).sum(dim=1)
            total += piece.whole * float((flux * kept).mean())
        return total / len(self.axes)

    def contains(self, coordinates: Tensor) -> Tensor:
        """``(n, d) -> (n,)`` bool: inside or on the boundary, up to rounding."""
        return self.level(coordinates) <= self.scale * (1e-12 if coordinates.dtype == torch.float64 else 1e-6)

    def level(self, coordinates: Tensor) -> Tensor:
        """``(n, d) -> (n,)``: negative inside, positive outside; zero on the seams of a union too."""
        one, two = self.first.level(coordinates), self.second.level(coordinates)
        if self.operation == "+":
            return torch.minimum(one, two)
        return torch.maximum(one, two if self.operation == "&" else -two)

    def side_names(self) -> tuple[str, ...]:
        """The names of the sides of the one box, as far as they remain."""
        return tuple(piece.name for piece in self._remaining if piece.name is not None)

    def interior(self, n: int, sampler: Sampler) -> Points:
        """``n`` points strictly inside, by rejection from a low-discrepancy sequence."""
        return Points(self.axes, fill(self._fill, self.level, n, sampler, len(self.axes)))

    def start(self, n: int, sampler: Sampler) -> Points:
        """Raises ``ProblemError``: there is no time."""
        raise without_time(self)

    def pieces(self) -> tuple[Piece, ...]:
        """What remains of the operands' pieces."""
        return self._remaining

    def normals_at(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """Indices and outward unit normals of the points on the boundary, reversed for what is subtracted.

        At a corner those faces count that separate inside from outside there; at a re-entrant one, where no normal
        leaves the closed domain, all that meet.
        """
        parts = []
        for leaf, role in roles(self):
            index, normal = leaf.normals_at(coordinates)
            sign = sides_of(self, Points(self.axes, coordinates[index], normal), self.scale)
            parts.append((index, normal, sign, torch.full_like(normal[:, 0], role)))
        index, normal, sign, given = (torch.cat(columns) for columns in zip(*parts, strict=True))
        lone = self._reaches_outside(coordinates)
        lone[index[sign != 0]] = False
        kept = (sign != 0) | lone[index]
        normal = normal * torch.where(sign != 0, sign.to(given), given)[:, None]
        # Faces that coincide count once.
        labels = torch.cat([index[:, None].to(normal), (normal * 1e9).round()], dim=1)[kept]
        _, groups = labels.unique(dim=0, return_inverse=True)
        first = groups.new_full((int(groups.max()) + 1 if len(groups) else 0,), len(groups)).scatter_reduce(
            0, groups, torch.arange(len(groups), device=groups.device), "amin"
        )
        return index[kept][first], normal[kept][first]

    def _reaches_outside(self, coordinates: Tensor) -> Tensor:
        """``(n,)`` bool: whether some point a nudge away, along the axes and diagonals, is outside."""
        steps = torch.cartesian_prod(*[coordinates.new_tensor([-1.0, 0.0, 1.0])] * len(self.axes))
        around = coordinates[:, None] + NUDGE * self.scale * steps.reshape(-1, len(self.axes))
        return (self.level(around.flatten(0, 1)) > 0).reshape(len(coordinates), -1).any(dim=1)

    def _boundary(self, n: int, sampler: Sampler, side: str | None) -> Points:
        return spread([piece for piece in self._remaining if side in (None, piece.name)], n, sampler)

    def _on_side(self, points: Points, side: str) -> Tensor:
        (box,) = (leaf for leaf in _leaves(self) if isinstance(leaf, Box))
        return box._on_side(points, side)

    def _fill(self, unit: Tensor) -> Tensor:
        return self.first._fill(unit) if self.operation == "-" else Box(**self.bounds)._fill(unit)

    @property
    def _resolution(self) -> int:
        if len(self.axes) < 3:
            return 2**15
        # The distance to a mesh is searched for, some ten microseconds a point.
        return 2**14 if any(isinstance(leaf, Mesh) for leaf in _leaves(self)) else 2**17

    @cached_property
    def _remaining(self) -> tuple[Piece, ...]:
        leaves = _leaves(self)
        boxes = [leaf for leaf in leaves if isinstance(leaf, Box)]
        named = boxes[0] if len(boxes) == 1 else None
        # The box comes first: where edges coincide, the earlier piece stays, and a side of the box stays whole.
        leaves.sort(key=lambda leaf: leaf is not named)
        found = []
        for i, leaf in enumerate(leaves):
            for piece in leaf.pieces():
                part = restrict(piece, self._sign(leaves[:i]), self._resolution)
                if part is not None:
                    found.append(part if leaf is named else replace(part, name=None))
        if not found:
            raise ProblemError(
                f"{self} has no boundary that can be told from rounding: it is thinner than {NUDGE:g} of its largest "
                "coordinate. Measure coordinates from a place nearby, or in larger units."
            )
        return tuple(found)

    def _sign(self, earlier: list[Domain]) -> Callable[[Points], Tensor]:
        def sign(points: Points) -> Tensor:
            signs = sides_of(self, points, self.scale)
            for leaf in earlier:
                signs = signs * (leaf.level(points.coordinates).abs() > ROUNDING * self.scale)
            return signs

        return sign

    def _refuse_empty(self) -> None:
        low_high = self.bounds.values()
        if all(low < high for low, high in low_high):
            for count in (2**10, 2**16):
                if bool((self.level(self._fill(lattice(count, len(self.axes)))) < 0).any()):
                    return
        raise ProblemError(
            f"The {NAMES[self.operation]} {self} is empty, or too thin to find: "
            "none of 65536 points around it is inside."
        )


def _leaves(domain: Domain) -> list[Domain]:
    """The regions that a set operation combines, each once."""
    if not isinstance(domain, SetOperation):
        return [domain]
    both = _leaves(domain.first) + _leaves(domain.second)
    return [leaf for i, leaf in enumerate(both) if not any(leaf is other for other in both[:i])]


def roles(domain: Domain, role: float = 1.0) -> list[tuple[Domain, float]]:
    """The regions that a set operation combines, with 1, or -1 for those that it takes away."""
    if not isinstance(domain, SetOperation):
        return [(domain, role)]
    return roles(domain.first, role) + roles(domain.second, -role if domain.operation == "-" else role)
