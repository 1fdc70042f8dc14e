"""Sides: the parts that curves cut a domain into, such as inclusions and what is around them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..errors import ProblemError
from ..points import TIME, Points
from .box import Box
from .csg import SetOperation
from .domain import NUDGE, ROUNDING, Domain
from .pieces import Piece, restrict, spread
from .product import Product, product
from .sampling import Sampler

LOOKS, SEEN = 2**12, 2**8
"""Points inside the domain, and on each curve, at which sides are looked for."""
MOST = 16
"""Sides that a domain may have: each has a field of its own."""


class Sides:
    """The parts of a domain that ``shapes`` in space cut it into, each in one or several of them, or in none.

    A curve is the part of a shape's boundary that runs through the domain. Side 0 lies in the fewest shapes. A point on
    a curve belongs to the side outside of it. Raises ``ProblemError`` where a shape has other axes than the domain's
    space, no curve in the domain, or the sides are too many.
    """

    def __init__(self, domain: Domain, shapes: Sequence[Domain]) -> None:
        self.domain, self.shapes = domain, tuple(shapes)
        self.space = space_of(domain)
        for shape in shapes:
            if shape.axes != self.space.axes:
                raise ProblemError(
                    f"Interface(on={shape}) must have the space axes of the domain, {', '.join(self.space.axes)}; it "
                    f"has {', '.join(shape.axes)}."
                )
        self.scale = max(shape.scale for shape in (self.space, *shapes))
        self.curves = [self._curve(shape) for shape in shapes]
        self.codes = self._found()
        if len(self.codes) > MOST:
            raise ProblemError(
                f"The interfaces cut the domain into {len(self.codes)} parts, and {MOST} are the most: each has a "
                "field of its own. Leave some out, or solve on a part of the domain."
            )

    def __len__(self) -> int:
        return len(self.codes)

    def of(self, coordinates: Tensor) -> Tensor:
        """``(n, d) -> (n,)``: the number of the side of each point."""
        code = self._code(coordinates)
        known = torch.tensor(self.codes, device=code.device)
        # Rounding at a crossing of curves may make a part that is none.
        return (code[:, None] == known).to(torch.int8).argmax(dim=1)

    def pick(self, values: Tensor, coordinates: Tensor) -> Tensor:
        """``(n, sides k) -> (n, k)``: of the values of all sides, one after the other, those of each point's own."""
        parted = values.reshape(len(values), len(self), -1)
        return parted[torch.arange(len(values), device=values.device), self.of(coordinates)]

    def beside(self, p: Points) -> tuple[Tensor, Tensor]:
        """The sides behind and before the normal of points on curves, ``(n,)`` each."""
        return self.of(self.moved(p, -1).coordinates), self.of(self.moved(p, 1).coordinates)

    def moved(self, p: Points, steps: int) -> Points:
        """Points on curves moved along their normals, each step enough to be told from rounding."""
        along = torch.zeros_like(p.coordinates)
        along[:, [i for i, a in enumerate(p.axes) if a != TIME]] = steps * self._step(p.coordinates) * p.normal
        return p.replace(p.coordinates + along)

    def interior(self, side: int, n: int, sampler: Sampler) -> Points:
        """``n`` points strictly inside one side."""
        return self.regions[side].interior(n, sampler)

    def on_curve(self, number: int, n: int, sampler: Sampler) -> Points:
        """``n`` points on a curve, with unit normals that lead out of its shape."""
        return spread(self.curves[number], n, sampler)

    @cached_property
    def regions(self) -> list[Domain]:
        """The sides as domains, with time where the domain has it."""
        found = [self._region(code) for code in self.codes]
        if not self.domain.has_time:
            return found
        time = Box(t=self.domain.bounds[TIME])
        return [product(region, time) for region in found]

    def configuration(self) -> list[dict[str, Any]]:
        """Plain values that make the same sides with the domain."""
        return [shape.configuration() for shape in self.shapes]

    def _curve(self, shape: Domain) -> list[Piece]:
        def inside(points: Points) -> Tensor:
            return (self.space.level(points.coordinates) < -ROUNDING * self.scale).to(torch.int8)

        whole = shape if not self.domain.has_time else product(shape, Box(t=self.domain.bounds[TIME]))
        found = [restrict(piece, lambda p: inside(_in_space(p)), 2**13) for piece in whole.pieces()]
        kept = [piece for piece in found if piece is not None]
        if not kept:
            raise ProblemError(
                f"Interface(on={shape}): no part of its boundary lies inside {self.domain}. Give a domain whose "
                "boundary is where the coefficient jumps."
            )
        return kept

    def _found(self) -> list[int]:
        sampler = Sampler(torch.Generator().manual_seed(1))
        places = [self.domain.interior(LOOKS, sampler).coordinates]
        for number in range(len(self.curves)):
            at = self.on_curve(number, SEEN, sampler)
            places += [self.moved(at, -1).coordinates, self.moved(at, 1).coordinates]
        codes = self._code(torch.cat(places)).unique().tolist()
        return sorted(codes, key=lambda code: (int(code).bit_count(), code))

    def _code(self, coordinates: Tensor) -> Tensor:
        """``(n,)``: the sum of ``2^i`` over the shapes i that a point is inside of."""
        place = self._inward(Points(self.domain.axes, coordinates).space)
        code = torch.zeros(len(place), dtype=torch.long, device=place.device)
        for i, shape in enumerate(self.shapes):
            code += (shape.level(place) < 0).long() << i
        return code

    def _inward(self, place: Tensor) -> Tensor:
        """Points on the domain's boundary moved into it: shapes may share a part of that boundary."""
        slack = self.scale * (ROUNDING if place.dtype == torch.float64 else 1e-6)
        edge = torch.nonzero(self.space.level(place) >= -slack)[:, 0]
        if not len(edge):
            return place
        ways = torch.cartesian_prod(*[place.new_tensor([-1.0, 0.0, 1.0])] * place.shape[1]).reshape(-1, place.shape[1])
        around = place[edge, None] + self._step(place) * ways
        deepest = self.space.level(around.flatten(0, 1)).reshape(around.shape[:2]).argmin(dim=1)
        return place.index_copy(0, edge, around[torch.arange(len(edge), device=place.device), deepest])

    def _step(self, like: Tensor) -> float:
        """How far points are moved to be told from rounding."""
        return self.scale * (NUDGE if like.dtype == torch.float64 else 1e-4)

    def _region(self, code: int) -> Domain:
        within = [shape for i, shape in enumerate(self.shapes) if code >> i & 1]
        without = [shape for i, shape in enumerate(self.shapes) if not code >> i & 1]
        found = self.space
        for shape in within:
            found = _meet(found, shape)
        for shape in without:
            if bool((found.level(_around(shape)) < ROUNDING * self.scale).any()):
                found = _without(found, shape)
        return found


def space_of(domain: Domain) -> Domain:
    """A domain without its time."""
    if isinstance(domain, Product):
        return domain.space
    if isinstance(domain, Box) and domain.has_time:
        return Box(**{a: ends for a, ends in domain.bounds.items() if a != TIME})
    return domain


def apart(shape: Domain) -> list[Domain]:
    """The parts of a union that do not meet, each alone."""
    if not isinstance(shape, SetOperation) or shape.operation != "+":
        return [shape]
    first, second = shape.first, shape.second
    if bool((first.level(_around(second)) <= 0).any()) or bool((second.level(_around(first)) <= 0).any()):
        return [shape]
    return apart(first) + apart(second)


def _around(shape: Domain) -> Tensor:
    return shape.boundary(SEEN, Sampler(torch.Generator().manual_seed(1))).coordinates


def _meet(one: Domain, two: Domain) -> Domain:
    """The intersection, in the simplest form."""
    if isinstance(one, Box) and isinstance(two, Box):
        ends = {a: (one.bounds[a], two.bounds[a]) for a in one.axes}
        return Box(**{a: (max(p[0], q[0]), min(p[1], q[1])) for a, (p, q) in ends.items()})
    for inner, outer in ((one, two), (two, one)):
        if bool((outer.level(_around(inner)) < 0).all()) and bool((inner.level(_around(outer)) > 0).all()):
            return inner
    return one & two


def _without(one: Domain, two: Domain) -> Domain:
    """The difference; of boxes a box where it is one."""
    if isinstance(one, Box) and isinstance(two, Box):
        cut = [a for a in one.axes if two.bounds[a][0] > one.bounds[a][0] or two.bounds[a][1] < one.bounds[a][1]]
        if len(cut) == 1:
            (low, high), (start, end) = one.bounds[cut[0]], two.bounds[cut[0]]
            if start <= low:
                return Box(**{**one.bounds, cut[0]: (end, high)})
            if end >= high:
                return Box(**{**one.bounds, cut[0]: (low, start)})
    return one - two


def _in_space(points: Points) -> Points:
    return Points(points.space_axes, points.space, points.outward)


__all__ = ["Sides", "apart", "space_of"]
