"""Variable projection: unknown numbers by Gauss-Newton, with the field solved for at each of their values."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors import ResidualError
from ..model import Model
from ..points import Points
from ..system import System, checked
from .design import Block
from .least_squares import LastLayer, remainder, weigh

DATA_WEIGHT = 1e-4
"""How much less measured values count than the equation: they are to choose among its solutions, not to bend them."""
INNER = 20
TRIES = 8
CLOSE = 1e-9
"""A step of all raw unknowns below this ends the iterations."""


@dataclass
class Projection:
    """``min |d - D u|^2 / noise^2`` over the unknowns, ``u`` the least-squares solution of the equation at them.

    Golub and Pereyra 1973 (doi 10.1137/0710036), with Kaufman's Jacobian (1975, doi 10.1007/BF01932995) and Levenberg's
    damping. Measured rows carry so little weight in the field's solve that they move it where the equation leaves it
    free alone. ``noise``: the deviation of each measured constraint's errors, or what is taken for it; ``unit``: the
    factor of a measured row in units of its noise; ``merit``: the misfit.
    """

    system: System
    model: Model
    points: dict[str, list[Points]]
    noise: dict[str, float]
    iterations: int = field(default=0, init=False)
    done: bool = field(default=False, init=False)
    damping: float = field(default=1e-3, init=False)
    unit: float = field(default=1.0, init=False)
    linear: bool | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.resolve()

    def resolve(self) -> None:
        """The field at the current unknowns."""
        self.solver = LastLayer(self.system, self.model, self.points, self.linear, self._weigh)
        for _ in range(INNER):
            self.solver.step()
            if self.solver.done:
                break
        self.linear = self.solver.linear
        if not math.isfinite(self.solver.residual):
            raise ResidualError("No least-squares solution at the unknowns' values is finite: start them elsewhere.")
        rows = (self.solver.matrix @ self.solver.unknowns() - self.solver.right)[self.measured]
        self.rows = torch.cat([real(rows) / self.unit, self._prior()])
        self.merit = float(self.rows.square().sum())

    def _weigh(self, blocks: list[Block], scales: list[float]) -> list[float]:
        weights, self.unit = weigh_data(blocks, scales, self.noise)
        self.measured = measured_rows(blocks)
        return weights

    def _prior(self) -> Tensor:
        assert self.model.unknowns is not None
        return self.model.unknowns.away(self.model.unknowns.raw).detach()

    def jacobian(self) -> Tensor:
        """``(rows, m)``: the derivatives of measured rows in units of their noise, and of priors, by raw unknowns."""
        assert self.model.unknowns is not None
        own = columns(self.system, self.model, self.points, self.solver.weights, self.solver.whole)
        left = remainder(self.solver.matrix, own)
        return torch.cat([real(left[self.measured]) / self.unit, self.model.unknowns.prior_slopes()])

    def step(self) -> None:
        """One Gauss-Newton step, shortened until the misfit falls."""
        assert self.model.unknowns is not None
        jacobian = self.jacobian()
        gradient, curvature = jacobian.T @ self.rows, jacobian.T @ jacobian
        sizes = curvature.diagonal().clamp(min=1e-30 * float(curvature.diagonal().max()) + 1e-300)
        raws = list(self.model.unknowns.raw.values())
        before, weights, merit = [r.detach().clone() for r in raws], _weights(self.model), self.merit
        self.iterations += 1
        for _ in range(TRIES):
            step = -torch.linalg.solve(curvature + self.damping * torch.diag(sizes), gradient)
            # Half a unit of the raw numbers is a large part of the way across their bounds.
            step = step * min(1.0, 1.0 / max(float(step.abs().max()), 1e-300))
            _move(raws, before, step)
            self.resolve()
            if self.merit <= merit:
                self.damping = max(self.damping / 10, 1e-12)
                self.done = float(step.abs().max()) <= CLOSE or self.merit > (1 - 1e-12) * merit
                return
            self.damping = max(self.damping, 1e-6) * 10
        _move(raws, before, torch.zeros_like(step))
        self.model.load_state_dict(weights)
        self.resolve()
        self.done = True


def weigh_data(blocks: list[Block], scales: list[float], noise: dict[str, float]) -> tuple[list[float], float]:
    """The factors of blocks where measured ones are in units of their noise, and what one of these units is."""
    usual = weigh(blocks, scales)
    measured = [i for i, b in enumerate(blocks) if b.constraint.measured]
    total = sum(len(blocks[i].matrix) for i in measured)
    least = min(noise[blocks[i].constraint.name] / scales[i] for i in measured)
    unit = DATA_WEIGHT * least / math.sqrt(total)
    return [unit / noise[b.constraint.name] if i in measured else usual[i] for i, b in enumerate(blocks)], unit


def measured_rows(blocks: list[Block]) -> Tensor:
    """Which rows are measured values, as a mask."""
    return torch.cat([torch.full((len(b.matrix),), b.constraint.measured, device=b.right.device) for b in blocks])


def columns(system: System, model: Model, points: dict[str, list[Points]], weights: list[float], whole: bool) -> Tensor:
    """``(rows, m)``: the derivatives of all weighted rows by the raw unknowns, the fields fixed."""
    unknowns = model.unknowns
    assert unknowns is not None
    raw = {name: r.detach().clone().requires_grad_() for name, r in unknowns.raw.items()}
    with torch.no_grad():
        jets = {c.name: system.jets(c, points[c.name], model) for c in system.constraints}
    with torch.enable_grad():
        unknowns.refresh(raw)
        halves: list[Tensor] = []
        for c in system.constraints:
            for part in checked(c, points[c.name], jets[c.name]):
                row = part.mean(0, keepdim=True) if c.reduce == "mean" else part
                halves += [row.real, row.imag] if row.is_complex() else [row]
        factors = [w for w in weights for _ in range(2)] if whole else weights
        rows = torch.cat([w * half for w, half in zip(factors, halves, strict=True)])
        # Twice backward is forward: one pass gives all derivatives of the rows by one number.
        seed = torch.zeros_like(rows, requires_grad=True)
        slopes = torch.autograd.grad(rows, list(raw.values()), seed, create_graph=True, allow_unused=True)
        found = [
            torch.zeros_like(rows)
            if not number.requires_grad
            else torch.autograd.grad(number, seed, retain_graph=True)[0]
            for slope, r in zip(slopes, raw.values(), strict=True)
            for number in (torch.zeros_like(r) if slope is None else slope).reshape(-1)
        ]
    unknowns.refresh()
    table = torch.stack(found, dim=1).detach()
    if not whole:
        return table
    lengths = [len(half) for half in halves]
    pieces = table.split(lengths)
    return torch.cat([torch.complex(a, b) for a, b in zip(pieces[0::2], pieces[1::2], strict=True)])


def real(rows: Tensor) -> Tensor:
    """Complex rows as their real and then their imaginary parts."""
    return torch.cat([rows.real, rows.imag]) if rows.is_complex() else rows


def _move(raws: list[torch.nn.Parameter], start: list[Tensor], step: Tensor) -> None:
    with torch.no_grad():
        for r, first, part in zip(raws, start, step.split([r.numel() for r in raws]), strict=True):
            r.copy_(first + part.reshape(r.shape))


def _weights(model: Model) -> dict[str, Tensor]:
    return {name: w.detach().clone() for name, w in model.state_dict().items()}


__all__ = ["Projection", "columns", "measured_rows", "real", "weigh_data"]
