"""One run of one method: the same clock, test points and error for everyone, in a process of its own.

A method is a function of a ``Race``. It calls ``race.start()`` once everything is imported, looks at ``race.left()``,
and hands what it has to ``race.record``: that stops the clock, measures the error and goes on.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .statements import STATEMENTS, Statement

POINTS = 4000
GRACE = 90.0
"""Seconds beyond the budget, imports included, after which a run is given up."""
_WORKER = Path(__file__).parent.parent / "worker.py"


@dataclass
class Run:
    """What one run came to; ``curve``: (seconds, error) pairs, the last one the result."""

    error: float = float("nan")
    seconds: float = float("nan")
    parameters: int = 0
    note: str = ""
    curve: list[tuple[float, float]] = field(default_factory=list)
    failure: str = ""
    version: str = ""


@dataclass(frozen=True)
class Method:
    """``module.run(race, name)`` solves; ``module.states(name, statement)`` says whether it can.

    ``kind``: ``"frozen"``, ``"trained"`` or ``"classical"``; ``package``: what has to be installed.
    """

    name: str
    module: str
    kind: str
    package: str = ""


class Race:
    """A row, its statement, the seconds allowed and the clock."""

    def __init__(self, name: str, seed: int, budget: float) -> None:
        from rows import ROWS

        self.name, self.seed, self.budget = name, seed, budget
        self.row = ROWS[name]()
        self.statement: Statement = STATEMENTS[name]()
        self.points = test_points(self.row.problem.domain, self.statement)
        self.truth = exact_values(name, self.row.problem, self.points)
        self.run = Run()
        self._started: float | None = None
        self._paused = 0.0

    def start(self) -> None:
        """Everything is imported: the clock runs from here."""
        self._started, self._paused = time.perf_counter(), 0.0

    def seconds(self) -> float:
        """Of the method alone: measuring the error does not count."""
        assert self._started is not None, "start() first"
        return time.perf_counter() - self._started - self._paused

    def left(self) -> float:
        """Seconds left of the budget."""
        return self.budget - self.seconds()

    def error(self, found: Any) -> float:
        """The relative L2 difference of values at the test points."""
        return relative_l2(np.asarray(found), self.truth)

    def record(self, predict: Callable[[NDArray[np.float64]], Any], parameters: int = 0, note: str = "") -> float:
        """Measure ``predict(points)``, off the clock; the last record is the result."""
        seconds, began = self.seconds(), time.perf_counter()
        error = self.error(predict(self.points))
        self.note(seconds, error, parameters, note)
        self._paused += time.perf_counter() - began
        return error

    def note(self, seconds: float, error: float, parameters: int = 0, note: str = "") -> None:
        """Keep a measurement that was made already."""
        run = self.run
        run.error, run.seconds = float(error), float(seconds)
        run.parameters, run.note = int(parameters) or run.parameters, note or run.note
        run.curve.append((run.seconds, run.error))

    def observe(self, x: NDArray[np.float64], components: NDArray[np.float64]) -> NDArray[Any]:
        """What is compared, from the unknowns ``(n, components)`` at ``(n, d)`` points."""
        if self.statement.components == 2:
            return components[:, 0] + 1j * components[:, 1]
        return self.statement.observe(np, list(x.T), components[:, 0])


def relative_l2(found: NDArray[Any], truth: NDArray[Any]) -> float:
    """The norm of the difference over the norm of the truth; infinite where something is not finite."""
    difference = np.linalg.norm(found.ravel() - truth.ravel()) / np.linalg.norm(truth)
    return float(difference) if np.isfinite(difference) else float("inf")


def test_points(domain: Any, statement: Statement) -> NDArray[np.float64]:
    """Scrambled Sobol points of a fixed seed, inside: no solver draws from it."""
    import torch
    from scipy.stats import qmc

    low, high = np.array(statement.bounds, dtype=float).T
    drawn = low + (high - low) * qmc.Sobol(len(low), scramble=True, seed=20_240_607).random(8192)
    inside = domain.contains(torch.from_numpy(drawn)).numpy()
    return drawn[inside][:POINTS]


def exact_values(name: str, problem: Any, points: NDArray[np.float64]) -> NDArray[Any]:
    """The exact solution; on the L the corner series, whose error the maximum principle bounds."""
    if problem.exact is None:
        from classical.corner import l_shape_reference

        return l_shape_reference()(points)
    import torch

    from pinn_siren import Points

    return problem.exact(Points(problem.domain.axes, torch.from_numpy(points))).numpy()


def work(method: Method, name: str, seed: int, budget: float) -> Run:
    """Run a method here; what it raises is part of the result."""
    module = importlib.import_module(method.module)
    race = Race(name, seed, budget)
    try:
        module.run(race, method.name)
    except Exception as trouble:  # a peer may fail in any way: that is a result, and the race goes on
        race.run.failure = f"{type(trouble).__name__}: {trouble}"[:300]
    if method.package:
        race.run.version = f"{method.package} {importlib.metadata.version(method.package)}"
    return race.run


def spawn(method: Method, name: str, seed: int, budget: float, threads: int, python: str = sys.executable) -> Run:
    """The same in a process of its own, with the given number of threads in every library."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, str(threads))
    environment["PYTHONPATH"] = os.pathsep.join([str(_WORKER.parent.parent), os.environ.get("PYTHONPATH", "")])
    environment["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={str(threads > 1).lower()}"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run.json"
        order = json.dumps({"method": asdict(method), "name": name, "seed": seed, "budget": budget,
                            "threads": threads, "out": str(out)})  # fmt: skip
        try:
            done = subprocess.run([python, str(_WORKER), order], cwd=folder, env=environment, capture_output=True,
                                  text=True, timeout=budget + GRACE)  # fmt: skip
        except subprocess.TimeoutExpired:
            return Run(failure=f"no result within {budget:g} seconds and {GRACE:g} more")
        if not out.exists():
            return Run(failure=(done.stderr.strip().splitlines() or ["no output"])[-1][:300])
        kept = json.loads(out.read_text())
        return Run(**kept | {"curve": [tuple(pair) for pair in kept["curve"]]})
