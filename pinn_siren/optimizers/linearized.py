"""The linearization of a problem's constraints at a model's fields, for which the last layer is solved."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from ..ansatz import Ansatz, build_in
from ..conditions import Constraint
from ..errors import UsageError
from ..jet import Jet, Linearization, Plan, Residual, is_linear, linearize
from ..memory import Chunks, rows_within
from ..model import Model
from ..points import Points
from ..problem import record
from ..system import System, checked

LIVE = 32
"""Numbers a point and feature that are alive at once where fields are evaluated: derivatives, and what makes them."""


def last_layer(network: nn.Module) -> nn.Linear:
    """The linear layer that a network ends with. Raises ``UsageError`` where there is none."""
    layers = [m for m in network.modules() if isinstance(m, nn.Linear)]
    if not layers:
        raise UsageError(f"Least squares solves a last linear layer, and {type(network).__name__} has none.")
    return layers[-1]


def biased(layer: nn.Linear) -> bool:
    """Whether a layer's bias is solved for; not one that is none, or fixed, as beside waves that a constant is not."""
    return layer.bias is not None and layer.bias.requires_grad


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

    def evaluate(plan: Plan, at: list[Points]) -> tuple[Plan, Linearization, Raw]:
        raw = [_raw(model, p, plan) if ansatz is model.ansatz else model.fields_at(p, plan) for p in at]
        return plan, linearize(_residual(c, ansatz), at, raw), raw

    def some(cut: slice) -> tuple[Plan, Linearization, Raw]:
        at = [p[cut] for p in points]
        found, system.asked[c.name] = record(partial(evaluate, at=at), system.problem, system.asked[c.name])
        return found

    layer = last_layer(model.network)
    bytes_a_point = LIVE * layer.in_features * layer.weight.dtype.itemsize
    chunks = Chunks(f"points of {c.name!r}", rows_within(layer.weight.device, bytes_a_point))
    found = list(chunks.over(len(points[0]), some))
    if len({plan.keys for plan, _, _ in found}) > 1:
        # A derivative that only later points asked for is known now.
        found = list(chunks.over(len(points[0]), some))
    return _joined(found, points)


def _joined(found: list[tuple[Plan, Linearization, Raw]], points: list[Points]) -> tuple[Plan, Linearization, Raw]:
    """The linearizations at some points after others, as one."""
    if len(found) == 1:
        return found[0]
    plan, first, raw = found[0]
    parts = [lin for _, lin, _ in found]
    whole = replace(
        first, values=torch.cat([lin.values for lin in parts]),
        coefficients=torch.cat([lin.coefficients for lin in parts]),
    )  # fmt: skip
    jets = [
        tuple(Jet(torch.cat([part[s][f].channels for _, _, part in found], dim=1), plan, p) for f in range(len(raw[s])))
        for s, p in enumerate(points)
    ]
    return plan, whole, jets


def _raw(model: Model, points: Points, plan: Plan) -> tuple[Jet, ...]:
    """The network's own fields; of a last layer of zeros, without a look at the others."""
    layer = last_layer(model.network)
    if bool(layer.weight.any()) or (layer.bias is not None and bool(layer.bias.any())):
        return model.raw_fields(points, plan)
    kind = torch.promote_types(layer.weight.dtype, torch.complex64) if model.complex_valued else layer.weight.dtype
    channels = layer.weight.new_zeros(len(plan.keys), len(points), len(model.fields), dtype=kind)
    channels[0] += model.offset
    return tuple(Jet(channels[..., i], plan, points) for i in range(len(model.fields)))


__all__ = ["Raw", "biased", "last_layer", "linear", "linearized"]
