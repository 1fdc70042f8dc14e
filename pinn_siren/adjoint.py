"""Unknown fields from data: the fields of a linear equation eliminated on a grid, the rest fitted by adjoint states."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call, grad, jvp, vmap

from .conditions import Constraint
from .discrepancy import Descent, Evaluated, descend
from .domains import Box, Sampler
from .errors import NoReferenceError, ProblemError
from .jet import LAPLACIAN, is_linear, make_plan
from .parameters import FieldNetwork, Probed, Unknowns
from .points import Points
from .problem import Problem, record
from .reference.readings import Read, Readings
from .scales import measure_scales
from .system import checked
from .unknowns import Bound, first

Real = NDArray[np.float64]

STEPS = 40
PER_WAVE = {"fields": 4.0, "unknown": 6.0}
"""Nodes of the first grid for every shortest wave of the fields' data, and of the unknown field."""
LEAST_CELLS, FINER = 24, 1.4
MOST_NODES = 60_000
SHARE = 0.3
"""The part of the noise that readings may differ by from those on a finer grid."""
SHARP = 1e-3
"""The noise that a grid is chosen for where none is stated, of the data's size."""
HELD = 5
"""One reading in so many is held out where the noise is not known."""
PRIOR_POINTS, AT_ONCE = 200, 512


class NotReducedError(ProblemError):
    """The equation's fields cannot be eliminated; the message says why."""


@dataclass(frozen=True, eq=False)
class FoundFields:
    """The unknown fields' weights, the readings' root mean square misfit in units of the noise, and how it ended."""

    state: dict[str, Tensor]
    misfit: float
    steps: int
    seconds: float
    end: str
    reason: str
    history: dict[str, list[float]]


@dataclass
class Adjoint:
    """Find the unknown fields of a linear steady problem on a box from data, all other fields eliminated.

    For every guess of the unknown fields the equation is solved on a grid (``reference.readings``); Gauss-Newton on
    their networks' weights lowers the data's misfit, whose derivatives are adjoint states', until it is the noise
    (``discrepancy.descend``). The grid is refined until readings differ from those on a finer one by less than
    ``SHARE`` of the noise, at the start and at the end. Where a ``Data`` does not state its noise, it is what is
    left of held-out readings.

    Raises ``NotReducedError`` for another problem.
    """

    problem: Problem
    seed: int
    deadline: float = math.inf
    history: dict[str, list[float]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._started = time.perf_counter()
        self.unknowns = Unknowns(self.problem, torch.float64, self.seed)
        expect_reducible(self.problem, self.unknowns)
        self.networks: list[FieldNetwork] = list(self.unknowns.networks.values())  # type: ignore[arg-type]
        self.start = torch.nn.utils.parameters_to_vector(self.unknowns.parameters()).detach().clone()
        start = first(self.problem)
        self.measured = [c for c in start.constraints() if c.measured]
        bound = Bound(replace(self.problem, conditions=_unmeasured(self.problem)))  # type: ignore[type-var]
        self.probed = {
            name: Probed(network) for name, network in zip(self.unknowns.networks, self.networks, strict=True)
        }
        bound.set(self.probed)
        self.forward: Problem = bound.problem
        self.scales = measure_scales(start)
        self.solves = 0

    def run(self) -> FoundFields:
        """The unknown fields, with their networks' weights set."""
        parameters = np.zeros(len(self.start))
        cells, readings, finer, error = self._grid()
        stated = [c.noise for c in self.measured]
        if all(n is not None for n in stated):
            noise = self._each(readings, [float(n) for n in stated])  # type: ignore[arg-type]
            said = "the stated noise"
        else:
            noise, said = self._held_out(readings, error), "the noise of held-out readings"
        steps = 0
        while True:
            found = self._descend(readings, np.hypot(noise, error), parameters)
            parameters, steps = found.parameters, steps + len(found.misfits) - 1
            error = self._difference(readings, finer, parameters)
            rough = math.sqrt(float(np.mean((error / noise) ** 2)))
            if rough <= SHARE or finer is None or found.end in ("budget", "interrupted"):
                break
            cells, readings, finer = self._next(cells, finer)
        self._set(parameters)
        misfit = math.sqrt(found.evaluated.misfit)
        size = " x ".join(str(n) for n in cells.values())
        reason = (
            f"adjoint states, {steps} Gauss-Newton steps and {self.solves} solves on {size} cells, "
            f"readings missed by {misfit:.2f} of {said}, {rough:.2f} of it from the grid"
        )
        state = {name: w.detach().clone() for name, w in self.unknowns.state_dict().items()}
        return FoundFields(state, misfit, steps, time.perf_counter() - self._started, found.end, reason, self.history)

    def _descend(self, readings: Readings, noise: Real, start: Real, kept: NDArray[np.bool_] | None = None) -> Descent:
        kept = np.ones(len(noise), dtype=bool) if kept is None else kept
        found = descend(
            lambda parameters: self._evaluated(readings, noise, parameters, kept), start, STEPS, self.deadline,
            seen=self._record, aim=1.0 if kept.all() else 0.0,
        )  # fmt: skip
        self.solves += found.solves
        return found

    def _record(self, here: Evaluated) -> None:
        row = {"step": float(len(self.history.get("step", [])) + 1), "seconds": time.perf_counter() - self._started}
        for name, value in (row | {"loss": here.merit}).items():
            self.history.setdefault(name, []).append(value)

    def _evaluated(self, readings: Readings, noise: Real, parameters: Real, kept: NDArray[np.bool_]) -> Evaluated:
        self._set(parameters)
        read = readings.at()
        left = -_stacked(read.left[:, None])[:, 0] / _twice(noise, read.left)
        twice = _twice(kept, read.left)
        beside, pull = self._prior(readings, noise)

        def slopes() -> Real:
            return np.concatenate([(self._slopes(read) / _twice(noise, read.left)[:, None])[twice], pull()])

        held = float(np.mean(left[~twice] ** 2)) if not twice.all() else math.nan
        return Evaluated(left[twice], slopes, beside, held)

    def _set(self, parameters: Real) -> None:
        torch.nn.utils.vector_to_parameters(self.start + torch.from_numpy(parameters), self.unknowns.parameters())

    def _slopes(self, read: Read) -> Real:
        """``(R, P)``: the readings' derivatives by all weights, real parts and then imaginary ones."""
        found = np.zeros((len(read.left) * (1 + np.iscomplexobj(read.left)), len(self.start)))
        for s in read.slopes():
            by = _stacked(s.by)
            columns = self._columns(s.coefficient)
            for at in range(0, len(s.points), AT_ONCE):
                part = slice(at, at + AT_ONCE)
                found[:, columns] += by[:, part] @ weight_slopes(self.networks[s.coefficient], s.key, s.points[part])
        return found

    def _columns(self, coefficient: int) -> slice:
        sizes = [sum(w.numel() for w in network.parameters()) for network in self.networks]
        return slice(sum(sizes[:coefficient]), sum(sizes[: coefficient + 1]))

    def _prior(self, readings: Readings, noise: Real) -> tuple[Real, Callable[[], Real]]:
        """What smoothness wants small, weighed as in a loss whose data count in units of their size, and its slopes."""
        size = np.abs(readings.measured)
        share = math.sqrt(float(np.mean(size**2) / np.mean(noise**2)))
        beside, pulls = [np.zeros(0)], list[Callable[[], Real]]()
        for i, network in enumerate(self.networks):
            if not network.stated.smoothness:
                continue
            sampler = Sampler(torch.Generator().manual_seed(self.seed))
            p = self.problem.domain.interior(PRIOR_POINTS, sampler)
            factor = share * math.sqrt(network.stated.smoothness / len(p)) * network.length / network.range
            u = network.jet_at(p, make_plan(p.axes, frozenset(network.axes)))
            for axis in network.axes:
                beside.append(factor * u.channel(axis).detach().numpy())

                def pull(i: int = i, axis: str = axis, factor: float = factor, p: Points = p) -> Real:
                    rows = np.zeros((len(p), len(self.start)))
                    rows[:, self._columns(i)] = factor * weight_slopes(self.networks[i], axis, p)
                    return rows

                pulls.append(pull)
        return np.concatenate(beside), lambda: np.concatenate([np.zeros((0, len(self.start))), *(p() for p in pulls)])

    def _held_out(self, readings: Readings, error: Real) -> Real:
        """(R,): the noise, from readings that were held out of a fit."""
        count = len(readings.start)
        kept = np.random.default_rng(self.seed).permutation(count) % HELD > 0
        units = self._each(readings, [1.0] * len(self.measured)) * np.sqrt(np.mean(np.abs(readings.measured) ** 2))
        found = self._descend(readings, units, np.zeros(len(self.start)), kept)
        return np.maximum(units * math.sqrt(max(found.evaluated.held, 0.0)), error / SHARE)

    @staticmethod
    def _each(readings: Readings, values: list[float]) -> Real:
        return np.concatenate([np.full(count, v) for count, v in zip(readings.counts, values, strict=True)])

    def _readings(self, cells: dict[str, int]) -> Readings:
        try:
            return Readings(self.forward, self.measured, cells, list(self.probed.values()))
        except NoReferenceError as error:
            raise NotReducedError(f"The equation is not solved on a grid: {error}") from None

    def _grid(self) -> tuple[dict[str, int], Readings, Readings | None, Real]:
        """The first grid that is fine enough at the start, a finer one, and how much their readings differ."""
        cells, wanted = {}, [n.stated.wavenumber or 0.0 for n in self.networks]
        for a, (low, high) in self.problem.domain.bounds.items():
            per = [PER_WAVE["fields"] * self.scales.wavenumber[a], PER_WAVE["unknown"] * max(wanted)]
            cells[a] = max(LEAST_CELLS, math.ceil((high - low) * max(per) / (2 * math.pi)))
        shrunk = min(1.0, (MOST_NODES / FINER ** len(cells) / math.prod(cells.values())) ** (1 / len(cells)))
        cells = {a: max(LEAST_CELLS, int(n * shrunk)) for a, n in cells.items()}
        readings, finer = self._readings(cells), self._readings(_finer(cells))
        parameters = np.zeros(len(self.start))
        while True:
            error = self._difference(readings, finer, parameters)
            stated = [c.noise or SHARP * np.sqrt(np.mean(np.abs(readings.measured) ** 2)) for c in self.measured]
            if np.mean((error / self._each(readings, stated)) ** 2) <= SHARE**2:
                return cells, readings, finer, error
            following = self._next(cells, finer)
            if following[2] is None:
                return cells, readings, finer, error
            cells, readings, finer = following[0], following[1], following[2]

    def _next(self, cells: dict[str, int], finer: Readings) -> tuple[dict[str, int], Readings, Readings | None]:
        cells = _finer(cells)
        affordable = math.prod(_finer(cells).values()) <= MOST_NODES
        return cells, finer, self._readings(_finer(cells)) if affordable else None

    def _difference(self, readings: Readings, finer: Readings | None, parameters: Real) -> Real:
        """(R,): the root mean square difference between two grids' readings, of each kind of data."""
        if finer is None:
            return np.zeros(len(readings.start))
        self._set(parameters)
        one, other = readings.at().left, finer.at().left
        self.solves += 2
        each = np.split(np.abs(one - other) ** 2, np.cumsum(readings.counts)[:-1])
        real = 1 + np.iscomplexobj(one)
        return self._each(readings, [math.sqrt(float(np.mean(e)) / real) for e in each])


def expect_reducible(problem: Problem, unknowns: Unknowns) -> None:
    """Raises ``NotReducedError`` unless fields can be eliminated: a linear steady equation on a box, unknown fields in
    it, and data at points."""
    box = problem.domain
    if not isinstance(box, Box) or box.has_time:
        raise NotReducedError(f"Fields are eliminated on a box without time, not on {box}.")
    if not len(unknowns.networks) or len(unknowns.raw):
        raise NotReducedError("Fields are eliminated where unknown fields are found alone, without unknown numbers.")
    start = first(problem)
    if problem.ansatz is not None or problem.fields != problem.outputs or problem.is_fit or start.free_constant:
        raise NotReducedError("Fields are eliminated of an equation that fixes them, without an ansatz.")
    if max(start.order(a) for a in box.axes) > 2:
        raise NotReducedError("Fields are eliminated of equations of at most second order.")
    if not any(c.measured for c in start.constraints()):
        raise NotReducedError("Nothing is measured: add Data(points, values).")
    for c in start.constraints():
        if not c.measured and not _linear(start, c):
            raise NotReducedError(
                f"Fields of linear equations are eliminated, and the {c.name} residual is not linear."
            )


def _linear(problem: Problem, c: Constraint) -> bool:
    sampler = Sampler(torch.Generator().manual_seed(5))
    points = c.sample(16, sampler)
    _, asked = record(
        lambda plan: checked(c, points, [problem.random_fields(p, plan, sampler) for p in points]), problem
    )
    plan = make_plan(problem.domain.axes, asked)
    jets = [problem.random_fields(p, plan, sampler) for p in points]
    return is_linear(lambda at, fields: checked(c, at, fields), points, jets)


def weight_slopes(network: FieldNetwork, key: str, p: Points) -> Real:
    """``(n, P)``: the derivatives of an unknown field's channel by its network's weights, one backward pass a point."""
    named = {name: w.detach() for name, w in network.named_parameters()}

    def value(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        found: Tensor = functional_call(network, weights, (Points(p.axes, x[None]),))
        return found[0]

    def along(f: Callable[[Tensor], Tensor], axis: str) -> Callable[[Tensor], Tensor]:
        unit = torch.zeros(len(p.axes), dtype=p.coordinates.dtype)
        unit[p.axes.index(axis)] = 1.0
        return lambda x: jvp(f, (x,), (unit,))[1]

    def channel(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        total = x.new_zeros(())
        for letters in [2 * a for a in p.space_axes] if key == LAPLACIAN else [key]:
            f: Callable[[Tensor], Tensor] = lambda y: value(weights, y)  # noqa: E731
            for axis in letters:
                f = along(f, axis)
            total = total + f(x)
        return total

    found = vmap(grad(channel), (None, 0))(named, p.coordinates)
    return np.concatenate([found[name].reshape(len(p), -1).numpy() for name in named], axis=1)


def _unmeasured(problem: Problem) -> list[object]:
    return [c for c in problem.conditions if not any(k.measured for k in c.constraints(first(problem)))]


def _finer(cells: dict[str, int]) -> dict[str, int]:
    return {a: math.ceil(FINER * n) for a, n in cells.items()}


def _stacked(rows: NDArray[np.complex128] | Real) -> Real:
    """Real parts, and then imaginary ones."""
    return np.concatenate([rows.real, rows.imag]) if np.iscomplexobj(rows) else np.asarray(rows)


def _twice(values: NDArray, like: NDArray) -> NDArray:  # type: ignore[type-arg]
    return np.concatenate([values, values]) if np.iscomplexobj(like) else values


__all__ = ["Adjoint", "FoundFields", "NotReducedError", "expect_reducible", "weight_slopes"]
