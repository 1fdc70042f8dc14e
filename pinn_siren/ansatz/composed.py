"""Conditions built into the output: the field is an ansatz of the network's output, jets throughout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ProblemError
from ..jet import Jet, JetPoints, Plan
from ..points import Points

Ansatz = Callable[..., Any]
"""``(p, u, ...) -> Jet`` or a tuple, from points whose coordinates are jets and the raw fields."""


def build_in(ansatz: Ansatz | None, points: Points, plan: Plan, raw: tuple[Jet, ...]) -> tuple[Jet, ...]:
    """The fields from the raw ones. Raises ``ProblemError`` where the ansatz returns anything but as many jets."""
    if ansatz is None:
        return raw
    came = ansatz(JetPoints.of(points, plan), *raw)
    came = came if isinstance(came, tuple) else (came,)
    if len(came) != len(raw) or not all(isinstance(u, Jet) for u in came):
        kinds = ", ".join(type(u).__name__ for u in came)
        raise ProblemError(f"The ansatz must return {len(raw)} jet(s), made from p and u; got {kinds}.")
    return came
