"""compare_networks(problem): the networks of the SIREN paper at the same size and steps, on any problem."""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from .build import default_size, pick_device
from .compare import SEEDS
from .comparison.baselines import NETWORKS
from .comparison.curves import shown
from .comparison.fields import draw_fields
from .comparison.kept import Kept
from .comparison.pictures import draw_metrics
from .comparison.series import machine
from .comparison.tables import as_markdown, as_text, spread
from .comparison.training import RELATIVE, Trained, Training
from .comparison.yardstick import Best, Exact, Yardstick, choose_yardstick
from .errors import PinnSirenError, UsageError, expect_positive, expect_whole, suggest
from .optimizers import Adam
from .plan import precision
from .problem import Problem
from .provenance import environment
from .reference import GridSolution
from .storage import make_folder, write_text
from .validation import own_grid, solve_reference

WIDTH, DEPTH, STEPS = 64, 3, 2000


@dataclass(frozen=True, eq=False)
class NetworkComparison:
    """Networks of one size trained alike. Prints as a table; ``save`` keeps it, with two pictures.

    ``fields``: those of seed 0 on one grid, by network; ``truth``: the exact solution or the reference there.
    """

    problem: str
    runs: tuple[Trained, ...]
    yardstick: Yardstick
    fields: dict[str, GridSolution]
    truth: GridSolution | None
    seeds: int
    how: str
    interrupted: bool = False

    @property
    def metrics(self) -> list[str]:
        """The names of all metrics, the error first."""
        return list(dict.fromkeys(name for run in self.runs for name in run.curves or {}))

    def table(self) -> list[list[str]]:
        """Cells, the head first."""
        table = [["network", "parameters", *self.metrics, "seconds", "remark"]]
        for name in dict.fromkeys(run.network for run in self.runs):
            own = [run for run in self.runs if run.network == name]
            bad = next((run for run in own if run.refused is not None), None)
            if bad is not None:
                table.append([name, *["-"] * (2 + len(self.metrics)), f"cannot: {bad.refused}"])
                continue
            figures = [self._figure(metric, [run.last(metric) for run in own]) for metric in self.metrics]
            seconds = shown(statistics.median(run.seconds for run in own))
            table.append([name, str(own[0].parameters), *figures, seconds, own[0].remark])
        return table

    def _figure(self, metric: str, values: Sequence[float]) -> str:
        if metric.startswith(RELATIVE):
            return spread(values, self.yardstick.bar)
        low, middle, high = (f"{f(values):.4g}" for f in (min, statistics.median, max))
        return middle if low == high else f"{middle} [{low}, {high}]"

    @property
    def foot(self) -> str:
        """What the figures mean."""
        below = "; <: below the truth's own error" if self.yardstick.bar else ""
        return f"Relative L2 errors against {self.yardstick.described}{below}. {self.how}"

    def __str__(self) -> str:
        return f"{as_text(self.table())}\n\n{self.foot}"

    def save(self, folder: str | Path) -> None:
        """Write ``networks.md``, ``networks.png`` and ``networks_fields.png``; ``StorageError`` where that fails."""
        folder = make_folder(folder)
        text = f"# {self.problem}: networks of one size\n\n{as_markdown(self.table())}\n\n{self.foot}\n"
        write_text(folder / "networks.md", text)
        firsts = [run for run in self.runs if run.seed == 0 and run.refused is None]
        curves = {
            metric: {run.network: run.curves[metric] for run in firsts if run.curves and metric in run.curves}
            for metric in self.metrics
        }
        curves = {
            metric: found
            for metric, found in curves.items()
            if any(math.isfinite(value) for curve in found.values() for _, value in curve)
        }
        if curves:
            draw_metrics(folder / "networks.png", curves, self.problem)
        if self.fields:
            known = "exact" if self.yardstick.against == "exact" else "reference"
            draw_fields(folder / "networks_fields.png", self.fields, self.truth, known, self.problem)


def compare_networks(
    problem: Problem,
    *,
    networks: Sequence[str] = NETWORKS,
    width: int | None = None,
    depth: int | None = None,
    steps: int = STEPS,
    rate: float = Adam.lr,
    budget: float | None = None,
    seeds: int = SEEDS,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    folder: str | Path | None = None,
    statement: str = "",
    fresh: bool = False,
    progress: bool = True,
) -> NetworkComparison:
    """Train the SIREN and the networks that its paper compares it with, of ``depth`` layers of ``width``, by Adam.

    ``width``, ``depth`` and ``dtype``: 3 layers of 64 in float64 unless given, and for a fit of very many values the
    size and precision that ``solve`` takes; ``rate``: Adam's learning rate, 1e-4 in the paper.
    ``networks``: some of ``"siren"``, ``"tanh"``, ``"relu"``, ``"softplus"``, ``"rbf"``, ``"relu-pe"``; ``steps`` of
    Adam each, on the same points; ``budget``: seconds at most for each, none unless given. Errors as in ``compare``,
    against the only grid where a reference has one, and the figures of ``problem.metrics`` beside them. A network whose
    derivatives vanish where the equation needs them is trained all the same, and its row says so. ``folder``: where
    ``networks.json`` keeps runs as they end.

    Raises as ``compare`` does; Ctrl-C returns what is done.
    """
    for name in networks:
        if name not in NETWORKS:
            raise UsageError(f"networks are some of {', '.join(NETWORKS)}; got {name!r}.{suggest(name, NETWORKS)}")
    if not networks:
        raise UsageError(f"networks are some of {', '.join(NETWORKS)}; got none.")
    wide, deep = default_size(problem) if problem.is_signal else (WIDTH, DEPTH)
    width, depth = wide if width is None else width, deep if depth is None else depth
    dtype = dtype or precision(problem.is_signal)
    for name, value in (("width", width), ("depth", depth), ("steps", steps), ("seeds", seeds)):
        expect_whole(name, value, 1)
    if budget is not None:
        expect_positive("budget, in seconds,", budget)
    expect_positive("rate", rate)
    pick_device(device)
    digits = str(dtype).removeprefix("torch.")
    made = {
        "problem": type(problem).__name__, "statement": statement, "width": width, "depth": depth, "steps": steps,
        "rate": rate, "budget": budget, "dtype": digits, "machine": machine(device),
        "code": environment().get("git_commit", ""),
    }  # fmt: skip
    kept = Kept(None if folder is None else Path(folder) / "networks.json", made, fresh)
    stick, truth = _truth(problem)
    work = Training(problem, width, depth, steps, rate, budget, device, dtype, stick, _grid(problem, truth))
    names = tuple(dict.fromkeys(networks))
    wanted = [(seed, name) for seed in range(seeds) for name in names]
    interrupted = False
    try:
        for number, (seed, name) in enumerate(wanted, 1):
            if f"{name}, seed {seed}" in kept.runs:
                continue
            if progress:
                print(f"{number} of {len(wanted)}: {name}, seed {seed}", file=sys.stderr, flush=True)
            run, field = work.train(name, seed)
            if field is not None and seed == 0:
                kept.put_grid(name, field)
            kept.put(f"{name}, seed {seed}", run.plain())
            if progress:
                said = run.refused or f"relative error {spread([run.last(work.measure)], stick.bar)}"
                print(f"  {name}: {said} in {run.seconds:.1f} s", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        if not kept.runs:
            raise
        interrupted = True
    runs = [Trained.of(kept.runs[k]) for name in names for s in range(seeds) if (k := f"{name}, seed {s}") in kept.runs]
    fields = {name: grid for name in names if (grid := kept.grid(name)) is not None}
    how = (
        f"{depth} hidden layers of {width}, {steps} steps of Adam each at rate {rate:g}, {seeds} "
        f"seed{'s' * (seeds > 1)}: median [least, largest]; {digits}, {made['machine']}."
    )
    result = NetworkComparison(type(problem).__name__, tuple(runs), stick, fields, truth, seeds, how, interrupted)
    if folder is not None:
        result.save(folder)
    return result


def _truth(problem: Problem) -> tuple[Yardstick, GridSolution | None]:
    """What errors are measured against, and what is drawn beside the networks: a reference may have no bar."""
    stick = choose_yardstick(problem, [])
    if isinstance(stick, Exact):
        return stick, stick.truth
    try:
        reference = solve_reference(problem)
    except Exception as error:
        # Only an own reference may raise anything.
        if not isinstance(error, PinnSirenError) and problem.reference is None:
            raise
        return stick, None
    if problem.one_grid:
        stick = Best(reference.best, 0.0, reference.name)
    elif reference.bar is not None:
        described = f"{reference.name}, whose own error is about {reference.bar:.1e}"
        stick = Best(reference.best, reference.bar, described)
    return stick, reference.best


def _grid(problem: Problem, truth: GridSolution | None) -> GridSolution:
    return truth if truth is not None else own_grid(problem.physical_domain)


__all__ = ["NETWORKS", "NetworkComparison", "compare_networks"]
