"""The README's table: the gallery over several seeds, medians and ranges, beside finite differences in the same run.

    python benchmarks/gallery.py --seeds 3

writes results/gallery.md and the pictures of the first seed to results/pictures/.
"""

from __future__ import annotations

import dataclasses
import platform
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from pinn_siren import Solution, solve
from pinn_siren.files import load_problem
from pinn_siren.plots import draw
from pinn_siren.storage import read_solution, write_text
from pinn_siren.validation import Report

ROOT = Path(__file__).parent.parent
HEAD = (
    "| problem | method | parameters | to finite differences | their own error | to the exact solution | seconds "
    "| finite differences, seconds | verdicts |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
)


@dataclass(frozen=True)
class Options:
    """Which problems, how often, to which tolerance."""

    names: tuple[str, ...] = ("poisson", "eikonal", "helmholtz", "wave", "allen_cahn")
    seeds: int = 3
    tolerance: float = 1e-2


def main(options: Options) -> None:
    """Solve every problem with every seed, and write the table."""
    rows = []
    for name in options.names:
        problem = load_problem(ROOT / "problems" / f"{name}.py")
        reports = []
        for seed in range(options.seeds):
            solution = solve(problem, tolerance=options.tolerance, seed=seed)  # type: ignore[arg-type]
            reports.append(solution.report)
            print(f"{name}, seed {seed}\n{solution.report}\n", flush=True)
            if seed == 0:
                picture(solution, name)
        rows.append(row(name, reports))
    text = HEAD + "\n".join(rows) + "\n\n" + footnote(options)
    write_text(ROOT / "results" / "gallery.md", text)
    print(text)


def picture(solution: Solution, name: str) -> None:
    """Keep a solution, and draw it once more beside the table."""
    folder = ROOT / "results" / name
    solution.save(folder)
    stored = dataclasses.replace(read_solution(folder / "solution.h5"), title=name.replace("_", "-"))
    draw(ROOT / "results" / "pictures" / f"{name}.png", stored)


def row(name: str, reports: list[Report]) -> str:
    """One line of the table."""
    first = reports[0]
    method = "Adam, L-BFGS" if any("LBFGS" in r.method for r in reports) else "Adam"
    verdicts = ", ".join(sorted({r.verdict for r in reports}))
    cells = [
        name,
        method,
        f"{first.parameters:,}",
        middle(reports, lambda r: r.reference_difference),
        "-" if first.reference_error is None else f"{first.reference_error:.1e}",
        middle(reports, lambda r: r.relative_l2 if r.against == "exact" else None),
        middle(reports, lambda r: r.seconds, "{:.0f}"),
        middle(reports, lambda r: r.reference_seconds, "{:.2f}"),
        verdicts,
    ]
    return "| " + " | ".join(cells) + " |"


def middle(reports: list[Report], of: Callable[[Report], float | None], form: str = "{:.1e}") -> str:
    """The median, with the range in brackets."""
    numbers = [v for v in map(of, reports) if v is not None]
    if not numbers:
        return "-"
    low, high = form.format(min(numbers)), form.format(max(numbers))
    return f"{form.format(statistics.median(numbers))} [{low}, {high}]"


def footnote(options: Options) -> str:
    """How the table was made."""
    machine = f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
    return (
        f"Relative L2 errors, median [range] of {options.seeds} seeds, tolerance {options.tolerance:g}; {machine}, "
        f"float64, torch {torch.__version__}. Made by `python benchmarks/gallery.py --seeds {options.seeds}`.\n"
    )


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
