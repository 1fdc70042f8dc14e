"""Measured values at points."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from ..domains import Sampler
from ..errors import ProblemError, suggest
from ..points import Points
from ..spectra import of_points
from .base import ConditionBase, Constraint, Fields, Norm, Parts, expect_norm, label_of, pick

Of = Literal["value", "grad", "laplacian"]
NOISE = 0.3
"""The share of its own size by which an exact solution may miss what was measured."""
SAME = 1e-9
"""How far apart, relative to the largest, two values at one point are that count as one."""
MANY = 16
"""This many data for each that is drawn: a repeat is rare, and a shuffle of all would cost more than a step."""


@dataclass(frozen=True, eq=False)
class Data(ConditionBase):
    """``u = values`` at points, or its gradient or Laplacian over space.

    ``points``: ``(n, d)``, a column an axis in the domain's order (``(n,)`` where there is one), or ``Points``;
    ``values``: ``(n,)``, or ``(n, space dims)`` for ``of="grad"``, in the units of the field (per length), complex
    where the problem is. Of a problem with several outputs, all at once without ``output``: ``(n, outputs)``, or
    ``(n, outputs, space dims)``. ``noise``: the standard deviation of their errors, of real and imaginary parts each,
    if it is known: inverse problems weigh data by it. Where there are more than the points asked for, every draw is a
    random part of them, on the device that trains, with repeats where there are over ``MANY`` times as many.
    ``norm`` and ``size`` as for ``Condition``.

    A problem that states no ``residual`` is a fit of its data. Raises ``ProblemError`` for other shapes, values that
    are not finite or contradict each other at one point, and points outside the domain.
    """

    points: Any
    values: Any
    of: Of = "value"
    output: str | None = None
    weight: float = 1.0
    norm: Norm = 2
    size: float | None = None
    noise: float | None = None

    def __post_init__(self) -> None:
        expect_norm("Data", self.norm, self.size)
        kinds = get_args(Of)
        if self.of not in kinds:
            near = suggest(str(self.of), kinds)
            raise ProblemError(f"Data(of={self.of!r}) must be one of {', '.join(kinds)}.{near}")
        if self.noise is not None and not (isinstance(self.noise, numbers.Real) and 0 < float(self.noise) < math.inf):
            raise ProblemError(f"Data(noise=) must be a positive number, the errors' deviation, got {self.noise!r}.")
        where, measured = self.coordinates, self.measured
        expected = "(n, space dims)" if self.of == "grad" else "(n,)"
        known = 1 + (self.of == "grad")
        columns = len(self._came) == 2 and self._came[1] > 1
        if not (len(self._came) in (1, known) or columns or len(self._came) == known + 1 > 2):
            raise ProblemError(f"Data values of {self.of} must have shape {expected}, got {self._came}.")
        if len(where) != len(measured):
            raise ProblemError(f"Data has {len(where)} points and {len(measured)} values: give one for each point.")
        if len(where) == 0:
            raise ProblemError("Data has no points: leave it out.")
        for name, table in (("points", where), ("values", measured)):
            wrong = ~torch.isfinite(table).all(1)
            if bool(wrong.any()):
                first = int(wrong.nonzero()[0])
                raise ProblemError(
                    f"Data {name} are NaN or infinite at {int(wrong.sum())} of {len(where)} points, first at number "
                    f"{first}, {where[first].tolist()}: leave these points out."
                )
        self._refuse_contradictions()

    @cached_property
    def coordinates(self) -> Tensor:
        """``(n, d)`` coordinates, on the CPU."""
        came = self.points.coordinates if isinstance(self.points, Points) else self.points
        found = _numbers(came, "points")
        found = found[:, None] if found.ndim == 1 else found
        if found.ndim != 2 or found.is_complex():
            raise ProblemError(
                f"Data points must be real numbers of shape (n, d), got {found.dtype} {tuple(found.shape)}."
            )
        return found

    @cached_property
    def measured(self) -> Tensor:
        """``(n, k)`` values in double precision, on the CPU; of several outputs one after the other."""
        found = _numbers(self.values, "values")
        found = found.to(torch.complex128 if found.is_complex() else torch.float64)
        return found[:, None] if found.ndim == 1 else found.flatten(1)

    @property
    def count(self) -> int:
        """The number of points."""
        return len(self.coordinates)

    @property
    def _came(self) -> tuple[int, ...]:
        return tuple(np.shape(self.values)) if not isinstance(self.values, Tensor) else tuple(self.values.shape)

    def _refuse_contradictions(self) -> None:
        """One point has one value."""
        x, v = self.coordinates.numpy(), self.measured.numpy()
        order = np.lexsort(x.T)
        same = (np.diff(x[order], axis=0) == 0).all(1)
        gap = np.abs(np.diff(v[order], axis=0)).max(1)
        wrong = np.flatnonzero(same & (gap > SAME * np.abs(v).max()))
        if len(wrong):
            one, two = order[wrong[0]], order[wrong[0] + 1]
            raise ProblemError(
                f"Data gives the point {x[one].tolist()} two values, {v[one].tolist()} and {v[two].tolist()} (numbers "
                f"{one} and {two}; {len(wrong)} such pairs): keep one, or their mean."
            )

    def constraints(self, problem: Any) -> list[Constraint]:
        """One constraint, with a part an axis for gradients. Raises ``ProblemError`` where the data do not fit."""
        self._fits(problem)

        def residual(points: list[Points], fields: list[Fields]) -> Parts:
            every = fields[0] if self._of_all(problem) else (pick(fields[0], self.output, problem, "Data"),)
            found = [getattr(u, self.of) for u in every]
            measured = points[0].attached
            assert measured is not None
            columns = [part for u in found for part in (u.unbind(1) if self.of == "grad" else (u,))]
            parts = tuple(column - measured[:, i] for i, column in enumerate(columns))
            return parts if self.of == "grad" or len(parts) > 1 else parts[0]

        def wavenumbers() -> dict[str, float]:
            return dict(zip(problem.domain.axes, of_points(self.coordinates, self.measured), strict=True))

        kind = "data" if self.of == "value" else f"data {self.of}"
        return [
            Constraint(
                label_of(kind, None, self.output), self._sampling(problem), residual, self.weight, on_interior=True,
                wavenumbers=wavenumbers, slack=NOISE, norm=self.norm, size=self.size, measured=True, noise=self.noise,
            )
        ]  # fmt: skip

    def _of_all(self, problem: Any) -> bool:
        """Whether the values are those of all outputs."""
        return self.output is None and len(problem.stated_fields) > 1 and len(self._came) > 1 + (self.of == "grad")

    def _sampling(self, problem: Any) -> Any:
        tables: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor]] = {}

        def sample(n: int, sampler: Sampler) -> list[Points]:
            key = (sampler.device, sampler.dtype)
            if key not in tables:
                dtype = sampler.dtype.to_complex() if self.measured.is_complex() else sampler.dtype
                tables[key] = self.coordinates.to(*key), self.measured.to(sampler.device, dtype)
            x, v = tables[key]
            if len(x) > MANY * n:
                chosen = torch.randint(len(x), (n,), generator=sampler.generator, device=sampler.device)
                x, v = x[chosen], v[chosen]
            elif len(x) > n:
                chosen = torch.randperm(len(x), generator=sampler.generator, device=sampler.device)[:n]
                x, v = x[chosen], v[chosen]
            return [Points(problem.domain.axes, x, None, v)]

        return sample

    def _fits(self, problem: Any) -> None:
        domain, x = problem.domain, self.coordinates
        if isinstance(self.points, Points) and self.points.axes != domain.axes:
            raise ProblemError(f"Data points have the axes {self.points.axes}, {domain} has {domain.axes}.")
        if x.shape[1] != len(domain.axes):
            raise ProblemError(
                f"Data points must have shape (n, {len(domain.axes)}), a column for each of {', '.join(domain.axes)}; "
                f"got {tuple(x.shape)}."
            )
        outside = ~domain.contains(x)
        if bool(outside.any()):
            first = int(outside.nonzero()[0])
            raise ProblemError(
                f"{int(outside.sum())} of {len(x)} Data points lie outside {domain}, first number {first}, "
                f"{dict(zip(domain.axes, x[first].tolist(), strict=True))}: leave them out, or enlarge the domain."
            )
        if self.measured.is_complex() and not problem.complex_valued:
            raise ProblemError(
                f"Data values are complex, and {type(problem).__name__} is real: set complex_valued = True in its "
                "class, or give values.real."
            )
        dims = len(domain.space_axes)
        if self.of != "value" and not dims:
            raise ProblemError(f"Data(of={self.of!r}) is taken over space, and {domain} has time alone.")
        one = (dims,) if self.of == "grad" else ()
        several = (len(problem.stated_fields), *one) if self._of_all(problem) else one
        if self._came[1:] != several and not (dims == 1 and self._came[1:] == several[:-1]):
            each = f", a column for each of {', '.join(domain.space_axes)}" if one else ""
            outputs = f" (all of {', '.join(problem.stated_fields)})" if len(several) > len(one) else ""
            raise ProblemError(
                f"Data values of {self.of} must have shape (n{''.join(f', {k}' for k in several)}{',' * (not several)})"
                f"{outputs}{each}; got {self._came}."
            )


def _numbers(came: Any, name: str) -> Tensor:
    """A tensor on the CPU, of floating point or complex numbers."""
    try:
        found = came.detach().cpu() if isinstance(came, Tensor) else torch.as_tensor(np.asarray(came))
    except (TypeError, ValueError, RuntimeError):
        raise ProblemError(
            f"Data {name} must be numbers in an array, tensor or list, got {type(came).__name__}."
        ) from None
    if found.ndim == 0:
        raise ProblemError(f"Data {name} must be an array with a row for each point, got a single number.")
    return (
        found if (found.is_floating_point() and found.dtype != torch.float16) or found.is_complex() else found.double()
    )
