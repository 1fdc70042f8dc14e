"""Waves: patches of sine features, Chebyshev polynomials on the same patches, and finite differences, in one run.

    python benchmarks/helmholtz.py
    python benchmarks/helmholtz.py --trained 900

writes results/helmholtz_k.md and results/helmholtz_k.png. Seconds are CPU seconds of one thread for a whole solve, its
search for patches and its error estimate included. ``--trained``: also a SIREN whose layers are all trained on the
SIREN paper's problem, by Adam and L-BFGS for so many seconds.
"""

from __future__ import annotations

import argparse
import math
import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.special import hankel1

from pinn_siren import PML, Box, Helmholtz, Solution, solve
from pinn_siren.files import load_problem
from pinn_siren.reference import GridSolution
from pinn_siren.reference.adaptive import solve_chebyshev
from pinn_siren.storage import write_text

ROOT = Path(__file__).parent.parent
HALF, THICKNESS, ATTENUATION = 1.0, 0.2, 40.0
"""Half the box's width, the layer's thickness, and the exponent by which waves decay through it and back."""
AWAY = 7.5
"""Widths of the source beyond which the field is that of a point source, but for a factor, to 1e-12."""
WAVENUMBERS = (20, 40, 80, 160)
GRIDS = (100, 200, 400, 800)
METHODS = ("patches", "chebyshev")


@dataclass(frozen=True)
class Truth:
    """Points, the field there, its own relative error (0: analytic), and what it comes from."""

    points: np.ndarray
    values: np.ndarray
    bar: float
    origin: str


@dataclass(frozen=True)
class Case:
    """A problem, the tolerance asked for, and its truth."""

    title: str
    problem: Helmholtz
    tolerance: float
    truth: Callable[[], Truth]


@dataclass(frozen=True)
class Run:
    """One method on one case: its error, its CPU seconds, and what it says of itself."""

    case: str
    method: str
    error: float
    seconds: float
    said: str


def gauss(k: float) -> Case:
    """A Gaussian source as wide as 1 / k in open space: as many wavelengths in the box as there are in 2 k / 2 pi."""
    width = 1 / k
    problem = Helmholtz(
        domain=Box(x=(-HALF, HALF), y=(-HALF, HALF)), wavenumber=float(k),
        source=lambda p: torch.exp(-(p.x**2 + p.y**2) / (2 * width**2)) / (2 * math.pi * width**2),
        conditions=[PML(THICKNESS, strength=3 * ATTENUATION / (2 * k * THICKNESS))],
    )  # fmt: skip

    def truth() -> Truth:
        """The convolution of i/4 H0(k r) with the source: away from it, that wave times exp(-k^2 width^2 / 2)."""
        line = np.linspace(THICKNESS - HALF, HALF - THICKNESS, 301)
        x = np.stack([m.ravel() for m in np.meshgrid(line, line)], axis=1)
        x = x[np.linalg.norm(x, axis=1) > AWAY * width]
        field = 0.25j * hankel1(0, k * np.linalg.norm(x, axis=1)) * math.exp(-((k * width) ** 2) / 2)
        return Truth(x, field, math.exp(-ATTENUATION / math.sqrt(2)), "analytic, open space")

    return Case(f"k = {k}", problem, 1e-7 if k < 160 else 1e-6, truth)


def media() -> list[Case]:
    """The SIREN paper's problem and its media, and the lens of the gallery."""
    paper = load_problem(ROOT / "problems" / "helmholtz_paper.py")
    lens = load_problem(ROOT / "problems" / "helmholtz_lens.py")

    def case(title: str, problem: Helmholtz, tolerance: float, breaks: dict[str, list[float]] | None = None) -> Case:
        def truth() -> Truth:
            reference = solve_chebyshev(problem, {"x": 120, "y": 120}, breaks)
            grid: GridSolution = reference.finest
            bar = math.nan if reference.error is None else reference.error
            return Truth(grid.nodes(), grid.values["u"].ravel(), bar, reference.method)

        return Case(title, problem, tolerance, truth)

    sides = {a: [-0.3, 0.3] for a in "xy"}
    return [
        case("the paper's, 1e-8", paper(), 1e-8),
        case("the paper's, 1e-10", paper(), 1e-10),
        case("lens", lens, 1e-8),
        case("square of c = 2, smooth", paper("square"), 1e-8),
        case("disc of c = 2, smooth", paper("disc"), 1e-8),
        case("square of c = 2, a jump", paper("square", 0.0), 1e-6, sides),
    ]


def relative(found: np.ndarray, truth: Truth) -> float:
    """The relative L2 error."""
    return float(np.linalg.norm(found - truth.values) / np.linalg.norm(truth.values))


def timed(case: Case, truth: Truth, method: str, budget: float, seed: int) -> Run:
    """One solve, its CPU seconds, and its error."""
    started = time.process_time()
    solution: Solution = solve(
        case.problem, method=method, tolerance=case.tolerance, budget=budget, seed=seed, progress=False, device="cpu"
    )
    seconds = time.process_time() - started
    found = np.asarray(solution(truth.points)).reshape(-1)
    return Run(case.title, method, relative(found, truth), seconds, solution.provenance.stages.partition(": ")[2])


def differences(case: Case, truth: Truth, budget: float) -> list[Run]:
    """Second-order finite differences on finer and finer grids, at the truth's points by cubic splines."""
    from scipy.interpolate import RectBivariateSpline

    runs: list[Run] = []
    for cells in GRIDS:
        if runs and runs[-1].seconds * 6 > budget:
            break
        started = time.process_time()
        grid = case.problem.finite_differences({"x": cells, "y": cells})
        seconds = time.process_time() - started
        x, y = grid.coordinates.values()
        values, at = grid.values["u"], truth.points.T
        found = RectBivariateSpline(x, y, values.real).ev(*at) + 1j * RectBivariateSpline(x, y, values.imag).ev(*at)
        runs.append(Run(case.title, f"finite differences, {cells}²", relative(found, truth), seconds, ""))
    return runs


def needed(coarse: list[Run], error: float) -> float:
    """Seconds that finite differences would need to an error, extrapolated from the two finest grids that were run."""
    one, two = coarse[-2:]
    if two.error <= error or not two.error < one.error:
        return two.seconds
    slope = math.log(two.seconds / one.seconds) / math.log(one.error / two.error)
    return two.seconds * (two.error / error) ** slope


def exponent(runs: list[Run]) -> float:
    """The slope of seconds against the wavenumber in double logarithms."""
    k = [float(run.case.removeprefix("k = ")) for run in runs]
    return float(np.polyfit(np.log(k), np.log([run.seconds for run in runs]), 1)[0])


def draw(path: Path, runs: list[Run]) -> None:
    """Seconds and errors against the wavenumber."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    for method, label in zip(METHODS, ("sine features", "Chebyshev polynomials"), strict=True):
        chosen = [run for run in runs if run.case.startswith("k = ") and run.method == method]
        k = [float(run.case.removeprefix("k = ")) for run in chosen]
        for axis, values in zip(axes, ([r.seconds for r in chosen], [r.error for r in chosen]), strict=True):
            axis.loglog(k, values, "o-", label=label)
    for axis, name in zip(axes, ("CPU seconds, one thread", "relative L2 error"), strict=True):
        axis.set(xlabel="wavenumber k", ylabel=name, xticks=WAVENUMBERS, xticklabels=WAVENUMBERS)
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def trained(budget: float, case: Case, truth: Truth) -> Run:
    """A SIREN, all layers trained, for so many seconds."""
    started = time.process_time()
    solution = solve(case.problem, method="lbfgs", tolerance=1e-4, budget=budget, progress=False, device="cpu")
    seconds = time.process_time() - started
    found = np.asarray(solution(truth.points)).reshape(-1)
    return Run(
        case.title,
        "SIREN, all layers trained",
        relative(found, truth),
        seconds,
        solution.provenance.stages.partition(": ")[2],
    )


def table(runs: list[Run], bars: dict[str, float], further: list[str]) -> str:
    """The table as text."""
    lines = ["# Helmholtz: seconds and errors", "",
             "| problem | method | relative L2 error | the truth's own | CPU seconds | what it took |",
             "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for run in runs:
        lines.append(
            f"| {run.case} | {run.method} | {run.error:.1e} | {bars[run.case]:.0e} | {run.seconds:.2f} | {run.said} |"
        )
    return "\n".join([*lines, "", *further, ""])


def main() -> None:
    """Run all and write the table and the picture; a row is kept as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=60.0, help="seconds a run")
    parser.add_argument("--trained", type=float, default=0.0, help="seconds of training; 0: none")
    parser.add_argument("--only", default="", help="part of a case's title")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    runs: list[Run] = []
    bars: dict[str, float] = {}
    further: list[str] = []
    known: dict[int, Truth] = {}
    cases = [case for case in [*map(gauss, WAVENUMBERS), *media()] if options.only in case.title]
    # The first solve of a process pays for loading what all use.
    solve(gauss(10).problem, method="patches", tolerance=1e-3, progress=False, device="cpu")
    for case in cases:
        truth = case.truth()
        known[id(case)], bars[case.title] = truth, truth.bar
        of_case = [timed(case, truth, method, options.budget, options.seed) for method in METHODS]
        grids = differences(case, truth, options.budget)
        runs += [*of_case, *grids]
        best = of_case[0]
        further.append(
            f"- {case.title}: finite differences of second order would need {needed(grids, best.error):.1e} s to the "
            f"error {best.error:.1e} of {best.seconds:.2f} s (extrapolated from the two "
            f"finest grids); truth: {truth.origin}."
        )
        print(*runs[-len(of_case) - len(grids) :], further[-1], sep="\n", flush=True)
        write_text(ROOT / "results" / "helmholtz_k.md", table(runs, bars, further))
    if options.trained:
        case = next(case for case in cases if case.title.startswith("the paper's"))
        runs.append(trained(options.trained, case, known[id(case)]))
        print(runs[-1])
    for method in METHODS:
        chosen = [run for run in runs if run.case.startswith("k = ") and run.method == method]
        if len(chosen) > 1:
            further.append(f"- {method}: seconds grow as k to the power {exponent(chosen):.2f}.")
    further.append(
        f"- {platform.machine()} CPU, one thread, float64, torch {torch.__version__}, seed {options.seed}. Made by "
        "`python benchmarks/helmholtz.py`."
    )
    write_text(ROOT / "results" / "helmholtz_k.md", table(runs, bars, further))
    if any(run.case.startswith("k = ") for run in runs):
        draw(ROOT / "results" / "helmholtz_k.png", runs)


if __name__ == "__main__":
    main()
