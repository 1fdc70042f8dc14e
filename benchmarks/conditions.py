"""Conditions in the loss beside conditions built into the output: the same stages, steps and points, in one run.

    python benchmarks/conditions.py --steps 300 --seeds 3
    python benchmarks/conditions.py --rows --budget 8 --seeds 3

writes results/conditions.md: Adam and L-BFGS at equal steps; with ``--rows`` results/conditions_rows.md: Gauss-Newton
at equal seconds on the problems of ``rows.py`` that hold values.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import warnings
from pathlib import Path

import torch
from rows import ROWS

from pinn_siren import Box, Dirichlet, Disk, Poisson, Problem, Sampler, solve
from pinn_siren.files import load_problem

ROOT = Path(__file__).parent.parent
ROOM = Box(x=(-1, 1), y=(-1, 1))
HOLES = (Disk((-0.45, 0.35), 0.25), Disk((0.5, 0.4), 0.2), Disk((0.1, -0.45), 0.3))


def cases() -> dict[str, Problem]:
    """Problems by name: the gallery's, and Poisson problems on rounder domains."""

    def varying(p):
        return torch.sin(3 * p.x)

    found = {name: load_problem(ROOT / "problems" / f"{name}.py") for name in ("poisson", "wave", "allen_cahn")}
    found["disk"] = Poisson(domain=Disk(), source=-1, conditions=[Dirichlet(varying)])
    found["ring"] = Poisson(domain=Disk() - Disk(radius=0.4), source=-1, conditions=[Dirichlet(varying)])
    found["three holes, zero"] = Poisson(
        domain=ROOM - HOLES[0] - HOLES[1] - HOLES[2], source=-1, conditions=[Dirichlet(0)]
    )
    found["three holes, unlike"] = load_problem(ROOT / "problems" / "poisson_disks.py")
    return found


def by_rows(options: argparse.Namespace) -> None:
    """Gauss-Newton in both forms, the same seconds each, on problems with exact solutions."""
    lines = ["| problem | in the loss | built in | ratio |", "| --- | --- | --- | --- |"]
    for name, make in ROWS.items():
        row = make()
        if row.problem.exact is None or not row.problem.conditions or name == "poisson_5d":
            continue
        errors: dict[str, list[float]] = {"soft": [], "auto": []}
        p = row.problem.domain.interior(3000, Sampler(torch.Generator().manual_seed(99)))
        exact = row.problem.exact(p)
        for seed in range(options.seeds):
            for kind in errors:
                solution = solve(
                    row.problem, method="gauss-newton", conditions=kind, seed=seed, tolerance=1e-12,
                    budget=options.budget, progress=False,
                )  # fmt: skip
                errors[kind].append(float((solution(p) - exact).abs().norm() / exact.abs().norm()))
        soft, built = (statistics.median(errors[kind]) for kind in ("soft", "auto"))
        lines.append(f"| {row.title} | {_shown(errors['soft'])} | {_shown(errors['auto'])} | {built / soft:.2g} |")
        print(lines[-1], flush=True)
    lines += ["", f"Relative L2 errors, median [range] of {options.seeds} seeds, against the exact solution; "
              f"Gauss-Newton, {options.budget:g} seconds each; {platform.machine()} CPU, {torch.get_num_threads()} "
              f"threads, float64, torch {torch.__version__}. Made by `python benchmarks/conditions.py --rows --budget "
              f"{options.budget:g} --seeds {options.seeds}`.", ""]  # fmt: skip
    (ROOT / "results" / "conditions_rows.md").write_text("\n".join(lines), encoding="utf-8")


def main() -> None:
    """Run every case in both forms and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300, help="L-BFGS steps, after 200 of Adam")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", action="store_true", help="Gauss-Newton on the problems of rows.py instead")
    parser.add_argument("--budget", type=float, default=8.0, help="seconds a run, with --rows")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.rows:
        by_rows(options)
        return
    lines = ["| problem | in the loss | built in | ratio | seconds, in the loss | seconds, built in |",
             "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for name, problem in cases().items():
        errors: dict[str, list[float]] = {"soft": [], "hard": []}
        seconds: dict[str, list[float]] = {"soft": [], "hard": []}
        for seed in range(options.seeds):
            for kind in errors:
                report = solve(
                    problem, steps=options.steps, conditions=kind, seed=seed, tolerance=1e-12, progress=False
                ).report
                errors[kind].append(report.relative_l2)
                seconds[kind].append(report.seconds)
        soft, hard = (statistics.median(errors[kind]) for kind in ("soft", "hard"))
        spent = " | ".join(f"{statistics.median(seconds[kind]):.0f}" for kind in ("soft", "hard"))
        lines.append(f"| {name} | {_shown(errors['soft'])} | {_shown(errors['hard'])} | {hard / soft:.2g} | {spent} |")
        print(lines[-1], flush=True)
    lines += ["", f"Relative L2 errors, median [range] of {options.seeds} seeds, against the exact solution or finite "
              f"differences; 200 steps of Adam, {options.steps} of L-BFGS; {platform.machine()} CPU, "
              f"{torch.get_num_threads()} threads, float64, torch {torch.__version__}. Made by `python "
              f"benchmarks/conditions.py --steps {options.steps} --seeds {options.seeds}`.", ""]  # fmt: skip
    (ROOT / "results" / "conditions.md").write_text("\n".join(lines), encoding="utf-8")


def _shown(errors: list[float]) -> str:
    return f"{statistics.median(errors):.1e} [{min(errors):.1e}, {max(errors):.1e}]"


if __name__ == "__main__":
    main()
