"""What an absorbing layer reflects, estimated by a second, stronger one."""

from __future__ import annotations

import dataclasses
import math

import torch

from ..conditions import PML
from ..domains import Sampler
from ..points import Points
from ..problem import Problem
from .choose import choose
from .linearized import NotCoveredError
from .solver import as_network, solve_patches

STRONGER = 1.5
"""The second layer absorbs so much more: of a reflection R it leaves about R^1.5, times rounding."""
AIM = 1.3e-7
"""The error of the patches that solve both: no reflection below about this is told from it."""
MOST = 900
"""Patches beyond which the estimate would cost more than it tells."""
SEEN = 2000


def reflection(problem: Problem, strength: float) -> float | None:
    """The relative L2 difference, in the physical region, of the fields with the layer and with one ``STRONGER``.

    ``strength``: that of the problem's layer. Both are solved on the same patches, so what is left is what the layer
    sends back. None where patches do not cover the problem, or too many would be needed.
    """
    layer = problem.layer
    assert layer is not None
    stronger = dataclasses.replace(layer, strength=STRONGER * strength)
    conditions = [stronger if isinstance(c, PML) else c for c in problem.conditions]
    other: Problem = dataclasses.replace(problem, conditions=conditions)  # type: ignore[type-var]
    p = problem.physical_domain.interior(SEEN, Sampler(torch.Generator().manual_seed(4713)))
    fields = []
    try:
        chosen = choose(other, AIM)
        if math.prod(chosen.decomposition.shape) > MOST:
            return None
        for one in (problem, other):
            network = as_network(solve_patches(one, chosen.decomposition, chosen.size), one)
            with torch.no_grad():
                fields.append(torch.complex(*network(_unit(problem, p)).T))
    except NotCoveredError:
        return None
    size = float(fields[1].norm())
    return float((fields[0] - fields[1]).norm()) / size if size else 0.0


def _unit(problem: Problem, p: Points) -> torch.Tensor:
    """The network's coordinates: the box's in half-widths."""
    bounds = torch.tensor([problem.domain.bounds[a] for a in p.axes], dtype=torch.float64)
    return (p.coordinates - bounds.mean(1)) / (bounds.diff(dim=1)[:, 0] / 2)


__all__ = ["reflection"]
