"""Inverse problems by least squares: features for the field, variable projection for the unknown numbers."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .ansatz.derive import BuiltIn
from .bandwidth import Found, Search
from .build import build_model
from .conditions import Constraint
from .confidence import all_points, estimates, misfits, noise_of
from .estimate import Estimate
from .model import Model
from .optimizers.projection import Projection
from .parameters import Unknowns, forward
from .problem import Problem
from .scales import Scales, measure_scales
from .siren import Siren
from .system import System
from .unknowns import at

STEPS = 40
ROUNDS = 4
COARSE = 1e-3
"""The tolerance of the field's features while the numbers are still far."""
MOVED = 1e-2
"""Features are chosen anew where the raw numbers moved this far from where they were chosen."""
REWEIGHED, SETTLED = 5, 1e-3
"""How often data are weighed anew by what the fields leave of them at most, and what change ends it."""


@dataclass
class Inversion:
    """Find the unknown numbers of a problem with its field in frozen sine features.

    The features are those that the forward problem needs, the problem without its data at the numbers' current values
    (``bandwidth.Search``); then the numbers follow from the data by ``Projection``, and again.
    """

    problem: Problem
    tolerance: float
    seed: int
    search_seconds: float
    deadline: float
    history: dict[str, list[float]] = field(default_factory=dict, init=False)
    steps: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._started = time.perf_counter()
        self.unknowns = Unknowns(self.problem, torch.float64, self.seed)
        self.scales: Scales = measure_scales(at(self.problem, self.unknowns.values()))

    def run(self) -> Found:
        """The features, the numbers and their intervals. Raises ``ResidualError`` where no residual is finite."""
        found: Found | None = None
        for number in range(ROUNDS):
            before = self._raw()
            again = self._features(self.tolerance if number else max(self.tolerance, COARSE))
            # At some numbers a nonlinear search from zero fails, where features of earlier ones do.
            found = again if found is None or again.estimate <= max(found.estimate, self.tolerance) else found
            projection = self.project(found.network)
            moved = float((self._raw() - before).abs().max())
            if found.end == "interrupted" or time.perf_counter() > self.deadline:
                break
            if moved <= MOVED and (number or self.tolerance >= COARSE):
                break
        assert found is not None
        return self._found(found, projection)

    def _raw(self) -> Tensor:
        return torch.cat([r.detach().reshape(-1).clone() for r in self.unknowns.raw.values()])

    def _features(self, tolerance: float) -> Found:
        """What the forward problem needs at the current numbers."""
        values = self.unknowns.values()
        self.scales = measure_scales(at(self.problem, values))
        limit = min(self.deadline, time.perf_counter() + self.search_seconds)
        return Search(forward(self.problem, values), self.scales, tolerance, self.seed, limit, own=False).run()

    def project(self, network: Siren) -> Projection:
        """The numbers that fit the data best, with the field in a network's last layer, its other layers frozen."""
        problem = self.unknowns.problem
        built = BuiltIn(problem.ansatz)
        model = build_model(problem, self.scales, network, torch.float64, self.seed, built, self.unknowns)
        self.system = System(problem)
        points = all_points(self.system, network.width, torch.Generator().manual_seed(self.seed))
        self.unknowns.refresh()
        # Relative sizes at first: one value of each kind of data counts as one of another.
        first = {c.name: c.noise or _size(model, points[c.name][0].attached) for c in self._measured()}
        projection = Projection(self.system, model, points, first)
        for _ in range(REWEIGHED):
            while projection.iterations < STEPS and time.perf_counter() < self.deadline:
                projection.step()
                self.steps += 1
                self._record(projection)
                if projection.done:
                    break
            noise = noise_of(self.system, model, points)
            change = max(abs(noise[n] / projection.noise[n] - 1) for n in noise)
            projection.noise, projection.done = noise, False
            projection.resolve()
            # A single kind of data has no weight against others but a prior's.
            alone = len(noise) == 1 and not len(self.unknowns.prior_slopes())
            if alone or change <= SETTLED:
                break
        return projection

    def _measured(self) -> list[Constraint]:
        return [c for c in self.system.constraints if c.measured]

    def _record(self, projection: Projection) -> None:
        row = {"step": float(len(self.history.get("step", [])) + 1), "seconds": time.perf_counter() - self._started}
        row["loss"] = projection.merit
        for name, r in self.unknowns.raw.items():
            values = self.unknowns.value(name, r).detach().reshape(-1).tolist()
            row |= {name if len(values) == 1 else f"{name} {i + 1}": v for i, v in enumerate(values)}
        for name, value in row.items():
            self.history.setdefault(name, []).append(value)

    def numbers(self, projection: Projection) -> dict[str, Estimate]:
        """The numbers with their intervals."""
        count = sum(len(r) for r in misfits(self.system, projection.model, projection.points).values())
        known = all(c.noise is not None for c in self._measured())
        return estimates(self.unknowns, projection.jacobian(), projection.noise, count, known)

    def _found(self, found: Found, projection: Projection) -> Found:
        model = projection.model
        assert isinstance(model.network, Siren)
        many = f"{self.steps} Gauss-Newton steps for {len(self._raw())} unknown number(s)"
        return dataclasses.replace(
            found, network=model.network, reason=f"{found.reason}; {many}",
            seconds=time.perf_counter() - self._started, history=self.history,
            points={name: len(p[0]) for name, p in projection.points.items()},
            unknowns={name: w.detach().clone() for name, w in self.unknowns.state_dict().items()},
            numbers=self.numbers(projection), scales=self.scales,
        )  # fmt: skip


def _size(model: Model, attached: Tensor | None) -> float:
    assert attached is not None
    return float(attached.abs().square().mean().sqrt()) or float(model.amplitude.max())


__all__ = ["Inversion"]
