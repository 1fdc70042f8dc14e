"""Balance: weights that make the gradients of all loss terms equally long."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from .errors import UsageError, suggest

BalanceName = Literal["gradients"]
MEMORY = 0.9
"""The share of the old weights in every moving average."""
EVERY = 10
"""Steps from one measurement of the gradients to the next: one costs about as much as a step."""
LEAST = 1e-5
"""A gradient shorter than this share of the mean one counts as so long: a term that is met already gets no weight."""


class GradientBalance:
    """Weights ``lambda_i`` of the loss ``sum_i weight_i lambda_i L_i``, from gradients in the network's parameters.

    Measured are ``m_i = mean_j |grad L_j| / |grad L_i|``, Euclidean norms over all parameters, so that all
    ``|grad m_i L_i|`` are the same. The first measurement is taken as it is; then
    ``lambda_i <- 0.9 lambda_i + 0.1 m_i``. A condition's own ``weight_i`` stays a factor beside. Nondimensional.

    The moving average is of Wang, Teng and Perdikaris 2021 (doi 10.1137/20M1318043, there with largest and mean
    entries of the gradients), the norms of Wang, Sankaran, Wang and Perdikaris 2023 (arXiv 2308.08468), there with the
    sum of the norms for their mean, which is a factor common to all terms.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.weights = dict.fromkeys(names, 1.0)
        self.measured = False

    def update(self, losses: dict[str, Tensor], parameters: Sequence[Tensor]) -> None:
        """Measure the gradients of the terms, and move the weights; what is not finite is passed over."""
        self.move({name: _norm(loss, parameters) for name, loss in losses.items()})

    def move(self, norms: dict[str, float]) -> None:
        """Move the weights by the terms' measured gradients, ``|grad L_i|`` each."""
        mean = sum(norms.values()) / len(norms)
        if not 0 < mean < math.inf:
            return
        found = {name: mean / max(norm, LEAST * mean) for name, norm in norms.items()}
        memory = MEMORY if self.measured else 0.0
        self.weights = {name: memory * self.weights[name] + (1 - memory) * found[name] for name in self.weights}
        self.measured = True

    def state(self) -> dict[str, Any]:
        """The weights, as plain types."""
        return {"weights": dict(self.weights), "measured": self.measured}

    def load(self, state: dict[str, Any]) -> None:
        """Continue with the weights of a state."""
        self.weights, self.measured = dict(state["weights"]), state["measured"]


def _norm(loss: Tensor, parameters: Sequence[Tensor]) -> float:
    if not loss.requires_grad:
        return 0.0
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return length(gradients)


def length(gradients: Sequence[Tensor | None]) -> float:
    """The Euclidean norm of a gradient over all parameters; 0 for those that a term does not depend on."""
    return math.sqrt(sum(float(g.square().sum()) for g in gradients if g is not None))


def make_balance(name: str | None, terms: Sequence[str]) -> GradientBalance | None:
    """The balance of a name, or none. Raises ``UsageError`` for another name."""
    if name is None:
        return None
    if name != "gradients":
        hint = suggest(name, ["gradients"]) if isinstance(name, str) else ""
        raise UsageError(f"balance must be 'gradients' or None, got {name!r}.{hint}")
    return GradientBalance(terms)
