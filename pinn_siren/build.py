"""From a problem's scales to a model, its collocation points and its device."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from .ansatz.derive import BuiltIn
from .domains import Box, Sampler
from .errors import UsageError
from .jet import key_order, make_plan
from .model import Model
from .networks import MLP
from .parallel import launched, local_device
from .parameters import Unknowns
from .points import Points
from .problem import Problem
from .scales import Scales
from .siren import Siren

GAUSS = {1: 400, 2: 128, 3: 40}
"""Nodes an axis of the rule that takes a mean."""
WIDTH, DEPTH, HIDDEN_OMEGA = 48, 3, 30.0
SIGNAL_DEPTH, WIDEST = 4, 256
"""Layers of the network of a signal, which has about three weights a value up to this width."""
LARGEST = 8_192
"""The most values of a signal that a step sees: in the same time, small steps gain more. A fourth of derivatives, which
cost more each."""
FOLDED_LEAST, FOLDED_MOST = 10, 24
"""Widths of the network that Gauss-Newton begins with."""
FOLDED_SHARE = 0.5
"""First-layer weights of a folded network, of the highest wavenumber."""


def build_model(
    problem: Problem,
    scales: Scales,
    network: nn.Module | None,
    dtype: torch.dtype,
    seed: int,
    built: BuiltIn,
    unknowns: Unknowns | None = None,
    folded: bool = False,
) -> Model:
    """The network in the problem's own coordinates and units; a default ``Siren`` where none is given.

    ``folded``: a default one for Gauss-Newton, with omega 1, its frequencies in the weights.
    """
    axes, count = problem.domain.axes, len(problem.fields)
    across = {a: scales.wavenumber[a] * scales.half_width[a] for a in axes}
    top = max(across.values())
    if network is None:
        network = problem.own_network(dtype, torch.Generator().manual_seed(seed))
    if network is None:
        outputs = count * (1 + problem.complex_valued)
        # A periodic axis is a circle, in two inputs.
        inputs = len(axes) + len(built.periodic)
        # First-layer weights reach U(-1, 1) omega / inputs: part of the highest wavenumber; the depth brings the rest.
        width, depth = default_size(problem)
        omega = [inputs * top * problem.first_frequency] + [HIDDEN_OMEGA] * (depth - 1)
        generator = torch.Generator().manual_seed(seed)
        if not folded:
            network = Siren(inputs, outputs, width=width, depth=depth, omega=omega, dtype=dtype, generator=generator)
        else:
            width = folded_width(across)
            network = Siren(inputs, outputs, width=width, depth=DEPTH, omega=1.0, dtype=dtype, generator=generator)
            with torch.no_grad():
                next(network.parameters()).mul_(inputs * FOLDED_SHARE * top)
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


def folded_width(across: dict[str, float]) -> int:
    """The first width of a network that Gauss-Newton trains and widens: by how many half-waves fit into the domain."""
    waves = math.prod(2 * k / math.pi for k in across.values())
    return int(min(FOLDED_MOST, max(FOLDED_LEAST, FOLDED_LEAST * (waves / 8) ** 0.25)))


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


def default_size(problem: Problem) -> tuple[int, int]:
    """Width and depth of the default network; of a signal by the number of its values."""
    if not problem.is_signal:
        return WIDTH, DEPTH
    return min(WIDEST, max(WIDTH, round(math.sqrt(problem.samples)))), SIGNAL_DEPTH


def default_points(problem: Problem, scales: Scales, parameters: int) -> int:
    """Collocation points inside: four a shortest wavelength along each axis, and 0.8 for every parameter at least.

    Of a signal: a part of its values.
    """
    if problem.is_signal:
        most = LARGEST // 4 if problem.of_derivatives else LARGEST
        return min(most, max(1_000, round(problem.share * problem.samples)))
    waves = math.prod(4 * scales.wavenumber[a] * scales.half_width[a] / math.pi for a in scales.wavenumber)
    return int(min(20_000, max(1_000, 0.8 * parameters, waves)))


def pick_device(device: str | torch.device | None) -> torch.device:
    """CUDA where there is one, else the CPU, unless given; of several processes each takes the GPU of its own number.

    Raises ``UsageError`` for a device that is not there.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if launched() and str(device) == "cuda" and torch.cuda.is_available():
        return local_device()
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
def zero_mean(model: Model, problem: Problem) -> None:
    """Shift the fields to zero mean over a box (Gauss-Legendre), or over points of another domain; those of several
    sides together."""
    like, domain = model.center, problem.domain
    if isinstance(domain, Box) and problem.sides is None:
        nodes, weights = np.polynomial.legendre.leggauss(GAUSS.get(len(domain.axes), 8))
        sides = [(low + high) / 2 + (high - low) / 2 * torch.from_numpy(nodes) for low, high in domain.bounds.values()]
        grid = torch.stack([g.reshape(-1) for g in torch.meshgrid(*sides, indexing="ij")], dim=1)
        shares = [torch.from_numpy(weights / 2)] * len(sides)
        share = torch.stack([g.reshape(-1) for g in torch.meshgrid(*shares, indexing="ij")]).prod(0)
    else:
        grid = domain.interior(2**16, Sampler(torch.Generator().manual_seed(1))).coordinates
        share = torch.full((len(grid),), 1 / len(grid), dtype=torch.float64)
    parts = [Points(domain.axes, part.to(like)) for part in grid.split(2**15)]
    values = torch.cat([problem.seen(model(part), part) for part in parts])
    model.offset -= (share.to(values)[:, None] * values).sum(0).real.to(model.offset)
