"""Waves around obstacles in open space: sources inside the obstacles, their strengths by one least-squares solve."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from .ansatz.derive import BuiltIn
from .build import build_model
from .conditions import Constraint
from .domains import Sampler
from .errors import ProblemError
from .jet import LAPLACIAN
from .lightning import spikes_of, weights, with_rows
from .loop import End
from .model import Model
from .optimizers.design import Block, design
from .optimizers.features import sine_features
from .optimizers.linearized import linear
from .optimizers.symbol import homogeneous_symbol
from .outgoing import OutgoingWaves
from .points import Points
from .problem import Problem
from .scales import Scales
from .system import System

DEPTHS = (0.6, 0.4, 0.2)
"""How deep in an obstacle the sources lie, in units of the largest depth there is."""
FEWEST, GROWTH, MOST = {2: 40, 3: 150}, 1.7, 1200
"""Sources of the first attempt by the number of axes, the factor to the next, and the most."""
ROWS = 3
"""Points on the obstacles for every source."""
FRESH, SEEN = 600, 400
POLES, MOST_POLES, FRESH_AT_CORNERS = 0.25, 100, 100
"""Sources toward every corner, for every one of the others, the most, and points to look at on its edges."""
CUT = 1e-15
CAUTION, LEAST_RATIO = 2.0, 0.3
"""The error estimate: twice the residual times the largest ratio of error to residual on the way, 0.3 at least."""
GAIN = 2.0
"""A rung that lowers the residual less than so much has gained nothing."""


@dataclass(frozen=True, eq=False)
class Attempt:
    """One solve: ``misfit``: the residual at fresh points of the obstacles over the data; ``values``: the field;
    ``points``: how many were fitted, by condition; ``depth``: of the sources."""

    network: OutgoingWaves
    misfit: float
    values: Tensor
    points: dict[str, int]
    depth: float
    at: float


@dataclass(frozen=True, eq=False)
class FoundOutgoing:
    """The best attempt, an estimate of its relative L2 error, and why the search ended: as ``bandwidth.Found``."""

    network: OutgoingWaves
    estimate: float
    end: End
    reason: str
    attempts: int
    seconds: float
    points: dict[str, int]
    history: dict[str, list[float]]


@dataclass
class Outgoing:
    """More sources, at several depths, until the estimated error is ``tolerance`` or nothing is gained."""

    problem: Problem
    scales: Scales
    tolerance: float
    seed: int
    deadline: float
    attempts: list[Attempt] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Raises ``ProblemError`` where outgoing waves do not satisfy the equation."""
        self._started = time.perf_counter()
        problem, axes = self.problem, self.problem.domain.axes
        equations = frozenset(c.name for c in problem.constraints() if c.on_interior)
        plain = sine_features(2, dict.fromkeys(axes, 1.0), 2 * len(problem.fields), torch.Generator().manual_seed(0))
        whole, model = System(problem), self._model(plain)
        symbol = homogeneous_symbol(whole, model, self.scales.half_width) if len(axes) in FEWEST else None
        squares = {} if symbol is None else dict(symbol.coefficients)
        constant = squares.pop("", 0.0)
        highest = set(squares.values())
        second = set(squares) in ({LAPLACIAN}, {2 * a for a in axes})
        if not second or len(highest) != 1 or not constant / min(highest) > 0:
            raise ProblemError(
                "Radiating() holds for laplacian u + k^2 u = 0 in the plane or in space, k constant, without a source: "
                "make an incident wave part of the obstacles' data, or use a PML or Absorbing()."
            )
        self.wavenumber = math.sqrt(constant / min(highest))
        self._system = System(problem, equations)
        sampler = Sampler(torch.Generator().manual_seed(4711))
        sides = self._system.constraints
        if not sides or any(c.place is None or c.place.kind != "boundary" for c in sides):
            raise ProblemError("Radiating() needs a condition on an obstacle, such as Dirichlet(value, on=obstacle).")
        self._fresh = self._system.sample({c.name: FRESH for c in sides}, sampler)
        if not linear(self._system, self._fresh, model):
            raise ProblemError("Radiating() needs conditions that are linear in the field.")
        self._inside = problem.domain.interior(SEEN, sampler)
        self._reach = {name: self._deepest(points[0]) for name, points in self._fresh.items()}
        self.spikes = spikes_of(problem, sides)
        for c in sides:
            more = [p for s in self.spikes for p in s.seen(c, FRESH_AT_CORNERS, sampler)]
            self._fresh[c.name] = [with_rows(self._fresh[c.name][0], more)]

    def _model(self, network: torch.nn.Module) -> Model:
        return build_model(self.problem, self.scales, network, torch.float64, self.seed, BuiltIn(self.problem.ansatz))

    def _deepest(self, points: Points) -> float:
        """How deep the obstacles are, along lines into them from where a condition holds."""
        deepest, longest = 0.0, max(self.scales.half_width.values())
        beneath = torch.ones(len(points), dtype=torch.bool)
        for share in np.geomspace(1e-3, 1.0, 60):
            level = self._level(points.coordinates + share * longest * points.normal)
            # A line that has come out on the other side is done.
            beneath &= level > 0
            deepest = max(deepest, float(torch.where(beneath, level, 0.0).max()))
        if not deepest > 0:
            raise ProblemError(
                "Radiating() finds no obstacle: no point beyond the conditions is enclosed by the domain."
            )
        return deepest

    def _level(self, at: Tensor) -> Tensor:
        """Positive outside the domain, as long as that is within its bounds: beyond them waves only leave."""
        low, high = torch.tensor(list(self.problem.domain.bounds.values()), dtype=torch.float64).T
        within = ((at > low) & (at < high)).all(dim=1)
        return torch.where(within, self.problem.domain.level(at), -1.0)

    def _places(self, constraint: Constraint, count: int, share: float) -> Tensor:
        """``(sources, axes)`` below the points of a condition, those that come out of the other side left out."""
        points = constraint.sample(count, Sampler(torch.Generator().manual_seed(self.seed)))[0]
        depth = share * self._reach[constraint.name]
        places = points.coordinates + depth * points.normal
        return places[self._level(places) > 0.5 * depth]

    def run(self) -> FoundOutgoing:
        """The best sources that were tried."""
        count = FEWEST[len(self.problem.domain.axes)]
        end: End = "stalled"
        depths, stalls, last = list(DEPTHS), 0, math.inf
        while True:
            for depth in depths:
                self.attempt(count, depth)
                if self.estimate() <= self.tolerance:
                    return self._found("tolerance")
                if self.spikes and self.attempts and self.best.misfit < last / GAIN < math.inf:
                    break
            best = self.best
            if self.spikes:
                # Corners limit, whatever the depth: the best one goes first, and alone while that gains.
                depths.sort(key=lambda depth: depth != best.depth)
            stalls = 0 if best.misfit < last / GAIN else stalls + 1
            if stalls == 2:
                return self._found(end)
            if time.perf_counter() > self.deadline:
                return self._found("budget")
            count, last = int(GROWTH * count), best.misfit
            if count > MOST:
                return self._found("size")

    def attempt(self, count: int, depth: float) -> None:
        """Solve with so many sources, so deep."""
        sides = self._system.constraints
        each = max(1, count // len(sides))
        places = torch.cat([self._places(c, each, depth) for c in sides])
        if len(places) < 2:
            return
        center = torch.tensor(list(self.scales.center.values()), dtype=torch.float64)
        stretch = list(self.scales.half_width.values())
        near = min(int(POLES * count), MOST_POLES)
        poles = [place for s in self.spikes for place in (s.poles(near) - center).tolist()]
        network = OutgoingWaves((places - center).tolist(), self.wavenumber, stretch, poles, dtype=torch.float64)
        model = self._model(network)
        points = self._system.sample(
            {c.name: ROWS * len(places) // len(sides) + 8 for c in sides},
            Sampler(torch.Generator().manual_seed(self.seed + 1)),
        )
        for c in sides:
            points[c.name] = [with_rows(points[c.name][0], [p for s in self.spikes for p in s.rows(c, near)])]
        blocks = design(self._system, points, model).blocks()
        scaled = {c.name: self._weights(c, points[c.name][0]) for c in sides}
        network.put(_solved(blocks, scaled, network.count, len(places)))
        misfit = self._misfit(network)
        with torch.no_grad():
            values = model(self._inside)
        used = {name: len(parts[0]) for name, parts in points.items()}
        self.attempts.append(Attempt(network, misfit, values, used, depth, time.perf_counter() - self._started))

    @torch.no_grad()
    def _misfit(self, network: OutgoingWaves) -> float:
        """The residual of all conditions at fresh points, over that of the zero field."""
        silent = OutgoingWaves(network.places[:1].tolist(), network.wavenumber, dtype=torch.float64)
        left, whole = (self._squared(self._model(n)) for n in (network, silent))
        ratio = math.sqrt(left / whole) if whole else 0.0
        return ratio if math.isfinite(ratio) else math.inf

    def _squared(self, model: Model) -> float:
        constraints = self._system.constraints
        parts = [(c, p) for c in constraints for p in self._system.parts(c, self._fresh[c.name], model)]
        scaled = {c.name: self._weights(c, self._fresh[c.name][0]) for c in constraints}
        return sum(c.weight * float(c.square(scaled[c.name] * p)) for c, p in parts)

    @torch.no_grad()
    def _roughest(self) -> str:
        """Where the best attempt's residual is largest, and whether a corner is there."""
        model, worst, place = self._model(self.best.network), -1.0, torch.zeros(0)
        for c in self._system.constraints:
            points = self._fresh[c.name]
            for part in self._system.parts(c, points, model):
                left = math.sqrt(c.weight) * (self._weights(c, points[0]) * part).abs().nan_to_num(nan=math.inf)
                if float(left.max()) > worst:
                    worst, place = float(left.max()), points[0].coordinates[int(left.argmax())]
        corners = [torch.from_numpy(s.wedge.place) for s in self.spikes if s.near(place)]
        at = ", ".join(f"{value:.4g}" for value in (corners[0] if corners else place).tolist())
        return f"the corner ({at})" if corners else f"({at})"

    def _weights(self, constraint: Constraint, points: Points) -> Tensor:
        order = max(map(len, self._system.asked[constraint.name]), default=0)
        return weights(self.spikes, points, order)

    @property
    def best(self) -> Attempt:
        """The attempt of the smallest misfit."""
        return min(self.attempts, key=lambda a: a.misfit)

    def estimate(self) -> float:
        """The best attempt's residual times the largest ratio of distance to residual of worse ones."""
        if not self.attempts:
            return math.inf
        best = self.best
        worse = [a for a in self.attempts if 3 * best.misfit < a.misfit < math.inf]
        size = float(best.values.norm()) or 1.0
        if not worse or not math.isfinite(best.misfit):
            return math.inf if best.misfit else 0.0
        ratio = max(float((a.values - best.values).norm()) / size / a.misfit for a in worse)
        return CAUTION * max(ratio, LEAST_RATIO) * best.misfit

    def _found(self, end: End) -> FoundOutgoing:
        if not self.attempts:
            raise ProblemError("Radiating() finds no place for sources inside the obstacles: they are too thin.")
        best, error = self.best, self.estimate()
        said = {
            "tolerance": "the tolerance is met", "budget": "the time is spent", "stalled": "more gain little",
            "size": f"more than {MOST} would be needed", "interrupted": "interrupted",
        }[end]  # fmt: skip
        if end != "tolerance":
            said += f", roughest at {self._roughest()}"
        waves = best.network.count
        history = {
            "step": [float(i + 1) for i in range(len(self.attempts))],
            "seconds": [a.at for a in self.attempts],
            "loss": [a.misfit**2 for a in self.attempts],
        }
        return FoundOutgoing(
            best.network, error, end, f"{waves} outgoing waves, {said}, estimated error {error:.1e}",
            len(self.attempts), time.perf_counter() - self._started, best.points, history,
        )  # fmt: skip


def _solved(blocks: list[Block], scaled: dict[str, Tensor], waves: int, sources: int) -> Tensor:
    """``(waves,)`` complex strengths: columns of unit length, small singular values left out.

    ``scaled``: the weights of each condition's rows; ``sources``: how many of the waves, the first ones, say its size.
    """
    rows, right = [], []
    for block in blocks:
        by_row = scaled[block.constraint.name]
        matrix = (block.matrix[:, :waves] + 1j * block.matrix[:, waves : 2 * waves]) * by_row[:, None]
        size = float(matrix[:, :sources].abs().square().mean().sqrt())
        weight = math.sqrt(block.constraint.weight / len(block.right)) / size
        rows.append(weight * matrix)
        right.append(weight * by_row * block.right)
    matrix, known = torch.cat(rows), torch.cat(right).to(torch.complex128)
    sizes = matrix.norm(dim=0)
    found = np.linalg.lstsq((matrix / sizes).numpy(), known.numpy(), rcond=CUT)[0]
    return torch.from_numpy(found) / sizes


__all__ = ["FoundOutgoing", "Outgoing"]
