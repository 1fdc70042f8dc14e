"""LongWaves: the longest waves of a fit of derivatives, which training by steps hardly sees."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..conditions import Data, Neumann
from ..domains import Box
from ..errors import UsageError
from ..loss import Objective
from ..points import Points
from ..series import SeriesSiren
from ..siren import Siren
from .least_squares import LastLayer, LeastSquares, iteration
from .stage import Update

WAVES, WEAK = 16, 32
"""Waves an axis, solved for together with the output layer, and in the weak form, where they cost little."""
EVEN = 1e-9
SHOWN = 2**13
"""Points at which the loss after the weak form is shown."""


@dataclass(frozen=True)
class LongWaves(LeastSquares):
    """Solve for the output layer together with a cosine series of ``waves`` waves an axis, in float64.

    A slope of a wave of wavenumber k is k times as large as the wave, so a loss of slopes leaves what is long to the
    end: an image comes out right in its edges, and wrong in its large surfaces. A linear solve has no such order. The
    points are the data's own, ``rows`` of them at most. For a ``Siren``, which becomes a ``SeriesSiren``; raises
    ``UsageError`` for another network.

    From a Laplacian f on a whole grid, with slopes of zero at all sides, the series alone is solved for, in the weak
    form ``int (u + s) laplacian(phi) = int f phi`` for each of its cosines phi: it takes values of u, where the strong
    form takes its Laplacian, of which what the grid cannot tell from long waves is k^2 times as large.
    """

    steps: int = 1
    gram: bool = True
    waves: int | None = None
    rows: int = 2**18

    def prepare(self, objective: Objective) -> None:
        """Set the series beside the network, all in float64."""
        model = objective.model.double()
        network = model.network
        if not isinstance(network, Siren) or network.inputs != len(model.axes):
            raise UsageError(f"LongWaves needs a Siren of the coordinates; the network is a {type(network).__name__}.")
        sides = zip(model.axes, model.scale.tolist(), strict=True)
        reach = [objective.scales.half_width[a] / scale for a, scale in sides]
        waves = self.waves or (WAVES if whole_grid(objective) is None else WEAK)
        model.network = SeriesSiren.beside(network, reach, waves)
        objective.sampler = replace(objective.sampler, dtype=torch.float64)
        objective.fresh = replace(objective.fresh, dtype=torch.float64)

    def begin(self, objective: Objective) -> Update:
        """One solve a step."""
        network = objective.model.network
        assert isinstance(network, SeriesSiren)
        lines = whole_grid(objective)
        rows = self.rows if lines is None else min(self.rows, SHOWN)
        counts = {c.name: rows if c.measured else network.waves**2 for c in objective.system.constraints}
        objective.points = objective.system.sample(counts, objective.sampler)
        if lines is not None:
            return iteration(objective, WeakSeries(objective, lines))
        return iteration(objective, LastLayer(objective.system, objective.model, objective.points, gram=self.gram))


def whole_grid(objective: Objective) -> dict[str, Tensor] | None:
    """The lines of the grid on which a Laplacian is known, where slopes are zero at all sides of its box; else None."""
    problem = objective.system.problem
    data = [c for c in problem.conditions if isinstance(c, Data)]
    walls = [c for c in problem.conditions if isinstance(c, Neumann) and c.on is None and c.value == 0]
    if len(data) != 1 or len(data) + len(walls) != len(problem.conditions) or problem.complex_valued:
        return None
    held = {output for c in walls for output in (problem.fields if c.output is None else (c.output,))}
    whole = isinstance(problem.domain, Box) and data[0].of == "laplacian" and data[0].output is None
    if not whole or held != set(problem.fields) or data[0].measured.shape[1] != len(problem.fields):
        return None
    lines = {a: x.unique() for a, x in zip(problem.domain.axes, data[0].coordinates.unbind(1), strict=True)}
    for axis, line in lines.items():
        even = torch.linspace(*problem.domain.bounds[axis], len(line), dtype=line.dtype)
        if len(line) < 2 or float((line - even).abs().max()) > EVEN * float(even[-1] - even[0]):
            return None
    return lines if math.prod(len(line) for line in lines.values()) == data[0].count else None


@dataclass
class WeakSeries:
    """The series of a ``SeriesSiren`` from a Laplacian on a whole grid, by the weak form; the rest stays as it is."""

    objective: Objective
    lines: dict[str, Tensor]
    done: bool = field(default=False, init=False)

    @torch.no_grad()
    def step(self) -> None:
        """Solve, an axis after the other: on the grid the cosines are products, and orthogonal."""
        model, problem = self.objective.model, self.objective.system.problem
        network = model.network
        assert isinstance(network, SeriesSiren)
        data = next(c for c in problem.conditions if isinstance(c, Data))
        like = model.center
        where = [torch.searchsorted(line, x.contiguous()) for line, x in zip(
            self.lines.values(), data.coordinates.unbind(1), strict=True)]  # fmt: skip
        points = Points(problem.domain.axes, data.coordinates.to(like))
        chunks = self.objective.chunks.over(len(points), lambda cut: model(points[cut]))
        fields = torch.cat(list(chunks))
        inverse, square = [], torch.zeros(1).to(like)
        for line in self.lines.values():
            length = float(line[-1] - line[0])
            k = math.pi / length * torch.arange(network.waves).to(like)
            cosines = torch.cos((line.to(like) - line[0].to(like))[:, None] * k)
            # The trapezoidal rule, exact for what the grid holds.
            ends = torch.ones(len(line)).to(like)
            ends[[0, -1]] = 0.5
            weighed = ends[:, None] * cosines
            inverse.append(torch.linalg.solve(weighed.T @ cosines, weighed.T))
            square = (square[:, None] + k.square()).reshape(-1)
        shape = [len(line) for line in self.lines.values()]
        parts = []
        for number in range(len(problem.fields)):
            found = []
            for values in (fields[:, number], data.measured[:, number].to(like)):
                grid = torch.empty(shape).to(like)
                grid[tuple(where)] = values
                for matrix in inverse:
                    # Each axis in turn comes first, and goes last.
                    grid = torch.tensordot(grid, matrix, dims=([0], [1]))
                found.append(grid.reshape(-1))
            # Of the constant, which no Laplacian shows, nothing.
            parts.append((-found[1][1:] / square[1:] - found[0][1:]) / model.amplitude[number])
        network.output.weight[:, network.siren.width :] += torch.stack(parts)
        self.done = True
