"""Gauss-Newton from a start to where what is left of data is their noise, and no further."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]

DAMPING, RAISED, LOWERED = 1.0, 4.0, 3.0
TRIES = 8
GAIN, PATIENCE = 0.01, 3
"""Steps that lower the misfit by less than this part, so often in a row, end the descent."""


@dataclass(frozen=True, eq=False)
class Evaluated:
    """``left`` (n,): data minus prediction, in units of the noise; ``slopes``: ``() -> (n + k, P)``, the derivatives of
    the prediction, and of ``beside`` (k,), what a prior wants small, by the parameters; ``held``: the mean squared
    misfit of data that were held out."""

    left: Real
    slopes: Callable[[], Real]
    beside: Real
    held: float = math.nan

    @property
    def misfit(self) -> float:
        """The mean squared misfit: 1 at the noise."""
        return float(np.mean(self.left**2))

    @property
    def merit(self) -> float:
        """What a step must lower: the misfit, and the prior's squares."""
        return self.misfit + float(np.sum(self.beside**2))


@dataclass(frozen=True, eq=False)
class Descent:
    """The parameters found, the mean squared misfits after every step, how often the model was evaluated, the end."""

    parameters: Real
    evaluated: Evaluated
    misfits: list[float]
    solves: int
    end: str


def descend(
    at: Callable[[Real], Evaluated],
    start: Real,
    steps: int = 40,
    deadline: float = math.inf,
    aim: float = 1.0,
    most: int | None = None,
    seen: Callable[[Evaluated], None] | None = None,
) -> Descent:
    """Damped Gauss-Newton from a start, ended where the mean squared misfit is ``aim``.

    A step solves ``min mean (left - J d)^2 + |beside + B d|^2 + damping tr(J J^T) / n |d|^2`` in the smaller of the
    spaces of rows and parameters. Ending at the noise keeps what data do not determine near the start (Morozov's
    discrepancy principle, 1966). Where data are held out, it ends where these are fitted worse, ``PATIENCE`` steps in a
    row, and the best parameters for them are kept. ``deadline``: of ``time.perf_counter``; ``most``: evaluations, after
    which no step begins; Ctrl-C keeps the last step.
    """
    here, solves, damping = at(start), 1, DAMPING
    parameters, misfits, end = start, [here.misfit], "steps"
    best, slow = (parameters, here), 0
    try:
        for _ in range(steps):
            if here.misfit <= aim:
                end = "noise"
                break
            if time.perf_counter() > deadline or (most is not None and solves >= most):
                end = "budget"
                break
            rows, wanted = _weighed(here)
            taken = None
            for _ in range(TRIES):
                trial = parameters + _step(rows, wanted, damping)
                there = at(trial)
                solves += 1
                if there.merit < here.merit:
                    taken = trial
                    break
                damping *= RAISED
            if taken is None:
                end = "stalled"
                break
            gained = there.merit < (1 - GAIN) * here.merit
            parameters, here, damping = taken, there, damping / LOWERED
            misfits.append(here.misfit)
            if seen is not None:
                seen(here)
            better = not math.isfinite(here.held) or here.held < best[1].held
            best = (parameters, here) if better else best
            slow = 0 if gained and better else slow + 1
            if slow == PATIENCE:
                end = "stalled"
                break
    except KeyboardInterrupt:
        end = "interrupted"
    return Descent(*best, misfits, solves, end)


def _weighed(here: Evaluated) -> tuple[Real, Real]:
    """The rows of a step's least-squares problem and its right side, so that their squares add up to the merit."""
    n = len(here.left)
    rows = here.slopes()
    rows[:n] /= math.sqrt(n)
    return rows, np.concatenate([here.left / math.sqrt(n), -here.beside])


def _step(rows: Real, wanted: Real, damping: float) -> Real:
    shift = damping * np.sum(rows**2) / len(rows)
    if len(rows) <= rows.shape[1]:
        return np.asarray(rows.T @ np.linalg.solve(rows @ rows.T + shift * np.eye(len(rows)), wanted))
    return np.asarray(np.linalg.solve(rows.T @ rows + shift * np.eye(rows.shape[1]), rows.T @ wanted))


__all__ = ["Descent", "Evaluated", "descend"]
