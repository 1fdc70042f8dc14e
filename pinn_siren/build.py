"""From a problem's scales to a model, its collocation points and its device."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from .ansatz.derive import BuiltIn
from .domains import Box, Domain, Sampler
from .errors import UsageError
from .jet import key_order, make_plan
from .model import Model
from .networks import MLP
from .parameters import Unknowns
from .points import Points
from .problem import Problem
from .scales import Scales
from .siren import Siren

GAUSS = {1: 400, 2: 128, 3: 40}
"""Nodes an axis of the rule that takes a mean."""
WIDTH, DEPTH, HIDDEN_OMEGA = 48, 3, 30.0


def build_model(
    problem: Problem, scales: Scales, network: nn.Module | None, dtype: torch.dtype, seed: int, built: BuiltIn,
    unknowns: Unknowns | None = None,
) -> Model:  # fmt: skip
    """The network in the problem's own coordinates and units; a default ``Siren`` where none is given."""
    axes, count = problem.domain.axes, len(problem.fields)
    across = {a: scales.wavenumber[a] * scales.half_width[a] for a in axes}
    top = max(across.values())
    if network is None:
        outputs = count * (1 + problem.complex_valued)
        # A periodic axis is a circle, in two inputs.
        inputs = len(axes) + len(built.periodic)
        # First-layer weights reach U(-1, 1) omega / inputs: half the highest wavenumber, the depth brings the rest.
        omega = [inputs * top / 2] + [HIDDEN_OMEGA] * (DEPTH - 1)
        generator = torch.Generator().manual_seed(seed)
        network = Siren(inputs, outputs, width=WIDTH, depth=DEPTH, omega=omega, dtype=dtype, generator=generator)
        # An axis of lower wavenumbers is drawn out less, so that one omega serves all.
        scale = {a: scales.half_width[a] * top / across[a] for a in axes}
    else:
        if isinstance(network, Siren | MLP) and network.inputs != len(axes):
            raise UsageError(
                f"The network must have {len(axes)} inputs, one for each of {', '.join(axes)}; got {network.inputs}."
            )
        network, scale = network.to(dtype), scales.half_width
    return Model(
        network,
        axes,
        problem.fields,
        problem.complex_valued,
        torch.tensor([scales.center[a] for a in axes], dtype=dtype),
        torch.tensor([scale[a] for a in axes], dtype=dtype),
        torch.full((count,), scales.amplitude, dtype=dtype),
        built.ansatz,
        {a: 2 * scales.half_width[a] for a in built.periodic},
        unknowns,
    )


def blindness(model: Model, asked: frozenset[str], p: Points) -> Iterator[str]:
    """What to say of a network whose highest derivatives that a problem asks for vanish at all points, as ReLU's do."""
    top = max((key_order(key) for key in asked), default=0)
    with torch.no_grad():
        fields = model.raw_fields(p, make_plan(p.axes, asked))
    keys = [key for key in fields[0].plan.keys if key_order(key) == top]
    if top >= 2 and not any(bool(u.channel(key).any()) for u in fields for key in keys):
        yield (
            f"All derivatives of order {top} of the network are zero, and the problem asks for {', '.join(keys)}: its "
            "residual does not see the network there, as with ReLU alone, and the solve will fail. Use Siren, or "
            "MLP(..., activation='tanh')."
        )


def default_points(scales: Scales, parameters: int) -> int:
    """Collocation points inside: four a shortest wavelength along each axis, and 0.8 for every parameter at least."""
    waves = math.prod(4 * scales.wavenumber[a] * scales.half_width[a] / math.pi for a in scales.wavenumber)
    return int(min(20_000, max(1_000, 0.8 * parameters, waves)))


def pick_device(device: str | torch.device | None) -> torch.device:
    """CUDA where there is one, else the CPU, unless given. Raises ``UsageError`` for a device that is not there."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        picked = torch.device(device)
        torch.zeros(1, device=picked)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"There is no device {str(device)!r} here ({reason}); use cpu, cuda or cuda:0.") from None
    return picked


def device_name(device: torch.device) -> str:
    """``cpu``, or the name of the CUDA device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@torch.no_grad()
def zero_mean(model: Model, domain: Domain) -> None:
    """Shift the fields to zero mean over a box (Gauss-Legendre), or over points of another domain."""
    like = model.center
    if isinstance(domain, Box):
        nodes, weights = np.polynomial.legendre.leggauss(GAUSS.get(len(domain.axes), 8))
        sides = [(low + high) / 2 + (high - low) / 2 * torch.from_numpy(nodes) for low, high in domain.bounds.values()]
        grid = torch.stack([g.reshape(-1) for g in torch.meshgrid(*sides, indexing="ij")], dim=1)
        shares = [torch.from_numpy(weights / 2)] * len(sides)
        share = torch.stack([g.reshape(-1) for g in torch.meshgrid(*shares, indexing="ij")]).prod(0)
    else:
        grid = domain.interior(2**16, Sampler(torch.Generator().manual_seed(1))).coordinates
        share = torch.full((len(grid),), 1 / len(grid), dtype=torch.float64)
    values = torch.cat([model(Points(domain.axes, part.to(like))) for part in grid.split(2**15)])
    model.offset -= (share.to(values)[:, None] * values).sum(0).real.to(model.offset)
