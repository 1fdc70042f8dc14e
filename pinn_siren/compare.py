"""compare(problem): how long every method takes to every accuracy, beside finite differences, in one run."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .comparison.curves import Run, make_rows, verdict_sentences
from .comparison.kept import Kept
from .comparison.pictures import draw_curves
from .comparison.series import Series, machine
from .comparison.tables import as_markdown, as_text, cells, refusals
from .comparison.yardstick import Yardstick, judgement
from .errors import UsageError, expect_positive, expect_whole, suggest
from .plan import INVERSE, METHODS, PATCHED
from .problem import Problem
from .provenance import environment
from .storage import make_folder, write_text
from .trainer import Trainer

TOLERANCE, BUDGET, SEEDS = 1e-10, 30.0, 3
NAMES = tuple(name for name in METHODS if name != "auto")
USUAL = tuple(name for name in NAMES if name not in PATCHED + INVERSE)


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
        seeds = "one seed" if self.seeds == 1 else f"median of {self.seeds} seeds [least, largest], methods in turn"
        return (
            f"Relative L2 errors against {self.yardstick.described}{below}. Seconds of a whole solve with its set-up, "
            "of one grid alone, of three grids for an extrapolation; until an error was first reached; "
            f"{seeds}. At most {self.budget:g} s each, tolerance {self.tolerance:.0e}; float64, {self.made['machine']}."
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

    ``methods``: those of ``solve``, all but ``"auto"`` and those of patches alone unless given; ``tolerance``: at which
    each may stop; ``budget``: seconds for each run, and for each sequence of grids; ``seeds``: how often all are run in
    turn, with seeds 0, 1, ... Errors are relative L2, against the exact solution, else against the best reference and
    with its bar, else against the data of a fit. ``folder``: where runs are kept in ``compare.json`` as they end, and
    taken up again by the same arguments unless ``fresh``; ``statement``: text that changes with the problem, since a
    problem's functions cannot be compared.

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
    series = Series(problem, names, tolerance, budget, seeds, device, kept, progress)
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


def _chosen(methods: Sequence[str] | None) -> tuple[str, ...]:
    names = USUAL if methods is None else tuple(methods)
    for name in names:
        if name not in NAMES:
            raise UsageError(f"methods are some of {', '.join(NAMES)}; got {name!r}.{suggest(name, NAMES)}")
    if not names:
        raise UsageError(f"methods are some of {', '.join(NAMES)}; got none.")
    return tuple(dict.fromkeys(names))


__all__ = ["Comparison", "compare"]
