"""Causal weights: the equation counts at a time only where it holds before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .domains import Domain
from .errors import UsageError
from .points import TIME, Points

SLABS = 32
"""Slabs of equal duration."""
EPSILONS = (1e-2, 1e-1, 1.0, 1e1, 1e2)
"""The causality parameters, one after the other."""
ADVANCE = 0.99
"""The next parameter is taken where the least weight is above this."""


class Causal:
    """Weights of the residual's loss in time, ``L = 1/n sum_i w_i L_i`` over ``n = 32`` slabs of equal duration.

    ``L_i`` is the mean of ``|r|^2`` over the points of slab i, nondimensional, and

        w_i = exp(-epsilon sum_{k < i} L_k),    w_1 = 1,

    no gradient passing through ``w_i``. ``epsilon`` goes through 0.01, 0.1, 1, 10 and 100, to the next where
    ``min_i w_i > 0.99``, and stays at the last. Of Wang, Sankaran and Perdikaris 2024, doi 10.1016/j.cma.2024.116813
    (arXiv 2203.07404), equation and algorithm 1; initial and boundary terms are not part of the sum.

    ``kept`` are weights that stay whatever the residual does: a line search needs one loss function. Where they are
    None, each evaluation has its own. Raises ``UsageError`` for a domain without time.
    """

    def __init__(self, domain: Domain) -> None:
        if not domain.has_time:
            raise UsageError(f"causal=True weighs the equation in time, and {domain} has no time axis t: leave it out.")
        self.start, self.end = domain.bounds[TIME]
        # Tensors, on the device once there are losses: a step decides on the next level without the host's knowing.
        self._level, self._least = torch.tensor(0), torch.tensor(0.0)
        self.kept: Tensor | None = None

    @property
    def level(self) -> int:
        """The number of the causality parameter."""
        return int(self._level)

    @level.setter
    def level(self, number: int) -> None:
        self._level = torch.full_like(self._level, number)

    @property
    def epsilon(self) -> float:
        """The causality parameter."""
        return EPSILONS[self.level]

    def slab_means(self, p: Points, squares: Tensor) -> Tensor:
        """``(n,) -> (slabs,)``: the mean over the points in each slab, 0 where there are none."""
        # A matrix product: adding by index is not deterministic on every device.
        member = torch.nn.functional.one_hot(self._slab(p), SLABS).to(squares.dtype)
        return (squares @ member) / member.sum(0).clamp(min=1)

    def weights(self, losses: Tensor) -> Tensor:
        """``(slabs,) -> (slabs,)``: ``exp(-epsilon sum_{k < i} L_k)``."""
        earlier = torch.ones(SLABS, SLABS, dtype=losses.dtype, device=losses.device).tril(-1)
        self._level = self._level.to(losses.device)
        epsilon = torch.tensor(EPSILONS, dtype=losses.dtype).to(losses.device)[self._level]
        return torch.exp(-epsilon * (earlier @ losses.detach()))

    def means(self, slabs: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weighted mean of each constraint from its ``(slabs,)`` losses; the weights follow their sum."""
        weights = self.renewed(lambda: slabs)
        return {name: (weights * losses).mean() for name, losses in slabs.items()}

    def renewed(self, slabs: Callable[[], dict[str, Tensor]]) -> Tensor:
        """``(slabs,)``: the weights at each constraint's slab means, or those that are kept."""
        if self.kept is not None:
            return self.kept
        weights = self.weights(torch.stack(list(slabs().values())).sum(0))
        self._least = weights.min()
        return weights

    def shares(self, p: Points, weights: Tensor) -> Tensor:
        """``(n,)``: factors of the points' squares whose sum over all points is their weighted mean."""
        index = self._slab(p)
        members = torch.nn.functional.one_hot(index, SLABS).sum(0).clamp(min=1)
        return (weights / members / SLABS)[index]

    def _slab(self, p: Points) -> Tensor:
        share = (p.t - self.start) / (self.end - self.start)
        return (share * SLABS).long().clamp(0, SLABS - 1)

    def advance(self) -> Tensor:
        """Go to the next parameter where the weights of the last evaluation allow it; whether that was done."""
        if self.kept is not None:
            return torch.zeros_like(self._level, dtype=torch.bool)
        goes = (self._least > ADVANCE) & (self._level + 1 < len(EPSILONS))
        self._level, self._least = self._level + goes, self._least * ~goes
        return goes

    def keep(self, losses: Callable[[], dict[str, Tensor]]) -> None:
        """Keep the weights of the losses of now, at the highest parameter that they allow."""
        total = torch.stack(list(losses().values())).sum(0).detach()
        self.kept = None
        self._least = self.weights(total).min()
        while self.advance():
            self._least = self.weights(total).min()
        self.kept = self.weights(total)

    def state(self) -> dict[str, Any]:
        """The parameter and the weights, as tensors and plain types."""
        return {"level": self.level, "kept": self.kept, "least": self._least}

    def load(self, state: dict[str, Any], device: torch.device) -> None:
        """Continue with the parameter and weights of a state."""
        self.level, self._least = state["level"], state["least"].to(device)
        self.kept = None if state["kept"] is None else state["kept"].to(device)


def make_causal(wanted: bool, domain: Domain) -> Causal | None:
    """Causal weights over a domain, or none. Raises ``UsageError`` for what is no bool, or no time."""
    if not isinstance(wanted, bool):
        raise UsageError(f"causal must be True or False, got {wanted!r}.")
    return Causal(domain) if wanted else None
