"""How well data determine unknown numbers: the Gauss-Newton covariance of the data's misfit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.stats
import torch
from numpy.typing import NDArray
from torch import Tensor

from .ansatz.derive import BuiltIn
from .build import build_model
from .domains import Sampler
from .estimate import LEVEL, Estimate
from .loss import Objective
from .model import Model
from .optimizers.design import assemble
from .optimizers.features import sine_features
from .optimizers.least_squares import collocation, remainder
from .optimizers.projection import columns, measured_rows, real, weigh_data
from .parameters import Unknowns
from .points import Points
from .system import System
from .unknowns import limits

WIDTH, WIDER = 500, 1.1
"""Sine features that stand for the field's changes, and their bandwidth in units of the problem's wavenumbers."""
SINGULAR, TINY = 1e-8, 1e-300
AT_BOUND = 1e-7
"""A number whose value moves this little with its raw number, next to what it did at the start, is at its bound."""
FLOOR = 1e-15


def all_points(system: System, width: int, generator: torch.Generator) -> dict[str, list[Points]]:
    """Collocation points for least squares, with every measured value."""
    points = collocation(system, width, generator)
    for c in system.constraints:
        if c.measured:
            points[c.name] = c.sample(2**62, Sampler(generator))
    return points


def noise_of(system: System, model: Model, points: dict[str, list[Points]]) -> dict[str, float]:
    """The deviation of each measured constraint's errors: as stated, else from what the fields leave.

    ``sigma_b^2 = sum r^2 / n_b * N / (N - m)`` over ``N`` real values and ``m`` unknown numbers.
    """
    assert model.unknowns is not None
    left = misfits(system, model, points)
    numbers = sum(r.numel() for r in model.unknowns.raw.values())
    total = sum(len(r) for r in left.values())
    spare = total / max(1, total - numbers)
    least = FLOOR * float(model.amplitude.max())
    stated = {c.name: c.noise for c in system.constraints}
    return {name: stated[name] or max(least, math.sqrt(float(r.square().mean()) * spare)) for name, r in left.items()}


@torch.no_grad()
def misfits(system: System, model: Model, points: dict[str, list[Points]]) -> dict[str, Tensor]:
    """The residuals of every measured constraint, real and imaginary parts of all values in one row."""
    return {
        c.name: torch.cat([real(part) for part in system.parts(c, points[c.name], model)])
        for c in system.constraints
        if c.measured
    }


def estimates(
    unknowns: Unknowns, jacobian: Tensor, noise: dict[str, float], count: int, known: bool
) -> dict[str, Estimate]:
    """The unknown numbers with deviations ``diag (J^T J)^-1`` and 95% intervals, kept within their bounds.

    ``jacobian``: of the rows in units of their noise by the raw numbers; ``count``: the number of measured values; with
    ``known`` noise the quantiles are the normal distribution's, else Student's of ``count - m`` degrees of freedom.
    """
    slopes, first = unknowns.slopes(), unknowns.slopes(at_start=True)
    # A number at its bound is held there, and is no longer unknown to the others.
    free = slopes.abs() > AT_BOUND * first.abs()
    scaled = jacobian[:, free] / slopes[free]
    # In columns of one length, so that units do not matter.
    lengths = scaled.norm(dim=0).clamp(min=TINY)
    sizes, turned = torch.linalg.svd(scaled / lengths, full_matrices=False)[1:]
    determined = len(sizes) == scaled.shape[1] > 0 and bool(sizes[-1] > SINGULAR * sizes[0])
    spare = count - scaled.shape[1]
    one_noise = next(iter(noise.values())) if len(noise) == 1 else None
    quantile = scipy.stats.norm.ppf(0.5 + LEVEL / 2) if known else scipy.stats.t.ppf(0.5 + LEVEL / 2, max(spare, 1))
    deviations = torch.zeros_like(slopes)
    deviations[free] = ((turned / sizes[:, None]) if determined else turned).square().sum(0).sqrt() / lengths
    found, at = {}, 0
    for name, r in unknowns.raw.items():
        value = _value(unknowns, name)
        deviation = deviations[at : at + r.numel()].double().cpu().numpy().reshape(value.shape)
        held = not bool(free[at : at + r.numel()].all())
        at += r.numel()
        if held or not determined or (spare < 1 and not known):
            found[name] = Estimate(_kept(value), noise=one_noise)
            continue
        low, high = limits(unknowns.stated[name].bounds)
        below, above = (_kept(np.clip(value + sign * quantile * deviation, low, high)) for sign in (-1, 1))
        found[name] = Estimate(_kept(value), _kept(deviation), below, above, one_noise)
    return found


def confidence(objective: Objective) -> dict[str, Estimate]:
    """The unknown numbers of a model, however it was made, with the linearized problem's changes of the field.

    These are solved for in frozen sine features of their own: a trained network's last layer holds too few.
    """
    model, scales = objective.model, objective.scales
    unknowns = model.unknowns
    assert unknowns is not None
    if not len(unknowns.raw):
        return {}
    problem = objective.system.problem
    system = System(problem)
    device = objective.sampler.device
    generator = torch.Generator(device).manual_seed(2_718)
    if len(unknowns.networks):
        # A field that is found too takes up what the numbers leave: no interval is known.
        return {name: Estimate(_kept(_value(unknowns, name))) for name in unknowns.raw}
    bandwidth = {a: WIDER * scales.wavenumber[a] * scales.half_width[a] for a in problem.domain.axes}
    outputs = len(problem.fields) * (1 + problem.complex_valued)
    width = WIDTH // len(problem.fields)
    network = sine_features(width, bandwidth, outputs, torch.Generator().manual_seed(3_141))
    dtype = model.center.dtype
    basis = build_model(problem, scales, network, dtype, 0, BuiltIn(problem.ansatz)).to(device)
    points = all_points(system, width, generator)
    points = {name: [_in(dtype, p) for p in several] for name, several in points.items()}
    noise = noise_of(system, model, points)
    blocks, whole = assemble(system, points, model, basis)
    scale = [float(b.matrix.abs().square().mean().sqrt()) or 1.0 for b in blocks]
    weights, unit = weigh_data(blocks, scale, noise)
    matrix = torch.cat([b.matrix * w for b, w in zip(blocks, weights, strict=True)])
    own = columns(system, model, points, weights, whole)
    left = remainder(matrix, own)[measured_rows(blocks)]
    jacobian = torch.cat([real(left) / unit, unknowns.prior_slopes()])
    known = all(c.noise is not None for c in system.constraints if c.measured)
    count = sum(len(r) for r in misfits(system, model, points).values())
    return estimates(unknowns, jacobian, noise, count, known)


def _value(unknowns: Unknowns, name: str) -> NDArray[np.float64]:
    return unknowns.value(name, unknowns.raw[name]).detach().double().cpu().numpy()


def _kept(value: NDArray[np.float64]) -> Any:
    return float(value) if value.ndim == 0 else value


def _in(dtype: torch.dtype, p: Points) -> Points:
    def cast(t: Tensor | None) -> Tensor | None:
        return None if t is None else t.to(dtype.to_complex() if t.is_complex() else dtype)

    coordinates = cast(p.coordinates)
    assert coordinates is not None
    return Points(p.axes, coordinates, cast(p.outward), cast(p.attached))


__all__ = ["all_points", "confidence", "estimates", "misfits", "noise_of"]
