"""Whether travel times are first arrivals: every value must come from a smaller one nearby, and none be undercut."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from .lines import Real

REACH = {1: 3, 2: 3, 3: 2}
"""How far the neighbours lie, in nodes, by the number of axes."""
SHORT = 0.5
"""How much later or earlier than a neighbour's time plus the way a value may be, of the time to the neighbours."""
NEAR = 1.5
"""A value below this many times the time to the neighbours may belong to the source itself."""
STRAY, BEYOND = 5e-4, 1e-2
"""The share of nodes that may miss and be undercut: where velocities jump, and at the edges of obstacles."""


@dataclass(frozen=True)
class Causality:
    """``unsupplied``: the share of nodes that no neighbour's time plus the way from there explains, as on the floor of
    a valley; ``undercut``: the share that a neighbour would reach earlier; ``place``: the worst node's coordinates."""

    unsupplied: float
    undercut: float
    place: dict[str, float]

    @property
    def holds(self) -> bool:
        """Whether the field is the viscosity solution, as far as a grid shows."""
        return self.unsupplied <= STRAY and self.undercut <= BEYOND

    def __str__(self) -> str:
        if self.holds:
            return "first arrivals: every value comes from a smaller one nearby"
        where = ", ".join(f"{a}={v:.3g}" for a, v in self.place.items())
        if self.unsupplied > STRAY:
            return f"no first arrivals: {self.unsupplied:.1%} of the values come from no smaller one, as at {where}"
        return f"no first arrivals: {self.undercut:.1%} of the nodes are reached earlier from others, as at {where}"


def causality(times: Real, slowness: Real, coordinates: dict[str, Real]) -> Causality:
    """Test the dynamic programming principle ``T(x) = min_y T(y) + time(y, x)`` on the nodes of a grid.

    ``y`` runs over the nodes a few cells away; the way there takes the mean slowness of the nodes on it. A smooth field
    with ``|grad T| = slowness`` meets it up to a few per cent of the way, and so does the viscosity solution at its
    kinks, where fronts meet. In the valleys of other solutions nothing comes from a smaller value (Crandall and Lions
    1983, doi 10.1090/S0002-9947-1983-0690039-8; Sethian 1996, doi 10.1073/pnas.93.4.1591).

    ``times``, ``slowness``: (nodes an axis, ...), NaN outside the domain; nodes so near the source that it lies among
    the neighbours are left out.
    """
    steps = [float(nodes[1] - nodes[0]) for nodes in coordinates.values()]
    reach = REACH[len(steps)]
    radius = reach * max(steps)
    counts = [max(1, round(radius / h)) for h in steps]
    padded = [np.pad(f, [(c, c) for c in counts], constant_values=np.nan) for f in (times, slowness)]
    least = np.full(times.shape, np.inf)
    for offset in itertools.product(*(range(-c, c + 1) for c in counts)):
        if not any(abs(o) == c for o, c in zip(offset, counts, strict=True)):
            continue
        way = float(np.linalg.norm([o * h for o, h in zip(offset, steps, strict=True)]))
        places = sorted({tuple(np.rint(np.multiply(offset, s)).astype(int)) for s in np.linspace(0, 1, reach + 1)})
        path = np.mean([_shifted(padded[1], place, counts, times.shape) for place in places], axis=0)
        # In units of the way's own time, so that corners of the stencil count like its sides.
        late = (_shifted(padded[0], offset, counts, times.shape) + way * path - times) / (way * path)
        least = np.fmin(least, np.where(np.isnan(late), np.inf, late))
    known = ~np.isnan(times) & np.isfinite(least) & (times > NEAR * np.sqrt(len(steps)) * radius * slowness)
    least = np.where(known, least, 0.0)
    worst = np.unravel_index(np.abs(least).argmax(), least.shape)
    place = {a: float(nodes[i]) for (a, nodes), i in zip(coordinates.items(), worst, strict=True)}
    total = max(1, int(known.sum()))
    return Causality(float((least > SHORT).sum() / total), float((least < -SHORT).sum() / total), place)


def _shifted(padded: Real, offset: tuple[int, ...], counts: list[int], shape: tuple[int, ...]) -> Real:
    """The values at the nodes an offset away."""
    return padded[tuple(slice(c + o, c + o + n) for c, o, n in zip(counts, offset, shape, strict=True))]
