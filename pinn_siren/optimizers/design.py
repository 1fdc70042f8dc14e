"""The linear system of a network's last layer: rows are residuals at points, columns the last layer's inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..ansatz import build_in
from ..conditions import Constraint
from ..errors import UsageError
from ..jet import Jet, Linearization, Plan, linearize
from ..model import Model
from ..points import Points
from ..problem import record
from ..system import System, checked

CHUNK = 2**22
"""Numbers of one derivative of the features that are held at once."""


@dataclass(frozen=True, eq=False)
class Block:
    """The rows of one part of one constraint: ``matrix`` ``(rows, unknowns)``, ``right`` ``(rows,)``."""

    constraint: Constraint
    matrix: Tensor
    right: Tensor


def last_layer(network: nn.Module) -> nn.Linear:
    """The linear layer that a network ends with. Raises ``UsageError`` where there is none."""
    layers = [m for m in network.modules() if isinstance(m, nn.Linear)]
    if not layers:
        raise UsageError(f"Least squares solves a last linear layer, and {type(network).__name__} has none.")
    return layers[-1]


def features(model: Model, points: Points, plan: Plan) -> Tensor:
    """``(channels, n, width + 1)``: the jets that the last layer combines, and the constant for its bias."""
    layer, seen = last_layer(model.network), []
    hook = layer.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    try:
        with torch.no_grad():
            model.raw_fields(points, plan)
    finally:
        hook.remove()
    channels = seen[-1].channels
    if layer.bias is None:
        return channels
    one = torch.zeros_like(channels[..., :1])
    one[0] = 1
    return torch.cat([channels, one], dim=-1)


def assemble(
    system: System, points: dict[str, list[Points]], model: Model, basis: Model | None = None
) -> tuple[list[Block], bool]:
    """The blocks of all constraints, linearized at the model's fields, and whether the unknowns are complex.

    The unknowns are the last layer's weights and bias, one set a field; where the fields are complex and the residual
    is complex-differentiable they are complex, else real parts and then imaginary parts. ``matrix @ unknowns - right``
    is the residual of the linearized problem. ``basis``: another model without an ansatz of its own, whose features
    stand for changes of the fields; then ``right`` has no meaning.
    """
    with torch.no_grad():
        model.refresh()
    found = [(c, *_linearized(system, c, points[c.name], model, basis is not None)) for c in system.constraints]
    whole = model.complex_valued and all(lin.complex_blocks() is not None for _, _, lin in found)
    return [b for c, plan, lin in found for b in _blocks(c, plan, lin, points[c.name], basis or model, whole)], whole


def _linearized(
    system: System, c: Constraint, points: list[Points], model: Model, composed: bool = False
) -> tuple[Plan, Linearization]:
    ansatz = system.problem.ansatz if composed else model.ansatz

    def residual(at: list[Points], free: list[tuple[Jet, ...]]) -> tuple[Tensor, ...]:
        plan = free[0][0].plan
        return checked(c, at, [build_in(ansatz, p, plan, u) for p, u in zip(at, free, strict=True)])

    def evaluate(plan: Plan) -> tuple[Plan, Linearization]:
        with torch.no_grad():
            raw = [(model.raw_fields if ansatz is model.ansatz else model.fields_at)(p, plan) for p in points]
        return plan, linearize(residual, points, raw)

    found, system.asked[c.name] = record(evaluate, system.problem, system.asked[c.name])
    return found


def _blocks(
    c: Constraint, plan: Plan, lin: Linearization, points: list[Points], model: Model, whole: bool
) -> Iterator[Block]:
    with torch.no_grad():
        raw = [model.raw_fields(p, plan) for p in points]
    coefficients, values = lin.coefficients, lin.values
    columns = [(i, column) for i, column in enumerate(lin.columns)]
    if whole:
        blocks = lin.complex_blocks()
        assert blocks is not None
        coefficients = blocks
        columns = list(enumerate(column for column in lin.columns if not column.imaginary))
        values = torch.complex(values[:, 0::2], values[:, 1::2])
    groups: dict[tuple[int, int, bool], list[tuple[int, int]]] = {}
    for i, column in columns:
        key = (column.points, column.field, column.imaginary)
        groups.setdefault(key, []).append((i, plan.index[column.key]))
    halves = 2 if model.complex_valued and not whole else 1
    width = last_layer(model.network).in_features + (last_layer(model.network).bias is not None)
    size = len(model.fields) * width
    n = len(points[0])
    step = max(1, CHUNK // width)
    pieces: list[list[Tensor]] = [[] for _ in range(coefficients.shape[1])]
    for start in range(0, n, step):
        cut = slice(start, start + step)
        shapes = [features(model, p[cut], plan) for p in points]
        part = coefficients.new_zeros(len(shapes[0][0]), coefficients.shape[1], halves * size)
        for (which, field, imaginary), entries in groups.items():
            at = (size if imaginary else 0) + field * width
            for i, channel in entries:
                shape = shapes[which][channel] * model.amplitude[field]
                for r in range(part.shape[1]):
                    part[:, r, at : at + width] += coefficients[cut][:, r, i, None] * shape
        for r in range(part.shape[1]):
            pieces[r].append(part[:, r])
    known = torch.zeros_like(values)
    for (which, field, imaginary), entries in groups.items():
        u = raw[which][field].channels
        u = u if whole or not model.complex_valued else (u.imag if imaginary else u.real)
        for i, channel in entries:
            # The offset is no unknown.
            fixed = model.offset[field] if channel == 0 and not imaginary else 0.0
            known = known + coefficients[:, :, i] * (u[channel] - fixed)[:, None]
    right = known - values
    for r, rows in enumerate(pieces):
        matrix, b = torch.cat(rows), right[:, r]
        if c.reduce == "mean":
            matrix, b = matrix.mean(0, keepdim=True), b.mean(0, keepdim=True)
        yield Block(c, matrix, b)


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


__all__ = ["Block", "assemble", "features", "last_layer", "put"]
