"""Full-waveform inversion: a medium from what receivers read, by Gauss-Newton on a network's weights or on a grid."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call, grad, vmap

from .discrepancy import Evaluated, descend
from .domains import Box
from .errors import UsageError
from .parameters import FieldNetwork, bounded
from .points import Points
from .reference.survey import Complex, Real, Survey
from .unknowns import Bounds, UnknownField


class Medium(ABC):
    """Wave speeds at a survey's unknown nodes as a function of parameters, zero at the start."""

    @abstractmethod
    def speed(self, parameters: Real) -> Real:
        """``(P,) -> (N,)``: positive."""

    @abstractmethod
    def slopes(self, parameters: Real) -> Real:
        """``(N, P)``: the speeds' derivatives."""

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of parameters."""


class NetworkMedium(Medium):
    """The speed as an ``UnknownField``: a SIREN between bounds, the parameters its weights' distance to their start."""

    def __init__(self, survey: Survey, stated: UnknownField, seed: int) -> None:
        square = Box(x=(-survey.unknown, survey.unknown), y=(-survey.unknown, survey.unknown))
        self.network = FieldNetwork(stated, square, torch.float64, torch.Generator().manual_seed(seed))
        self.start = torch.nn.utils.parameters_to_vector(self.network.parameters()).detach().clone()
        self.nodes = torch.from_numpy(survey.nodes)
        self.shapes = {name: w.shape for name, w in self.network.named_parameters()}

    def _at(self, weights: Tensor, x: Tensor) -> Tensor:
        pieces = weights.split([math.prod(shape) for shape in self.shapes.values()])
        named = {name: w.reshape(shape) for w, (name, shape) in zip(pieces, self.shapes.items(), strict=True)}
        return functional_call(self.network, named, (Points(("x", "y"), x[None]),))[0]

    def speed(self, parameters: Real) -> Real:
        """The network's values with these weights, which it keeps."""
        torch.nn.utils.vector_to_parameters(self.start + torch.from_numpy(parameters), self.network.parameters())
        with torch.no_grad():
            return self.network(Points(("x", "y"), self.nodes)).numpy()

    def slopes(self, parameters: Real) -> Real:
        """By one backward pass a node, all at once."""
        found: Tensor = vmap(grad(self._at), (None, 0))(self.start + torch.from_numpy(parameters), self.nodes)
        return found.detach().numpy()

    @property
    def size(self) -> int:
        """The number of weights."""
        return len(self.start)


class GridMedium(Medium):
    """The classical way: a value a node, smoothed by a Gaussian covariance of ``length`` (Tarantola 2005, chapter 7).

    With ``bounds`` the speed is ``bounded`` like a network's; without, the squared slowness is 1 plus the smoothed
    values, held above a hundredth.
    """

    def __init__(self, survey: Survey, length: float, bounds: Bounds | None) -> None:
        squares = ((survey.nodes[:, None] - survey.nodes) ** 2).sum(2)
        sizes, modes = np.linalg.eigh(np.exp(-squares / (2 * length**2)))
        self.root = modes * np.sqrt(sizes.clip(0)) @ modes.T
        self.bounds = bounds

    def _mapped(self, raw: Real) -> tuple[Real, Real]:
        if self.bounds is None:
            m = (1 + raw).clip(0.01)
            return m**-0.5, np.where(1 + raw > 0.01, -0.5 * m**-1.5, 0.0)
        leaf = torch.from_numpy(raw).requires_grad_()
        value = bounded(leaf, 1.0, 1.0, self.bounds)
        return value.detach().numpy(), torch.autograd.grad(value.sum(), leaf)[0].numpy()

    def speed(self, parameters: Real) -> Real:
        """The smoothed values, mapped."""
        return self._mapped(self.root @ parameters)[0]

    def slopes(self, parameters: Real) -> Real:
        """``diag(map') C^(1/2)``."""
        return self._mapped(self.root @ parameters)[1][:, None] * self.root

    @property
    def size(self) -> int:
        """The number of nodes."""
        return len(self.root)


@dataclass(frozen=True, eq=False)
class Inverted:
    """The speeds found ``(N,)``, the mean squared misfit in units of the noise after every step, the waves solved, and
    the medium's parameters."""

    speed: Real
    misfits: list[float]
    solves: int
    parameters: Real


def invert(
    survey: Survey, data: Complex, noise: float, medium: Medium, steps: int = 40, aim: float = 1.0,
    most: int | None = None, start: Inverted | None = None,
) -> Inverted:  # fmt: skip
    """Fit ``(R, S)`` data to their noise by ``discrepancy.descend``, ended where the mean squared misfit is ``aim`` or
    after ``most`` waves; ``start``: an inversion that it goes on from, whose waves count.

    ``noise``: the standard deviation of real and imaginary parts, the solver's own error included. Raises
    ``UsageError`` for other shapes.
    """
    shape = (len(survey.receivers), len(survey.sources))
    if data.shape != shape or not np.isfinite(data).all() or not noise > 0:
        raise UsageError(f"data must be {shape} finite numbers with a positive noise, got {data.shape} and {noise}.")

    def at(parameters: Real) -> Evaluated:
        speed = medium.speed(parameters)
        waves = survey.waves(speed**-2)

        def slopes() -> Real:
            return (_real(waves.slopes()) * (-2 * speed**-3) / noise) @ medium.slopes(parameters)

        return Evaluated(_real(data - waves.data) / noise, slopes, np.zeros(0))

    first, known, spent = (
        (np.zeros(medium.size), [], 0) if start is None else (start.parameters, start.misfits, start.solves)
    )
    found = descend(at, first, steps, aim=aim, most=None if most is None else most - spent)
    return Inverted(medium.speed(found.parameters), [*known, *found.misfits], spent + found.solves, found.parameters)


def _real(rows: NDArray[np.complex128]) -> Real:
    flat = rows.reshape(rows.shape[0] * rows.shape[1], *rows.shape[2:])
    return np.concatenate([flat.real, flat.imag])


__all__ = ["GridMedium", "Inverted", "Medium", "NetworkMedium", "invert"]
