"""How linear maps and elementary functions pass derivatives on, channel by channel, forward, with one backward pass.

A jet's channels are stacked: ``(C, n, ...)``, channel 0 the value. The backward passes are written by hand: they keep
the stacked input and the function's derivatives only, where recorded elementary operations would keep every product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .plan import Monomial, Plan

Derivatives = Callable[[Tensor, int], list[Tensor]]
"""``(z, m) -> [f(z), f'(z), ..., f^(m)(z)]``, elementwise."""


def compose(z: Tensor, plan: Plan, derivatives: Derivatives) -> Tensor:
    """``(C, n, ...) -> (C, n, ...)``: the jet of f(z) from the jet of z, by Faà di Bruno's formula."""
    return _Compose.apply(z, plan, derivatives)


def linear(z: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``(C, n, w) -> (C, n, v)``: ``z weightᵀ`` in one matrix product over all channels; the bias on the value only."""
    if not _watching:
        return _Linear.apply(z, weight, bias)
    out = _Linear.apply(z, weight.detach(), None if bias is None else bias.detach())
    out = out if out.requires_grad else out.requires_grad_()
    _watching[-1].append(Product(z.detach(), weight, bias, out))
    return out


@dataclass(frozen=True, eq=False)
class Product:
    """One linear map that was passed: what went in and came out, and the weight and bias as they were given."""

    inputs: Tensor
    weight: Tensor
    bias: Tensor | None
    outputs: Tensor


_watching: list[list[Product]] = []


@contextmanager
def watch() -> Iterator[list[Product]]:
    """Collect the linear maps that jets pass inside; their weights are left out of the graph.

    So gradients reach what came out of each map, point by point, and a parameter only where it is used otherwise.
    """
    products: list[Product] = []
    _watching.append(products)
    try:
        yield products
    finally:
        _watching.pop()


def multiply(a: Tensor, b: Tensor, plan: Plan) -> Tensor:
    """The jet of a product, by Leibniz' rule."""
    return torch.stack([_sum([f * a[i] * b[j] if f != 1 else a[i] * b[j] for f, i, j in t]) for t in plan.product])


def _sum(terms: list[Tensor]) -> Tensor:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _monomial(factor: int, channels: tuple[int, ...], z: Tensor) -> Tensor:
    product = z[channels[0]]
    for c in channels[1:]:
        product = product * z[c]
    return factor * product if factor != 1 else product


def _polynomial(monomials: tuple[Monomial, ...], z: Tensor) -> Tensor:
    return _sum([_monomial(factor, channels, z) for factor, channels in monomials])


class _Compose(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, plan: Plan, derivatives: Derivatives) -> Tensor:
        f = derivatives(z[0], plan.order + 1 if z.requires_grad else plan.order)
        h = torch.empty_like(z)
        h[0] = f[0]
        if len(plan.keys) > 1:
            torch.mul(f[1], z[1:], out=h[1:]) if not z.is_complex() else h[1:].copy_(f[1] * z[1:])
        for c, bell in enumerate(plan.chain):
            for m in range(2, len(bell)):
                if bell[m]:
                    h[c].addcmul_(f[m], _polynomial(bell[m], z))
        ctx.plan = plan
        ctx.save_for_backward(z, *f[1:])
        return h

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        # A complex function's gradient is the conjugate of its derivative; for real numbers nothing is conjugated.
        z, *higher = (saved.conj() for saved in ctx.saved_tensors)
        f = [None, *higher]
        plan: Plan = ctx.plan
        out = f[1] * g
        # What reaches the value through each derivative of f: the sum over the channels of g and their polynomial in z.
        through: dict[int, Tensor] = {}
        for c, bell in enumerate(plan.chain):
            for m in range(1, len(bell)):
                if not bell[m]:
                    continue
                polynomial = _polynomial(bell[m], z)
                through[m] = through[m].addcmul_(g[c], polynomial) if m in through else g[c] * polynomial
                if m == 1:
                    continue
                weight = f[m] * g[c]
                for channel in {c for _, channels in bell[m] for c in channels}:
                    _add_slope(out[channel], weight, bell[m], channel, z)
        for m, sums in through.items():
            out[0].addcmul_(f[m + 1], sums)
        return out, None, None


def _add_slope(out: Tensor, weight: Tensor, monomials: tuple[Monomial, ...], channel: int, z: Tensor) -> None:
    """Add to ``out`` the weight times the derivative of a polynomial in the channels by one of them."""
    for factor, channels in monomials:
        power = channels.count(channel)
        if power:
            rest = list(channels)
            rest.remove(channel)
            out.addcmul_(weight, _monomial(1, tuple(rest), z), value=factor * power)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(z, weight)
        out = z @ weight.T
        if bias is not None:
            out[0] += bias
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        z, weight = (saved.conj() for saved in ctx.saved_tensors)
        to_input = g @ weight if ctx.needs_input_grad[0] else None
        to_weight = _transposed(g.flatten(0, -2), z.flatten(0, -2)) if ctx.needs_input_grad[1] else None
        return to_input, to_weight, g[0].sum(0) if ctx.needs_input_grad[2] else None


def _transposed(g: Tensor, z: Tensor) -> Tensor:
    """``gᵀ z``; the narrower of the two is transposed, which is up to three times faster where one has few columns."""
    return g.T @ z if g.shape[1] <= z.shape[1] else (z.T @ g).T.contiguous()
