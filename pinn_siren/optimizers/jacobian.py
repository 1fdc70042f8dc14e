"""Residuals as one long vector, and its derivative by every parameter of a network, point by point.

A point's residual depends on a layer's weights through what goes in and comes out at that point alone, so its row is
``sum over channels of (cotangent of the output) x (input)``: an outer product, batched over points. One backward pass
through the jets gives the cotangents of all points at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from ..ansatz import build_in
from ..conditions import Constraint
from ..errors import UsageError
from ..jet import Jet, Linearization, Plan, linearize
from ..jet.rules import Product, watch
from ..loss import Objective
from ..model import Model
from ..points import Points
from ..problem import record
from ..system import System, checked

CHUNK = 2**24
"""Numbers of the Jacobian that are made at once."""
FEW = 32
"""Points at once where a parameter is used outside of linear maps: each of them takes a backward pass of its own."""


@dataclass(frozen=True, eq=False)
class Rows:
    """``r(theta)``: the residuals of all constraints at their points as one real vector, with ``|r|^2`` the loss.

    ``points``: of every constraint. Each part of a residual is divided by its size and the field's amplitude, as in
    ``Objective``, and by the root of the number of points; complex ones are split into real and imaginary parts. A
    constraint on a mean is one row a part. Each process has the rows of its share. ``parameters``: those that the rows
    are differentiated by.

    Raises ``UsageError`` where a parameter cannot be reached: one of an ansatz, an unknown, or a complex one.
    """

    objective: Objective
    points: dict[str, list[Points]]
    parameters: list[torch.nn.Parameter] = field(init=False)

    def __post_init__(self) -> None:
        model = self.objective.model
        found = [p for p in model.network.parameters() if p.requires_grad]
        beside = sum(p.requires_grad for p in model.parameters()) - len(found)
        if beside or any(p.is_complex() for p in found) or not found:
            what = (
                "parameters of an ansatz or unknowns beside it"
                if beside
                else "complex parameters"
                if found
                else "nothing to train"
            )
            raise UsageError(f"GaussNewton trains the real parameters of the network; got {what}. Use LBFGS or Adam.")
        object.__setattr__(self, "parameters", found)

    @property
    def size(self) -> int:
        """The number of parameters."""
        return sum(p.numel() for p in self.parameters)

    def at(self, theta: Tensor) -> Tensor:
        """``(rows,)``: the vector with the network's parameters set to ``theta``, which stays set."""
        vector_to_parameters(theta, self.parameters)
        return self.values()

    def where(self) -> Tensor:
        """The network's parameters as one vector."""
        return parameters_to_vector(self.parameters).detach().clone()

    @torch.no_grad()
    def values(self) -> Tensor:
        """``(rows,)``: the vector at the network as it is."""
        system, found = self.objective.system, [self.objective.model.center.new_zeros(0)]
        for c, points, total in self._own():
            parts = system.share_of_parts(c, points, self.objective.model)
            split = [half for p in parts for half in ((p.real, p.imag) if p.is_complex() else (p,))]
            numbers = [i for i, p in enumerate(parts) for _ in range(1 + p.is_complex())]
            rows = torch.stack(split, dim=1) * self._factors(c, numbers, total)
            found.append((rows.mean(0) if c.reduce == "mean" else rows).reshape(-1))
        return torch.cat(found)

    def chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The vector ``(n,)`` and its derivative ``(n, P)``, some rows at a time, in order."""
        system, model = self.objective.system, self.objective.model
        for c, points, total in self._own():
            whole = len(points[0])
            step = max(1, CHUNK // self.size)
            parts: list[tuple[Tensor, Tensor]] = []
            for start in range(0, whole, step):
                cut = [p[start : start + step] for p in points]
                values, slopes, numbers = point_rows(system, c, cut, model, self.parameters)
                factors = self._factors(c, numbers, total)
                values, slopes = values * factors, slopes.mul_(factors[:, None])
                if c.reduce == "mean":
                    parts.append((values.sum(0) / whole, slopes.sum(0) / whole))
                else:
                    yield values.reshape(-1), slopes.reshape(-1, self.size)
            if parts:
                yield torch.stack([v for v, _ in parts]).sum(0), torch.stack([s for _, s in parts]).sum(0)

    def total(self, rows: Tensor) -> float:
        """``|r|^2`` of the rows of all processes."""
        return self.objective.system.ranks.total(rows)

    def _own(self) -> Iterator[tuple[Constraint, list[Points], int]]:
        """The constraints of which this process has rows, its points, and how many all have."""
        for c in self.objective.system.constraints:
            points = self.points[c.name]
            mine, kept = self.objective.system.ranks.rows(points, c.reduce == "mean")
            if kept:
                yield c, mine, len(points[0])

    def _factors(self, c: Constraint, numbers: list[int] | tuple[int, ...], n: int) -> Tensor:
        objective = self.objective
        balance = 1.0 if objective.balance is None else float(objective.balance.weights.get(c.name, 1.0))
        sizes = objective.sizes(c)
        common = math.sqrt(c.weight * balance / (1 if c.reduce == "mean" else n))
        return torch.tensor([common / sizes[i] for i in numbers], dtype=torch.float64).to(objective.model.center)


def point_rows(
    system: System, c: Constraint, points: list[Points], model: Model, parameters: list[torch.nn.Parameter]
) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """A constraint's residual ``(n, R)`` in real parts, its derivative ``(n, R, P)``, and which part each row is of.

    ``points``: matched sets, ``n`` each.
    """

    def residual(at: list[Points], free: list[tuple[Jet, ...]]) -> tuple[Tensor, ...]:
        plan = free[0][0].plan
        return checked(c, at, [build_in(model.ansatz, p, plan, u) for p, u in zip(at, free, strict=True)])

    def evaluate(plan: Plan) -> tuple[list[Product], list[tuple[Jet, ...]], Linearization]:
        with torch.enable_grad(), watch() as products:
            raw = [model.raw_fields(p, plan) for p in points]
        return products, raw, linearize(residual, points, raw)

    (products, raw, lin), system.asked[c.name] = record(evaluate, system.problem, system.asked[c.name])
    n, count = lin.values.shape
    size = sum(p.numel() for p in parameters)
    slopes = lin.values.new_zeros(n, count, size)
    start, places = 0, dict[int, slice]()
    for p in parameters:
        places[id(p)] = slice(start, start + p.numel())
        start += p.numel()
    products = [p for p in products if p.weight.requires_grad or (p.bias is not None and p.bias.requires_grad)]
    with torch.enable_grad():
        sums = [_weighted(lin, row, raw) for row in range(count)]
        others = _used_elsewhere(sums, parameters)
        if others and n > FEW:
            halves = [point_rows(system, c, [p[i : i + FEW] for p in points], model, parameters)
                      for i in range(0, n, FEW)]  # fmt: skip
            return torch.cat([h[0] for h in halves]), torch.cat([h[1] for h in halves]), lin.parts
        for row, one in enumerate(sums):
            if not one.requires_grad:
                continue
            outputs = [p.outputs for p in products]
            found = torch.autograd.grad(one.sum(), outputs, retain_graph=True, allow_unused=True) if outputs else ()
            for product, cotangent in zip(products, found, strict=True):
                if cotangent is not None:
                    _add(slopes[:, row], product, cotangent, parameters, places)
            for i in range(n) if others else ():
                each = torch.autograd.grad(one[i], others, retain_graph=True, allow_unused=True)
                for p, g in zip(others, each, strict=True):
                    if g is not None:
                        slopes[i, row, places[id(p)]] += g.reshape(-1)
    return lin.values, slopes, lin.parts


def _weighted(lin: Linearization, row: int, raw: list[tuple[Jet, ...]]) -> Tensor:
    """``(n,)``: a row's linearization applied to the fields, in which only these are variable."""
    total = lin.values.new_zeros(len(lin.values))
    column = 0
    for jets in raw:
        for u in jets:
            for half in (u.channels.real, u.channels.imag) if u.channels.is_complex() else (u.channels,):
                total = total + (half * lin.coefficients[:, row, column : column + len(half)].T).sum(0)
                column += len(half)
    return total


def _used_elsewhere(sums: list[Tensor], parameters: list[torch.nn.Parameter]) -> list[torch.nn.Parameter]:
    """The parameters that the fields depend on not only through linear maps."""
    total = torch.stack([s.sum() for s in sums]).sum()
    if not total.requires_grad:
        return []
    found = torch.autograd.grad(total, parameters, retain_graph=True, allow_unused=True)
    return [p for p, g in zip(parameters, found, strict=True) if g is not None]


def _add(
    slopes: Tensor, product: Product, cotangent: Tensor, parameters: list[torch.nn.Parameter], places: dict[int, slice]
) -> None:
    """Add a linear map's share ``(n, P)``: outer products, passed on where the weight is made of parameters."""
    n = len(slopes)
    out = cotangent.movedim(1, 0).reshape(n, -1, cotangent.shape[-1])
    came = product.inputs.movedim(1, 0).reshape(n, -1, product.inputs.shape[-1])
    shares = [(product.weight, out.mT @ came), (product.bias, cotangent[0].reshape(n, -1, out.shape[-1]).sum(1))]
    for tensor, share in shares:
        if tensor is None or not tensor.requires_grad:
            continue
        if id(tensor) in places:
            slopes[:, places[id(tensor)]] += share.reshape(n, -1)
            continue
        found = torch.autograd.grad(
            tensor, parameters, share, retain_graph=True, allow_unused=True, is_grads_batched=True
        )
        for p, g in zip(parameters, found, strict=True):
            if g is not None:
                slopes[:, places[id(p)]] += g.reshape(n, -1)


__all__ = ["Rows", "point_rows"]
