"""How many patches and slabs a wave needs, and the network that they make: least squares that marches in time."""

from __future__ import annotations

import math
import shutil
import time
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from ..ansatz.derive import BuiltIn
from ..build import build_model
from ..domains import Sampler
from ..loop import End
from ..points import TIME
from ..problem import Problem
from ..scales import Scales
from ..slabwork import Slabwork
from ..spill import Rows, folder, held_bytes
from .basis import Size, chebyshev, grid, spatial, spatial_values
from .geometry import ROUNDED, Patches
from .handover import FRESH
from .march import Cut, March, Slab
from .statement import NotCoveredError, Statement, read

SIZES = {
    (1, "uniform"): Size(60, 12.0, 40),
    (2, "uniform"): Size(400, 13.0, 30, reach=1.45),
    (1, "pieces"): Size(60, 12.0, 80),
    (2, "pieces"): Size(300, 10.0, 36, reach=1.45, cut=1e-9),
    (1, "varies"): Size(60, 8.0, 36, levels=8, inner=30, cut=1e-9),
    (2, "varies"): Size(140, 3.5, 16, levels=4, inner=11, reach=1.35, cut=1e-9),
}
"""By the number of space axes and the kind of medium."""
LEAVING = Size(200, 8.0, 22, cut=1e-9)
"""In two dimensions where waves reach an absorbing side: the systems of its patches grow with the cube of the size."""
FEWEST, FINER, COARSER = 3, 1.25, 0.7
"""Patches along the longest side at least; the factors from one number to the next, and to the attempt that tells how
errors follow from jumps."""
MOST, DISK = 1e9, 0.5
"""Numbers that a network holds at most, and the part of the free disk that they may take."""
SEEN = 1000
CAUTION, WORSE, LEAST_RATIO = 2.0, 3.0, 0.05
"""The error estimate: twice the misfit times the ratio of error to misfit of a worse attempt, not below the least."""
ALONE = {"uniform": 1.0, "pieces": 2.0, "varies": 0.3}
"""Of one attempt alone, the estimate is this many times its misfit (measured: errors of 0.1 to 0.8, of 0.1 to 1.9, and
of 0.05 to 0.2)."""
START = {"uniform": 0.3, "pieces": 0.3, "varies": 0.002}
"""Of the tolerance over the number of slabs: what patches may leave of the initial state. A medium that varies takes
more of them than the state does."""
BISECTIONS = 3
GROWN = 100.0
"""An attempt whose jumps grow by this much, and above the tolerance, is not stable."""
PER_VOLUME, LARGE = 0.3, 100
"""Features of one layer for every cubed radian of bandwidth, and how many of them slabs are faster than."""


@dataclass(frozen=True, eq=False)
class Attempt:
    """One march: ``patches`` along each axis; ``slabs``: their number; ``width``: features of a patch; ``data``: places
    at which each state is handed over; ``misfit``: the jumps and residuals of all slabs added up, in units of the
    field; ``values``: the field at points inside; ``at``: seconds since the search began."""

    patches: tuple[int, ...]
    slabs: int
    width: int
    data: int
    misfit: float
    values: Tensor
    at: float


@dataclass(frozen=True, eq=False)
class Found:
    """The best attempt, an estimate of its relative L2 error, and why the search ended.

    ``points``: the number of points of every constraint; ``history``: a row an attempt, its loss the squared misfit.
    """

    network: Slabwork
    estimate: float
    end: End
    reason: str
    attempts: int
    seconds: float
    points: dict[str, int]
    history: dict[str, list[float]]


def search(problem: Problem, scales: Scales, tolerance: float, seed: int, deadline: float) -> Found | None:
    """Slabs for a problem, or None where they do not cover it.

    The number of patches is the smallest whose functions take the initial state to a part of the tolerance. Where the
    jumps that follow are not below the tolerance, an attempt with fewer tells how errors follow from them; then patches
    are added until the estimate is at most ``tolerance``, the ``deadline`` (of ``time.perf_counter``) has passed, or
    nothing is gained. ``exact`` is never looked at.
    """
    try:
        statement = read(problem)
    except NotCoveredError:
        return None
    return Search(problem, statement, scales, tolerance, seed, deadline).run()


def needs_slabs(problem: Problem, scales: Scales) -> bool:
    """Whether slabs cover a problem for which one layer over the domain would be large.

    On a line of constant speed its features are waves of the equation, as many as fit along the line and the time.
    """
    try:
        statement = read(problem)
    except NotCoveredError:
        return False
    turns = [scales.wavenumber[a] * scales.half_width[a] for a in scales.wavenumber]
    few = statement.uniform and len(statement.axes) == 1
    return (sum(turns) if few else PER_VOLUME * math.prod(turns)) > LARGE


@dataclass
class Search:
    """Attempts with growing numbers of patches."""

    problem: Problem
    statement: Statement
    scales: Scales
    tolerance: float
    seed: int
    deadline: float
    attempts: list[Attempt] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._started = time.perf_counter()
        self._inside = self.problem.domain.interior(SEEN, Sampler(torch.Generator().manual_seed(4711)))

    def run(self) -> Found | None:
        """The best attempt; None where even the first would be too large, or none is stable. Ctrl-C takes the best so
        far."""
        try:
            end = self._refine()
        except KeyboardInterrupt:
            if not self.attempts:
                raise
            end = "interrupted"
        return self._found(end) if self.attempts and self.best.misfit < math.inf else None

    def _refine(self) -> End:
        count = self._first()
        made = self._attempt(count)
        if made is not None and self.estimate(made) <= self.tolerance:
            return "tolerance"
        if made is None or self._attempt(count * COARSER) is None:
            return "size"
        failures = 0
        while True:
            best = self.best
            if self.estimate(best) <= self.tolerance:
                return "tolerance"
            # The work grows with the number of patches and of slabs.
            last = self.attempts[-1].at - (self.attempts[-2].at if len(self.attempts) > 1 else 0.0)
            growth = FINER ** (1 + len(self.statement.axes))
            if time.perf_counter() + growth * last > self.deadline:
                return "budget"
            if failures == 2:
                return "stalled"
            count *= FINER
            made = self._attempt(count)
            if made is None:
                return "size"
            failures = 0 if made.misfit < best.misfit else failures + 1

    def _first(self) -> float:
        """How many patches along the longest side take the initial state."""
        few, count = 0.0, float(FEWEST)
        while not self._enough(count):
            few, count = count, 1.5 * count
        for _ in range(BISECTIONS if few else 0):
            middle = math.sqrt(few * count)
            few, count = (few, middle) if self._enough(middle) else (middle, count)
        return count

    def _enough(self, count: float) -> bool:
        """Whether so many patches along the longest side take the initial state, or more would be too many."""
        first, last = self.statement.span
        cut = self._cut(count)
        patches = Patches(self.statement, cut.patches)
        slabs = (last - first) / ((cut.size.reach - 1) * patches.unit)
        if slabs * len(patches) * 4 * cut.size.pairs > self._most:
            return True
        aim = max(START[self.statement.kind] * self.tolerance / max(slabs, 1.0), cut.size.cut)
        return self._left(patches, cut.size) <= aim * float(self._state_size)

    def _left(self, patches: Patches, size: Size) -> float:
        """What the functions in space leave of the initial state at fresh points, as ``Slab.jump``."""
        axes = len(patches.half)
        x = 2 * torch.rand(FRESH, axes, generator=torch.Generator().manual_seed(4712), dtype=torch.float64) - 1
        data = grid(size.reach * chebyshev(size.nodes), axes)
        onto = spatial_values(size, self.seed, x) @ spatial(size, axes, self.seed)[2].T
        held = patches.holding(size.reach)
        (u, v), (u_seen, v_seen) = patches.state(data, held), patches.state(x, held)
        value, rate = onto @ u - u_seen, (onto @ v - v_seen) / size.bandwidth
        return math.sqrt(float(value.square().sum() + rate.square().sum()) / (FRESH * len(patches)))

    @cached_property
    def _state_size(self) -> Tensor:
        p = self.problem.domain.start(SEEN, Sampler(torch.Generator().manual_seed(4711)))
        u, v = self.statement.state(p.space)
        wavenumber = max(k for a, k in self.scales.wavenumber.items() if a != TIME)
        speed = self.statement.speed(p.space).max()
        size = (u.square().mean() + (v / (wavenumber * speed)).square().mean()).sqrt()
        return size if float(size) > 0 else torch.ones(())

    @cached_property
    def _size(self) -> Size:
        s = self.statement
        if len(s.axes) == 2 and s.uniform:
            reach = s.speeds[1] * (s.span[1] - s.span[0])
            low, high = (s.support + reach * torch.tensor([-1.0, 1.0])).T
            out = torch.stack([low < s.bounds[:, 0], high > s.bounds[:, 1]], dim=1).tolist()
            ends = [(kind, met) for kinds, mets in zip(s.sides, out, strict=True)
                    for kind, met in zip(kinds, mets, strict=True)]  # fmt: skip
            if any(kind == "absorbing" and met for kind, met in ends):
                return LEAVING
        return SIZES[len(s.axes), s.kind]

    def _cut(self, count: float) -> Cut:
        lengths = self.statement.bounds[:, 1] - self.statement.bounds[:, 0]
        patches = [max(2, math.ceil(count * float(length / lengths.max()) - 1e-9)) for length in lengths]
        return Cut(tuple(patches), self._size)

    def _attempt(self, count: float) -> Attempt | None:
        """March once; None where the network would be too large."""
        march = March(self.statement, self._cut(count), self.seed, self.tolerance)
        trail = Trail(march, self.scales.amplitude)
        for slab in march:
            trail.add(slab)
            if trail.rows.nbytes > 8 * self._most:
                return None
            if trail.broken:
                break
        network, misfit = trail.network(self.problem, self.scales), trail.misfit
        model = build_model(self.problem, self.scales, network, torch.float64, self.seed, BuiltIn(None))
        with torch.no_grad():
            values = model(self._inside)
        if not bool(torch.isfinite(values).all()):
            misfit, values = math.inf, torch.zeros_like(values)
        data = len(march.basis.data) * len(march.patches)
        at = time.perf_counter() - self._started
        made = Attempt(march.patches.count, march.slabs, network.width, data, misfit, values, at)
        # The weights of the best alone are kept: an attempt's grow with the final time.
        if not self.attempts or misfit < self.best.misfit:
            self._network = network
        self.attempts.append(made)
        return made

    @cached_property
    def _most(self) -> float:
        return max(held_bytes(), min(8 * MOST, DISK * shutil.disk_usage(folder()).free)) / 8

    @property
    def best(self) -> Attempt:
        """The attempt of the smallest misfit."""
        return min(self.attempts, key=lambda a: a.misfit)

    def estimate(self, best: Attempt) -> float:
        """An estimate of the relative L2 error: the misfit times how much larger errors were on the way.

        The misfit adds up every slab's jumps, as errors do that waves carry on. Where no attempt is clearly worse, the
        largest distance to another one.
        """
        size = float(best.values.norm())
        # An attempt that grew tells nothing of smaller errors.
        others = [
            a for a in self.attempts
            if a is not best and a.misfit < math.inf and float(a.values.norm()) <= GROWN * size
        ]  # fmt: skip
        if not others:
            return ALONE[self.statement.kind] * best.misfit
        if not math.isfinite(best.misfit) or not size:
            return 0.0 if best.misfit == 0 else math.inf
        apart = {id(a): float((a.values - best.values).norm()) / size for a in others}
        worse = [a for a in others if WORSE * best.misfit <= a.misfit]
        if not worse:
            return CAUTION * max(*apart.values(), LEAST_RATIO * best.misfit)
        ratio = max(apart[id(a)] / a.misfit for a in worse)
        return CAUTION * max(ratio, LEAST_RATIO) * best.misfit

    def _found(self, end: End) -> Found:
        best = self.best
        error = self.estimate(best)
        said = {
            "tolerance": "the tolerance is met",
            "size": f"more than {self._most:.0e} numbers would be needed",
            "budget": "the time is spent",
            "stalled": "more patches gain little",
            "interrupted": "interrupted, the best slabs kept",
        }[end]
        slowly = ", errors fall slowly where the speed jumps along curves" if self.statement.curved else ""
        history = {
            "step": [float(i + 1) for i in range(len(self.attempts))],
            "seconds": [a.at for a in self.attempts],
            "loss": [min(a.misfit, 1e150) ** 2 for a in self.attempts],
        }
        points = {c.name: best.data for c in self.problem.constraints()}
        return Found(
            self._network, error, end,
            f"{best.slabs} slabs of {' x '.join(map(str, best.patches))} patches of {best.width} sine features, {said}"
            f"{slowly}, estimated error {error:.1e}",
            len(self.attempts), time.perf_counter() - self._started, points, history,
        )  # fmt: skip


class Trail:
    """What a march leaves behind: the weights of all its slabs, in a file where memory does not hold them."""

    def __init__(self, march: March, amplitude: float) -> None:
        self.march, self.amplitude = march, amplitude
        self.rows = Rows([len(march.basis.layer()[1])])
        self.active, self.ends = list[Tensor](), list[float]()
        self.broken, self._first, self._jumps, self._square = False, 0.0, 0.0, 0.0

    def add(self, slab: Slab) -> None:
        """The next slab; one that has grown too much breaks the march."""
        if not self.ends:
            self._first = slab.jump
        self.rows.append((slab.weights / self.amplitude).numpy())
        self.active.append(slab.active.to(torch.int32))
        self.ends.append(slab.end)
        self._jumps += slab.jump
        self._square += slab.rms**2
        self.broken = not math.isfinite(slab.jump) or slab.jump > max(GROWN * self._first, slab.rms)

    @property
    def misfit(self) -> float:
        """All jumps in units of the field."""
        return math.inf if self.broken else self._jumps / (math.sqrt(self._square / len(self.ends)) or 1.0)

    def network(self, problem: Problem, scales: Scales) -> Slabwork:
        """The slabs as one network of the model's nondimensional coordinates."""
        statement, patches, axes = self.march.statement, self.march.patches, problem.domain.axes
        ends = dict(zip(statement.axes, patches.lines, strict=True))
        ends[TIME] = torch.tensor([statement.span[0], *self.ends], dtype=torch.float64)
        breaks = [((ends[a] - scales.center[a]) / scales.half_width[a]).tolist() for a in axes]
        waves, phases = self.march.basis.layer()
        weight = torch.from_numpy(self.rows.array())
        unlike = bool((patches.extent < 1 - ROUNDED).any() or (self.march.paces < 1).any())
        network = Slabwork(
            breaks, len(phases), len(weight), clock=axes.index(TIME) if unlike else None, weight=weight,
            dtype=torch.float64,
        )  # fmt: skip
        order = [(*statement.axes, TIME).index(a) for a in axes]
        row, stored = torch.full((*patches.count, len(self.ends)), -1), 0
        for number, active in enumerate(self.active):
            flat = row[..., number].flatten()
            flat[active.long()] = torch.arange(stored, stored + len(active))
            row[..., number] = flat.reshape(patches.count)
            stored += len(active)
        network.waves.copy_(waves[:, order])
        network.phases.copy_(phases)
        network.row.copy_(row.permute(order).flatten())
        if unlike:
            rows = torch.cat(self.active).long()
            extent = torch.cat([patches.extent, self.march.paces[:, None]], dim=1)
            network.extent.copy_(extent[rows][:, order])
        return network


__all__ = ["Found", "Search", "needs_slabs", "search"]
