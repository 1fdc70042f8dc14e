"""Bending: paths of a map pulled taut to fastest ones, which stay in the domain."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..coefficients import Coefficient, values
from ..domains import Domain
from ..points import Points

LEGS = (16, 32, 64)
"""Straight pieces of a path, from coarse to fine."""
SWEEPS = 1
"""Sweeps for every piece: overrelaxation needs about one a digit."""


def fastest(domain: Domain, velocity: Coefficient, paths: NDArray[np.float64]) -> Tensor:
    """``(m, corners, d) -> (m,)``: the times of the fastest paths that these can be bent into.

    Minimizes ``sum_k (slowness_k |x_k+1 - x_k|)^2`` over the corners, both ends fixed, by overrelaxation that takes
    corners back into the domain (bending: Um and Thurber 1987, doi 10.1785/BSSA0770030972; projected overrelaxation:
    Cryer 1971, doi 10.1137/0309028). Along curved walls the pieces are chords: of arcs, they are short by a 24th of
    their squared angle.
    """
    x = torch.from_numpy(paths)
    for legs in LEGS:
        x = _resampled(x, legs)
        pull = 2 / (1 + math.sin(math.pi / legs))
        for sweep in range(2 * SWEEPS * legs):
            odd = slice(1 + sweep % 2, -1, 2)
            slope, stiffness = _slope(domain, velocity, x)
            x[:, odd] = _inside(domain, x[:, odd] - pull * slope[:, odd] / stiffness[:, odd, None])
    return _legs(domain, velocity, x).sqrt().sum(dim=1)


def _legs(domain: Domain, velocity: Coefficient, x: Tensor) -> Tensor:
    """``(m, legs)``: the squared times of the pieces."""
    slowness = 1 / values(velocity, Points(domain.axes, x.reshape(-1, x.shape[-1])), "velocity").reshape(x.shape[:-1])
    mean = (slowness[:, 1:] + slowness[:, :-1]) / 2
    return mean.square() * x.diff(dim=1).square().sum(dim=-1)


def _slope(domain: Domain, velocity: Coefficient, x: Tensor) -> tuple[Tensor, Tensor]:
    """The sum's derivative by every corner, and the second one of its parts that do not come from the velocity."""
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        squares = _legs(domain, velocity, at)
        (slope,) = torch.autograd.grad(squares.sum(), at)
    squares = squares.detach() / x.diff(dim=1).square().sum(dim=-1).clamp(min=1e-30)
    stiffness = torch.ones(x.shape[:-1], dtype=x.dtype)
    stiffness[:, 1:-1] = 2 * (squares[:, 1:] + squares[:, :-1])
    return slope, stiffness


def _inside(domain: Domain, x: Tensor) -> Tensor:
    """Points outside moved to the boundary along the level's slope."""
    flat = x.reshape(-1, x.shape[-1])
    outside = torch.nonzero(domain.level(flat) > 0)[:, 0]
    with torch.enable_grad():
        at = flat[outside].detach().requires_grad_()
        level = domain.level(at)
        (slope,) = torch.autograd.grad(level.sum(), at)
    flat = flat.index_copy(0, outside, (at - (level / slope.square().sum(dim=1))[:, None] * slope).detach())
    return flat.reshape(x.shape)


def _resampled(x: Tensor, legs: int) -> Tensor:
    """``(m, corners, d) -> (m, legs + 1, d)``: corners at equal ways along the same paths."""
    ways = torch.nn.functional.pad(x.diff(dim=1).norm(dim=-1).cumsum(dim=1), (1, 0))
    at = ways[:, -1:] * torch.linspace(0, 1, legs + 1, dtype=x.dtype)
    after = torch.searchsorted(ways.contiguous(), at.contiguous()).clamp(1, x.shape[1] - 1)
    low, high = ways.gather(1, after - 1), ways.gather(1, after)
    share = ((at - low) / (high - low).clamp(min=1e-30))[..., None].clamp(0, 1)
    index = after[..., None].expand(-1, -1, x.shape[-1])
    return torch.lerp(x.gather(1, index - 1), x.gather(1, index), share)


__all__ = ["fastest"]
