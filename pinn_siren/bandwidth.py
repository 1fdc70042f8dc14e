"""Which sine features a problem needs: bandwidths along each axis and their number, found from residuals alone."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from .ansatz.derive import BuiltIn
from .build import build_model
from .domains import Sampler
from .errors import ResidualError
from .estimate import Estimate
from .jet import VALUE
from .loop import End
from .model import Model
from .optimizers.corners import Corners
from .optimizers.features import sine_features
from .optimizers.least_squares import LastLayer, collocation
from .optimizers.linearized import last_layer, linear
from .optimizers.symbol import Symbol, homogeneous_symbol
from .parallel import ALONE, Ranks
from .points import Points
from .problem import Problem
from .scales import Scales
from .siren import Siren
from .system import System
from .threads import at_most

LEAST = 3.0
"""The least bandwidth, in radians per half-width."""
WIDER = 1.4
"""The factor between bandwidths that are tried."""
BETTER = 0.9
"""A bandwidth is better where the residual at fresh points falls to this much."""
NEEDED = 0.1
"""Corners are needed where their functions lower the residual to this much."""
SMOOTH = 100.0
"""Corners are not looked at where the second size lowers the residual by this much: what is rough there does not."""
TRIES, AGAIN, LARGE = 7, 2, 1300
"""Bandwidths tried beside the first: with the first number of features, with the next ones, and up to how many
unknowns at all."""
FRESH = 1000
FEWEST, MOST = 300, 4500
"""Unknowns of the first and of the largest system."""
ONE_THREAD = 1000
"""Unknowns up to which a solve has one thread."""
FLOOR = 2e-14
ROUNDING = 1e-14
"""No error is estimated below this: evaluating the field rounds."""
NOWHERE = 0.05
"""A residual above this, in units of what a feature makes, is no solution at all."""
LEAST_GROWTH, FARTHEST = 1.2, 3.0
"""The least and the largest factor in number from one system to the next."""
HOPELESS = 4.0
"""Where three systems say that this many times the largest would be needed, the largest one is not tried."""
AIM = 10.0
"""The next system is chosen so that its estimate falls this much below the tolerance."""
STALLED = 6.0
"""Growth is worth it where a doubling lowers the residual by this much, twice in a row."""
CLEARLY, SLOWLY = 3.0, 1.0
"""How many times the residual of a worse attempt is that of the best; where the field is rough, as it is where some of
it is known beforehand, no attempt is much worse than others."""
CAUTION, LEAST_RATIO = 2.0, 0.1
"""The error estimate: twice the residual times the largest ratio of error to residual met on the way."""
ITERATIONS = 20
SAFETY = 3.0
"""The search ends where its estimate is this much below the tolerance: the estimate has the error's size, no more."""


@dataclass(frozen=True, eq=False)
class Attempt:
    """One solve: ``bandwidth`` in radians per half-width an axis; ``misfit``: the residual at fresh points, in units of
    what a typical feature makes and of the field; ``values`` ``(FRESH, fields)``: the fields at points inside; ``at``:
    seconds since the search began; ``seconds``: what the solve took."""

    width: int
    bandwidth: dict[str, float]
    model: Model
    misfit: float
    values: Tensor
    at: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Found:
    """The best attempt, an estimate of its relative L2 error, and why the search ended.

    ``points``: the number of points of every constraint; ``history``: a row an attempt, its loss the squared misfit;
    ``unknowns``, ``numbers``: the state of a problem's unknowns, and their estimates;
    ``scales``: those that the features were found with, where they are not those of the start.
    """

    network: Siren
    estimate: float
    end: End
    reason: str
    attempts: int
    seconds: float
    bandwidth: dict[str, float]
    points: dict[str, int]
    history: dict[str, list[float]]
    unknowns: dict[str, Tensor] = field(default_factory=dict)
    numbers: dict[str, Estimate] = field(default_factory=dict)
    scales: Scales | None = None


@dataclass
class Search:
    """Climb in bandwidth, grow in number, until the estimated error is ``tolerance`` or nothing is gained.

    ``own``: whether features may be the equation's own waves, where it has some; not while its coefficients change.
    ``corners``: those whose singular functions stand beside the sines, the points graded toward them, and the holes
    whose multipoles do; ``spare``: others that do where the first size does not meet the tolerance and they help;
    ``ranks``: the processes that share the rows.
    """

    problem: Problem
    scales: Scales
    tolerance: float
    seed: int
    deadline: float
    own: bool = True
    corners: Corners | None = None
    spare: Corners | None = None
    ranks: Ranks = ALONE
    attempts: list[Attempt] = field(default_factory=list, init=False)
    _started: float = field(default_factory=time.perf_counter, init=False)

    def __post_init__(self) -> None:
        self.deadline = self.ranks.agree(self.deadline)
        sampler = Sampler(torch.Generator().manual_seed(4711))
        self._system = System(self.problem, ranks=self.ranks)
        self._fresh = self._graded(
            self._system.sample({c.name: FRESH for c in self._system.constraints}, sampler), sampler.generator
        )
        self._inside = self.problem.domain.interior(FRESH, sampler)
        self._points: dict[int, dict[str, list[Points]]] = {}
        self._guided = any(c.first for c in self._system.constraints)
        # Rough fields converge slowly, and the estimate is the larger for it.
        self._safety = 1.0 if self._guided else SAFETY
        self._linear: bool | None = None
        self._symbol = self._homogeneous()

    def _homogeneous(self) -> Symbol | None:
        """The symbol of an equation that waves satisfy: then they do, and the conditions alone are solved for."""
        parts = len(self.problem.fields) * self._parts
        network = sine_features(
            2, dict.fromkeys(self.problem.domain.axes, 1.0), parts, torch.Generator().manual_seed(0)
        )
        model = self._model(network)
        few = self._system.sample({c.name: 16 for c in self._system.constraints}, Sampler(torch.Generator()))
        self._linear = linear(self._system, few, model)
        if self.corners is not None and self.corners.series:
            self._system = System(self.problem, frozenset(self.corners.series), self.ranks)
        wanted = self.own and self._linear and self.corners is None
        symbol = homogeneous_symbol(self._system, model, self.scales.half_width) if wanted else None
        if symbol is not None:
            held = frozenset(c.name for c in self._system.constraints if c.on_interior)
            self._system = System(self.problem, held, self.ranks)
        return symbol

    def _now(self) -> float:
        """The time that all processes go by."""
        return self.ranks.agree(time.perf_counter())

    def _model(self, network: Siren) -> Model:
        model = build_model(self.problem, self.scales, network, torch.float64, self.seed, BuiltIn(self.problem.ansatz))
        if self.corners is not None:
            model.network = self.corners.beside(network, model)
        return model

    def _graded(self, points: dict[str, list[Points]], generator: torch.Generator) -> dict[str, list[Points]]:
        """The same points, and more toward the corners."""
        if self.corners is None:
            return points
        return {c.name: self.corners.graded(c, points[c.name], generator) for c in self._system.constraints}

    def _collocation(self, width: int) -> dict[str, list[Points]]:
        """The points for a number of features, the same for every bandwidth."""
        if width not in self._points:
            generator = torch.Generator().manual_seed(self.seed)
            columns = width if self.corners is None else width + self.corners.columns
            self._points[width] = self._graded(collocation(self._system, columns, generator), generator)
        return self._points[width]

    def run(self) -> Found:
        """The features to take. Ctrl-C takes the best so far. Raises ``ResidualError`` where no residual is finite."""
        self._started = self._now()
        try:
            end = self._grow()
        except KeyboardInterrupt:
            if not self.attempts:
                raise
            end = "interrupted"
        return self._found(end)

    def _grow(self) -> End:
        axes = self.problem.domain.axes
        across = {a: max(LEAST, self.scales.wavenumber[a] * self.scales.half_width[a]) for a in axes}
        first = self._first(across)
        start = {a: 1.1 * k for a, k in across.items()}
        # A worse one to compare with: fewer features; at once where the first size takes seconds.
        if self._guided:
            self.attempt(first // 8 * 2, start)
        best = self.attempt(first, start)
        if best.misfit <= self.tolerance and not self._guided:
            self.attempt(first // 4 * 2, best.bandwidth)
        rungs: list[Attempt] = []
        while True:
            if self._safety * self.estimate(best) > self.tolerance:
                best = self.climb(best)
            rungs.append(best)
            enough = self._safety * self.estimate(best) <= self.tolerance
            if self.spare is not None and not enough and len(rungs) == 2 and rungs[0].misfit < SMOOTH * best.misfit:
                rungs[-1] = best = self._with_spare(best)
            if self._safety * self.estimate(best) <= self.tolerance:
                return "tolerance"
            if best.misfit <= FLOOR:
                return "rounding"
            if best.misfit == math.inf:
                return "stalled"
            falls = [math.log(a.misfit / b.misfit) / math.log(b.width / a.width) for a, b in pairwise(rungs[-3:])]
            if len(falls) > 1 and max(falls) < math.log2(STALLED):
                return "stalled"
            needed = self._needed(rungs)
            if best.width * self._unknowns * LEAST_GROWTH > MOST or (
                len(rungs) > 2 and needed * self._unknowns > HOPELESS * MOST
            ):
                return "size"
            wanted = min(max(needed, LEAST_GROWTH * best.width), FARTHEST * best.width, MOST / self._unknowns)
            # The work grows as the cube: what the time left allows.
            left = max(self.deadline - self._now(), 0.0) / best.seconds
            affordable = best.width * left ** (1 / 3) if left < math.inf else math.inf
            if affordable < LEAST_GROWTH * best.width:
                return "budget"
            grown = int(min(wanted, affordable)) // 2 * 2
            share = (grown / best.width) ** (0.5 / len(axes))
            best = self.attempt(grown, {a: share * r for a, r in best.bandwidth.items()})

    def _with_spare(self, best: Attempt) -> Attempt:
        """The same size with the spare corners, which stay where they lower the residual well."""
        if self._symbol is not None:
            return best
        before, points = self.corners, self._points
        self.corners, self._points = self.spare, {}
        other = self.attempt(best.width, best.bandwidth)
        if other.misfit < NEEDED * best.misfit:
            return self.climb(other) if self._safety * self.estimate(other) > self.tolerance else other
        self.corners, self._points = before, points
        return best

    def _needed(self, rungs: list[Attempt]) -> float:
        """How many features a fit of ``log misfit`` to ``N^(1/d)`` says the tolerance needs.

        That is how smooth fields converge; before there are two systems, twice as many.
        """
        best, roots = rungs[-1], 1 / len(self.problem.domain.axes)
        if len(rungs) < 2 or best.misfit >= rungs[-2].misfit:
            return best.width * (2.0 if best.width * self._unknowns < 1000 else 1.5)
        before = rungs[-2]
        rate = math.log(before.misfit / best.misfit) / (best.width**roots - before.width**roots)
        estimate = self.estimate(best)
        ratio = estimate / best.misfit if AIM * estimate > best.misfit and estimate < math.inf else 1 / AIM
        aim = max(self.tolerance / AIM, FLOOR / 2) / ratio
        root = best.width**roots + math.log(max(best.misfit / aim, 1.0)) / rate
        return float(root ** (1 / roots))

    def climb(self, best: Attempt) -> Attempt:
        """Other bandwidths at the same number of features, as long as they are better."""
        left = TRIES if best.width == self.attempts[0].width else AGAIN
        if best.width * self._unknowns > LARGE:
            return best
        axes = list(best.bandwidth)
        moves = [(axes, WIDER), (axes, 1 / WIDER)]
        if len(axes) > 1:
            moves += [([a], WIDER) for a in axes]
        widened = False
        for moved, factor in moves:
            if factor < 1 and widened:
                continue
            while left > 0 and self._now() < self.deadline and best.misfit > FLOOR:
                left -= 1
                wider = {a: r * factor if a in moved else r for a, r in best.bandwidth.items()}
                other = self.attempt(best.width, wider)
                if not other.misfit < BETTER * best.misfit:
                    break
                best, widened = other, True
                if self._safety * self.estimate(best) <= self.tolerance:
                    return best
        return best

    def attempt(self, width: int, bandwidth: dict[str, float]) -> Attempt:
        """Solve with one set of features."""
        with at_most(1 if width * self._unknowns <= ONE_THREAD else torch.get_num_threads()):
            return self._attempt(width, bandwidth)

    def _attempt(self, width: int, bandwidth: dict[str, float]) -> Attempt:
        started = self._now()
        torch_generator = torch.Generator().manual_seed(self.seed)
        onto = None if self._symbol is None else self._symbol.onto
        model = self._model(
            sine_features(width, bandwidth, len(self.problem.fields) * self._parts, torch_generator, onto)
        )
        if self._symbol is not None and self._symbol.coefficients.get(VALUE):
            # A constant is none of the equation's waves, and nothing else would hold it.
            last_layer(model.network).bias.requires_grad_(False)
        solver = self.last_layer(model, width)
        for _ in range(ITERATIONS):
            solver.step()
            if solver.done:
                break
        misfit, values = self.judge(solver)
        now = self._now()
        made = Attempt(width, bandwidth, model, misfit, values, now - self._started, now - started)
        self.attempts.append(made)
        return made

    def last_layer(self, model: Model, width: int) -> LastLayer:
        """The least-squares problem of a model with so many features, at this search's points."""
        return LastLayer(self._system, model, self._collocation(width), self._linear)

    @torch.no_grad()
    def judge(self, solver: LastLayer) -> tuple[float, Tensor]:
        """The residual at fresh points, and the fields there."""
        model, system, scales = solver.model, solver.system, iter(solver.scales)
        total = 0.0
        for c in system.constraints:
            for part in system.parts(c, self._fresh[c.name], model):
                size = next(scales)
                if part.is_complex() and not solver.whole:
                    size = math.hypot(size, next(scales)) / math.sqrt(2)
                total += float(c.square(part)) / size**2
        values = self.problem.seen(model(self._inside), self._inside)
        if self.problem.free_constant:
            values = values - values.mean(0)
        lever = float(model.amplitude.max())
        size = float(values.abs().square().mean().sqrt())
        # The zero field that leaves no residual is the solution.
        misfit = math.sqrt(total) * lever / size if size else math.inf if total else 0.0
        return (misfit if math.isfinite(misfit) else math.inf), values

    @property
    def best(self) -> Attempt:
        """The attempt of the smallest residual."""
        return min(self.attempts, key=lambda a: a.misfit)

    def estimate(self, best: Attempt) -> float:
        """An estimate of the relative L2 error: the residual times how much larger errors were on the way.

        Of the worse attempts the distance to the best one is known; infinite where there is none.
        """
        size = best.values.norm()
        apart = SLOWLY if self._guided else CLEARLY
        worse = [a for a in self.attempts if apart * best.misfit < a.misfit < math.inf]
        if not worse or not math.isfinite(best.misfit):
            return math.inf if best.misfit > FLOOR else max(best.misfit, ROUNDING)
        ratio = max(float((a.values - best.values).norm() / size) / a.misfit for a in worse)
        return max(CAUTION * max(ratio, LEAST_RATIO) * best.misfit, ROUNDING)

    def _first(self, across: dict[str, float]) -> int:
        product = math.prod(1.1 * k for k in across.values())
        wanted = {1: 3.0 * product, 2: 2.2 * product / math.pi}.get(len(across), 0.3 * product)
        return int(min(max(FEWEST, wanted * 2), 1200) / self._unknowns) // 2 * 2

    def _counts(self, width: int) -> dict[str, int]:
        """The points of every constraint; of the equation that the features satisfy as many as features."""
        held = {c.name: width for c in self.problem.constraints()}
        return held | {name: len(p[0]) for name, p in self._collocation(width).items()}

    @property
    def _parts(self) -> int:
        return 1 + self.problem.complex_valued

    @property
    def _unknowns(self) -> int:
        """Unknowns a feature, of those that are solved for together."""
        joined = 1 if self.problem.apart else len(self.problem.fields)
        return max(1, joined - (0 if self.corners is None else len(self.corners.series)))

    def _found(self, end: End) -> Found:
        best = self.best
        if not math.isfinite(best.misfit):
            raise ResidualError("No least-squares solution had a finite residual.")
        error = self.estimate(best)
        said = {
            "tolerance": "the tolerance is met",
            "rounding": "the residual is at rounding",
            "size": f"more than {MOST} unknowns would be needed",
            "budget": "the time is spent",
            "stalled": "more features gain little",
            "interrupted": "interrupted, the best features kept",
        }[end]
        network = best.model.network
        assert isinstance(network, Siren)
        bands = ", ".join(f"{a} {r:.3g}" for a, r in best.bandwidth.items())
        if best.misfit > NOWHERE:
            said += ": no sum of them comes near all of the equation and conditions, which may contradict each other"
        kind = "sine features" if self._symbol is None else "sine features that satisfy the equation,"
        history = {
            "step": [float(i + 1) for i in range(len(self.attempts))],
            "seconds": [a.at for a in self.attempts],
            "loss": [min(a.misfit, 1e150) ** 2 for a in self.attempts],
        }
        return Found(
            network, error, end,
            f"{best.width} {kind} up to {bands} rad a half-width, {said}, estimated error {error:.1e}",
            len(self.attempts), time.perf_counter() - self._started, best.bandwidth,
            self._counts(best.width), history,
        )  # fmt: skip


__all__ = ["Found", "Search"]
