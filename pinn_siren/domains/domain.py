"""What every domain can do: sample its inside, its spatial boundary and its first time, and know its normals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ..coefficients import call
from ..errors import ProblemError, suggest
from ..points import TIME, Points, join
from .pieces import Piece, restrict, spread
from .sampling import Sampler

NUDGE = 1e-8
"""How far both sides of a boundary are looked at, in units of the largest coordinate."""

ROUNDING = 1e-12
"""How far apart, in the same units, two boundaries are that count as one."""


class Domain(ABC):
    """A region of space, or of space and time ``t``.

    ``a + b``, ``a - b`` and ``a & b`` are the union, the difference and the intersection of regions of space with the
    same axes, ``space * Box(t=(0, T))`` is the product with time. A combination that is empty or mixes axes raises
    ``ProblemError``.
    """

    axes: tuple[str, ...]
    scale: float
    """The largest coordinate: what rounding is relative to."""

    @property
    def space_axes(self) -> tuple[str, ...]:
        """The names of all axes but time."""
        return tuple(a for a in self.axes if a != TIME)

    @property
    def has_time(self) -> bool:
        """Whether time is one of the axes."""
        return TIME in self.axes

    @property
    @abstractmethod
    def bounds(self) -> dict[str, tuple[float, float]]:
        """A box around the domain, an interval an axis: the smallest, except for set operations."""

    @property
    @abstractmethod
    def measure(self) -> float:
        """Length, area or volume, time included."""

    @abstractmethod
    def contains(self, coordinates: Tensor) -> Tensor:
        """``(n, d) -> (n,)`` bool: inside or on the boundary, up to rounding."""

    @abstractmethod
    def level(self, coordinates: Tensor) -> Tensor:
        """``(n, d) -> (n,)``: negative inside, positive outside, never larger than the distance to the boundary."""

    @abstractmethod
    def configuration(self) -> dict[str, Any]:
        """Plain values, fit for JSON, that ``from_configuration`` turns into the same domain."""

    @abstractmethod
    def pieces(self) -> tuple[Piece, ...]:
        """The spatial boundary as maps from the unit cube."""

    @abstractmethod
    def _fill(self, unit: Tensor) -> Tensor:
        """``(n, d)`` in the unit cube to ``(n, d)`` coordinates, evenly onto the domain or onto more than it."""

    @abstractmethod
    def interior(self, n: int, sampler: Sampler) -> Points:
        """``n`` points inside."""

    @abstractmethod
    def side_names(self) -> tuple[str, ...]:
        """The names that ``on`` accepts."""

    @abstractmethod
    def _boundary(self, n: int, sampler: Sampler, side: str | None) -> Points:
        """About ``n`` points on the spatial boundary, or on one of its sides, by measure, with normals."""

    @abstractmethod
    def start(self, n: int, sampler: Sampler) -> Points:
        """``n`` points inside at the first time."""

    def boundary(self, n: int, sampler: Sampler, on: On = None) -> Points:
        """About ``n`` points on the spatial boundary where ``on`` says, with outward unit normals.

        ``on``: a side's name, a function of points to a bool mask, a domain (the points that lie on its boundary too),
        or None for the whole boundary. Raises ``ProblemError`` where ``on`` names no side, is no mask, or matches no
        point.
        """
        if on is None or isinstance(on, str):
            if on is not None and on not in self.side_names():
                raise ProblemError(
                    f"on={on!r} names no side of {self}: use {self._choices()}.{suggest(on, self.side_names())}"
                )
            return self._boundary(n, sampler, on)
        if isinstance(on, Domain):
            return spread(_shared(self, on), n, sampler)
        found: list[Points] = []
        count, drawn = 0, max(64, 2 * n)
        for _ in range(12):
            points = self._boundary(drawn, sampler, None)
            kept = points[_mask(on, points)]
            found.append(kept)
            count += len(kept)
            if count >= n:
                # The sides come one after the other: a plain cut would lose the last of them.
                chosen = torch.randperm(count, generator=sampler.generator, device=sampler.device)[:n]
                return join(found)[chosen]
            drawn *= 2
        if count == 0:
            raise ProblemError(
                f"A condition's on= matches none of {drawn} boundary points of {self}. It is called with points on "
                "the spatial boundary; compare with a tolerance, as in on=lambda p: p.x < 1e-6."
            )
        return join(found)

    def parts(self, on: On = None) -> tuple[Piece, ...]:
        """The spatial boundary where ``on`` says, as pieces. Raises ``ProblemError`` as ``boundary`` does."""
        if isinstance(on, Domain):
            return _shared(self, on)
        if on is None or isinstance(on, str):
            found = tuple(piece for piece in self.pieces() if on in (None, piece.name))
        else:
            cut = [restrict(piece, lambda p: _mask(on, p).to(torch.int8), 2**15) for piece in self.pieces()]
            found = tuple(piece for piece in cut if piece is not None)
        if not found:
            self.boundary(1, Sampler(torch.Generator().manual_seed(1)), on)
        return found

    def normals_at(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """The outward unit normals of the spatial boundary at given points that lie on it, within rounding.

        ``(n, d)`` points to ``(m,)`` indices into them and ``(m, space dims)`` normals; a corner comes once for each
        face that meets there, and points off the boundary not at all.
        """
        with torch.enable_grad():
            x = coordinates.detach().clone().requires_grad_()
            level = self.level(x)
            (slope,) = torch.autograd.grad(level.sum(), x)
        found = torch.nonzero(level.detach().abs() <= ROUNDING * self.scale)[:, 0]
        return found, slope[found] / slope[found].norm(dim=1, keepdim=True)

    def _choices(self) -> str:
        names = self.side_names()
        return f"{', '.join(names)}, or a function of points" if names else "a function of points, or a domain"

    def lies_on(self, points: Points, on: On = None) -> Tensor:
        """``(n,)`` bool: which points of the spatial boundary, given with their normals, lie where ``on`` says.

        ``on`` as for ``boundary``. Raises ``ProblemError`` where it names no side, or is no mask.
        """
        if on is None:
            return torch.ones(len(points), dtype=torch.bool, device=points.coordinates.device)
        if isinstance(on, str):
            if on not in self.side_names():
                raise ProblemError(f"on={on!r} names no side of {self}: use {self._choices()}.")
            return self._on_side(points, on)
        if isinstance(on, Domain):
            step = NUDGE * max(self.scale, on.scale) * points.normal
            return (on.level(points.space + step) > 0) != (on.level(points.space - step) > 0)
        return _mask(on, points)

    def _on_side(self, points: Points, side: str) -> Tensor:
        """Which boundary points lie on a named side; for domains that name some."""
        raise ProblemError(f"{self} has no side {side!r}.")

    def __add__(self, other: Domain) -> Domain:
        return _combine(self, other, "+")

    def __sub__(self, other: Domain) -> Domain:
        return _combine(self, other, "-")

    def __and__(self, other: Domain) -> Domain:
        return _combine(self, other, "&")

    def __mul__(self, other: Domain) -> Domain:
        from .product import product

        return product(self, other)


On = str | Domain | Callable[[Points], Tensor] | None
"""Where on the boundary: a side's name, a domain, a function of points to a bool mask, or None for all of it."""


def sides_of(domain: Domain, points: Points, scale: float) -> Tensor:
    """``(n,)``: whether the boundary of a region of space passes through points, seen along their normals.

    1 where it does with the region behind the normal, -1 with the region before it, 0 where it does not: both sides
    of the point, a nudge away, are then inside or both outside, as on the seam of a union or at a corner.
    """
    x, step = points.space, NUDGE * scale * points.normal
    before, behind = domain.level(x + step) > 0, domain.level(x - step) > 0
    near = domain.level(x).abs() <= ROUNDING * scale
    return (before.to(torch.int8) - behind.to(torch.int8)) * near


@lru_cache(maxsize=64)
def _shared(domain: Domain, other: Domain) -> tuple[Piece, ...]:
    """What of a domain's boundary lies on the boundary of another."""
    if other.axes != domain.space_axes:
        raise ProblemError(
            f"on={other} must have the space axes of the domain, {', '.join(domain.space_axes)}; it has "
            f"{', '.join(other.axes)}."
        )
    scale = max(domain.scale, other.scale)
    cut = [restrict(piece, lambda p: sides_of(other, p, scale).abs(), 2**13) for piece in domain.pieces()]
    parts = tuple(piece for piece in cut if piece is not None)
    if not parts:
        raise ProblemError(
            f"on={other} shares no boundary with {domain}: give a domain whose boundary is a part of it, such as the "
            "hole that was taken out."
        )
    return parts


def _combine(first: Domain, second: Domain, operation: str) -> Domain:
    # Set operations and products are domains themselves, so they are known only when one is written.
    from .csg import SetOperation

    return SetOperation(first, second, operation)


def _mask(on: Callable[[Points], Tensor], points: Points) -> Tensor:
    if not callable(on):
        raise ProblemError(
            f"on= takes a domain, a side's name, a function of points to a bool mask, or None, got {on!r}. For several "
            "sides give a condition each."
        )
    mask = call(on, (points,), "on(p)")
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != (len(points),):
        came = f"{mask.dtype} {tuple(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
        raise ProblemError(
            f"on= must return a bool tensor of shape ({len(points)},) for {len(points)} points, got {came}."
        )
    return mask
