"""The README's table: the gallery over several seeds, medians and ranges, beside finite differences in the same run.

    python benchmarks/gallery.py --seeds 3

writes results/gallery.md and the pictures of the first seed to results/pictures/. Runs that are done are kept in
results/gallery.json and not repeated on the same machine with the same arguments and the same code, so that a run that
was stopped goes on.
"""

from __future__ import annotations

import dataclasses
import json
import platform
import statistics
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from pinn_siren import Problem, Solution, solve
from pinn_siren.files import load_problem
from pinn_siren.plots import draw
from pinn_siren.provenance import environment
from pinn_siren.storage import read_solution, write_text
from pinn_siren.validation import Report

ROOT = Path(__file__).parent.parent
FROZEN = "**Frozen sine features, the last layer by least squares**"
TRAINED = "**All layers trained**"
HEAD = (
    "| problem | method | parameters | to finite differences | their own error | to the exact solution | seconds "
    "| finite differences, seconds | verdicts |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
)


@dataclass(frozen=True)
class Options:
    """Which problems, how often, to which tolerance, within how many seconds each."""

    names: tuple[str, ...] = (
        "poisson", "poisson_disks", "poisson_polygon", "poisson_l", "motz", "eikonal", "eikonal_3d", "eikonal_obstacle",
        "eikonal_two_sources", "eikonal_earth", "eikonal_lens", "eikonal_layers", "inclusion", "helmholtz",
        "helmholtz_lens", "helmholtz_paper", "helmholtz_obstacle", "helmholtz_scattering", "wave", "wave_2d",
        "wave_pulse", "wave_lens", "allen_cahn", "plate", "elasticity",
    )  # fmt: skip
    seeds: int = 3
    tolerance: float = 1e-2
    budget: float | None = 60.0


def main(options: Options) -> None:
    """Solve every problem with every seed, and write the table after each."""
    kept = ROOT / "results" / "gallery.json"
    made = {"machine": _machine(), "code": environment().get("git_commit", ""), "tolerance": options.tolerance,
            "budget": options.budget}  # fmt: skip
    done = json.loads(kept.read_text()) if kept.exists() else {}
    runs: dict[str, str] = done.get("runs", {}) if done.get("made") == made else {}
    rows: dict[str, list[str]] = {FROZEN: [], TRAINED: []}
    for name in options.names:
        for seed in range(options.seeds):
            if f"{name} {seed}" not in runs:
                runs[f"{name} {seed}"] = run(name, seed, options)
                write_text(kept, json.dumps({"made": made, "runs": runs}))
        reports = [Report.from_json(runs[f"{name} {seed}"]) for seed in range(options.seeds)]
        frozen = all(r.method.startswith("LeastSquares") for r in reports)
        rows[FROZEN if frozen else TRAINED].append(row(name, reports))
        tables = [f"{title}\n\n{HEAD}" + "\n".join(lines) for title, lines in rows.items() if lines]
        write_text(ROOT / "results" / "gallery.md", "\n\n".join([*tables, footnote(options)]))
    print((ROOT / "results" / "gallery.md").read_text())


def run(name: str, seed: int, options: Options) -> str:
    """The report of one run, as JSON; the first seed's solution and picture are kept."""
    stated = load_problem(ROOT / "problems" / f"{name}.py")
    problem = stated if isinstance(stated, Problem) else stated()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solution = solve(problem, tolerance=options.tolerance, seed=seed, budget=options.budget)
    print(f"{name}, seed {seed}\n{solution.report}\n", flush=True)
    if seed == 0:
        picture(solution, name)
    return solution.report.to_json({})


def picture(solution: Solution, name: str) -> None:
    """Keep a solution, and draw it once more beside the table."""
    (ROOT / "results" / "pictures").mkdir(parents=True, exist_ok=True)
    folder = ROOT / "results" / name
    solution.save(folder)
    stored = dataclasses.replace(read_solution(folder / "solution.h5"), title=name.replace("_", "-"))
    draw(ROOT / "results" / "pictures" / f"{name}.png", stored)


def row(name: str, reports: list[Report]) -> str:
    """One line of the table."""
    first = reports[0]
    method = ", ".join(dict.fromkeys(stage.split()[0] for r in reports for stage in r.method.split(" + ")))
    verdicts = ", ".join(sorted({r.verdict for r in reports}))
    cells = [
        name,
        method,
        f"{first.parameters:,}",
        difference(reports),
        "-" if first.reference_error is None else f"{first.reference_error:.1e}",
        middle(reports, lambda r: r.relative_l2 if r.against == "exact" else None),
        middle(reports, lambda r: r.seconds, "{:.1f}" if first.seconds < 10 else "{:.0f}"),
        middle(reports, lambda r: r.reference_seconds, "{:.2f}"),
        verdicts,
    ]
    return "| " + " | ".join(cells) + " |"


def difference(reports: list[Report]) -> str:
    """The difference to finite differences, never below their own error."""
    bar, found = reports[0].reference_error, [r.reference_difference for r in reports]
    if bar is not None and all(d is not None and d < bar for d in found):
        return f"< {bar:.1e}"
    return middle(reports, lambda r: r.reference_difference)


def middle(reports: list[Report], of: Callable[[Report], float | None], form: str = "{:.1e}") -> str:
    """The median, with the range in brackets."""
    numbers = [v for v in map(of, reports) if v is not None]
    if not numbers:
        return "-"
    low, high = form.format(min(numbers)), form.format(max(numbers))
    return f"{form.format(statistics.median(numbers))} [{low}, {high}]"


def footnote(options: Options) -> str:
    """How the table was made."""
    limit = "" if options.budget is None else f", at most {options.budget:g} seconds a solve"
    arguments = f"--seeds {options.seeds} --tolerance {options.tolerance:g} --budget {options.budget}"
    return (
        f"Relative L2 errors, median [range] of {options.seeds} seeds, tolerance {options.tolerance:g}{limit}; "
        f"{_machine()}. Made by `python benchmarks/gallery.py {arguments}`.\n"
    )


def _machine() -> str:
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads, float64, torch {torch.__version__}"


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
