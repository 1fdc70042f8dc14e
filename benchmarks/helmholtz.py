"""Waves: patches of sine features, Chebyshev polynomials on the same patches, and finite differences, in one run.

    python benchmarks/helmholtz.py
    python benchmarks/helmholtz.py --only paper

writes results/helmholtz_waves.md and results/helmholtz_waves.png. Seconds are CPU seconds of one thread for a whole
solve, its search for patches and its error estimate included: medians over the seeds, as are errors. Finite
differences run once a grid, of second and of fourth order; what they would need to our error is extrapolated.
"""

from __future__ import annotations

import argparse
import math
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.interpolate import RectBivariateSpline
from scipy.special import hankel1

from pinn_siren import PML, Box, Helmholtz, Solution, solve
from pinn_siren.files import load_problem
from pinn_siren.reference import solve_helmholtz
from pinn_siren.reference.adaptive import solve_chebyshev
from pinn_siren.storage import write_text

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "results" / "helmholtz_waves"
HALF, ATTENUATION, DEEP = 1.0, 30.0, 1.5
"""Half the box's width; the exponent by which waves decay through the layer and back; its thickness in wavelengths."""
AWAY = 7.5
"""Widths of the source beyond which the field is that of a point source, but for a factor, to 1e-12."""
WAVENUMBERS = (20, 40, 80, 160)
GRIDS = (100, 200, 400, 800)
METHODS = {"patches": "sine features", "chebyshev": "Chebyshev polynomials"}
ORDERS = {2: "finite differences, order 2", 4: "finite differences, order 4"}
LOST = 0.3
"""Above this error a grid resolves nothing, and nothing is extrapolated from it."""


@dataclass(frozen=True)
class Truth:
    """Points, the field there, its own relative error, and what it comes from."""

    points: np.ndarray
    values: np.ndarray
    bar: float
    origin: str


@dataclass(frozen=True)
class Case:
    """A problem, the tolerances asked for, its truth, and the orders of finite differences that suit its medium."""

    title: str
    problem: Helmholtz
    tolerances: tuple[float, ...]
    truth: Callable[[], Truth]
    orders: tuple[int, ...] = (2, 4)


@dataclass(frozen=True)
class Run:
    """One method on one case: its error, its CPU seconds, and what it says of itself."""

    case: str
    method: str
    aim: float
    error: float
    seconds: float
    said: str


def gauss(k: float) -> Case:
    """A Gaussian source as wide as 1 / k in open space: as many wavelengths in the box as there are in 2 k / 2 pi."""
    width, thickness = 1 / k, DEEP * 2 * math.pi / k
    problem = Helmholtz(
        domain=Box(x=(-HALF, HALF), y=(-HALF, HALF)), wavenumber=float(k),
        source=lambda p: torch.exp(-(p.x**2 + p.y**2) / (2 * width**2)) / (2 * math.pi * width**2),
        conditions=[PML(thickness, strength=3 * ATTENUATION / (2 * k * thickness))],
    )  # fmt: skip

    def truth() -> Truth:
        """The convolution of i/4 H0(k r) with the source: away from it, that wave times exp(-k^2 width^2 / 2)."""
        line = np.linspace(thickness - HALF, HALF - thickness, 301)
        x = np.stack([m.ravel() for m in np.meshgrid(line, line)], axis=1)
        x = x[np.linalg.norm(x, axis=1) > AWAY * width]
        field = 0.25j * hankel1(0, k * np.linalg.norm(x, axis=1)) * math.exp(-((k * width) ** 2) / 2)
        return Truth(x, field, math.exp(-ATTENUATION / math.sqrt(2)), "analytic, open space; its bar: the layer's echo")

    return Case(f"k = {k}", problem, (1e-7 if k < 160 else 1e-6,), truth)


def media() -> list[Case]:
    """The SIREN paper's problem and its media, and the lens of the gallery."""
    paper = load_problem(ROOT / "problems" / "helmholtz_paper.py")
    lens = load_problem(ROOT / "problems" / "helmholtz_lens.py")

    def case(
        title: str, problem: Helmholtz, tolerances: tuple[float, ...], breaks: dict[str, list[float]] | None = None,
        orders: tuple[int, ...] = (2, 4),
    ) -> Case:  # fmt: skip
        def truth() -> Truth:
            reference = solve_chebyshev(problem, {"x": 120, "y": 120}, breaks)
            grid = reference.finest
            bar = math.nan if reference.error is None else reference.error
            return Truth(grid.nodes(), grid.values["u"].ravel(), bar, reference.method)

        return Case(title, problem, tolerances, truth, orders)

    sides = {a: [-0.3, 0.3] for a in "xy"}
    return [
        case("the SIREN paper's", paper(), (1e-8, 1e-10)),
        case("lens", lens, (1e-8,)),
        case("square of c = 2, smooth", paper("square"), (1e-8,)),
        case("disc of c = 2, smooth", paper("disc"), (1e-8,)),
        case("square of c = 2, a jump", paper("square", 0.0), (1e-6,), sides, (2,)),
    ]


def relative(found: np.ndarray, truth: Truth) -> float:
    """The relative L2 error."""
    return float(np.linalg.norm(found - truth.values) / np.linalg.norm(truth.values))


def timed(case: Case, truth: Truth, method: str, aim: float, budget: float, seeds: int) -> Run:
    """The medians of solves from so many seeds: CPU seconds and error."""
    errors, times = [], []
    for seed in range(seeds):
        started = time.process_time()
        solution: Solution = solve(
            case.problem, method=method, tolerance=aim, budget=budget, seed=seed, progress=False, device="cpu"
        )
        times.append(time.process_time() - started)
        errors.append(relative(np.asarray(solution(truth.points)).reshape(-1), truth))
    said = solution.provenance.stages.partition(": ")[2]
    return Run(case.title, METHODS[method], aim, statistics.median(errors), statistics.median(times), said)


def differences(case: Case, truth: Truth, order: int, budget: float, finest: int) -> list[Run]:
    """Finite differences on finer and finer grids, at the truth's points by cubic splines."""
    runs: list[Run] = []
    problem = case.problem
    assert isinstance(problem.domain, Box)
    for cells in GRIDS:
        if cells > finest or (runs and runs[-1].seconds * 6 > budget):
            break
        started = time.process_time()
        grid = solve_helmholtz(
            problem.domain, wavenumber=problem.wavenumber, speed=problem.speed, source=problem.source,
            conditions=problem.conditions, cells={"x": cells, "y": cells}, order=order,
        )  # fmt: skip
        seconds = time.process_time() - started
        x, y = grid.coordinates.values()
        values, at = grid.values["u"], truth.points.T
        degree = 3 if order == 2 else 5
        splines = [RectBivariateSpline(x, y, part, kx=degree, ky=degree) for part in (values.real, values.imag)]
        error = relative(splines[0].ev(*at) + 1j * splines[1].ev(*at), truth)
        runs.append(Run(case.title, ORDERS[order], math.nan, error, seconds, f"{cells}² cells"))
    return runs


def needed(grids: list[Run], ours: Run) -> str:
    """What finite differences would need to our error, extrapolated from the two finest grids that were run."""
    one, two = grids[-2:]
    if two.error <= ours.error:
        return f"{two.method}: {two.error:.0e} in {two.seconds:.1f} s"
    if two.error > LOST or not two.error < one.error:
        return f"{two.method}: {two.error:.0e} in {two.seconds:.1f} s, too coarse to say more"
    slope = math.log(two.seconds / one.seconds) / math.log(one.error / two.error)
    seconds = two.seconds * (two.error / ours.error) ** slope
    return f"{two.method}: {seconds:.0e} s, {seconds / ours.seconds:.0e} times as long"


def exponent(runs: list[Run]) -> float:
    """The slope of seconds against the wavenumber in double logarithms."""
    k = [float(run.case.removeprefix("k = ")) for run in runs]
    return float(np.polyfit(np.log(k), np.log([run.seconds for run in runs]), 1)[0])


def draw(path: Path, runs: list[Run]) -> None:
    """Seconds and errors against the wavenumber, and errors against seconds on the SIREN paper's problem."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    for label in METHODS.values():
        chosen = [run for run in runs if run.case.startswith("k = ") and run.method == label]
        k = [float(run.case.removeprefix("k = ")) for run in chosen]
        for axis, values in zip(axes, ([r.seconds for r in chosen], [r.error for r in chosen]), strict=False):
            axis.loglog(k, values, "o-", label=label)
    for axis, name in zip(axes, ("CPU seconds, one thread", "relative L2 error"), strict=False):
        axis.set(xlabel="wavenumber k", ylabel=name, xticks=WAVENUMBERS, xticklabels=WAVENUMBERS)
        axis.set_title("open space, box of 2 by 2")
        axis.minorticks_off()
    for label in (*METHODS.values(), *ORDERS.values()):
        chosen = [run for run in runs if run.case == "the SIREN paper's" and run.method == label]
        axes[2].loglog([r.seconds for r in chosen], [r.error for r in chosen], "o-", label=label)
    axes[2].set(xlabel="CPU seconds, one thread", ylabel="relative L2 error", title="the SIREN paper's problem, k = 20")
    for axis in axes:
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    axes[2].legend(fontsize=8, loc="center left")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def table(runs: list[Run], truths: dict[str, Truth], further: list[str]) -> str:
    """The table as text."""
    lines = ["# Helmholtz: seconds and errors", "",
             "| problem | method | asked for | relative L2 error | the truth's own | CPU seconds | what it took |",
             "| --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for run in runs:
        aim = "" if math.isnan(run.aim) else f"{run.aim:.0e}"
        lines.append(
            f"| {run.case} | {run.method} | {aim} | {run.error:.1e} | {truths[run.case].bar:.0e} | "
            f"{run.seconds:.2f} | {run.said} |"
        )
    return "\n".join([*lines, "", *further, ""])


def main() -> None:
    """Run all and write the table and the picture; a row is kept as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=60.0, help="seconds a run")
    parser.add_argument("--only", default="", help="part of a case's title")
    parser.add_argument("--finest", type=int, default=max(GRIDS), help="cells an axis of the finest grid")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    runs: list[Run] = []
    truths: dict[str, Truth] = {}
    further: list[str] = []
    # The first solve of a process pays for loading what all use.
    solve(gauss(10).problem, method="patches", tolerance=1e-3, progress=False, device="cpu")
    for case in [case for case in [*media(), *map(gauss, WAVENUMBERS)] if options.only in case.title]:
        truth = truths[case.title] = case.truth()
        grids = {order: differences(case, truth, order, options.budget, options.finest) for order in case.orders}
        for aim in case.tolerances:
            of_aim = [timed(case, truth, method, aim, options.budget, options.seeds) for method in METHODS]
            runs += of_aim
            ours = of_aim[0]
            beside = "; ".join(needed(grids[order], ours) for order in case.orders)
            further.append(f"- {case.title}, to {ours.error:.1e} as sine features in {ours.seconds:.2f} s: {beside}.")
        runs += [run for order in case.orders for run in grids[order]]
        further.append(f"- {case.title}, truth: {truth.origin}.")
        print(*[run for run in runs if run.case == case.title], *further[-2:], sep="\n", flush=True)
        write_text(RESULT.with_suffix(".md"), table(runs, truths, further))
    for label in METHODS.values():
        chosen = [run for run in runs if run.case.startswith("k = ") and run.method == label and run.error <= run.aim]
        if len(chosen) > 1:
            further.append(f"- {label}: seconds grow as k to the power {exponent(chosen):.2f}, where the aim is met.")
    further.append(
        f"- {platform.machine()} CPU, one thread, float64, torch {torch.__version__}; "
        f"medians of {options.seeds} seeds. Made by `python benchmarks/helmholtz.py`."
    )
    write_text(RESULT.with_suffix(".md"), table(runs, truths, further))
    draw(RESULT.with_suffix(".png"), runs)


if __name__ == "__main__":
    main()
