"""The unknowns of a model: trained numbers and networks, mapped smoothly into their bounds."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from .conditions import Data, Raster
from .domains import Domain, Sampler
from .errors import ProblemError, StorageError
from .jet import Jet, Plan, constant, coordinate, lift, make_plan
from .points import Points
from .siren import Siren
from .unknowns import Bound, Bounds, Stated, Unknown, UnknownField, at, first, limits, stated

SMOOTH = 3.0
"""The highest wavenumber of an unknown field unless given, in units of 1 / half-width."""


def bounded(raw: Any, start: Any, size: float, bounds: Bounds | None) -> Any:
    """The value of a raw number (a tensor or a jet) of about 1; ``raw = 0`` is the start.

    Without bounds ``start + size raw``; with one, ``low + (start - low) exp(raw)`` or its mirror image; with both,
    ``low + (high - low) / (1 + exp(-raw) (high - start) / (start - low))``.
    """
    low, high = limits(bounds)
    if low == -math.inf and high == math.inf:
        return raw * size + start
    if high == math.inf:
        return torch.exp(raw) * (start - low) + low
    if low == -math.inf:
        return torch.exp(-1 * raw) * (start - high) + high
    odds = (high - start) / (start - low)
    return (high - low) / (torch.exp(-1 * raw) * odds + 1.0) + low


class FieldNetwork(nn.Module):
    """``f(p) = bounded(network((coordinates - center) / scale))``: an unknown field, called at points.

    Its network ends in zeros, so that the field starts where it is stated. Jets of it carry the network's graph.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, stated: UnknownField, domain: Domain, dtype: torch.dtype, generator: torch.Generator) -> None:
        super().__init__()
        self.axes = tuple(stated.axes) if stated.axes else domain.space_axes or domain.axes
        wrong = [a for a in self.axes if a not in domain.axes]
        if wrong:
            raise ProblemError(f"UnknownField(axes={stated.axes!r}): {domain} has the axes {', '.join(domain.axes)}.")
        self.stated = stated
        bounds = [domain.bounds[a] for a in self.axes]
        self.register_buffer("center", torch.tensor([(low + high) / 2 for low, high in bounds], dtype=dtype))
        self.register_buffer("scale", torch.tensor([(high - low) / 2 for low, high in bounds], dtype=dtype))
        self.length = max((high - low) / 2 for low, high in bounds)
        top = SMOOTH if stated.wavenumber is None else max(stated.wavenumber * self.length, 1e-3)
        # First-layer weights reach omega / inputs; depth brings the rest.
        omega = [len(self.axes) * top / min(2, stated.depth)] + [30.0] * (stated.depth - 1)
        self.network = Siren(len(self.axes), 1, stated.width, stated.depth, omega, dtype=dtype, generator=generator)
        nn.init.zeros_(self.network.layers[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.network.layers[-1].bias)  # type: ignore[arg-type]

    @property
    def range(self) -> float:
        """The size of the field's variations: between its bounds, else that of its start."""
        low, high = limits(self.stated.bounds)
        if math.isfinite(high - low):
            return high - low
        return abs(float(self.stated.initial)) or 1.0 if not callable(self.stated.initial) else 1.0

    def jet_at(self, p: Points, plan: Plan) -> Jet:
        """The field with the derivatives of a plan."""
        columns = [(coordinate(p, plan, a) - self.center[i]) / self.scale[i] for i, a in enumerate(self.axes)]
        raw = self.network(torch.stack(columns, dim=-1))  # type: ignore[arg-type]
        raw = raw[:, 0]
        start = lift(self.stated, p, plan) if callable(self.stated.initial) else constant(p, plan, self.stated.initial)
        return bounded(raw, start, self.range, self.stated.bounds)  # type: ignore[no-any-return]

    def forward(self, p: Points) -> Tensor:
        """``(n,)``: the field's values, differentiable in the points too."""
        at = [p.axes.index(a) for a in self.axes]
        raw = self.network((p.coordinates[:, at] - self.center) / self.scale)[:, 0]
        return bounded(raw, self.stated(p), self.range, self.stated.bounds)  # type: ignore[no-any-return]

    def roughness(self, p: Points) -> Tensor:
        """The mean of ``L^2 |grad f|^2`` in units of the field's range."""
        u = self.jet_at(p, make_plan(p.axes, frozenset(self.axes)))
        squares = torch.stack([u.channel(a).square() for a in self.axes]).sum(0)
        return squares.mean() * (self.length / self.range) ** 2


class Unknowns(nn.Module):
    """All unknowns of a problem as parameters of a model: raw numbers of about 1, and networks.

    ``refresh()`` writes the values, with their graph, into the bound copy of the problem whose residuals are evaluated.
    """

    def __init__(self, problem: Any, dtype: torch.dtype, seed: int) -> None:
        super().__init__()
        bound = Bound(problem)
        self.bound: Bound = bound
        self._make(bound.stated, problem.domain, dtype, seed)

    @classmethod
    def from_configuration(cls, described: dict[str, Any], domain: Domain, dtype: torch.dtype) -> Unknowns | None:
        """The unknowns that a file describes, without their problem; None where there are none."""
        if not described:
            return None
        made = cls.__new__(cls)
        nn.Module.__init__(made)
        given = {name: _stated_again(arguments) for name, arguments in described.items()}
        made._make(given, domain, dtype, 0)
        return made

    def configuration(self) -> dict[str, Any]:
        """Plain values that, with the weights, rebuild the values. A function that a field starts from is not kept."""
        return {name: _plain(unknown) for name, unknown in self.stated.items()}

    def _make(self, stated: Mapping[str, Stated], domain: Domain, dtype: torch.dtype, seed: int) -> None:
        self.stated = dict(stated)
        self.raw, self.networks = nn.ParameterDict(), nn.ModuleDict()
        self.sizes = {name: float(u.start.abs().max()) or 1.0 for name, u in stated.items() if isinstance(u, Unknown)}
        generator = torch.Generator().manual_seed(seed + 1)
        for name, unknown in stated.items():
            if isinstance(unknown, Unknown):
                self.raw[name] = nn.Parameter(torch.zeros_like(unknown.start, dtype=dtype))
            else:
                self.networks[name] = FieldNetwork(unknown, domain, dtype, generator)

    @property
    def problem(self) -> Any:
        """The bound problem, with the values that were written last."""
        return self.bound.problem

    def value(self, name: str, raw: Tensor) -> Tensor:
        """An unknown's value from its raw numbers."""
        unknown = self.stated[name]
        assert isinstance(unknown, Unknown)
        return bounded(raw, unknown.start.to(raw), self.sizes[name], unknown.bounds)  # type: ignore[no-any-return]

    def refresh(self, raw: Mapping[str, Tensor] | None = None) -> None:
        """Write the current values into the bound problem; ``raw``: other raw numbers than the parameters."""
        numbers = {name: self.value(name, (raw or self.raw)[name]) for name in self.raw}
        self.bound.set({**numbers, **dict(self.networks.items())})

    @torch.no_grad()
    def values(self) -> dict[str, Any]:
        """What a problem's fields take: floats, tensors ``(m,)`` on the CPU, and functions of points."""
        found: dict[str, Any] = {}
        for name in self.stated:
            if name in self.networks:
                found[name] = Detached(self.networks[name])  # type: ignore[arg-type]
            else:
                value = self.value(name, self.raw[name]).detach().double().cpu()
                found[name] = float(value) if value.ndim == 0 else value
        return found

    def away(self, raw: Mapping[str, Tensor] | nn.ParameterDict) -> Tensor:
        """``(m,)``: of all numbers with a prior, their distances to its mean in its deviations."""
        found = [next(iter(raw.values())).new_zeros(0)] if raw else [torch.zeros(0)]
        for name, unknown in self.stated.items():
            if isinstance(unknown, Unknown) and unknown.prior is not None:
                mean, deviation = unknown.prior
                found.append((self.value(name, raw[name]).reshape(-1) - mean) / deviation)
        return torch.cat(found)

    def prior_slopes(self) -> Tensor:
        """``(priors, m)``: the derivatives of ``away`` by all raw numbers."""
        raw = {name: r.detach().clone().requires_grad_() for name, r in self.raw.items()}
        with torch.enable_grad():
            away = self.away(raw)
        rows = [torch.autograd.grad(a, list(raw.values()), retain_graph=True, allow_unused=True) for a in away]
        table = [
            torch.cat(
                [(torch.zeros_like(r) if s is None else s).reshape(-1) for s, r in zip(row, raw.values(), strict=True)]
            )
            for row in rows
        ]
        return torch.stack(table) if table else away.new_zeros(0, sum(r.numel() for r in raw.values()))

    @torch.no_grad()
    def slopes(self, at_start: bool = False) -> Tensor:
        """``(m,)``: the derivative of each value by its own raw number, here or at the start."""
        found = []
        for name, r in self.raw.items():
            raw = (torch.zeros_like(r) if at_start else r.detach().clone()).requires_grad_()
            with torch.enable_grad():
                value = self.value(name, raw).sum()
            found.append(torch.autograd.grad(value, raw)[0].reshape(-1))
        return torch.cat(found)

    def priors(self, inside: Points, share: float) -> dict[str, Tensor]:
        """What the priors add to the loss: of fields their roughness, of numbers ``share`` times their squares."""
        terms = {}
        away = self.away(self.raw)
        if len(away):
            terms["prior"] = share * away.square().sum()
        for name, unknown in self.stated.items():
            if isinstance(unknown, UnknownField) and unknown.smoothness:
                network = self.networks[name]
                assert isinstance(network, FieldNetwork)
                terms[f"prior {name}"] = unknown.smoothness * network.roughness(inside)
        return terms


def _plain(unknown: Stated) -> dict[str, Any]:
    if isinstance(unknown, Unknown):
        return {"kind": "value", "initial": unknown.start.tolist(), "bounds": unknown.bounds}
    initial = None if callable(unknown.initial) else float(unknown.initial)
    given = {n: getattr(unknown, n) for n in ("bounds", "wavenumber", "axes", "width", "depth")}
    return {"kind": "field", "initial": initial, **given}


def _stated_again(described: dict[str, Any]) -> Stated:
    arguments = {k: v for k, v in described.items() if k != "kind"}
    if arguments["bounds"] is not None:
        arguments["bounds"] = tuple(arguments["bounds"])
    if described["kind"] == "value":
        return Unknown(**arguments)
    if arguments["initial"] is None:
        raise StorageError(
            "An unknown field that starts from a function cannot be built again: no file keeps functions."
        )
    return UnknownField(**arguments)


class Detached:
    """An unknown field as a coefficient, without its graph, at points of any device and precision."""

    def __init__(self, network: FieldNetwork) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)

    def __call__(self, p: Points) -> Tensor:
        """``(n,)`` values, in the points' dtype and on their device; differentiable in the points."""
        like = self.network.center
        moved = Points(p.axes, p.coordinates.to(like))
        return self.network(moved).to(p.coordinates)


class Probed:
    """An unknown field as a coefficient whose channels are leaves of the graph: how residuals depend on it is seen.

    ``seen``: the points, plan and leaf of every evaluation since it was emptied.
    """

    def __init__(self, network: FieldNetwork) -> None:
        self.network = network
        self.seen: list[tuple[Points, Plan, Tensor]] = []

    def jet_at(self, p: Points, plan: Plan) -> Jet:
        """The field with the derivatives of a plan."""
        with torch.no_grad():
            leaf = self.network.jet_at(p, plan).channels.clone()
        if torch.is_grad_enabled():
            self.seen.append((p, plan, leaf.requires_grad_()))
        return Jet(leaf, plan, p)

    def __call__(self, p: Points) -> Tensor:
        """``(n,)`` values."""
        return self.jet_at(p, make_plan(p.axes, frozenset())).value


def forward(problem: Any, values: Mapping[str, Any] | None = None) -> Any:
    """The problem at the unknowns' values, their first ones unless given, without the data that they are found from.

    A fit keeps its data, and a problem without unknowns is left as it is.
    """
    if not stated(problem):
        return problem
    here = first(problem) if values is None else at(problem, values)
    conditions = [c for c in here.conditions if not isinstance(c, Data | Raster)]
    return here if here.is_fit else replace(here, conditions=conditions)


def make_unknowns(problem: Any, dtype: torch.dtype, seed: int) -> Unknowns | None:
    """The unknowns of a problem, None where there are none."""
    return Unknowns(problem, dtype, seed) if stated(problem) else None


def expect_seen(system: Any, model: Any, sampler: Sampler) -> None:
    """Raises ``ProblemError`` for an unknown that no residual depends on, and where nothing is measured."""
    unknowns = model.unknowns
    if not any(c.measured for c in system.constraints):
        raise ProblemError(
            f"Nothing is measured that {', '.join(unknowns.stated)} could be found from: add Data(points, values) to "
            "the conditions."
        )
    parameters = dict(unknowns.named_parameters())
    seen: set[str] = set()
    for c in system.constraints:
        parts = system.parts(c, c.sample(7, sampler), model)
        total = torch.stack([part.abs().sum() for part in parts]).sum()
        grads = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
        seen |= {name.split(".")[1] for name, g in zip(parameters, grads, strict=True) if g is not None}
    for name in unknowns.stated:
        if name not in seen:
            raise ProblemError(
                f"No residual depends on the unknown {name!r}: use it in the residual by torch's functions, since "
                "math.sqrt(self.k), float(self.k) and the like lose the dependence; or leave it out."
            )


__all__ = ["Detached", "FieldNetwork", "Probed", "Unknowns", "bounded", "expect_seen", "forward", "make_unknowns"]
