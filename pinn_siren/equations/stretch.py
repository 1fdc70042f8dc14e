"""The absorbing layer's complex coordinates, resolved once from a problem's PML."""

from __future__ import annotations

import torch
from torch import Tensor

from ..conditions import PML
from ..domains import Domain
from ..points import Points

STRENGTH = 5.0
ORDER = 2


def stretch(p: Points, layer: PML, domain: Domain) -> dict[str, tuple[Tensor, Tensor]]:
    """Per space axis ``e = dX/dx = 1 + i strength (d / L)^order`` and ``de/dx``, each ``(n,)`` complex.

    ``d`` is the depth in a layer of thickness ``L``; outside it ``e = 1``. With the time factor exp(-i omega t) an
    outgoing ``exp(i k x)`` decays in it (Chew and Weedon 1994, doi 10.1002/mop.4650071304).
    """
    strength = STRENGTH if layer.strength is None else layer.strength
    order = ORDER if layer.order is None else layer.order
    stretched = {}
    for axis, (thick_low, thick_high) in layer.depths(domain).items():
        x = getattr(p, axis)
        low, high = domain.bounds[axis]
        sigma, slope = torch.zeros_like(x), torch.zeros_like(x)
        for thickness, depth, sign in (
            (thick_low, low + thick_low - x, -1.0),
            (thick_high, x - high + thick_high, 1.0),
        ):
            if thickness:
                ratio = (depth / thickness).clamp(min=0)
                sigma = sigma + strength * ratio**order
                slope = slope + sign * strength * order / thickness * ratio ** (order - 1) * (ratio > 0)
        stretched[axis] = (torch.complex(torch.ones_like(x), sigma), torch.complex(torch.zeros_like(x), slope))
    return stretched
