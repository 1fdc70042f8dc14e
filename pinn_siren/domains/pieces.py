"""Pieces: a boundary as maps from the unit cube, which can be cut, shared out by measure and crossed with time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from ..errors import ProblemError
from ..points import Points, join
from .sampling import Sampler, allot, lattice

MOST = 2**25
"""The most points tried for one set: what then remains too few lies in a part too thin to sample."""

Place = Callable[[Tensor], tuple[Points, Tensor]]
"""``(n, dimensions)`` in the unit cube to ``n`` points with outward unit normals, and a mask of those that count."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of a boundary: the image of the unit cube of ``dimensions`` under a map that keeps evenness.

    ``whole`` is the measure of the image, of which the share ``fraction`` counts; ``name``: the side that it is.
    """

    dimensions: int
    whole: float
    place: Place
    name: str | None = None
    fraction: float = 1.0

    @property
    def measure(self) -> float:
        """Length or area (times duration) of what counts; 1 for a point."""
        return self.whole * self.fraction

    def draw(self, n: int, sampler: Sampler) -> Points:
        """``n`` points, even in the measure; one where the piece is a point. Raises ``ProblemError`` if too thin."""
        if self.dimensions == 0:
            n = 1
        tried = n if self.fraction == 1 else int(1.05 * n / self.fraction) + 8
        while tried <= MOST:
            points, kept = self.place(sampler.even(tried, self.dimensions))
            points = points[kept]
            if len(points) >= n:
                # The beginning of a low-discrepancy sequence is one, and so is what a part of the piece sees of it.
                return _cast(points[:n], sampler)
            tried *= 2
        raise ProblemError(
            f"A part of the boundary is too thin to sample: fewer than {n} of {MOST} tried points lie on it."
        )


def restrict(piece: Piece, sign: Callable[[Points], Tensor], resolution: int) -> Piece | None:
    """The part of a piece where ``sign(points) -> (n,)`` is not 0; where it is -1 the normal is turned round.

    The share that remains is integrated with ``resolution`` points, a power of two; None where it is nothing.
    """

    def place(unit: Tensor) -> tuple[Points, Tensor]:
        points, kept = piece.place(unit)
        signs = sign(points).to(points.normal.dtype)
        return Points(points.axes, points.coordinates, points.normal * signs[:, None]), kept & (signs != 0)

    fraction = float(place(lattice(resolution, piece.dimensions))[1].double().mean())
    return replace(piece, place=place, fraction=fraction) if fraction > 0 else None


def spread(pieces: Sequence[Piece], n: int, sampler: Sampler) -> Points:
    """``n`` points shared among the pieces by their measure, at least one each."""
    counts = allot(n, [piece.measure for piece in pieces])
    return join([piece.draw(count, sampler) for piece, count in zip(pieces, counts, strict=True)])


def fill(
    place: Callable[[Tensor], Tensor], level: Callable[[Tensor], Tensor], n: int, sampler: Sampler, d: int
) -> Tensor:
    """``(n, d)`` coordinates strictly inside a domain, even in its measure.

    ``place`` maps the unit cube evenly onto the domain or onto more; what is not inside (``level`` < 0) is rejected,
    also what rounding to the sampler's dtype has put outside. Raises ``ProblemError`` if the domain is too thin.
    """
    tried = n
    while tried <= max(n, MOST):
        coordinates = place(sampler.even(tried, d)).to(sampler.dtype)
        coordinates = coordinates[level(coordinates.double()) < 0]
        if len(coordinates) >= n:
            return coordinates[:n]
        tried = min(64 * tried, int(1.1 * tried * n / max(1, len(coordinates))) + 16)
    raise ProblemError(f"The domain is too thin to sample: of {MOST} points around it fewer than {n} lie inside.")


def _cast(points: Points, sampler: Sampler) -> Points:
    return Points(points.axes, points.coordinates.to(sampler.dtype), points.normal.to(sampler.dtype))
