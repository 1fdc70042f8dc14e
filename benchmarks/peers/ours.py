"""pinn_siren through the protocol: ``method`` and ``tolerance`` (the row's figure), all else default."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from .protocol import Race
from .statements import Statement


def states(name: str, statement: Statement, method: str) -> bool:
    """Every row; a trained one where a figure is set, and the L."""
    from rows import ROWS

    from pinn_siren.plan import METHODS

    row = ROWS[name]()
    return method in METHODS and (method == "least-squares" or row.trained is not None or name == "l_shape")


def run(race: Race, method: str) -> None:
    """``solve(problem, method=, tolerance=)`` and nothing else; the budget is a limit alone."""
    from pinn_siren import solve

    aim = race.row.frozen if method == "least-squares" else race.row.trained
    tolerance = 1e-10 if aim is None else aim[0]
    race.start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solution = solve(race.row.problem, method=method, tolerance=tolerance, seed=race.seed, budget=race.budget,
                         progress=False)  # fmt: skip

    def predict(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return solution(x)

    made = solution.provenance
    race.record(predict, solution.parameters, f"{made.stages}; own estimate {made.estimate:.1e}")
