"""What a condition turns into: constraints C_m = 0 on Omega_m."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from ..domains import Domain, On, Sampler
from ..errors import ProblemError, suggest
from ..points import Points

Parts = Tensor | tuple[Tensor, ...]
Norm = Literal[1, 2]
Fields = tuple[Any, ...]
"""The jets of all fields at some points (``pinn_siren.jet.Jet``)."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where a constraint holds: ``"interior"``, ``"boundary"`` (the part that ``on`` says), ``"start"``,
    ``"periodic"`` (both faces of ``axis``) or ``"interface"`` (the boundary of ``on`` inside the domain)."""

    kind: str
    on: On = None
    axis: str | None = None


@dataclass(frozen=True, eq=False)
class Constraint:
    """``C(p, u) = 0`` on ``Omega``: a residual and the points where it must vanish.

    ``sample(n, sampler)`` gives one set of points, or several matched ones (periodic faces);
    ``residual(points, fields)`` takes them with the jets of all fields at each, and returns ``(n,)`` or a tuple.

    ``place`` says where that is, None for points of its own, that no grid has; ``on_interior``: its points lie inside;
    ``reduce``: what must vanish, each point's residual or their ``"mean"`` alone, so that least squares sees one row,
    the mean of the points' rows; ``wavenumbers``: the highest ones of its data, an axis each, where they are not read
    off along lines; ``slack``: how much of its own size the exact solution may leave, for noise or an inexact rule;
    ``norm``: what training makes small, the mean square (2) or the mean absolute residual (1), which forgives kinks;
    ``size``: the residual that counts as 1 there, read off the problem where it is None; ``measured``: it holds
    measured values, with errors of standard deviation ``noise`` where that is known; ``first``: linear, and near enough
    to the solution that nonlinear least squares start from it alone; ``scattered``: its data are read at its own
    points, since lines through them leave where it holds.
    """

    name: str
    sample: Callable[[int, Sampler], list[Points]]
    residual: Callable[[list[Points], list[Fields]], Parts]
    weight: float = 1.0
    on_interior: bool = False
    place: Place | None = None
    reduce: Literal["points", "mean"] = "points"
    wavenumbers: Callable[[], dict[str, float]] | None = None
    slack: float = 0.0
    norm: Norm = 2
    size: float | None = None
    measured: bool = False
    noise: float | None = None
    first: bool = False
    scattered: bool = False

    def square(self, part: Tensor) -> Tensor:
        """Of one part of the residual, ``mean |part|^2`` over the points, or ``|mean part|^2``."""
        part = part.mean(0, keepdim=True) if self.reduce == "mean" else part
        return _squared(part).mean()

    def densities(self, part: Tensor) -> Tensor:
        """``(n,)``: what one part of the residual adds to the loss at each point, ``|part|^norm``."""
        return part.abs() if self.norm == 1 else _squared(part)

    def mean(self, part: Tensor) -> Tensor:
        """Of one part of the residual, ``mean |part|^norm`` over the points, or ``|mean part|^norm``."""
        return self.densities(part.mean(0, keepdim=True) if self.reduce == "mean" else part).mean()


class ConditionBase(ABC):
    """A condition beside the equation."""

    @abstractmethod
    def constraints(self, problem: Any) -> list[Constraint]:
        """The constraints that state this condition for a problem (``pinn_siren.problem.Problem``)."""


def pick(fields: Fields, output: str | None, problem: Any, name: str) -> Any:
    """The jet that a condition speaks of. Raises ``ProblemError`` where several outputs leave it open."""
    names = problem.stated_fields
    if output is None:
        if len(names) > 1:
            raise ProblemError(f"{name} needs output=, one of {', '.join(names)}: the problem has several outputs.")
        return fields[0]
    if output not in names:
        raise ProblemError(f"{name}(output={output!r}): the outputs are {', '.join(names)}.{suggest(output, names)}")
    return fields[names.index(output)]


def _squared(part: Tensor) -> Tensor:
    return part.real.square() + part.imag.square() if part.is_complex() else part.square()


def expect_norm(name: str, norm: Any, size: Any) -> None:
    """Raises ``ProblemError`` unless ``norm`` is 1 or 2 and ``size`` None or a positive number."""
    if norm not in get_args(Norm):
        raise ProblemError(f"{name}'s norm is 2 (mean square) or 1 (mean absolute residual), got {norm!r}.")
    if size is not None and not (isinstance(size, int | float) and 0 < size < math.inf):
        raise ProblemError(f"{name}'s size must be a positive number, the residual that counts as 1; got {size!r}.")


def at_points(domain: Domain, points: Points) -> Callable[[int, Sampler], list[Points]]:
    """Samples given points with their normals: all of them, or a random part. Raises ``ProblemError`` where some lie
    outside the domain."""
    if points.axes != domain.axes:
        raise ProblemError(f"The points have the axes {points.axes}, {domain} has {domain.axes}.")
    outside = int((~domain.contains(points.coordinates)).sum())
    if outside:
        raise ProblemError(f"{outside} of {len(points)} points lie outside {domain}: leave them out, or enlarge it.")
    moved: dict[tuple[torch.device, torch.dtype], Points] = {}

    def sample(n: int, sampler: Sampler) -> list[Points]:
        key = (sampler.device, sampler.dtype)
        if key not in moved:
            outward = None if points.outward is None else points.outward.to(*key)
            moved[key] = Points(points.axes, points.coordinates.to(*key), outward)
        found = moved[key]
        if len(found) <= n:
            return [found]
        return [found[torch.randperm(len(found), generator=sampler.generator, device=sampler.device)[:n]]]

    return sample


def on_boundary(domain: Domain, on: On) -> Callable[[int, Sampler], list[Points]]:
    """Samples the spatial boundary where ``on`` says."""
    return lambda n, sampler: [domain.boundary(n, sampler, on)]


def label_of(name: str, on: On, output: str | None) -> str:
    """The name of a loss term: the condition, where it holds, and for which output."""
    where = on if isinstance(on, str) else "" if on is None else getattr(on, "__name__", type(on).__name__.lower())
    where = where.replace("<lambda>", "part")
    return " ".join(part for part in (name, where, output or "") if part)


def unique_names(constraints: Sequence[Constraint]) -> list[Constraint]:
    """The same constraints with repeated names numbered, so that loss terms can be told apart."""
    seen: dict[str, int] = {}
    renamed = []
    for c in constraints:
        seen[c.name] = seen.get(c.name, 0) + 1
        name = c.name if seen[c.name] == 1 else f"{c.name} {seen[c.name]}"
        renamed.append(replace(c, name=name))
    return renamed
