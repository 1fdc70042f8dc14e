"""compare(problem): how long every method takes to every accuracy, beside finite differences, in one run."""

from __future__ import annotations

import os
import platform
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .build import device_name, pick_device
from .comparison.curves import CLASSICAL, EXTRAPOLATED, GRIDS, Run, make_rows, verdict_sentences
from .comparison.grids import Level, extrapolations, solve_grids
from .comparison.kept import Kept
from .comparison.pictures import draw_curves
from .comparison.snapshots import Snapshots
from .comparison.tables import as_markdown, as_text, cells, refusals, spread
from .comparison.yardstick import Best, Yardstick, choose_yardstick, judgement
from .errors import PinnSirenError, UsageError, expect_positive, expect_whole, suggest
from .plan import METHODS
from .problem import Problem
from .provenance import environment
from .solve import solve
from .storage import make_folder, write_text
from .trainer import Trainer

TOLERANCE, BUDGET, SEEDS = 1e-10, 30.0, 3
NAMES = tuple(name for name in METHODS if name != "auto")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs of several methods on one problem. Prints as a table, with who is fastest; ``save`` keeps it."""

    problem: str
    runs: tuple[Run, ...]
    yardstick: Yardstick
    tolerance: float
    budget: float
    seeds: int
    made: dict[str, Any]
    interrupted: bool = False

    def table(self, mark: str) -> list[list[str]]:
        """Cells, the head first; ``mark``: how the fastest is shown, as in ``"{}*"``."""
        rows = make_rows(self.runs, self.yardstick.bar)
        verdicts = [[judgement(self.yardstick, e, self.tolerance) for e in row.errors] for row in rows]
        return cells(rows, self.yardstick.bar, verdicts, mark)

    def sentences(self) -> list[str]:
        """Who is fastest, and what could not be run."""
        rows = make_rows(self.runs, self.yardstick.bar)
        return [*([] if self.yardstick.against == "none" else verdict_sentences(rows)), *refusals(rows)]

    @property
    def foot(self) -> str:
        """What the figures mean."""
        below = "; <: below the truth's own error" if self.yardstick.bar else ""
        return (
            f"Relative L2 errors against {self.yardstick.described}{below}. Seconds of a whole solve with its set-up, "
            f"of one grid alone, of three grids for an extrapolation; until an error was first reached, median of "
            f"{self.seeds} seeds [least, largest], methods in turn. At most {self.budget:g} s each, tolerance "
            f"{self.tolerance:.0e}; float64, {self.made['machine']}."
        )

    def __str__(self) -> str:
        said = "\n".join([*self.sentences(), self.foot])
        return f"{as_text(self.table('{}*'))}\n*: the fastest\n\n{said}"

    def save(self, folder: str | Path) -> None:
        """Write ``compare.md`` and ``compare.png``. Raises ``StorageError`` where that fails."""
        folder = make_folder(folder)
        said = "\n".join(f"- {line}" for line in self.sentences())
        text = f"# {self.problem}: error against seconds\n\n{as_markdown(self.table('**{}**'))}\n\n{said}\n\n"
        write_text(folder / "compare.md", f"{text}Bold: the fastest. {self.foot}\n")
        if any(run.curve for run in self.runs) and self.yardstick.against != "none":
            draw_curves(folder / "compare.png", self.runs, self.yardstick, self.problem)


def compare(
    problem: Problem,
    *,
    methods: Sequence[str] | None = None,
    tolerance: float = TOLERANCE,
    budget: float = BUDGET,
    seeds: int = SEEDS,
    device: str | torch.device | None = None,
    folder: str | Path | None = None,
    statement: str = "",
    fresh: bool = False,
    progress: bool = True,
) -> Comparison:
    """Time to accuracy of every method, of finite differences on finer and finer grids, and of their extrapolation.

    ``methods``: those of ``solve``, all but ``"auto"`` unless given; ``tolerance``: at which each may stop;
    ``budget``: seconds for each run, and for each sequence of grids; ``seeds``: how often all are run in turn, with
    seeds 0, 1, ... Errors are relative L2, against the exact solution, else against the best reference and with its
    bar, else against the data of a fit. ``folder``: where runs are kept in ``compare.json`` as they end, and taken up
    again by the same arguments unless ``fresh``; ``statement``: text that changes with the problem, since a problem's
    functions cannot be compared.

    Weights are copied at growing times and evaluated afterwards, so that no method pays for being watched. Raises
    ``ProblemError`` for a wrong statement and ``UsageError`` for arguments that cannot be; a method that cannot solve
    the problem gets a row that says why. Ctrl-C returns what is done.
    """
    names = _chosen(methods)
    expect_positive("tolerance", tolerance)
    expect_positive("budget, in seconds,", budget)
    expect_whole("seeds", seeds, 1)
    # Shows a wrong statement before anything is timed, and loads what the first run would pay for.
    Trainer(problem, device=device, progress=False)
    made = {
        "problem": type(problem).__name__, "statement": statement, "tolerance": tolerance, "budget": budget,
        "machine": machine(device), "code": environment().get("git_commit", ""),
    }  # fmt: skip
    kept = Kept(None if folder is None else Path(folder) / "compare.json", made, fresh)
    series = _Series(problem, names, tolerance, budget, seeds, device, kept, progress)
    interrupted = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            series.run()
    except KeyboardInterrupt:
        if not series.runs():
            raise
        interrupted = True
    stick = series.yardstick()
    result = Comparison(
        type(problem).__name__, tuple(series.runs()), stick, tolerance, budget, seeds, made, interrupted
    )  # fmt: skip
    if folder is not None:
        result.save(folder)
    return result


def machine(device: str | torch.device | None) -> str:
    """Where seconds were taken."""
    name = device_name(pick_device(device))
    return f"{name}, {platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"


def reason(error: Exception) -> str:
    """Why a run ended by an error, in one line."""
    kind = "" if isinstance(error, PinnSirenError) else f"{type(error).__name__}: "
    return kind + " ".join(str(error).split())


def _chosen(methods: Sequence[str] | None) -> tuple[str, ...]:
    names = NAMES if methods is None else tuple(methods)
    for name in names:
        if name not in NAMES:
            raise UsageError(f"methods are some of {', '.join(NAMES)}; got {name!r}.{suggest(name, NAMES)}")
    if not names:
        raise UsageError(f"methods are some of {', '.join(NAMES)}; got none.")
    return tuple(dict.fromkeys(names))


@dataclass(eq=False)
class _Series:
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


__all__ = ["Comparison", "compare"]
