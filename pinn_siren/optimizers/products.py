"""Damped least squares where not even a triangle fits the memory: the rows are made anew for every product."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..parallel import ALONE, Ranks
from .damped import Chunks, Damped, largest
from .sketch import sketch

ITERATIONS = 200
"""Passes over the rows for one step at most, after those of the sketch."""
CLOSE = 1e-12
"""They end where the gradient of what is minimized has fallen to this much."""


class Products(Damped):
    """LSQR on ``[J; sqrt(mu) I]``, which never squares the condition number, with a preconditioner.

    (Paige and Saunders 1982, doi 10.1145/355984.355989.) The preconditioner is a sketch of ``J^T J`` of some ``rank``,
    made in one pass over the rows for every ``mu``. Both products of a step are made in one pass.
    """

    def __init__(self, chunks: Chunks, size: int, rank: int, ranks: Ranks = ALONE) -> None:
        self._chunks, self._size, self._ranks = chunks, size, ranks
        self.right = torch.cat([r for r, _ in chunks()])
        self._sketch = sketch(self._square, self.right.new_empty(size, rank))
        # A sketch of few columns sees too little of the largest.
        self.top = largest(self._square, self._sketch.vectors[:, 0], 3)

    def _square(self, v: Tensor) -> Tensor:
        total = torch.zeros_like(v)
        for _, j in self._chunks():
            total += j.T @ (j @ v)
        return self._ranks.sum(total)

    def _turn(self, v: Tensor, u: Tensor, factor: float) -> tuple[Tensor, Tensor]:
        """``w = J v - factor u``, and ``J^T w``, in one pass."""
        back, parts, done = torch.zeros_like(v), [], 0
        for r, j in self._chunks():
            parts.append(j @ v - factor * u[done : done + len(r)])
            back += j.T @ parts[-1]
            done += len(r)
        return torch.cat(parts), self._ranks.sum(back)

    def solve(self, mu: float) -> Tensor:
        """The step."""
        self._mu = mu
        return self.again(self.right)

    def again(self, right: Tensor) -> Tensor:
        """For another residual."""
        mu, root = self._mu, math.sqrt(self._mu)
        z = right.new_zeros(self._size)
        # u and below are the upper and the lower part of LSQR's left vector, v is the right one.
        u, below = right, z
        u, back = self._turn(z, u, 1.0)
        beta = math.sqrt(self._ranks.total(u))
        gradient = self._sketch.half(back, mu)
        alpha = float(gradient.norm()) / beta if beta else 0.0
        if not alpha:
            return z
        u, v = u / beta, gradient / (alpha * beta)
        w, phi, rho, first = v, beta, alpha, alpha * beta
        for _ in range(ITERATIONS):
            t = self._sketch.half(v, mu)
            u, back = self._turn(t, u, alpha)
            below = root * t - alpha * below
            beta = math.sqrt(self._ranks.total(u) + float(below.square().sum()))
            turn = math.hypot(rho, beta)
            cosine, sine = rho / turn, beta / turn
            z = z + (cosine * phi / turn) * w
            phi *= sine
            if not beta:
                break
            u, below = u / beta, below / beta
            v = self._sketch.half(back / beta + root * below, mu) - beta * v
            alpha = float(v.norm())
            if alpha * abs(cosine) * phi <= CLOSE * first:
                break
            v = v / alpha
            rho = -cosine * alpha
            w = v - (sine * alpha / turn) * w
        return self._sketch.half(z, mu)

    def along(self, d: Tensor) -> Tensor:
        """``J d``."""
        return torch.cat([j @ d for _, j in self._chunks()])


__all__ = ["Products"]
