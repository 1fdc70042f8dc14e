"""System: a problem's constraints, evaluated at points of a model, with every residual's form checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .conditions import Constraint
from .domains import Sampler
from .errors import ResidualError
from .jet import Jet, Plan, make_plan
from .model import Model
from .parallel import ALONE, Ranks
from .points import Points
from .problem import Problem, record


@dataclass
class System:
    """The constraints ``C_m = 0`` of a problem, and the derivatives that each was found to need so far.

    ``held``: names of the constraints that are built into the model, and so are left out; ``ranks``: the processes that
    share the points of every evaluation.
    """

    problem: Problem
    held: frozenset[str] = frozenset()
    ranks: Ranks = ALONE
    constraints: list[Constraint] = field(init=False)
    asked: dict[str, frozenset[str]] = field(init=False)

    def __post_init__(self) -> None:
        self.constraints = [c for c in self.problem.constraints() if c.name not in self.held]
        self.asked = {c.name: frozenset() for c in self.constraints}

    def sample(self, counts: dict[str, int], sampler: Sampler) -> dict[str, list[Points]]:
        """Fresh points for every constraint, matched sets each."""
        return {c.name: c.sample(counts[c.name], sampler) for c in self.constraints}

    def parts(self, constraint: Constraint, points: list[Points], model: Model) -> tuple[Tensor, ...]:
        """The residual's parts, ``(n,)`` each, real or complex; each process evaluates its share, all get the whole."""
        parts = self.share_of_parts(constraint, self.ranks.own(points), model)
        return tuple(self.ranks.gathered(part, len(points[0])) for part in parts)

    def share_of_parts(self, constraint: Constraint, points: list[Points], model: Model) -> tuple[Tensor, ...]:
        """The residual's parts at these points, by this process alone."""
        model.refresh()

        def evaluate(plan: Plan) -> tuple[Tensor, ...]:
            return checked(constraint, points, self.fields(points, plan, model))

        parts, self.asked[constraint.name] = record(evaluate, self.problem, self.asked[constraint.name])
        return parts

    def jets(self, constraint: Constraint, points: list[Points], model: Model) -> list[tuple[Jet, ...]]:
        """The fields with the derivatives that a constraint needs, for its linearization."""
        self.parts(constraint, points, model)
        return self.fields(points, make_plan(self.problem.domain.axes, self.asked[constraint.name]), model)

    @staticmethod
    def fields(points: list[Points], plan: Plan, model: Model) -> list[tuple[Jet, ...]]:
        """The jets of all fields at each matched set."""
        return [model.fields_at(p, plan) for p in points]


def checked(constraint: Constraint, points: list[Points], fields: list[tuple[Jet, ...]]) -> tuple[Tensor, ...]:
    """The residual's parts. Raises ``ResidualError`` for another shape, dtype or device than the fields have."""
    try:
        came = constraint.residual(points, fields)
    except TypeError as error:
        if "unsupported operand" in str(error) and "Jet" in str(error):
            raise ResidualError(
                f"The {constraint.name} residual: {error}. Use u.value for the field's values."
            ) from None
        raise
    parts = came if isinstance(came, tuple | list) else (came,)
    like = fields[0][0].value
    for part in parts:
        _check_part(constraint.name, part, like)
    return tuple(parts)


def _check_part(name: str, part: Any, like: Tensor) -> None:
    who = f"The {name} residual must return a tensor of shape ({len(like)},) for {len(like)} points"
    if isinstance(part, Jet):
        raise ResidualError(f"{who}, got a Jet: return tensors, as in u.laplacian - u.value.")
    if not isinstance(part, Tensor):
        raise ResidualError(f"{who}, got {type(part).__name__}.")
    if part.shape != like.shape:
        hint = ""
        if part.ndim == 2:
            hint = (
                " A term of shape (n, 1) against one of (n,) makes (n, n): p.x, u.value and all derivatives are (n,), "
                "so drop the trailing axis, for example with .squeeze(-1)."
            )
        raise ResidualError(f"{who}, got {tuple(part.shape)}.{hint}")
    real = torch.float32 if like.dtype in (torch.float32, torch.complex64) else torch.float64
    matching = torch.complex64 if real == torch.float32 else torch.complex128
    if part.is_complex() and not like.is_complex():
        raise ResidualError(f"{who} in {real}, got {part.dtype}: set complex_valued = True in the problem's class.")
    if part.dtype not in (real, matching):
        raise ResidualError(
            f"{who} in {real if not like.is_complex() else matching}, got {part.dtype}: make constants from p, "
            "as in torch.ones_like(p.x), or pass dtype= to solve."
        )
    if part.device != like.device:
        raise ResidualError(
            f"{who} on {like.device}, got {part.device}: make constants from p, which is on the device."
        )
