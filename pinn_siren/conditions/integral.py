"""A mean, a flux, a mass: what an integral is."""

from __future__ import annotations

import cmath
import numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..domains import Domain, On, Sampler
from ..errors import ProblemError, ResidualError
from ..points import Points
from .base import ConditionBase, Constraint, Fields, label_of, pick
from .quadrature import Rule, at_time, over_boundary, over_domain, with_time

INEXACT = 3e-3
"""The share of its own size that the rule's error may leave of an exact solution."""


@dataclass(frozen=True, eq=False)
class Integral(ConditionBase):
    """``integral of quantity(p, u) = value`` over the domain, or over a part of its boundary.

    ``quantity``: ``(p, u) -> (n,)``, as ``lambda p, u: u.value`` for a mass, ``u.normal_derivative`` on a side for a
    flux; with several outputs it takes them all, or the one that ``output`` names. ``value``: a number, in the
    quantity's units times those of the region (for a mean, the mean times ``domain.measure``). ``on``: None for the
    domain, ``"boundary"`` for its whole spatial boundary, or a side's name, a domain or a mask for a part of it.
    ``at``: a time, at which the integral is over space alone; otherwise it is over space and time.

    By Gauss-Legendre rules in boxes, in disks and on whole sides; by Sobol points elsewhere, to about 1e-3. Raises
    ``ProblemError`` for a value that is no finite number.
    """

    quantity: Callable[..., Tensor]
    value: complex
    on: On = None
    output: str | None = None
    weight: float = 1.0
    at: float | None = None

    def __post_init__(self) -> None:
        if not callable(self.quantity):
            raise ProblemError(
                f"Integral's quantity must be a function such as lambda p, u: u.value, got {self.quantity!r}."
            )
        if not isinstance(self.value, numbers.Number) or not cmath.isfinite(self.value):
            raise ProblemError(f"Integral's value must be a finite number, got {self.value!r}.")

    def constraints(self, problem: Any) -> list[Constraint]:
        """One constraint, whose mean over the nodes must vanish."""
        rule = self._rule(problem.domain)

        def sample(n: int, sampler: Sampler) -> list[Points]:
            return [rule(n, sampler)]

        def residual(points: list[Points], fields: list[Fields]) -> Tensor:
            p = points[0]
            named = self.output is not None
            came = self.quantity(p, *([pick(fields[0], self.output, problem, "Integral")] if named else fields[0]))
            if not isinstance(came, Tensor) or came.shape != (len(p),):
                shape = tuple(came.shape) if isinstance(came, Tensor) else type(came).__name__
                raise ResidualError(
                    f"Integral's quantity must return a tensor of shape ({len(p)},) for {len(p)} points, the integrand "
                    f"at each; got {shape}."
                )
            assert p.attached is not None
            return p.attached[:, 0] * came - self.value

        label = label_of("integral", self.on, self.output)
        return [Constraint(label, sample, residual, self.weight, reduce="mean", wavenumbers=dict, slack=INEXACT)]

    def _rule(self, domain: Domain) -> Rule:
        inside = self.on is None or self.on == "interior"

        def over(region: Domain) -> Rule:
            return over_domain(region) if inside else over_boundary(region, self._part(domain))

        return over(domain) if self.at is None else at_time(domain, self.at, over)

    def _part(self, domain: Domain) -> On:
        """The part of the boundary; a mask of points in space and time is asked at the one time."""
        on, at = self.on, self.at
        if on == "boundary":
            return None
        if at is None or not callable(on) or isinstance(on, Domain):
            return on
        return lambda p: on(with_time(p, domain.axes, at))
