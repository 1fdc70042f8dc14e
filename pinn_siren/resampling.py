"""Resampling: where the interior points go when fresh ones are drawn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from .errors import UsageError, suggest
from .points import Points, join

ResamplingName = Literal["uniform", "rad", "r3"]
POOL = 10
"""Candidates of RAD for each point that is kept."""
EXPONENT, OFFSET = 1.0, 1.0
"""``k`` and ``c`` of RAD's density, as its authors recommend."""
RARELY = 100
"""Steps from one density of RAD to the next at least."""


class Resampling(ABC):
    """What becomes of an interior constraint's points at a resampling."""

    every: int = 1
    """Steps that the points stay for at least, in a stage that could take new ones at each."""

    @abstractmethod
    def place(
        self, before: Points, fresh: Points, draw: Callable[[int], Points], size: Callable[[Points], Tensor],
        generator: torch.Generator,
    ) -> Points:  # fmt: skip
        """As many points as ``fresh``, given those ``before`` and a way to draw more.

        ``size``: ``(n,)``, the residual's absolute value at points, nondimensional.
        """


class Uniform(Resampling):
    """Fresh points, wherever the residual is large."""

    def place(
        self, before: Points, fresh: Points, draw: Callable[[int], Points], size: Callable[[Points], Tensor],
        generator: torch.Generator,
    ) -> Points:  # fmt: skip
        """The fresh ones."""
        return fresh


class ResidualDensity(Resampling):
    """Residual-based adaptive distribution, RAD: points of density ``p ~ |r|^k / E(|r|^k) + c``, ``k = c = 1``.

    Drawn without replacement from ten times as many uniform candidates, ``E`` their mean; every 100 steps at most.
    Wu, Zhu, Tan, Kartha and Lu 2023, doi 10.1016/j.cma.2022.115671, equation 2 and algorithm 2.
    """

    every = RARELY

    def place(
        self, before: Points, fresh: Points, draw: Callable[[int], Points], size: Callable[[Points], Tensor],
        generator: torch.Generator,
    ) -> Points:  # fmt: skip
        """A draw from that density; the fresh points where the residual is no number, so that the loss names it."""
        pool = draw(POOL * len(fresh))
        density = residual_density(size(pool))
        if not bool(torch.isfinite(density).all()):
            return fresh
        return pool[torch.multinomial(density, len(fresh), generator=generator)]


class Retain(Resampling):
    """Retain, resample, release, R3: points with a residual above the mean stay, fresh ones replace the others.

    Retained is ``{x : |r(x)| > mean |r|}``, the rest is released, and uniform points fill up to as many as before.
    Daw, Bu, Wang, Perdikaris and Karpatne 2023, arXiv 2207.02338, algorithm 1.
    """

    def place(
        self, before: Points, fresh: Points, draw: Callable[[int], Points], size: Callable[[Points], Tensor],
        generator: torch.Generator,
    ) -> Points:  # fmt: skip
        """The retained points, then fresh ones."""
        found = size(before)
        retained = before[found > found.mean()]
        return join([retained, fresh[: len(fresh) - len(retained)]])


def residual_density(size: Tensor) -> Tensor:
    """``(n,) -> (n,)``: RAD's density at points with residuals of these sizes, of sum 1."""
    power = size**EXPONENT
    density = power / power.mean() + OFFSET
    return density / density.sum()


RESAMPLINGS: dict[str, type[Resampling]] = {"uniform": Uniform, "rad": ResidualDensity, "r3": Retain}


def make_resampling(name: str) -> Resampling:
    """The resampling of a name. Raises ``UsageError`` for another name."""
    if not isinstance(name, str) or name not in RESAMPLINGS:
        hint = suggest(name, RESAMPLINGS) if isinstance(name, str) else ""
        raise UsageError(f"resampling must be one of {', '.join(RESAMPLINGS)}; got {name!r}.{hint}")
    return RESAMPLINGS[name]()
