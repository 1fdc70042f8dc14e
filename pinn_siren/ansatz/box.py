"""Values held on the sides of a box, and at its first time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..jet import Jet, Plan, constant, coordinate
from ..points import TIME, Points
from . import chebyshev

LOW, HIGH, VALUE, RATE = "low", "high", "value", "rate"

Held = Callable[[NDArray[np.float64]], NDArray]
"""``(n, axes) -> (n,)``: the data of one side, at points of that side."""


@dataclass(frozen=True)
class Term:
    """One product of the lift: which axes are held at which of their ends, and the data over the others."""

    fixed: dict[str, str]
    coefficients: Tensor


class BoxPiece(nn.Module):
    """``u = lift + factor * N`` takes given values on some sides of a box, whatever N is.

    The lift is transfinite interpolation (Gordon and Hall 1973, doi 10.1007/BF01436298): with ``P_a`` the linear
    interpolation between the held ends of axis ``a`` (constant from a single one), and ``P_t`` the value and rate at
    the first time, it is the Boolean sum of all ``P_a``. The data enter on the boundary alone. The factor is
    ``4 (x - a)(b - x) / (b - a)^2`` between two held ends, ``|x - end| / (b - a)`` from one, and in time, with
    ``s = t - t_0``, ``s / (s + rise)`` for a value and ``s^2 / (s^2 + rise^2)`` for a value and a rate: it tends to 1,
    so that N stays of one size (a plain ``s^2`` would not).
    """

    def __init__(
        self, bounds: Mapping[str, tuple[float, float]], holds: Mapping[str, tuple[str, ...]], rise: float,
        terms: list[Term],
    ) -> None:  # fmt: skip
        super().__init__()
        self.bounds, self.holds, self.rise = dict(bounds), {a: tuple(ends) for a, ends in holds.items()}, rise
        self.fixed = [term.fixed for term in terms]
        for i, term in enumerate(terms):
            found = term.coefficients
            self.register_buffer(f"data_{i}", torch.view_as_real(found) if found.is_complex() else found)
        self.complex = [term.coefficients.is_complex() for term in terms]

    @classmethod
    def of(
        cls, bounds: Mapping[str, tuple[float, float]], holds: Mapping[str, Mapping[str, Held]], rise: float
    ) -> BoxPiece | None:
        """From the data of every held end; None where some are not smooth enough to be interpolated."""
        terms = []
        for axes in (s for n in range(1, len(holds) + 1) for s in itertools.combinations(holds, n)):
            source = TIME if TIME in axes else axes[0]
            for ends in itertools.product(*(holds[a] for a in axes)):
                fixed = dict(zip(axes, ends, strict=True))
                coefficients = _read(bounds, fixed, holds[source][fixed[source]])
                if coefficients is None:
                    return None
                if np.any(coefficients != 0):
                    terms.append(Term(fixed, torch.from_numpy(np.array(coefficients))))
        return cls(bounds, {a: tuple(ends) for a, ends in holds.items()}, rise, terms)

    @property
    def lifts(self) -> bool:
        """Whether the values are not all zero."""
        return bool(self.fixed)

    def lift(self, points: Points, plan: Plan) -> Jet:
        """The jet of what takes the values."""
        total = constant(points, plan, 0.0)
        for i, fixed in enumerate(self.fixed):
            kept = getattr(self, f"data_{i}")
            free = {a: b for a, b in self.bounds.items() if a not in fixed}
            found = torch.view_as_complex(kept) if self.complex[i] else kept
            term = chebyshev.interpolant_jet(found, free, points, plan)
            for axis, end in fixed.items():
                weight = self._weight(coordinate(points, plan, axis), axis, end)
                term = term if weight is None else term * weight
            total = total + (term if len(fixed) % 2 else -term)
        return total

    def factor(self, points: Points, plan: Plan) -> Jet:
        """The jet of what vanishes where values are held."""
        product = constant(points, plan, 1.0)
        for axis, ends in self.holds.items():
            x, (low, high) = coordinate(points, plan, axis), self.bounds[axis]
            if RATE in ends:
                square = (x - low) * (x - low)
                product = product * (square / (square + self.rise**2))
            elif VALUE in ends:
                product = product * ((x - low) / (x - low + self.rise))
            elif len(ends) == 2:
                product = product * ((x - low) * (high - x) * (4 / (high - low) ** 2))
            else:
                product = product * ((x - low if LOW in ends else high - x) / (high - low))
        return product

    def configuration(self) -> dict[str, Any]:
        """What rebuilds the piece, but for the numbers in its buffers."""
        shapes = [list(getattr(self, f"data_{i}").shape) for i in range(len(self.fixed))]
        return {
            "piece": "box",
            "bounds": {a: list(b) for a, b in self.bounds.items()},
            "holds": {a: list(ends) for a, ends in self.holds.items()},
            "rise": self.rise,
            "terms": [
                {"fixed": f, "shape": s, "complex": c} for f, s, c in zip(self.fixed, shapes, self.complex, strict=True)
            ],
        }

    @classmethod
    def from_configuration(cls, described: dict[str, Any]) -> BoxPiece:
        """The piece without its numbers, which ``load_state_dict`` brings."""
        terms = []
        for term in described["terms"]:
            empty = torch.zeros(term["shape"], dtype=torch.float64)
            terms.append(Term(term["fixed"], torch.view_as_complex(empty) if term["complex"] else empty))
        bounds = {a: (b[0], b[1]) for a, b in described["bounds"].items()}
        return cls(bounds, {a: tuple(e) for a, e in described["holds"].items()}, described["rise"], terms)

    def _weight(self, x: Jet, axis: str, end: str) -> Jet | None:
        low, high = self.bounds[axis]
        if end == RATE:
            s = x - low
            return s * self.rise**2 / (s * s + self.rise**2)
        if end == VALUE or len(self.holds[axis]) == 1:
            return None
        return (high - x if end == LOW else x - low) / (high - low)


def _read(bounds: Mapping[str, tuple[float, float]], fixed: dict[str, str], data: Held) -> NDArray | None:
    """The interpolant of the data of one end over the axes that are free."""
    free = [a for a in bounds if a not in fixed]

    def function(at: NDArray[np.float64]) -> NDArray:
        columns = {a: at[:, j] for j, a in enumerate(free)}
        columns |= {a: np.full(len(at), bounds[a][int(end == HIGH)]) for a, end in fixed.items()}
        return data(np.stack([columns[a] for a in bounds], axis=1))

    return chebyshev.fit(function, [bounds[a] for a in free])
