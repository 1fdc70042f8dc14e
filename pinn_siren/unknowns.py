"""Unknown values and fields of a problem: what an inverse problem solves for beside its fields."""

from __future__ import annotations

import copy
import dataclasses
import math
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .errors import ProblemError
from .points import Points

Bounds = tuple[float | None, float | None]


class _Unread:
    """Arithmetic with an unknown outside of a problem has no value yet: say so."""

    def _refuse(self, *_: Any, **__: Any) -> Any:
        kind = type(self).__name__
        raise ProblemError(
            f"{kind} has no value yet: it is no number to compute with. Make it a field of a Problem's class, as in "
            f"`speed: float` and MyProblem(speed={kind}(...)), and use self.speed in its residual."
        )

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        next(a for a in (*args, *(kwargs or {}).values()) if isinstance(a, _Unread))._refuse()


for _name in (
    "add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "pow", "rpow", "neg", "abs", "float", "int",
    "lt", "le", "gt", "ge", "iter", "getitem", "len", "bool", "array",
):  # fmt: skip
    setattr(_Unread, f"__{_name}__", _Unread._refuse)


@dataclass(frozen=True, eq=False)
class Unknown(_Unread):
    """A number, or a vector of them, that is solved for: it stands in any field of a problem or of a condition.

    ``initial``: where the solve starts, a number or a sequence; ``bounds``: ``(low, high)``, either of them None, kept
    by a smooth map, the start strictly between them; ``prior``: ``(mean, deviation)`` of a Gaussian prior; ``name``: in
    reports, the field's name unless given. Units: those of the field it stands in. One object in several fields is one
    unknown.

    Raises ``ProblemError`` for values that cannot be meant, and wherever it is computed with before a solve.
    """

    initial: Any
    bounds: Bounds | None = None
    prior: tuple[float, float] | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        expect_interval("Unknown", self.bounds)
        start = self.start
        if start.ndim > 1 or start.numel() == 0 or not bool(torch.isfinite(start).all()):
            raise ProblemError(f"Unknown starts at a finite number or a sequence of them, got {self.initial!r}.")
        low, high = limits(self.bounds)
        if not bool(((start > low) & (start < high)).all()):
            raise ProblemError(
                f"Unknown must start between its bounds, not at or beyond them: {self.initial!r} and {self.bounds!r}."
            )
        if self.prior is not None and not (_pair(self.prior) and self.prior[1] > 0):
            raise ProblemError(f"prior must be (mean, deviation) with a positive deviation, got {self.prior!r}.")

    @cached_property
    def start(self) -> Tensor:
        """The first value, float64: 0-dimensional, or ``(m,)``."""
        try:
            found = torch.as_tensor(np.asarray(self.initial, dtype=np.float64))
        except (TypeError, ValueError):
            found = torch.empty(0, dtype=torch.float64)
        return found

    @property
    def plain(self) -> Any:
        """The first value as a problem's field takes it: a float, or a tensor ``(m,)``."""
        return float(self.start) if self.start.ndim == 0 else self.start.clone()


@dataclass(frozen=True, eq=False)
class UnknownField:
    """A field of the coordinates that is solved for: a second ``Siren``, used as a coefficient ``callable(p)``.

    ``initial``: a number, or a differentiable function of points; ``bounds``: ``(low, high)``, either None, kept by a
    smooth map; ``smoothness``: the weight in the loss of the mean of ``L^2 |grad f|^2`` in units of the field's range,
    ``L`` the domain's longest half-width; ``wavenumber``: the highest of the first layer, in radians per unit length,
    three half-waves over the domain unless given; ``axes``: what the field depends on, all space axes unless given;
    ``width``, ``depth``: of its network.

    Raises ``ProblemError`` for values that cannot be meant.
    """

    initial: float | Callable[[Points], Tensor] = 1.0
    bounds: Bounds | None = None
    smoothness: float = 0.0
    wavenumber: float | None = None
    axes: str | None = None
    width: int = 32
    depth: int = 2
    name: str | None = None

    def __post_init__(self) -> None:
        expect_interval("UnknownField", self.bounds)
        low, high = limits(self.bounds)
        if isinstance(self.initial, numbers.Real):
            if not low < float(self.initial) < high:
                raise ProblemError(
                    f"UnknownField must start between its bounds, not at or beyond them: {self.initial!r} and "
                    f"{self.bounds!r}."
                )
        elif not callable(self.initial):
            raise ProblemError(
                f"UnknownField starts at a number or a function of points, got {type(self.initial).__name__}."
            )
        for name, value in (("smoothness", self.smoothness), ("wavenumber", self.wavenumber)):
            if value is not None and not (isinstance(value, numbers.Real) and 0 <= float(value) < math.inf):
                raise ProblemError(f"{name} of an UnknownField must be a number of at least 0, got {value!r}.")

    def __call__(self, p: Points) -> Tensor:
        """``(n,)``: the values that the solve starts from."""
        if callable(self.initial):
            return self.initial(p)
        return torch.full_like(p.coordinates[:, 0], float(self.initial))

    @property
    def plain(self) -> Any:
        """What the solve starts from, as a problem's field takes it: a function of points."""
        return self.__call__


Stated = Unknown | UnknownField


def expect_interval(name: str, bounds: Any) -> None:
    """Raises ``ProblemError`` unless bounds are None or a pair of numbers in order."""
    if bounds is None:
        return
    whole = isinstance(bounds, tuple | list) and len(bounds) == 2
    if not whole or not all(b is None or isinstance(b, numbers.Real) for b in bounds):
        raise ProblemError(f"bounds of {name} must be (low, high), either of them None, got {bounds!r}.")
    low, high = limits(tuple(bounds))
    if not low < high:
        raise ProblemError(f"bounds of {name} must be in order, low before high, got {bounds!r}.")


def limits(bounds: Bounds | None) -> tuple[float, float]:
    """The bounds as numbers, infinite where there are none."""
    low, high = bounds or (None, None)
    return -math.inf if low is None else float(low), math.inf if high is None else float(high)


def stated(problem: Any) -> dict[str, Stated]:
    """The unknowns of a problem by name: those in its fields, then those in its conditions.

    Raises ``ProblemError`` where two have one name, or one stands inside a list.
    """
    found: dict[str, Stated] = {}
    for holder, prefix in _holders(problem):
        for name, value in _fields(holder):
            if isinstance(value, list | tuple) and any(isinstance(v, Stated) for v in value):
                raise ProblemError(
                    f"{name} holds an Unknown inside a {type(value).__name__}: give one Unknown of all its numbers, "
                    "Unknown((1.0, 2.0))."
                )
            if not isinstance(value, Stated) or any(value is other for other in found.values()):
                continue
            called = value.name or f"{prefix}{name}"
            if called in found:
                raise ProblemError(f"Two unknowns are called {called!r}: give one of them a name=.")
            if "." in called:
                raise ProblemError(f"The name of an unknown has no dot in it, got {called!r}.")
            found[called] = value
    return found


def at(problem: Any, values: Mapping[str, Any]) -> Any:
    """The problem with numbers and functions in place of its unknowns, checked anew."""
    known = {id(unknown): values[name] for name, unknown in stated(problem).items()}

    def settled(holder: Any) -> Any:
        changed = {name: known[id(v)] for name, v in _fields(holder) if id(v) in known}
        return replace(holder, **changed) if changed else holder

    conditions = [settled(c) for c in problem.conditions]
    return settled(replace(problem, conditions=conditions)) if known else problem


class Bound:
    """A copy of a problem whose unknowns are set again and again, as tensors that a graph hangs on."""

    def __init__(self, problem: Any) -> None:
        self.stated = stated(problem)
        plain = first(problem)
        # Own copies of all that is written into; nothing that was computed from the first values is kept.
        self.problem = _copied(plain)
        object.__setattr__(self.problem, "conditions", [_copied(c) for c in plain.conditions])
        names = {id(unknown): name for name, unknown in self.stated.items()}
        pairs = zip(_holders(problem), _holders(self.problem), strict=True)
        self._places = [
            (holder, field, names[id(value)])
            for (original, _), (holder, _) in pairs
            for field, value in _fields(original)
            if id(value) in names
        ]

    def set(self, values: Mapping[str, Any]) -> None:
        """Write the values where the unknowns stand."""
        for holder, field, name in self._places:
            object.__setattr__(holder, field, values[name])


def first(problem: Any) -> Any:
    """The problem at the values that its unknowns start from."""
    return at(problem, {name: unknown.plain for name, unknown in stated(problem).items()})


def certain(problem: Any) -> Any:
    """The problem at its first values, without the conditions that hold unknowns: what can be built into the output."""
    plain = first(problem)
    pairs = zip(problem.conditions, plain.conditions, strict=True)
    return replace(plain, conditions=[c for original, c in pairs if original is c], exact=None)


def _holders(problem: Any) -> list[tuple[Any, str]]:
    """The problem and its conditions, with what their fields' names start with."""
    return [(problem, ""), *((c, f"{type(c).__name__.lower()} ") for c in problem.conditions)]


def _fields(holder: Any) -> list[tuple[str, Any]]:
    if not dataclasses.is_dataclass(holder):
        return []
    return [(f.name, getattr(holder, f.name)) for f in dataclasses.fields(holder) if f.init and f.name != "conditions"]


def _copied(holder: Any) -> Any:
    made = copy.copy(holder)
    for name in [n for n in vars(made) if isinstance(getattr(type(made), n, None), cached_property)]:
        del vars(made)[name]
    return made


def _pair(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2 and all(isinstance(v, numbers.Real) for v in value)


__all__ = ["Bound", "Stated", "Unknown", "UnknownField", "at", "certain", "first", "limits", "stated"]
