"""Which patches a problem needs: widths from wavelength, source, medium and layers, before anything is solved."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..domains import Box
from ..patchwork import Basis
from ..points import Points
from ..problem import Problem
from .decomposition import Decomposition
from .linearized import coefficients, stated

ERROR = {"S": 4e-8, "M": 7e-10, "L": 1.5e-11}
"""The measured relative error of patches ``ACROSS`` radians wide; it falls with the width to the power ``POWER``."""
LADDER: dict[Basis, tuple[str, ...]] = {
    "sine": ("S", "M", "L"), "chebyshev": ("chebyshev 13", "chebyshev 16", "chebyshev 19"),
}  # fmt: skip
"""The sizes of each basis, about as many functions in each."""
FLOOR = {"S": 5e-11, "M": 2e-12, "L": 0.0}
"""Residuals of a size do not fall below this, however small the patches."""
ACROSS, POWER = 5.0, 15.0
COST = {"S": 1.0, "M": 2.0, "L": 4.0}
DEGREE = {"S": 14, "M": 17, "L": 20}
"""The degree along one axis up to which a patch of a size resolves data."""
NODES, LINES, COARSE, FINE = 32, 8, 193, 4000
GROWTH = 0.7
"""How fast widths grow with the distance from where they must be small."""
SHALLOW, DEEPEST = 6, 9
"""Halvings after which a medium is looked at for jumps, and after which nothing is halved any more."""
ROUGHEST = 64
"""Patches across the box at least as wide as this part of it where data are not smooth."""
UNRESOLVED = 20.0
"""A patch that leaves this many times the aim of the medium does not resolve it."""
AGAIN, ENOUGH = 4, 1.5
"""Rounds in which patches are made narrower where they leave more than this many times the aim."""
SNAP = 2e-2
"""Ends this near to even or symmetric places, in parts of their segment, are moved there."""
MERGED, WIDER, ALIKE = 0.2, 1.05, 4
"""The cost of a patch's merges, over that of its factors; how much wider than asked for one that is halved may be;
of how many patches one size each is few enough not to look at halvings."""
MARGIN, TIGHT, EXTRA = 40.0, 1e-8, 0.15
LEAST, COARSEST = 1e-12, 2e-6
"""Patches are chosen for an error so many times smaller than the tolerance that what is known of one solve alone shows
that it is met; coarse ones leave more than they are chosen for, by a power of the tolerance above a tight one."""


Spread = Callable[[Tensor, Tensor, list[float]], tuple[float, ...]]


@dataclass(frozen=True)
class Choice:
    """Patches and their size (``square.SIZES``), and whether the medium is ``rough``: no patches seem to resolve it."""

    decomposition: Decomposition
    size: str
    rough: bool = True


def choose(problem: Problem, tolerance: float, profile: Profile | None = None, basis: Basis = "sine") -> Choice:
    """The cheapest patches whose measured error is ``tolerance`` over ``MARGIN``.

    A patch spans at most a few radians of the local wavelength, resolves the source and the medium as a polynomial of
    its degree would, and is little wider than its neighbours. The ends of absorbing layers and jumps of the medium
    along an axis are ends of patches. ``profile``: what is known of the data already, of more sources too.
    """
    aim = max(min(tolerance / MARGIN * min(1.0, TIGHT / tolerance) ** EXTRA, COARSEST), LEAST)
    profile = profile or Profile([problem])
    made = []
    for (size, error), name in zip(ERROR.items(), LADDER[basis], strict=True):
        radians = ACROSS * min(1.6, (max(tolerance / MARGIN, LEAST) / error) ** (1 / POWER))
        if radians > 0.4 * ACROSS and aim >= FLOOR[size]:
            # Widths that just do, and halvings, of which more are equal.
            for spread in (_spread, _halved):
                found = {a: _breaks(profile, a, radians, DEGREE[size], aim, spread) for a in problem.domain.axes}
                decomposition = Decomposition({a: ends for a, (ends, _) in found.items()})
                rough = any(rough for _, rough in found.values())
                made.append((_cost(decomposition) * COST[size], Choice(decomposition, name, rough)))
                if _kinds(decomposition) * ALIKE <= math.prod(decomposition.shape):
                    break
    return min(made, key=lambda one: one[0])[1]


def _cost(decomposition: Decomposition) -> float:
    """About what patches cost: each is merged, and of equal ones one is factored."""
    return MERGED * math.prod(decomposition.shape) + _kinds(decomposition)


def _kinds(decomposition: Decomposition) -> int:
    """How many sizes of patches there are."""
    return math.prod(len({f"{b - a:.6g}" for a, b in itertools.pairwise(e)}) for e in decomposition.breaks.values())


class Profile:
    """The data of problems of one operator along lines: their sources, and the square of the wavenumber."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        domain = problems[0].domain
        assert isinstance(domain, Box)
        self.problems, self.box = problems, domain
        self.equations = [stated(problem)[0] for problem in problems]
        self.unit: Tensor | None = None
        self.known: dict[tuple[int, float, float], tuple[Tensor, Tensor]] = {}
        axes = self.box.axes
        grid = torch.cartesian_prod(*(_cells(*self.box.bounds[a], COARSE) for a in axes))
        source, medium = self.data(grid)
        self.wavenumber = medium.abs().sqrt().reshape(COARSE, COARSE)
        self.size = source.abs().T.reshape(-1, COARSE, COARSE)
        self.largest = self.size.amax((1, 2))
        self.size = self.size / torch.where(self.largest > 0, self.largest, 1.0)[:, None, None]
        self.lines = {a: self._across(i) for i, a in enumerate(axes)}

    def data(self, at: Tensor) -> tuple[Tensor, Tensor]:
        """The sources ``(n, k)`` and the coefficient of the field ``(n,)`` at ``(n, 2)`` points, in units of the
        largest second one."""
        c, right = coefficients(self.problems, self.equations, Points(self.box.axes, at), torch.complex128)
        principal = c[:, [3, 5]]
        if self.unit is None:
            self.unit = principal.flatten()[principal.abs().argmax()]
        return right / self.unit, c[:, 0] / self.unit

    def _across(self, axis: int) -> Tensor:
        """Where lines along an axis are laid: through the sources' largest values, and evenly."""
        other = self.box.axes[1 - axis]
        cells = _cells(*self.box.bounds[other], COARSE)
        each = self.size.amax(1 + axis)
        strength = each.amax(0)
        peaks = [cells[part[strength[part].argmax()]] for part in torch.arange(COARSE).tensor_split(LINES)]
        low, high = self.box.bounds[other]
        even = low + (high - low) * (torch.arange(LINES, dtype=torch.float64) + 0.381) / LINES
        peaks += [cells[i] for i in each.argmax(1).unique() if not bool((torch.stack(peaks) == cells[i]).any())]
        return torch.cat([torch.stack(peaks), even])

    def along(self, axis: int, x: Tensor) -> tuple[Tensor, Tensor]:
        """The data at places ``(m,)`` of an axis on all lines: sources ``(lines, m, k)``, medium ``(lines, m)``."""
        lines = self.lines[self.box.axes[axis]]
        pairs = torch.cartesian_prod(lines, x)
        source, medium = self.data(pairs if axis == 1 else pairs.flip(1))
        return source.reshape(len(lines), len(x), -1), medium.reshape(len(lines), -1)

    def tails(self, axis: int, intervals: Sequence[tuple[float, float]]) -> tuple[Tensor, Tensor]:
        """What polynomials of each degree below ``NODES`` leave of the data in intervals of an axis.

        The norms of the further Chebyshev coefficients, the largest of all lines: sources ``(intervals, NODES, k)``,
        medium ``(intervals, NODES)``.
        """
        new = [i for i in intervals if (axis, *i) not in self.known]
        if new:
            angle = (torch.arange(NODES, dtype=torch.float64) + 0.5) * math.pi / NODES
            to_series = 2 / NODES * torch.cos(torch.arange(NODES, dtype=torch.float64)[:, None] * angle)
            ends = torch.tensor(new, dtype=torch.float64)
            places = ends.mean(1, keepdim=True) + ends.diff(dim=1) / 2 * angle.cos()
            source, medium = self.along(axis, places.flatten())
            found = []
            for values in (source, medium[..., None]):
                local = values.reshape(len(values), len(new), NODES, -1)
                series = torch.einsum("dn,link->lidk", to_series.to(values.dtype), local).abs().square()
                found.append(series.flip(2).cumsum(2).flip(2).sqrt().amax(0))
            self.known |= {(axis, *i): (found[0][n], found[1][n, :, 0]) for n, i in enumerate(new)}
        source_tails, medium_tails = zip(*(self.known[axis, *i] for i in intervals), strict=True)
        return torch.stack(source_tails), torch.stack(medium_tails)

    def in_layer(self, axis: int, x: Tensor) -> Tensor:
        """``(m,)``: the wavenumber of the stretched coordinate at ascending places, 0 outside the absorbing layer.

        A wave that has decayed may be resolved as much worse as it is small, twice: it decays again on its way back.
        """
        low, high = self.problems[0].physical_domain.bounds[self.box.axes[axis]]
        pair = [x, torch.full_like(x, float(self.lines[self.box.axes[axis]].median()))]
        at = torch.stack(pair if axis == 0 else pair[::-1], dim=1)
        c = coefficients(self.problems, self.equations, Points(self.box.axes, at), torch.complex128)[0]
        local = (c[:, 0] / c[:, 3 + 2 * axis]).sqrt()
        loss = local.imag.abs() * (x[1] - x[0])
        below, above = loss * (x < low), loss * (x > high)
        decayed = below.flip(0).cumsum(0).flip(0) + above.cumsum(0)
        return torch.where((x < low) | (x > high), local.abs() * torch.exp(-2 * decayed / POWER), 0.0)

    def width(self, axis: int) -> Tensor:
        """``(k,)``: the sources' widths along an axis: their integrals over their largest values."""
        low, high = self.box.bounds[self.box.axes[axis]]
        strength = self.size.amax(2 - axis)
        return torch.where(self.largest > 0, strength.mean(1), 1.0) * (high - low)


def _cells(low: float, high: float, count: int) -> Tensor:
    return low + (high - low) * (torch.arange(count, dtype=torch.float64) + 0.5) / count


def _breaks(
    profile: Profile, name: str, radians: float, degree: int, aim: float, spread: Spread
) -> tuple[tuple[float, ...], bool]:
    """Ends of patches along an axis, and whether the medium is rough."""
    axis = profile.box.axes.index(name)
    low, high = profile.box.bounds[name]
    hard = {low, high, *profile.problems[0].physical_domain.bounds[name]}
    unresolved = _resolved(profile, axis, sorted(hard), degree, aim, SHALLOW)
    rough = bool(unresolved.rough)
    if rough:
        hard |= _jumps(profile, axis, unresolved.rough)
        unresolved = _resolved(profile, axis, sorted(hard), degree, aim, DEEPEST)
    x = torch.linspace(low, high, FINE + 1, dtype=torch.float64)
    cells = _cells(low, high, COARSE)
    wave = torch.maximum(profile.wavenumber.amax(1 - axis), profile.in_layer(axis, cells))
    nearest = ((x - low) / (high - low) * COARSE).long().clamp(0, COARSE - 1)
    # Neighbours too, so that no cell's edge is missed.
    wave = torch.nn.functional.max_pool1d(wave[None, None], 3, 1, 1)[0, 0]
    width = torch.minimum(radians / wave[nearest].clamp(min=1e-12), unresolved.width(x)).clamp(max=(high - low) / 2)
    for again in range(AGAIN):
        width = _graded(width, (high - low) / FINE)
        ends = _mirrored(spread(x, width, sorted(hard)), hard)
        # The patches' own ends lie elsewhere than those of halving, and may miss places such as a kink.
        of_source, of_medium = _left(profile, axis, list(itertools.pairwise(ends)), degree, aim)
        left = torch.maximum(of_source, of_medium)
        # Patches a little narrower soon resolve what is smooth.
        rough = rough or (again == 0 and bool((of_medium > UNRESOLVED).any()))
        if bool((left <= ENOUGH).all()):
            break
        narrower = left.clamp(min=1.0, max=2.0**degree) ** (-1 / degree)
        place = torch.searchsorted(torch.tensor(ends[1:-1], dtype=torch.float64), x, right=True)
        width = width * narrower[place]
    return ends, rough


def _left(
    profile: Profile, axis: int, intervals: Sequence[tuple[float, float]], degree: int, aim: float
) -> tuple[Tensor, Tensor]:
    """``(intervals,)``: what polynomials of a degree leave of the sources and of the medium, over the aim.

    A source that is not resolved makes a field of its size times the square of the length over which it varies.
    """
    source, medium = profile.tails(axis, intervals)
    low, high = profile.box.bounds[profile.box.axes[axis]]
    width = torch.tensor(intervals, dtype=torch.float64).diff(dim=1)
    reach = (width / degree) ** 2
    size = torch.where(profile.largest > 0, profile.largest, 1.0)
    of_source = source[:, degree] / size * reach / profile.width(axis) ** 2 * (width / (high - low))
    return of_source.amax(1) / aim, medium[:, degree] * reach[:, 0] / aim


@dataclass(frozen=True)
class _Resolved:
    """Ends of intervals that resolve the data, the widths that would just do, and the places where none did."""

    ends: tuple[float, ...]
    widths: tuple[float, ...]
    rough: tuple[tuple[float, float], ...]

    def width(self, x: Tensor) -> Tensor:
        """The width that does at each place."""
        line = torch.tensor(self.ends, dtype=torch.float64)
        which = (torch.searchsorted(line, x, right=True) - 1).clamp(0, len(line) - 2)
        return torch.tensor(self.widths, dtype=torch.float64)[which]


def _resolved(profile: Profile, axis: int, hard: list[float], degree: int, aim: float, deepest: int) -> _Resolved:
    """Halve intervals between given ends until polynomials of a degree resolve source and medium in them.

    Between an interval that does and the one it is half of, the width that just does is interpolated. Those whose
    medium is not resolved after ``deepest`` steps are rough, and left.
    """
    span = hard[-1] - hard[0]
    waiting = [(a, b, math.inf) for a, b in itertools.pairwise(hard)]
    done: list[tuple[float, float]] = []
    rough: list[tuple[float, float]] = []
    for depth in range(DEEPEST + 1):
        if not waiting:
            break
        of_source, of_medium = _left(profile, axis, [(a, b) for a, b, _ in waiting], degree, aim)
        failed, waiting = waiting, []
        for (a, b, above), source_left, medium_left in zip(failed, of_source.tolist(), of_medium.tolist(), strict=True):
            left, middle = max(source_left, medium_left), (a + b) / 2
            rough += [(a, b)] * (medium_left > 1 and depth >= deepest)
            if left > 1 and depth < (deepest if medium_left > 1 else DEEPEST):
                waiting += [(a, middle, left), (middle, b, left)]
            else:
                done.append((a, (b - a) * _longer(left, above)))
    done.sort()
    found, widths = [a for a, _ in done] + [hard[-1]], [w for _, w in done]
    # What is not smooth is given up at a width of a part of the box.
    if rough:
        least = span / ROUGHEST
        kept = [found[0]]
        for end in found[1:-1]:
            if end - kept[-1] >= 0.99 * min(least, _gap(end, rough)) or end in hard:
                kept.append(end)
        found = [*kept, found[-1]]
        widths = [b - a for a, b in itertools.pairwise(found)]
    return _Resolved(tuple(found), tuple(widths), tuple(rough))


def _longer(left: float, above: float) -> float:
    """How much longer an interval that leaves ``left`` may be where twice as long a one leaves ``above`` > 1."""
    if left > 1 or not math.isfinite(above):
        return 1.0
    left = max(left, 1e-30)
    return 2.0 ** (math.log(left) / math.log(left / above))


def _gap(end: float, rough: list[tuple[float, float]]) -> float:
    """0 for ends that no rough interval has asked for."""
    return math.inf if any(a - 8 * (b - a) <= end <= b + 8 * (b - a) for a, b in rough) else 0.0


def _jumps(profile: Profile, axis: int, rough: tuple[tuple[float, float], ...]) -> set[float]:
    """Places along an axis where the medium jumps on every line on which it jumps, found by bisection."""
    if not rough:
        return set()
    name = profile.box.axes[axis]
    lines = profile.lines[name]

    def medium(x: Tensor) -> Tensor:
        """``(rough, lines)``: the medium at a place of each line."""
        pair = [x.flatten(), lines.repeat(len(x))]
        return profile.data(torch.stack(pair if axis == 0 else pair[::-1], dim=1))[1].reshape(x.shape)

    ends = torch.tensor(rough, dtype=torch.float64)[..., None].expand(-1, -1, len(lines))
    left, right = ends[:, 0], ends[:, 1]
    low, high = medium(left), medium(right)
    first = (high - low).abs()
    for _ in range(52):
        middle = (left + right) / 2
        at = medium(middle)
        upper = (at - low).abs() <= (high - at).abs()
        left, low = torch.where(upper, middle, left), torch.where(upper, at, low)
        right, high = torch.where(upper, right, middle), torch.where(upper, high, at)
    sharp = ((high - low).abs() > 0.5 * first) & (first > 1e-6 * profile.wavenumber.max() ** 2)
    found = left[sharp].tolist()
    places: list[list[float]] = []
    span = profile.box.bounds[name]
    for x in sorted(found):
        if places and x - places[-1][-1] <= 1e-9 * (span[1] - span[0]):
            places[-1].append(x)
        else:
            places.append([x])
    # A curved jump is elsewhere on every line: no line of patches follows it.
    return {round(place[0], 13) for place in places} if len(places) <= 6 else set()


def _graded(width: Tensor, step: float) -> Tensor:
    """Widths that change at most by ``GROWTH`` times the distance."""
    rise = GROWTH * step * torch.arange(len(width), dtype=torch.float64)
    upward = (width - rise).cummin(0).values + rise
    downward = ((width.flip(0) - rise).cummin(0).values + rise).flip(0)
    return torch.minimum(upward, downward)


def _spread(x: Tensor, width: Tensor, hard: list[float]) -> tuple[float, ...]:
    """Ends of patches: the given ones, and between them as many more as the widths ask for, evenly in their measure."""
    measure = torch.cat([x[:1] * 0, torch.cumulative_trapezoid(1 / width, x)])
    ends: list[float] = []
    for a, b in itertools.pairwise(hard):
        start, stop = (_at(torch.tensor([e], dtype=torch.float64), x, measure) for e in (a, b))
        count = max(1, math.ceil(float(stop - start) - 0.1))
        share = torch.arange(1, count, dtype=torch.float64) / count
        inner = _snapped((_at(start + (stop - start) * share, measure, x) - a) / (b - a), share)
        ends += [a, *(a + (b - a) * inner).tolist()]
    return (*ends, hard[-1])


def _halved(x: Tensor, width: Tensor, hard: list[float]) -> tuple[float, ...]:
    """Ends of patches: the given ones, and what halving them makes until none is wider than the widths in it."""
    waiting, ends = list(itertools.pairwise(hard)), {hard[-1]}
    while waiting:
        a, b = waiting.pop()
        first, last = torch.searchsorted(x, torch.tensor([a, b], dtype=torch.float64)).tolist()
        if b - a > WIDER * float(width[first : last + 1].min()):
            waiting += [(a, (a + b) / 2), ((a + b) / 2, b)]
        else:
            ends.add(a)
    return tuple(sorted(ends))


def _snapped(inner: Tensor, even: Tensor) -> Tensor:
    """Places in [0, 1] that are even or symmetric but for the steps of the search, made so: equal patches cost once."""
    if len(inner) and float((inner - even).abs().max()) <= SNAP:
        return even
    mirrored = 1 - inner.flip(0)
    return (inner + mirrored) / 2 if len(inner) and float((inner - mirrored).abs().max()) <= SNAP else inner


def _mirrored(ends: tuple[float, ...], given: set[float]) -> tuple[float, ...]:
    """Ends that lie symmetric in the box but for the steps of the search, made so, the given ones apart."""
    line = torch.tensor(ends, dtype=torch.float64)
    mirrored = line[0] + line[-1] - line.flip(0)
    if float(((line - mirrored).abs()[1:] / line.diff()).max()) > 2 * SNAP:
        return ends
    return tuple(e if e in given else m for e, m in zip(ends, ((line + mirrored) / 2).tolist(), strict=True))


def _at(values: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Linear interpolation of y over ascending x."""
    i = torch.searchsorted(x, values).clamp(1, len(x) - 1)
    share = (values - x[i - 1]) / (x[i] - x[i - 1])
    return torch.lerp(y[i - 1], y[i], share)


__all__ = ["Choice", "Profile", "choose"]
