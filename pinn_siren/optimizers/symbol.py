"""Waves that satisfy a homogeneous equation of constant coefficients: the roots of its symbol."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..conditions import Constraint
from ..domains import Sampler
from ..jet import LAPLACIAN, Linearization
from ..model import Model
from ..points import TIME
from ..system import System
from .linearized import linearized

CONSTANT = 1e-12
PROBES = 64


@dataclass(frozen=True)
class Symbol:
    """``sum_key c_key (i k)^key`` with even keys and real coefficients, zero on the waves that leave no residual.

    ``half_widths``: of the domain, an axis each: frequencies are in radians per half-width.
    """

    coefficients: dict[str, float]
    axes: tuple[str, ...]
    half_widths: tuple[float, ...]

    def at(self, k: Tensor) -> tuple[Tensor, Tensor]:
        """The symbol at ``(n, axes)`` wavevectors in radians per unit, and the sum of its terms' sizes."""
        total, size = torch.zeros(len(k), dtype=k.dtype), torch.zeros(len(k), dtype=k.dtype)
        for key, c in self.coefficients.items():
            for letters in self._monomials(key):
                term = c * (-1) ** (len(letters) // 2) * k[:, [self.axes.index(a) for a in letters]].prod(dim=1)
                total, size = total + term, size + term.abs()
        return total, size

    def _monomials(self, key: str) -> list[str]:
        return [2 * a for a in self.axes if a != TIME] if key == LAPLACIAN else [key]

    def onto(self, waves: Tensor) -> Tensor:
        """``(n, axes)`` frequencies moved onto the symbol's zeros, those that have none left where they are.

        With time the wave in space stays and the frequency is that of the dispersion relation; else the direction
        stays: ``|k|`` is the wavenumber of a Helmholtz equation.
        """
        half = torch.tensor(self.half_widths, dtype=waves.dtype)
        k = waves / half
        moving = torch.tensor([TIME not in self.axes or a == TIME for a in self.axes])
        held = torch.where(moving, 0.0, k)
        # Along the line held + s moving the symbol is c0 + c2 s^2 + c4 s^4: three values give the three numbers.
        direction = torch.where(moving, k if TIME not in self.axes else torch.ones_like(k), 0.0)
        at0, at1, at2 = (self.at(held + s * direction)[0] for s in (0.0, 1.0, 2.0))
        c4 = (at2 - 4 * at1 + 3 * at0) / 12
        c4 = torch.where(c4.abs() > CONSTANT * (at1.abs() + at2.abs()), c4, 0.0)
        square = _root(at0, at1 - at0 - c4, c4)
        sign = torch.where(k[:, -1:] < 0, -1.0, 1.0) if TIME in self.axes else 1.0
        there = held + sign * square.sqrt()[:, None] * direction
        return torch.where((square > 0)[:, None], there, k) * half

    def vanishes(self, waves: Tensor) -> bool:
        """Whether all of ``(n, axes)`` frequencies are zeros of the symbol, within rounding."""
        value, size = self.at(waves / torch.tensor(self.half_widths, dtype=waves.dtype))
        return bool((value.abs() <= 1e3 * CONSTANT * size).all())


def _root(c0: Tensor, c2: Tensor, c4: Tensor) -> Tensor:
    """The positive root of ``c0 + c2 s + c4 s^2``, zero where there is none."""
    discriminant = (c2.square() - 4 * c4 * c0).clamp(min=0).sqrt()
    # The form that does not cancel: c0 / q is the root that stays where c4 is zero.
    q = -(c2 + torch.where(c2 < 0, -discriminant, discriminant)) / 2
    one = torch.where(q != 0, c0 / q, 0.0)
    other = torch.where(c4 != 0, q / c4, 0.0)
    root = torch.where(one > 0, one, other)
    real = (c2.square() - 4 * c4 * c0 >= 0) & torch.isfinite(root) & (root > 0)
    return torch.where(real, root, 0.0)


def homogeneous_symbol(system: System, model: Model, half_width: dict[str, float]) -> Symbol | None:
    """The symbol of the one equation of a linear problem, where it has no source, and constant, even, real terms.

    ``model``: one whose fields are zero. None where that does not hold, or not every wave has a zero of the symbol:
    then the equation has no such waves.
    """
    problem = system.problem
    equations = [c for c in system.constraints if c.on_interior]
    if len(equations) != 1 or len(problem.fields) != 1 or model.periods or problem.ansatz is not None:
        return None
    coefficients = _constant(system, equations[0], model)
    if coefficients is None:
        return None
    axes = problem.domain.axes
    symbol = Symbol(coefficients, axes, tuple(half_width[a] for a in axes))
    draw = torch.randn(PROBES, len(axes), generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    moved = symbol.onto(3 * draw)
    return symbol if symbol.vanishes(moved) else None


def _constant(system: System, equation: Constraint, model: Model) -> dict[str, float] | None:
    """The equation's coefficients, where they are the same at all points, even, and real, and there is no source."""
    points = equation.sample(PROBES, Sampler(torch.Generator().manual_seed(5)))
    found: Linearization = linearized(system, equation, points, model)[1]
    blocks = found.complex_blocks() if model.complex_valued else found.coefficients
    if blocks is None or blocks.shape[1] != 1 or bool(found.values.any()):
        return None
    keys = [c.key for c in found.columns if not c.imaginary]
    size = blocks.abs().amax()
    first = blocks[:1]
    if float((blocks - first).abs().max()) > CONSTANT * float(size) or (first.is_complex() and bool(first.imag.any())):
        return None
    values = {key: float(first[0, 0, i].real) for i, key in enumerate(keys) if bool(first[0, 0, i] != 0)}
    return values if all(len(key) % 2 == 0 or key == LAPLACIAN for key in values) else None


__all__ = ["Symbol", "homogeneous_symbol"]
