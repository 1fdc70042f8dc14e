"""The networks that the SIREN paper compares (Sitzmann et al. 2020, arXiv 2006.09661), at one size, for one problem."""

from __future__ import annotations

import math

import torch
from torch import nn

from ..build import HIDDEN_OMEGA
from ..networks import MLP, GaussianRBF
from ..problem import Problem
from ..scales import Scales
from ..siren import Siren

NETWORKS = ("siren", "tanh", "relu", "softplus", "rbf", "relu-pe")


def make_network(name: str, problem: Problem, scales: Scales, width: int, depth: int, seed: int) -> nn.Module:
    """One of ``NETWORKS`` with ``depth`` hidden layers of ``width``, for a problem's axes and fields; in float64.

    ``"siren"`` starts at the part of the problem's highest wavenumber that it starts at in ``solve``; ``"relu-pe"``
    encodes positions in octaves up to that wavenumber; ``"rbf"`` has Gaussian radial basis functions for its first
    layer and ReLU after.
    """
    inputs, outputs = len(problem.domain.axes), len(problem.fields) * (1 + problem.complex_valued)
    generator = torch.Generator().manual_seed(seed)
    highest = max(scales.wavenumber[a] * scales.half_width[a] for a in problem.domain.axes)
    if name == "siren":
        omega = [inputs * highest * problem.first_frequency] + [HIDDEN_OMEGA] * (depth - 1)
        return Siren(inputs, outputs, width, depth, omega, dtype=torch.float64, generator=generator)
    if name == "rbf":
        first = GaussianRBF(inputs, width, dtype=torch.float64, generator=generator)
        if depth == 1:
            return nn.Sequential(first, nn.Linear(width, outputs, dtype=torch.float64))
        rest = MLP(width, outputs, width, depth - 1, "relu", dtype=torch.float64, generator=generator)
        return nn.Sequential(first, rest)
    octaves = max(1, math.ceil(math.log2(highest / math.pi)) + 1) if name == "relu-pe" else 0
    activation = "relu" if name == "relu-pe" else name
    return MLP(inputs, outputs, width, depth, activation, octaves, dtype=torch.float64, generator=generator)
