"""The runs of a comparison of methods, seed after seed, each with the errors that it had on the way."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass

import torch

from ..build import device_name, pick_device
from ..errors import PinnSirenError
from ..problem import Problem
from ..solve import solve
from .curves import CLASSICAL, EXTRAPOLATED, GRIDS, Run
from .grids import Level, extrapolations, solve_grids
from .kept import Kept
from .snapshots import Snapshots
from .tables import spread
from .yardstick import Best, Yardstick, choose_yardstick


@dataclass(eq=False)
class Series:
    """All runs, seed after seed, so that what slows the machine for a while slows every method."""

    problem: Problem
    methods: tuple[str, ...]
    tolerance: float
    budget: float
    seeds: int
    device: str | torch.device | None
    kept: Kept
    progress: bool
    _stick: Yardstick | None = None

    def run(self) -> None:
        """Every run that is not kept yet."""
        for seed in range(self.seeds):
            if _key(GRIDS, seed) not in self.kept.runs:
                self._say(GRIDS, seed)
                self._grids(seed)
            for method in self.methods:
                if _key(method, seed) not in self.kept.runs:
                    self._say(method, seed)
                    self._put(self._solve(method, seed))

    def runs(self) -> list[Run]:
        """What is done, method after method."""
        keys = [_key(method, seed) for method in (*CLASSICAL, *self.methods) for seed in range(self.seeds)]
        return [Run.of(self.kept.runs[key]) for key in keys if key in self.kept.runs]

    def yardstick(self) -> Yardstick:
        """What errors are measured against; of a run that goes on, the reference that it began with."""
        if self._stick is None:
            self._stick = choose_yardstick(self.problem, [])
            grid, said = self.kept.grid("truth"), self.kept.runs.get("truth")
            if self.problem.exact is None and grid is not None and said is not None:
                self._stick = Best(grid, said["bar"], said["described"])
        return self._stick

    def _grids(self, seed: int) -> None:
        levels: list[Level] = []
        refused = None
        try:
            levels = solve_grids(self.problem, self.budget)
        except Exception as error:
            # An own reference may raise anything; the other methods are compared all the same.
            refused = reason(error)
        if "truth" not in self.kept.runs:
            self._begin(levels)
        further = extrapolations(levels)
        none = refused or "the grids show no order of convergence"
        for method, solved in ((EXTRAPOLATED, further), (GRIDS, levels)):
            curve = tuple((level.seconds, self.yardstick().grid_error(level.solution)) for level in solved)
            nodes = levels[-1].nodes if levels else 0
            self._put(Run(method, seed, curve, nodes, f"{len(solved)} grids", None if solved else none))

    def _begin(self, levels: list[Level]) -> None:
        """Choose what to measure against, by the first sequence of grids."""
        self._stick = choose_yardstick(self.problem, levels)
        if isinstance(self._stick, Best):
            self.kept.put_grid("truth", self._stick.truth)
        self.kept.put("truth", {"bar": self._stick.bar, "described": self._stick.described})

    def _solve(self, method: str, seed: int) -> Run:
        shots = Snapshots()
        try:
            solution = solve(
                self.problem, method=method, tolerance=self.tolerance, budget=self.budget, seed=seed,
                device=self.device, progress=False, watch=shots,
            )  # fmt: skip
        except Exception as error:
            return Run(method, seed, refused=reason(error))
        made = solution.provenance
        if made.interrupted:
            raise KeyboardInterrupt
        stick = self.yardstick()
        curve = [(s, stick.error_of(shot)) for s, shot in shots.solutions(self.problem, solution)]
        curve.append((made.seconds, stick.error_of(solution)))
        return Run(method, seed, tuple(curve), solution.parameters, made.stages)

    def _put(self, run: Run) -> None:
        self.kept.put(_key(run.method, run.seed), run.plain())
        if self.progress:
            ended = run.refused or f"relative error {spread([run.error], self.yardstick().bar)} in {run.seconds:.2f} s"
            print(f"  {run.method}: {ended}", file=sys.stderr, flush=True)

    def _say(self, method: str, seed: int) -> None:
        if self.progress:
            number = seed * (len(self.methods) + 1) + (method != GRIDS and self.methods.index(method) + 1) + 1
            of = self.seeds * (len(self.methods) + 1)
            print(f"{number} of {of}: {method}, seed {seed}", file=sys.stderr, flush=True)


def _key(method: str, seed: int) -> str:
    return f"{method}, seed {seed}"


def machine(device: str | torch.device | None) -> str:
    """Where seconds were taken."""
    name = device_name(pick_device(device))
    return f"{name}, {platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"


def reason(error: Exception) -> str:
    """Why a run ended by an error, in one line."""
    kind = "" if isinstance(error, PinnSirenError) else f"{type(error).__name__}: "
    return kind + " ".join(str(error).split())
