"""The linear system of a network's last layer: rows are residuals at points, columns the last layer's inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from ..ansatz import Ansatz, build_in
from ..conditions import Constraint
from ..errors import UsageError
from ..jet import Jet, Linearization, Plan, Residual, is_linear, linearize
from ..model import Model
from ..points import Points
from ..problem import record
from ..system import System, checked
from ..waves import WavesAt

CHUNK = 2**18
"""Numbers of one derivative of the features that are held at once: they stay in the processor's cache."""


@dataclass(frozen=True, eq=False)
class Block:
    """The rows of one part of one constraint: ``matrix`` ``(rows, unknowns)``, ``right`` ``(rows,)``.

    ``total``: the rows of all processes.
    """

    constraint: Constraint
    matrix: Tensor
    right: Tensor
    total: int


def last_layer(network: nn.Module) -> nn.Linear:
    """The linear layer that a network ends with. Raises ``UsageError`` where there is none."""
    layers = [m for m in network.modules() if isinstance(m, nn.Linear)]
    if not layers:
        raise UsageError(f"Least squares solves a last linear layer, and {type(network).__name__} has none.")
    return layers[-1]


class Features(Protocol):
    """What the last layer combines, at ``n`` points."""

    def rows(self, plan: Plan, coefficients: Tensor) -> Tensor:
        """``(n, width)``: ``sum_c coefficients[:, c] (derivative c of each feature)``."""


@dataclass(frozen=True, eq=False)
class FeatureJets:
    """The features of any network, as jets: ``channels`` ``(channels, n, width)``."""

    channels: Tensor

    def rows(self, plan: Plan, coefficients: Tensor) -> Tensor:
        """The sum over the channels that a coefficient asks for."""
        used = torch.nonzero((coefficients != 0).any(dim=0))[:, 0].tolist()
        total = self.channels.new_zeros(self.channels.shape[1:], dtype=coefficients.dtype)
        for i in used:
            total.addcmul_(coefficients[:, i, None], self.channels[i].to(coefficients.dtype))
        return total


def features(model: Model, points: Points, plan: Plan) -> FeatureJets | WavesAt:
    """What the last layer combines."""
    waves = model.waves
    if waves is not None:
        return waves.at(points)
    layer, seen = last_layer(model.network), []
    hook = layer.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    try:
        model.raw_fields(points, plan)
    finally:
        hook.remove()
    return FeatureJets(seen[-1].channels)


def assemble(
    system: System, points: dict[str, list[Points]], model: Model, basis: Model | None = None
) -> tuple[list[Block], bool]:
    """The blocks of all constraints, linearized at the model's fields, and whether the unknowns are complex.

    The unknowns are the last layer's weights and bias, one set a field; where the fields are complex and the residual
    is complex-differentiable they are complex, else real parts and then imaginary parts. ``matrix @ unknowns - right``
    is the residual of the linearized problem. A matrix of complex unknowns is real where all its coefficients are. Each
    process makes the rows of its share of the points. ``basis``: another model without an ansatz of its own, whose
    features stand for changes of the fields; then ``right`` has no meaning.
    """
    ranks = system.ranks
    with torch.no_grad():
        model.refresh()
        mine = {c.name: ranks.rows(points[c.name], c.reduce == "mean") for c in system.constraints}
        found = [(c, *linearized(system, c, mine[c.name][0], model, basis is not None)) for c in system.constraints]
        whole = model.complex_valued and all(lin.complex_blocks() is not None for _, _, lin, _ in found)
        whole = ranks.every(whole)
        over, blocks = basis or model, list[Block]()
        for c, plan, lin, raw in found:
            at, kept = mine[c.name]
            total = 1 if c.reduce == "mean" else len(points[c.name][0])
            for matrix, right in _blocks(c, plan, lin, raw, at, over, whole):
                blocks.append(Block(c, matrix if kept else matrix[:0], right if kept else right[:0], total))
    return blocks, whole


@torch.no_grad()
def linear(system: System, points: dict[str, list[Points]], model: Model) -> bool:
    """Whether the fields enter every residual linearly, at a few of the points."""
    model.refresh()
    for c in system.constraints:
        few = [p[:16] for p in points[c.name]]
        _, _, raw = linearized(system, c, few, model)
        if not is_linear(_residual(c, model.ansatz), few, raw):
            return False
    return True


Raw = list[tuple[Jet, ...]]


def _residual(c: Constraint, ansatz: Ansatz | None) -> Residual:
    def residual(at: list[Points], free: Raw) -> tuple[Tensor, ...]:
        plan = free[0][0].plan
        return checked(c, at, [build_in(ansatz, p, plan, u) for p, u in zip(at, free, strict=True)])

    return residual


def linearized(
    system: System, c: Constraint, points: list[Points], model: Model, composed: bool = False
) -> tuple[Plan, Linearization, Raw]:
    """The plan of a constraint, its linearization at the model's fields, and these; ``composed``: with respect to the
    fields with what the model builds in, no longer to the network's own."""
    ansatz = system.problem.ansatz if composed else model.ansatz

    def evaluate(plan: Plan) -> tuple[Plan, Linearization, Raw]:
        raw = [_raw(model, p, plan) if ansatz is model.ansatz else model.fields_at(p, plan) for p in points]
        return plan, linearize(_residual(c, ansatz), points, raw), raw

    found, system.asked[c.name] = record(evaluate, system.problem, system.asked[c.name])
    return found


def _raw(model: Model, points: Points, plan: Plan) -> tuple[Jet, ...]:
    """The network's own fields; of a last layer of zeros, without a look at the others."""
    layer = last_layer(model.network)
    if bool(layer.weight.any()) or (layer.bias is not None and bool(layer.bias.any())):
        return model.raw_fields(points, plan)
    kind = torch.promote_types(layer.weight.dtype, torch.complex64) if model.complex_valued else layer.weight.dtype
    channels = layer.weight.new_zeros(len(plan.keys), len(points), len(model.fields), dtype=kind)
    channels[0] += model.offset
    return tuple(Jet(channels[..., i], plan, points) for i in range(len(model.fields)))


def _blocks(
    c: Constraint, plan: Plan, lin: Linearization, raw: Raw, points: list[Points], model: Model, whole: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    coefficients, values, columns = lin.coefficients, lin.values, lin.columns
    if whole:
        blocks = lin.complex_blocks()
        assert blocks is not None
        coefficients = blocks if bool(blocks.imag.any()) else blocks.real
        columns = tuple(column for column in columns if not column.imaginary)
        values = torch.complex(values[:, 0::2], values[:, 1::2])
    layer = last_layer(model.network)
    width = layer.in_features
    size = width + (layer.bias is not None)
    halves = 2 if model.complex_valued and not whole else 1
    n, parts = coefficients.shape[:2]
    groups: dict[tuple[int, int, bool], Tensor] = {}
    for i, column in enumerate(columns):
        key = (column.points, column.field, column.imaginary)
        if key not in groups:
            groups[key] = coefficients.new_zeros(parts, n, len(plan.keys))
        groups[key][..., plan.index[column.key]] = coefficients[:, :, i].T
    matrices = coefficients.new_zeros(parts, n, halves * len(model.fields) * size)
    known = torch.zeros_like(values)
    for (which, field, imaginary), by_key in groups.items():
        u = raw[which][field].channels
        u = u if whole or not model.complex_valued else (u.imag if imaginary else u.real)
        fixed = torch.zeros_like(u[:, :1])
        # The offset is no unknown.
        fixed[0] = 0.0 if imaginary else model.offset[field]
        known = known + torch.einsum("rnk,kn->nr", by_key.to(u.dtype), u - fixed)
    step = max(1, CHUNK // width)
    for start in range(0, n, step):
        cut = slice(start, start + step)
        shapes = [features(model, p[cut], plan) for p in points]
        for (which, field, imaginary), by_key in groups.items():
            at = ((len(model.fields) if imaginary else 0) + field) * size
            for r in range(parts):
                scaled = by_key[r, cut] * model.amplitude[field]
                matrices[r, cut, at : at + width] += shapes[which].rows(plan, scaled)
                if size > width:
                    matrices[r, cut, at + width] += scaled[:, 0]
    right = known - values
    for r in range(parts):
        matrix, b = matrices[r], right[:, r]
        if c.reduce == "mean":
            matrix, b = matrix.mean(0, keepdim=True), b.mean(0, keepdim=True)
        yield matrix, b


def put(model: Model, unknowns: Tensor, whole: bool) -> None:
    """Set the last layer from the unknowns of ``assemble``."""
    layer = last_layer(model.network)
    width = layer.in_features + (layer.bias is not None)
    parts = [unknowns.real, unknowns.imag] if whole else [unknowns]
    rows = torch.cat([part.reshape(-1, width) for part in parts])
    with torch.no_grad():
        layer.weight.copy_(rows[:, : layer.in_features])
        if layer.bias is not None:
            layer.bias.copy_(rows[:, -1])


__all__ = ["Block", "assemble", "features", "last_layer", "linear", "linearized", "put"]
