"""Micro-batches: a mean over many points in pieces whose gradients add up, and how many points a piece may have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .conditions import Constraint
from .memory import rows_within
from .points import Points

Gradient = list[Tensor | None]
"""A tensor for each trained parameter, None where it is zero."""

BACKWARD = 2.0
"""What is needed besides what the forward pass keeps, for the backward pass and on the way, as a factor on it."""
PROBES = 8, 40
"""Numbers of points whose difference tells what one of them costs."""


def points_within(device: torch.device, bytes_a_point: float) -> int:
    """How many points fit the share of the free memory: a power of two, so that like runs take the same number."""
    return 1 << (rows_within(device, BACKWARD * bytes_a_point).bit_length() - 1)


def bytes_a_point(evaluate: Callable[[int], Any]) -> float:
    """What ``evaluate(n)`` keeps for its gradient, bytes for each of its ``n`` points: two small calls, compared."""
    few, more = (_kept(evaluate, n) for n in PROBES)
    return (more - few) / (PROBES[1] - PROBES[0])


def _kept(evaluate: Callable[[int], Any], n: int) -> int:
    sizes: dict[int, int] = {}
    alive: list[Any] = []

    def pack(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        alive.append(saved)
        return saved

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
        alive.append(evaluate(n))
    return sum(sizes.values())


@dataclass(frozen=True)
class Whole:
    """What a piece must know of all ``size`` points of a constraint, of which it has a ``share``.

    ``means``: where a mean of the residual must vanish, what each part's adds to the loss, and the derivative by it;
    ``shares``: what each point's density is multiplied by, where time weighs it.
    """

    constraint: Constraint
    means: list[tuple[Tensor, Tensor]]
    shares: Tensor | None
    size: int
    share: float = 1.0

    def over(self, rows: slice) -> Whole:
        """What a piece of these points must know."""
        shares = None if self.shares is None else self.shares[rows]
        return replace(self, shares=shares, share=(rows.stop - rows.start) / self.size)

    def piece(self, parts: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Of the points' residual parts, a number that has the gradient of their share in the loss, and the share."""
        if self.means:
            pairs = zip(self.means, parts, strict=True)
            linear = torch.stack([(slope.conj() * part.sum() / self.size).real for (_, slope), part in pairs]).sum()
            return linear, self.share * torch.stack([adds for adds, _ in self.means]).sum()
        if self.shares is None:
            piece = self.share * torch.stack([self.constraint.mean(part) for part in parts]).sum()
        else:
            densities = torch.stack([self.constraint.densities(part) for part in parts]).sum(0)
            piece = (self.shares * densities).sum()
        return piece, piece.detach()


def packed(whole: Whole, at: list[Points]) -> tuple[list[Tensor], Callable[..., tuple[Whole, list[Points]]]]:
    """The tensors that change from step to step, and what puts others of the same shapes in their places."""
    slots = [t for p in at for t in (p.coordinates, p.outward, p.attached)]
    slots += [whole.shares, *(t for pair in whole.means for t in pair)]

    def rebuilt(given: Sequence[Tensor]) -> tuple[Whole, list[Points]]:
        rest = iter(given)
        filled = [None if t is None else next(rest) for t in slots]
        points = [Points(p.axes, *filled[3 * i : 3 * i + 3]) for i, p in enumerate(at)]  # type: ignore[arg-type]
        shares, *means = filled[3 * len(at) :]
        pairs = list(zip(means[::2], means[1::2], strict=True))
        return replace(whole, shares=shares, means=pairs), points  # type: ignore[arg-type]

    return [t for t in slots if t is not None], rebuilt


def gradient_of(number: Tensor, trained: Sequence[Tensor]) -> Gradient:
    """The gradient in all parameters, None for those that the number does not depend on."""
    if not number.requires_grad:
        return [None] * len(trained)
    return list(torch.autograd.grad(number, trained, allow_unused=True))


def added(one: Gradient, other: Gradient) -> Gradient:
    """The sum of two gradients; an empty one counts as zero."""
    pairs = zip(one or [None] * len(other), other, strict=True)
    return [b if a is None else a if b is None else a + b for a, b in pairs]
