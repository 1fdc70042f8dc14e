"""LongWaves: the longest waves of a fit of derivatives, which training by steps hardly sees."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ..errors import UsageError
from ..loss import Objective
from ..series import SeriesSiren
from ..siren import Siren
from .least_squares import LastLayer, LeastSquares, iteration
from .stage import Update


@dataclass(frozen=True)
class LongWaves(LeastSquares):
    """Solve for the output layer together with a cosine series of ``waves`` waves an axis, in float64.

    A slope of a wave of wavenumber k is k times as large as the wave, so a loss of slopes leaves what is long to the
    end: an image comes out right in its edges, and wrong in its large surfaces. A linear solve has no such order. The
    points are the data's own, ``rows`` of them at most. For a ``Siren``, which becomes a ``SeriesSiren``; raises
    ``UsageError`` for another network.
    """

    steps: int = 1
    gram: bool = True
    waves: int = 16
    rows: int = 2**18

    def prepare(self, objective: Objective) -> None:
        """Set the series beside the network, all in float64."""
        model = objective.model.double()
        network = model.network
        if not isinstance(network, Siren) or network.inputs != len(model.axes):
            raise UsageError(f"LongWaves needs a Siren of the coordinates; the network is a {type(network).__name__}.")
        sides = zip(model.axes, model.scale.tolist(), strict=True)
        reach = [objective.scales.half_width[a] / scale for a, scale in sides]
        model.network = SeriesSiren.beside(network, reach, self.waves)
        objective.sampler = replace(objective.sampler, dtype=torch.float64)
        objective.fresh = replace(objective.fresh, dtype=torch.float64)

    def begin(self, objective: Objective) -> Update:
        """One solve a step."""
        counts = {c.name: self.rows if c.measured else self.waves**2 for c in objective.system.constraints}
        objective.points = objective.system.sample(counts, objective.sampler)
        return iteration(objective, LastLayer(objective.system, objective.model, objective.points, gram=self.gram))
