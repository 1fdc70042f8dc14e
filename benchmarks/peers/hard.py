"""Conditions built into the output, as the examples of DeepXDE, PINA and neurodiffeq do by hand.

``output(m, x, raw)``: zero values all round by the product of distances (DeepXDE's Helmholtz and heat examples), values
at the ends of an interval by a straight line between them, values and rest at the start by a factor ``t^2`` (its
Allen-Cahn example has ``t``). Other boundary values need a lift that no example shows: they stay in the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .statements import Statement


def is_hard(statement: Statement) -> bool:
    """Whether every condition is met by ``output``."""
    if statement.polygon is not None:
        return False
    return statement.zero or statement.values is None or statement.dimensions == 1


def output(statement: Statement, m: Any, x: Sequence[Any], raw: Any) -> Any:
    """The unknown, from what the network gives."""
    if statement.values is None:
        return raw
    factor = 1.0
    for i, (low, high) in enumerate(statement.bounds):
        if statement.initial is not None and i == statement.dimensions - 1:
            factor = factor * (x[i] - low) ** 2
        else:
            factor = factor * (x[i] - low) * (high - x[i]) * (4 / (high - low) ** 2)
    if statement.initial is not None:
        return statement.initial(m, x) + factor * raw
    if statement.zero:
        return factor * raw
    low, high = statement.bounds[0]
    (left,), (right,) = (statement.values(m, [0 * x[0] + end]) for end in (low, high))
    return left + (right - left) * (x[0] - low) / (high - low) + factor * raw
