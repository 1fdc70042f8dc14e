"""Objective: the physics-informed loss, a named mean a constraint, in units that make each of them about 1."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .conditions import Constraint
from .domains import Sampler
from .model import Model
from .points import Points
from .scales import Scales
from .system import System


class Objective:
    """``sum_m weight_m mean |C_m|^2 / (size_m amplitude)^2`` over the current points.

    Means, never sums, so that weights do not depend on the number of points; each part of a constraint's residual is
    divided by its size for a field of the likely amplitude, so that no weight is needed to balance units.
    """

    def __init__(self, system: System, model: Model, counts: dict[str, int], scales: Scales, sampler: Sampler) -> None:
        self.system, self.model, self.counts, self.scales, self.sampler = system, model, counts, scales, sampler
        # A generator of its own: looking at the error leaves the training's points as they are.
        self.fresh = replace(sampler, generator=torch.Generator(sampler.device).manual_seed(987_654_321))
        self.points: dict[str, list[Points]] = {}
        self.latest: dict[str, Tensor] = {}

    @property
    def names(self) -> list[str]:
        """The terms, a constraint each."""
        return [c.name for c in self.system.constraints]

    def resample(self) -> None:
        """Draw fresh points for every constraint."""
        self.points = self.system.sample(self.counts, self.sampler)

    def terms(self) -> dict[str, Tensor]:
        """The weighted mean of every constraint at the current points, nondimensional."""
        squares = self._squares(self.points, self.scales.residual)
        return {c.name: c.weight * squares[c.name] / self.scales.amplitude**2 for c in self.system.constraints}

    def _squares(self, points: dict[str, list[Points]], sizes: dict[str, tuple[float, ...]]) -> dict[str, Tensor]:
        """The mean square of every constraint's residual, its parts in units of their sizes."""

        def square(c: Constraint) -> Tensor:
            parts = self.system.parts(c, points[c.name], self.model)
            return torch.stack([c.square(r) / size**2 for r, size in zip(parts, sizes[c.name], strict=True)]).sum()

        return {c.name: square(c) for c in self.system.constraints}

    def backward(self) -> Tensor:
        """The loss at the current points, its gradient added to the parameters; the terms stay in ``latest``."""
        terms = self.terms()
        total = torch.stack(list(terms.values())).sum()
        total.backward()
        self.latest = {name: term.detach() for name, term in terms.items()}
        return total.detach()

    @torch.no_grad()
    def estimate(self) -> float:
        """An estimate of the relative L2 error from the residuals at fresh points, which the training does not see.

        Each residual is answered by the operator's response to it, averaged over all waves (``Scales.response``). It is
        an estimate of size, not a bound: modes that the operator amplifies more than the average escape it.
        """
        fresh = self.system.sample(self.counts, self.fresh)
        answers = {name: tuple(1 / r for r in response) for name, response in self.scales.response.items()}
        squares = self._squares(fresh, answers)
        raw = math.sqrt(sum(float(square) for square in squares.values()))
        inside = next(fresh[c.name][0] for c in self.system.constraints if c.on_interior)
        fields = self.model(inside)
        lever = (self.model(inside, shift=self.scales.amplitude) - fields).norm() / self.scales.amplitude
        size = float(fields.norm())
        return raw * float(lever) / size if size else math.inf

    def state(self) -> dict[str, Any]:
        """The points and the generators, as tensors and plain types."""
        return {
            "counts": dict(self.counts),
            "generator": self.sampler.generator.get_state(),
            "fresh": self.fresh.generator.get_state(),
            "points": {
                name: [{"coordinates": p.coordinates, "outward": p.outward, "attached": p.attached} for p in points]
                for name, points in self.points.items()
            },
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue with the points and generators of a state."""
        self.counts = dict(state["counts"])
        self.sampler.generator.set_state(state["generator"])
        self.fresh.generator.set_state(state["fresh"])
        self.points = {name: [self._back(p) for p in points] for name, points in state["points"].items()}

    def _back(self, p: dict[str, Any]) -> Points:
        device = self.sampler.device
        outward, attached = (None if p[k] is None else p[k].to(device) for k in ("outward", "attached"))
        return Points(self.system.problem.domain.axes, p["coordinates"].to(device), outward, attached)

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """The parameters that are trained."""
        return (p for p in self.model.parameters() if p.requires_grad)
