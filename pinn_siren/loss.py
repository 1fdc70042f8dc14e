"""Objective: the physics-informed loss, a named mean a constraint, in units that make each of them about 1."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .balance import EVERY, GradientBalance, length
from .causal import Causal
from .coefficients import trusted
from .compiled import Compiled
from .concentration import Concentration
from .conditions import Constraint
from .domains import Sampler
from .memory import Chunks
from .microbatches import Gradient, Whole, added, bytes_a_point, gradient_of, packed, points_within
from .model import Model
from .parameters import Unknowns
from .points import Points, join
from .resampling import Resampling, Uniform
from .scales import Scales, everywhere
from .system import System


class Objective:
    """``sum_m weight_m mean |C_m / (size_m amplitude)|^norm_m`` over the current points, the norm mostly 2.

    Means, never sums, so that weights do not depend on the number of points; each part of a constraint's residual is
    divided by its size for a field of the likely amplitude, so that no weight is needed to balance units, or by the
    size that the constraint brings. ``balance`` brings a further factor a term, ``causal`` weighs the interior means in
    time, ``resampling`` places the interior points. ``narrow``: by constraint the density of points around narrow
    sources that it draws from.

    Where all points at once would take too much memory, ``chunks.rows`` of them are evaluated at a time: the means are
    sums of pieces, whose gradients add up to the same gradient. ``compiled``: what runs the pieces as compiled graphs.
    """

    def __init__(
        self, system: System, model: Model, counts: dict[str, int], scales: Scales, sampler: Sampler,
        balance: GradientBalance | None = None, causal: Causal | None = None, resampling: Resampling | None = None,
        compiled: Compiled | None = None, narrow: dict[str, Concentration] | None = None,
    ) -> None:  # fmt: skip
        self.system, self.model, self.counts, self.scales, self.sampler = system, model, counts, scales, sampler
        self.balance, self.causal, self.resampling = balance, causal, resampling or Uniform()
        # A generator of its own: looking at the error leaves the training's points as they are.
        self.fresh = replace(sampler, generator=torch.Generator(sampler.device).manual_seed(987_654_321))
        self.points: dict[str, list[Points]] = {}
        self.latest: dict[str, Tensor] = {}
        self.compiled, self.narrow = compiled, narrow or {}
        self._chunks: Chunks | None = None

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
        gradients: dict[str, Gradient] = {name: [] for name in self.names}
        for name, _, gradient in self._pieces(dict.fromkeys(self.names, 1.0)):
            if name in gradients:
                gradients[name] = added(gradients[name], gradient)
        whole = {name: self._summed(gradient) for name, gradient in gradients.items()}
        self.balance.move({name: length(gradient) for name, gradient in whole.items()})

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
        factors = self._factors()
        weighted = {name: factors[name] * mean for name, mean in means.items()}
        if self.model.unknowns is None:
            return weighted
        priors = self._priors(self.model.unknowns, self._where_priors_hold())
        return weighted | {name: self.system.ranks.shared(prior) for name, prior in priors.items()}

    def _factors(self) -> dict[str, float]:
        """What multiplies every mean: a condition's own weight, and that of the balance."""
        balanced = {} if self.balance is None else self.balance.weights
        return {c.name: c.weight * balanced.get(c.name, 1.0) for c in self.system.constraints}

    def _where_priors_hold(self) -> Points:
        return next(self.points[c.name][0] for c in self.system.constraints if c.on_interior)

    def _priors(self, unknowns: Unknowns, inside: Points) -> dict[str, Tensor]:
        """What the priors of unknowns add, in the units of the data's mean square."""
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
        return self._in_units(c, self._parts(c, points))

    def _in_units(self, c: Constraint, parts: tuple[Tensor, ...]) -> list[Tensor]:
        return [part / size for part, size in zip(parts, self.sizes(c), strict=True)]

    def _summed(self, gradient: Gradient) -> Gradient:
        """The sum of all processes' gradients."""
        ranks, trained = self.system.ranks, list(self.parameters())
        if ranks.size == 1:
            return gradient
        return list(
            ranks.summed([torch.zeros_like(w) if g is None else g for w, g in zip(trained, gradient, strict=True)])
        )

    def _parts(self, c: Constraint, points: list[Points]) -> tuple[Tensor, ...]:
        """The parts of a constraint's residual; without gradients as many points at a time as fit."""
        if torch.is_grad_enabled():
            return self.system.parts(c, points, self.model)

        ranks = self.system.ranks
        own = ranks.own(points)

        def work(rows: slice) -> tuple[Tensor, ...]:
            return self.system.share_of_parts(c, [p[rows] for p in own], self.model)

        found = self.chunks.over(len(own[0]), work)
        return tuple(ranks.gathered(torch.cat(part), len(points[0])) for part in zip(*found, strict=True))

    def sizes(self, c: Constraint) -> list[float]:
        """The residual that counts as 1, for every part of a constraint's."""
        known = [size * self.scales.amplitude for size in self.scales.residual[c.name]]
        return known if c.size is None else [c.size] * len(known)

    def _inside(self) -> list[Constraint]:
        """The constraints that hold everywhere inside: no integrals, no data at points of their own."""
        inside = [c for c in self.system.constraints if c.on_interior and c.reduce == "points"]
        return [c for c in inside if everywhere(c) or self.points[c.name][0].attached is None]

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
        """``(n,)``: the root of the squared residual."""
        return self._densities(c, p).sqrt()

    def _squares(self, points: dict[str, list[Points]], sizes: dict[str, tuple[float, ...]]) -> dict[str, Tensor]:
        """The mean square of every constraint's residual, its parts in units of their sizes."""

        def square(c: Constraint) -> Tensor:
            parts = self._parts(c, points[c.name])
            return torch.stack([c.square(r) / size**2 for r, size in zip(parts, sizes[c.name], strict=True)]).sum()

        return {c.name: square(c) for c in self.system.constraints}

    def backward(self) -> Tensor:
        """The loss at the current points, its gradient added to the parameters; the terms stay in ``latest``."""
        terms: dict[str, Tensor] = {}
        gradient: Gradient = []
        for name, value, part in self._pieces(self._factors()):
            terms[name] = terms[name] + value if name in terms else value
            gradient = added(gradient, part)
        for w, g in zip(self.parameters(), self._summed(gradient), strict=True):
            if g is not None:
                w.grad = g if w.grad is None else w.grad.add_(g)
        sums = self.system.ranks.sum(torch.stack(list(terms.values())))
        self.latest = terms = dict(zip(terms, sums, strict=True))
        if self.causal is not None:
            self.causal.advance()
        return torch.stack(list(terms.values())).sum()

    def _pieces(self, factors: dict[str, float]) -> Iterator[tuple[str, Tensor, Gradient]]:
        """The terms as sums over as many points at a time as fit: a name, a piece's value and its gradient.

        What a mean over all points enters otherwise than as a sum is measured first, without gradients.
        """
        trained: list[Tensor] = list(self.parameters())
        live = self._causal_shares()
        for c in self.system.constraints:
            points = self.points[c.name]
            whole = Whole(c, self._mean_slopes(c) if c.reduce == "mean" else [], live.get(c.name), len(points[0]))

            cut, share = self.system.ranks.portion(len(points[0]))

            def work(
                rows: slice, whole: Whole = whole, points: list[Points] = points, cut: slice = cut, share: float = share
            ) -> tuple[Tensor, Gradient]:
                rows = slice(cut.start + rows.start, cut.start + rows.stop)
                at, factor = [p[rows] for p in points], share * factors[whole.constraint.name]
                return self._derive(whole.over(rows), at, factor, trained)

            for value, gradient in self.chunks.over(cut.stop - cut.start, work):
                yield c.name, value, gradient
        if self.model.unknowns is not None:
            yield from self._prior_pieces(self.model.unknowns, trained)

    def _derive(self, whole: Whole, at: list[Points], factor: float, trained: list[Tensor]) -> tuple[Tensor, Gradient]:
        """The value of a piece times a factor, and its gradient."""

        def derive(factor: Tensor | float, whole: Whole, at: list[Points]) -> list[Tensor | None]:
            c = whole.constraint
            piece, value = whole.piece(self._in_units(c, self.system.share_of_parts(c, at, self.model)))
            return [factor * value, *gradient_of(factor * piece, trained)]

        if self.compiled is None:
            with self._unwatched():
                found = derive(factor, whole, at)
        else:
            scale = torch.full((), factor, dtype=self.sampler.dtype, device=self.sampler.device)
            tensors, rebuilt = packed(whole, at)
            with trusted():
                found = self.compiled(
                    (whole.constraint.name, whole.share, *map(id, trained)),
                    lambda scale, *given: derive(scale, *rebuilt(given)),
                    [scale, *tensors],
                )
        assert found[0] is not None
        return found[0], found[1:]

    def _unwatched(self) -> AbstractContextManager[None]:
        """On a device a step looks at no values, so that the host runs ahead of it."""
        return nullcontext() if self.sampler.device.type == "cpu" else trusted()

    def _prior_pieces(self, unknowns: Unknowns, trained: list[Tensor]) -> Iterator[tuple[str, Tensor, Gradient]]:
        inside = self._where_priors_hold()
        cut, portion = self.system.ranks.portion(len(inside))

        def work(rows: slice) -> list[tuple[str, Tensor, Gradient]]:
            rows = slice(cut.start + rows.start, cut.start + rows.stop)
            share = portion * (rows.stop - rows.start) / len(inside)
            terms = {name: share * term for name, term in self._priors(unknowns, inside[rows]).items()}
            return [(name, term.detach(), gradient_of(term, trained)) for name, term in terms.items()]

        for found in self.chunks.over(cut.stop - cut.start, work):
            yield from found

    def _mean_slopes(self, c: Constraint) -> list[tuple[Tensor, Tensor]]:
        """Of every part of a constraint on the mean, what it adds to the loss, and the derivative by the mean."""
        with torch.no_grad():
            means = [part.mean(0, keepdim=True) for part in self._scaled(c, self.points[c.name])]
        found = []
        for mean in means:
            adds = c.densities(mean.requires_grad_()).sum()
            found.append((adds.detach(), torch.autograd.grad(adds, mean)[0].squeeze(0)))
        return found

    @torch.no_grad()
    def _causal_shares(self) -> dict[str, Tensor]:
        """What each interior point's density is multiplied by, where time weighs it."""
        if self.causal is None:
            return {}
        weights = self.causal.renewed(self._slabs)
        return {c.name: self.causal.shares(self.points[c.name][0], weights) for c in self._inside()}

    @property
    def chunks(self) -> Chunks:
        """How many points are evaluated at once: as many as fit the free memory, by what they keep for a gradient."""
        if self._chunks is None:
            sampler = Sampler(torch.Generator(self.sampler.device).manual_seed(1), self.sampler.dtype)

            def cost(c: Constraint) -> float:
                points = c.sample(64, sampler)
                return bytes_a_point(lambda n: self.system.share_of_parts(c, [p[:n] for p in points], self.model))

            most = max(cost(c) for c in self.system.constraints)
            self._chunks = Chunks("collocation points", points_within(self.sampler.device, most))
        return self._chunks

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
        inside = self._everywhere(fresh)
        fields = self._fields(inside)
        # Points that are dense somewhere come with weights; measured ones with what was measured.
        dense = any(c.name in self.narrow for c in self.system.constraints if c.on_interior)
        weight = inside.attached[:, :1].sqrt() if dense and inside.attached is not None else 1.0
        lever = ((self._fields(inside, self.scales.amplitude) - fields) * weight).norm() / self.scales.amplitude
        size = float((fields * weight).norm())
        return raw * float(lever) / size if size else math.inf

    def _fields(self, p: Points, shift: float = 0.0) -> Tensor:
        seen = self.system.problem.seen
        return torch.cat(list(self.chunks.over(len(p), lambda rows: seen(self.model(p[rows], shift=shift), p[rows]))))

    def _everywhere(self, points: dict[str, list[Points]]) -> Points:
        """Points inside, on all sides where there are some."""
        inside = [points[c.name][0] for c in self.system.constraints if c.on_interior]
        return inside[0] if self.system.problem.sides is None else join(inside)

    def state(self) -> dict[str, Any]:
        """The points and the generators, as tensors and plain types."""
        return {
            "counts": dict(self.counts),
            "rows": None if self._chunks is None else self._chunks.rows,
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
        self._chunks = None if state["rows"] is None else Chunks("collocation points", state["rows"])
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

    def zero_loss(self) -> float:
        """What narrow sources, as smooth as they are now, make the loss of a field of zero; 0 where there are none."""
        total = 0.0
        for c in self.system.constraints:
            found = self.narrow[c.name].squares() if c.name in self.narrow else []
            total += c.weight * sum(square / size**2 for square, size in zip(found, self.sizes(c), strict=False))
        return total

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """The parameters that are trained."""
        return (p for p in self.model.parameters() if p.requires_grad)
