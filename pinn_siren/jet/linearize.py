"""The residual's linearization in the jet: a block of coefficients a point.

A residual is a pointwise function of the jet, so one gradient of its sum gives the derivative at every point at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..points import Points
from .jet import Jet

Residual = Callable[[list[Points], list[tuple[Jet, ...]]], tuple[Tensor, ...]]
"""From matched sets of points, and the jets of all fields at each, to the residual's parts, ``(n,)`` each."""


@dataclass(frozen=True)
class Column:
    """One real unknown of a point's jet: which matched set, which field, real or imaginary part, which derivative."""

    points: int
    field: int
    imaginary: bool
    key: str


@dataclass(frozen=True, eq=False)
class Linearization:
    """``r(u + du) = values + coefficients du`` to first order, point by point, in real parts.

    ``values`` ``(n, R)``: the residual's parts, a complex one as its real and then its imaginary part;
    ``coefficients`` ``(n, R, U)``: their derivatives by the ``U`` real unknowns that ``columns`` names, a complex
    field's channels as all real parts and then all imaginary parts; ``complex_parts``: all residual parts are complex;
    ``parts``: which part each of the ``R`` rows belongs to.
    """

    values: Tensor
    coefficients: Tensor
    columns: tuple[Column, ...]
    complex_parts: bool
    parts: tuple[int, ...]

    def complex_blocks(self) -> Tensor | None:
        """``(n, R/2, U/2)`` complex coefficients where every real block is [[a, -b], [b, a]], else None.

        Then the residual is complex-differentiable in the field, and least squares may be solved in complex numbers.
        """
        imaginary = [c.imaginary for c in self.columns]
        if not self.complex_parts or 2 * sum(imaginary) != len(imaginary):
            return None
        real_columns = [i for i, c in enumerate(self.columns) if not c.imaginary]
        other = {(c.points, c.field, c.key): i for i, c in enumerate(self.columns) if c.imaginary}
        pairs = [other[(c.points, c.field, c.key)] for c in (self.columns[i] for i in real_columns)]
        upper, lower = self.coefficients[:, 0::2], self.coefficients[:, 1::2]
        a, minus_b = upper[..., real_columns], upper[..., pairs]
        b, a_too = lower[..., real_columns], lower[..., pairs]
        size = self.coefficients.abs().max() + torch.finfo(self.coefficients.dtype).tiny
        close = 1e3 * torch.finfo(self.coefficients.dtype).eps * size
        if (a - a_too).abs().max() > close or (b + minus_b).abs().max() > close:
            return None
        return torch.complex(a, b)


def linearize(residual: Residual, points: list[Points], fields: list[tuple[Jet, ...]]) -> Linearization:
    """Derivatives of a pointwise residual by every channel of every field, at the given jets.

    ``points``: matched sets, usually one; ``fields``: the jets at each of them. Nothing of the caller's graph is used.
    """
    leaves: list[Tensor] = []
    columns: list[Column] = []
    with torch.enable_grad():
        free: list[tuple[Jet, ...]] = []
        for s, jets in enumerate(fields):
            row = []
            for f, u in enumerate(jets):
                parts = [u.channels.real, u.channels.imag] if u.channels.is_complex() else [u.channels]
                fresh = [part.detach().clone().requires_grad_() for part in parts]
                leaves += fresh
                columns += [Column(s, f, i == 1, key) for i in range(len(fresh)) for key in u.plan.keys]
                row.append(Jet(torch.complex(*fresh) if len(fresh) == 2 else fresh[0], u.plan, u.points))
            free.append(tuple(row))
        complex_parts, values, numbers = True, list[Tensor](), list[int]()
        for number, part in enumerate(residual(points, free)):
            complex_parts = complex_parts and part.is_complex()
            values += [part.real, part.imag] if part.is_complex() else [part]
            numbers += [number] * (len(values) - len(numbers))
        rows = [_row(value, leaves) for value in values]
    return Linearization(
        torch.stack([v.detach() for v in values], dim=1),
        torch.stack(rows, dim=1),
        tuple(columns),
        complex_parts,
        tuple(numbers),
    )


def _row(value: Tensor, leaves: list[Tensor]) -> Tensor:
    """``(n, U)``: the derivative of one real residual part by all unknowns."""
    if not value.requires_grad:
        return torch.cat([torch.zeros_like(leaf) for leaf in leaves]).T
    grads = torch.autograd.grad(value.sum(), leaves, retain_graph=True, allow_unused=True)
    return torch.cat([torch.zeros_like(leaf) if g is None else g for g, leaf in zip(grads, leaves, strict=True)]).T


def is_linear(residual: Residual, points: list[Points], fields: list[tuple[Jet, ...]], seed: int = 7) -> bool:
    """Whether the coefficients stay the same when the jets change: then the problem is linear in the field."""
    generator = torch.Generator().manual_seed(seed)

    def other(u: Jet) -> Jet:
        kind = torch.complex128 if u.channels.is_complex() else torch.float64
        shift = torch.randn(u.channels.shape, generator=generator, dtype=kind).to(u.channels.device)
        return Jet(u.channels + shift.to(u.channels.dtype), u.plan, u.points)

    here = linearize(residual, points, fields).coefficients
    there = linearize(residual, points, [tuple(other(u) for u in jets) for jets in fields]).coefficients
    scale = torch.maximum(here.abs().max(), there.abs().max())
    return bool((here - there).abs().max() <= 1e4 * torch.finfo(here.dtype).eps * scale)


__all__ = ["Column", "Linearization", "Residual", "is_linear", "linearize"]
