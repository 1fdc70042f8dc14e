"""From a method's name to the stages that are run, and the reason."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import UsageError, expect_whole, suggest
from .optimizers import LBFGS, Adam, Stage

METHODS = ("auto", "adam", "lbfgs")
WARM_UP = 200
ADAM_STEPS, LBFGS_STEPS = 5_000, 6_000


@dataclass(frozen=True)
class StagePlan:
    """The stages of a solve, in order, and why these."""

    stages: tuple[Stage, ...]
    reason: str


def make_stages(method: str = "auto", steps: int | None = None) -> StagePlan:
    """The stages for a method; ``steps`` limits the last one. Raises ``UsageError`` for another method or no steps.

    ``"adam"``: Adam alone, on fresh points every step. ``"lbfgs"``: L-BFGS after a short run of Adam, which takes the
    network out of the start, where second-order information is of no use. ``"auto"``: the same.
    """
    if steps is not None:
        expect_whole("steps", steps, 1)
    if method == "adam":
        return StagePlan((Adam(steps=steps or ADAM_STEPS),), "Adam on fresh points every step, as asked")
    if method not in METHODS:
        raise UsageError(f"method must be one of {', '.join(METHODS)}; got {method!r}.{suggest(method, METHODS)}")
    warm = Adam(steps=min(WARM_UP, steps or WARM_UP), schedule="constant")
    reason = "as asked" if method == "lbfgs" else "quasi-Newton steps converge fastest on smooth fields of this size"
    return StagePlan((warm, LBFGS(steps=steps or LBFGS_STEPS)), f"Adam to leave the start, then L-BFGS: {reason}")
