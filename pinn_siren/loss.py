"""Objective: the physics-informed loss, a named mean a constraint, in units that make each of them about 1."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .balance import EVERY, GradientBalance
from .causal import Causal
from .conditions import Constraint
from .domains import Sampler
from .model import Model
from .parameters import Unknowns
from .points import Points
from .resampling import Resampling, Uniform
from .scales import Scales
from .system import System


class Objective:
    """``sum_m weight_m mean |C_m / (size_m amplitude)|^norm_m`` over the current points, the norm mostly 2.

    Means, never sums, so that weights do not depend on the number of points; each part of a constraint's residual is
    divided by its size for a field of the likely amplitude, so that no weight is needed to balance units, or by the
    size that the constraint brings. ``balance`` brings a further factor a term, ``causal`` weighs the interior means in
    time, ``resampling`` places the interior points.
    """

    def __init__(
        self, system: System, model: Model, counts: dict[str, int], scales: Scales, sampler: Sampler,
        balance: GradientBalance | None = None, causal: Causal | None = None, resampling: Resampling | None = None,
    ) -> None:  # fmt: skip
        self.system, self.model, self.counts, self.scales, self.sampler = system, model, counts, scales, sampler
        self.balance, self.causal, self.resampling = balance, causal, resampling or Uniform()
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

    def concentrate(self, before: dict[str, list[Points]], due: bool) -> None:
        """Move the fresh interior points to where ``resampling`` wants them, or back where that is not ``due``."""
        for c in self._inside() if before else []:
            old, fresh = before[c.name][0], self.points[c.name][0]
            draw, size = partial(self._draw, c), partial(self._sizes, c)
            placed = self.resampling.place(old, fresh, draw, size, self.sampler.generator) if due else old
            self.points[c.name] = [placed]

    def reweigh(self, number: int, fixed: bool) -> None:
        """Renew the balance before a step; where the loss function is ``fixed``, only if there is none yet."""
        if self.balance is None or (self.balance.measured if fixed else number % EVERY):
            return
        self.balance.update(self.means(), list(self.parameters()), self.system.ranks)

    def settle(self, fixed: bool) -> None:
        """Begin on new points: causal weights that stay where the loss function is ``fixed``, else live ones."""
        if self.causal is not None:
            self.causal.kept = None
            if fixed:
                with torch.no_grad():
                    self.causal.keep(self._slabs)

    def terms(self) -> dict[str, Tensor]:
        """The weighted mean of every constraint at the current points, nondimensional."""
        means = self.means()
        factors = {} if self.balance is None else self.balance.weights
        weighted = {c.name: c.weight * factors.get(c.name, 1.0) * means[c.name] for c in self.system.constraints}
        if self.model.unknowns is None:
            return weighted
        priors = self._priors(self.model.unknowns)
        return weighted | {name: self.system.ranks.shared(prior) for name, prior in priors.items()}

    def _priors(self, unknowns: Unknowns) -> dict[str, Tensor]:
        """What the priors of unknowns add, in the units of the data's mean square."""
        inside = next(self.points[c.name][0] for c in self.system.constraints if c.on_interior)
        known = [(c, len(self.points[c.name][0])) for c in self.system.constraints if c.measured]
        share = sum((c.noise / self.sizes(c)[0]) ** 2 / n for c, n in known if c.noise) / max(1, len(known))
        return unknowns.priors(inside, share)

    def means(self) -> dict[str, Tensor]:
        """The mean of every constraint's residual to its norm at the current points, nondimensional, without its
        weight."""
        causal = {} if self.causal is None else self.causal.means(self._slabs())
        rest = [c for c in self.system.constraints if c.name not in causal]
        plain = {c.name: torch.stack([c.mean(r) for r in self._scaled(c, self.points[c.name])]).sum() for c in rest}
        return {name: (causal | plain)[name] for name in self.names}

    def _scaled(self, c: Constraint, points: list[Points]) -> list[Tensor]:
        """The parts of a constraint's residual, in units of their sizes."""
        parts = self.system.parts(c, points, self.model)
        return [part / size for part, size in zip(parts, self.sizes(c), strict=True)]

    def sizes(self, c: Constraint) -> list[float]:
        """The residual that counts as 1, for every part of a constraint's."""
        known = [size * self.scales.amplitude for size in self.scales.residual[c.name]]
        return known if c.size is None else [c.size] * len(known)

    def _inside(self) -> list[Constraint]:
        """The constraints that hold everywhere inside: no integrals, no data at points of their own."""
        inside = [c for c in self.system.constraints if c.on_interior and c.reduce == "points"]
        return [c for c in inside if self.points[c.name][0].attached is None]

    def _draw(self, c: Constraint, n: int) -> Points:
        return c.sample(n, self.sampler)[0]

    def _slabs(self) -> dict[str, Tensor]:
        """The mean squares of the interior constraints in each slab of time, nondimensional."""
        assert self.causal is not None
        at = {c.name: self.points[c.name][0] for c in self._inside()}
        return {c.name: self.causal.slab_means(at[c.name], self._densities(c, at[c.name])) for c in self._inside()}

    def _densities(self, c: Constraint, p: Points) -> Tensor:
        """``(n,)``: what an interior constraint adds to the loss at each point, nondimensional."""
        return torch.stack([c.densities(part) for part in self._scaled(c, [p])]).sum(0)

    @torch.no_grad()
    def _sizes(self, c: Constraint, p: Points) -> Tensor:
        """``(n,)``: the root of the squared residual, as many points at a time as the training takes."""
        length = self.counts[c.name]
        chunks = [p[i : i + length] for i in range(0, len(p), length)]
        return torch.cat([self._densities(c, chunk) for chunk in chunks]).sqrt()

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
        self.system.ranks.reduce(self.parameters())
        if self.causal is not None:
            self.causal.advance()
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
            "balance": None if self.balance is None else self.balance.state(),
            "causal": None if self.causal is None else self.causal.state(),
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
        if self.balance is not None:
            self.balance.load(state["balance"])
        if self.causal is not None:
            self.causal.load(state["causal"], self.sampler.device)
        self.points = {name: [self._back(p) for p in points] for name, points in state["points"].items()}

    def _back(self, p: dict[str, Any]) -> Points:
        device = self.sampler.device
        outward, attached = (None if p[k] is None else p[k].to(device) for k in ("outward", "attached"))
        return Points(self.system.problem.domain.axes, p["coordinates"].to(device), outward, attached)

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """The parameters that are trained."""
        return (p for p in self.model.parameters() if p.requires_grad)
