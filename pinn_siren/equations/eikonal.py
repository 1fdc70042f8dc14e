"""The eikonal equation: first-arrival travel times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..coefficients import Coefficient, values
from ..conditions import Constraint
from ..errors import ProblemError
from ..jet import Jet
from ..points import Points
from ..problem import Problem, rectangle
from ..reference import solve_eikonal
from .sources import PointSources, surface_start

if TYPE_CHECKING:
    from ..reference import GridSolution


class Eikonal(Problem):
    """``velocity |grad T| = 1`` over space, with ``T = 0`` at the source: the first-arrival travel time.

    ``velocity``: a number or a function ``p -> (n,)``, positive. Give one of ``source``, one point or a list of points
    (factored form, an unknown factor each, the earliest arrival shown), or ``surface``, ``(m, d)`` points where
    T = 0 (unfactored; T is not negative). Units: time = length / velocity.
    """

    reference_method = "factored fast marching, second order"

    velocity: Coefficient
    source: Sequence[Any] | None = None
    surface: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.source is None) == (self.surface is None):
            raise ProblemError(
                "Eikonal needs source= (one point or a list of points) or surface= (points), one of them."
            )
        if self.domain.has_time:
            raise ProblemError(f"Eikonal has space axes only: the travel time is the unknown; got {self.domain}.")
        if self.ansatz is not None:
            return
        if self.source is not None:
            at = Points(self.domain.axes, torch.tensor(self._places("source"), dtype=torch.float64))
            slownesses = 1 / values(self.velocity, at, "velocity")
            if not bool((slownesses > 0).all()):
                raise ProblemError(f"velocity must be positive; at the source it is {(1 / slownesses).tolist()}.")
            ansatz = PointSources(tuple(map(tuple, at.coordinates.tolist())), tuple(slownesses.tolist()))
            object.__setattr__(self, "ansatz", ansatz)
        else:
            places = self._places("surface")
            at = Points(self.domain.axes, torch.tensor(places, dtype=torch.float64))
            slowness = float((1 / values(self.velocity, at, "velocity")).mean())
            object.__setattr__(self, "ansatz", surface_start(places, slowness, self._size))

    @property
    def _size(self) -> float:
        return math.dist(*zip(*self.domain.bounds.values(), strict=True))

    def _places(self, name: str) -> list[list[float]]:
        """The source or surface points as ``m`` lists of ``d`` numbers."""
        axes = self.domain.axes
        try:
            places = torch.as_tensor(getattr(self, name), dtype=torch.float64)
        except (TypeError, ValueError, RuntimeError):
            places = torch.zeros(())
        places = places[None] if places.ndim == 1 else places
        if places.ndim != 2 or places.shape[1] != len(axes) or not len(places):
            raise ProblemError(
                f"{name} must be points with the coordinates ({', '.join(axes)}), got {getattr(self, name)!r}."
            )
        outside = ~self.domain.contains(places)
        if bool(outside.any()):
            raise ProblemError(f"{name} {tuple(places[outside][0].tolist())} lies outside {self.domain}.")
        return places.tolist()

    @property
    def fields(self) -> tuple[str, ...]:
        """One unknown a source; a single one keeps the name of the output."""
        count = len(self._places("source")) if self.source is not None else 1
        return self.outputs if count == 1 else tuple(f"u{i + 1}" for i in range(count))

    def observe(self, values: Tensor) -> Tensor:
        """The earliest arrival over the sources."""
        return values.min(dim=1, keepdim=True).values

    def residual(self, p: Points, *times: Jet) -> tuple[Tensor, ...]:
        """``velocity |grad T| - 1`` for each source's T; with a surface also ``min(T, 0)``."""
        velocity = values(self.velocity, p, "velocity")
        parts = [velocity * torch.linalg.vector_norm(u.grad, dim=-1) - 1 for u in times]
        if self.surface is not None:
            # Divided by the time to cross the domain, to be nondimensional like the first part.
            parts += [u.value.clamp(max=0.0) * velocity / self._size for u in times]
        return tuple(parts)

    def constraints(self) -> list[Constraint]:
        """With a surface, T = 0 at its points."""
        stated = super().constraints()
        if self.surface is None:
            return stated
        places = torch.tensor(self._places("surface"), dtype=torch.float64)

        def sample(n: int, sampler: Any) -> list[Points]:
            chosen = torch.randperm(len(places), generator=sampler.generator, device=sampler.device)[:n].cpu()
            return [Points(self.domain.axes, places[chosen].to(device=sampler.device, dtype=sampler.dtype))]

        def zero(points: list[Points], fields: list[tuple[Jet, ...]]) -> Tensor:
            return fields[0][0].value

        return [*stated, Constraint("surface", sample, zero)]

    def finite_differences(self, cells: dict[str, int]) -> GridSolution:
        """Factored fast marching of second order on one grid."""
        if self.reference is not None:
            return super().finite_differences(cells)
        return solve_eikonal(
            rectangle(self), velocity=self.velocity, source=self.source, surface=self.surface, cells=cells
        )


__all__ = ["Eikonal", "PointSources"]
