"""Waves by slabs beside classical solvers at the same error, in one run.

    python benchmarks/waves.py --seeds 3

writes results/waves.md and results/pictures/waves.png. Errors are relative L2 at the final time, against exact
solutions where there are any, else against the reference, whose own bar stands beside them.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pinn_siren import Absorbing, Box, Dirichlet, Initial, Periodic, Points, Solution, Wave, solve
from pinn_siren.files import load_problem
from pinn_siren.reference import GridSolution, solve_wave
from pinn_siren.reference.wave_fourier import fourier_wave
from pinn_siren.reference.wave_spectral import spectral_wave

ROOT = Path(__file__).parent.parent
NARROW = 5e-4
"""The variance of the paper's pulse."""
FAST = 2.0
"""Behind the jump; one before it."""


@dataclass(frozen=True)
class Case:
    """A problem, the tolerance to solve it to, the field at its final time on lines (with the bar of that), and
    classical solvers by name: resolutions, and what solves on one of them."""

    problem: Wave
    tolerance: float
    truth: Callable[[], tuple[dict[str, np.ndarray], np.ndarray, float]]
    classical: dict[str, tuple[tuple[int, ...], Callable[[int], GridSolution]]]


def final(grid: GridSolution, problem: Wave) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The lines of space and the field on them at the last time."""
    lines = {a: x for a, x in grid.coordinates.items() if a != "t"}
    return lines, grid.values["u"].take(-1, axis=problem.domain.axes.index("t"))


def statement(problem: Wave) -> dict[str, object]:
    """What the classical solvers take."""
    return {"speed": problem.speed, "source": 0.0, "conditions": problem.conditions}


def by(solver: Callable[..., object], problem: Wave) -> Callable[[int], GridSolution]:
    """A judged reference's finest grid, shown on so many cells an axis."""

    def run(cells: int) -> GridSolution:
        shown = {a: 4 if a == "t" else cells for a in problem.domain.axes}
        return solver(problem.domain, cells=shown, **statement(problem)).finest  # type: ignore[attr-defined]

    return run


def leapfrog(problem: Wave) -> Callable[[int], GridSolution]:
    """Finite differences of second order."""

    def run(cells: int) -> GridSolution:
        shown = {a: 4 if a == "t" else cells for a in problem.domain.axes}
        return solve_wave(problem.domain, cells=shown, **statement(problem))  # type: ignore[arg-type]

    return run


def known(problem: Wave, field: Callable[[np.ndarray], np.ndarray]) -> Callable[[], tuple]:
    """An exact solution in one dimension."""
    x = np.linspace(*problem.domain.bounds["x"], 2001)
    return lambda: ({"x": x}, field(x), 0.0)


def referred(problem: Wave, solver: Callable[..., object], cells: int) -> Callable[[], tuple]:
    """The solution of a reference, with its bar."""

    def run() -> tuple:
        shown = {a: 4 if a == "t" else cells for a in problem.domain.axes}
        found = solver(problem.domain, cells=shown, **statement(problem))
        return (*final(found.finest, problem), found.bar)  # type: ignore[attr-defined]

    return run


def line(end: float, **given: object) -> Wave:
    """The paper's pulse on a line with fixed ends, off the middle."""
    pulse = Initial(lambda p: torch.exp(-((p.x + 0.3) ** 2) / (2 * NARROW)), rate=0)
    stated = {"speed": 1.0, "conditions": [Dirichlet(0), pulse]} | given
    return Wave(domain=Box(x=(-1, 1), t=(0, end)), **stated)  # type: ignore[arg-type]


def through_a_jump(x: np.ndarray, end: float = 0.6) -> np.ndarray:
    """d'Alembert with the medium's jump at 0: the field and its slope are continuous there."""

    def g(s: np.ndarray) -> np.ndarray:
        return np.exp(-((s + 0.3) ** 2) / (2 * 4 * NARROW)) / 2

    back = (FAST - 1) / (FAST + 1)
    before = g(x - end) + g(x + end) + back * g(-x - end)
    return np.where(x < 0, before, (1 + back) * g(x / FAST - end))


def beam(p: Points, t: float, jump: float = 0.1, rate: bool = False) -> torch.Tensor:
    """A slanted beam at a jump of the speed at x = 0.1: waves of one ky and many kx, and those of Snell's law."""
    k, across = torch.linspace(1, 110, 301, dtype=torch.float64), 2 * np.pi
    size = torch.exp(-((k - 40) ** 2) / 320 + 0.3j * k) / 30
    turn = (k**2 + across**2).sqrt()
    beyond = torch.sqrt((turn / FAST) ** 2 - across**2 + 0j)
    back = (k - beyond) / (k + beyond)
    x, number = (p.x - jump).unique(return_inverse=True)
    x = x[:, None]
    wave = torch.where(
        x < 0, torch.exp(1j * k * x) + back * torch.exp(-1j * k * x), (1 + back) * torch.exp(1j * beyond * x.abs())
    )
    along = (wave * size * torch.exp(-1j * turn * t) * (-1j * turn if rate else 1)).sum(1)
    return (along[number] * torch.exp(1j * across * p.y)).real


def refracted(end: float) -> tuple[dict[str, np.ndarray], np.ndarray, float]:
    """The beam at a time, where nothing comes from the sides, which reflect slanted waves."""
    lines = {"x": np.arange(-40, 17) / 64, "y": np.arange(-32, 33) / 64}
    mesh = np.stack([m.ravel() for m in np.meshgrid(*lines.values(), indexing="ij")], axis=1)
    return lines, beam(Points(("x", "y"), torch.from_numpy(mesh)), end).numpy().reshape(57, 65), 0.0


def cases() -> dict[str, Case]:
    """By name."""
    pulse = load_problem(ROOT / "problems" / "wave_pulse.py")(0.4)
    lens = load_problem(ROOT / "problems" / "wave_lens.py")
    crossings = line(20.0)
    membrane = Wave(
        domain=Box(x=(-1, 1), y=(-1, 1), t=(0, 20)), speed=1.0,
        conditions=[Dirichlet(0), Initial(lambda p: torch.exp(-((p.x + 0.2) ** 2 + p.y**2) / 0.02), rate=0)],
    )  # fmt: skip
    wide = Initial(lambda p: torch.exp(-((p.x + 0.3) ** 2) / (8 * NARROW)), rate=0)
    jump = line(0.6, speed=lambda p: torch.where(p.x < 0, 1.0, FAST).to(p.x.dtype), conditions=[Absorbing(), wide])
    slanted = Wave(
        domain=Box(x=(-1, 1), y=(-0.5, 0.5), t=(0, 0.35)),
        speed=lambda p: torch.where(p.x < 0.1, 1.0, FAST).to(p.x.dtype),
        conditions=[
            Absorbing(on="left"), Absorbing(on="right"), Periodic("y"),
            Initial(lambda p: beam(p, 0.0), lambda p: beam(p, 0.0, rate=True)),
        ],
    )  # fmt: skip
    return {
        "the paper's pulse, t = 0.4": Case(
            pulse, 1e-8, referred(pulse, fourier_wave, 32),
            {"Fourier": ((8, 12, 16, 32), by(fourier_wave, pulse)), "leapfrog": ((128, 192), leapfrog(pulse))},
        ),
        "ten crossings, fixed ends, 1+1": Case(
            crossings, 1e-6,
            known(crossings, lambda x: np.exp(-((x + 0.3) ** 2) / (2 * NARROW))),
            {"Fourier": ((8, 16, 32), by(fourier_wave, crossings)), "leapfrog": ((800, 3200), leapfrog(crossings))},
        ),
        "ten crossings, fixed sides, 2+1": Case(
            membrane, 1e-5, referred(membrane, fourier_wave, 32),
            {"Fourier": ((4, 8, 16), by(fourier_wave, membrane)), "leapfrog": ((64, 96), leapfrog(membrane))},
        ),
        "lens, smooth, 2+1": Case(
            lens, 2e-5, referred(lens, spectral_wave, 48),
            {"spectral elements": ((24,), by(spectral_wave, lens)), "leapfrog": ((96, 192), leapfrog(lens))},
        ),
        "speed jumps from 1 to 2, 1+1": Case(
            jump, 1e-6, known(jump, through_a_jump),
            {"spectral elements": ((160,), by(spectral_wave, jump)), "leapfrog": ((800, 3200), leapfrog(jump))},
        ),
        "speed jumps from 1 to 2, slanted beam, 2+1": Case(
            slanted, 1e-4, lambda: refracted(0.35), {"leapfrog": ((128, 512), leapfrog(slanted))},
        ),
    }  # fmt: skip


def error_of(found: np.ndarray, truth: np.ndarray) -> float:
    """Relative L2 on equally spaced nodes."""
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


def at_lines(grid: GridSolution, problem: Wave, lines: dict[str, np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """A grid's final field, and which of the truth's nodes it shares."""
    own, field = final(grid, problem)
    picks = [np.flatnonzero(np.isclose(x[:, None], own[a], atol=1e-12).any(1)) for a, x in lines.items()]
    mine = [np.flatnonzero(np.isclose(own[a][:, None], x, atol=1e-12).any(1)) for a, x in lines.items()]
    return field[np.ix_(*mine)], picks


def crossings_figures(solution: Solution) -> tuple[float, float]:
    """Of the line: the relative error of the energy, and the largest relative error of a wave's speed, at the end."""
    problem = solution.problem
    assert problem is not None
    end = problem.domain.bounds["t"][1]
    # Between the ends a sine series: u = sum b_n sin(n pi (x + 1) / 2), and b_n - i b_n' / omega_n turns by omega_n t.
    count = 4000
    x = -1 + 2 * np.arange(1, count) / count
    modes = np.arange(1, 200)
    shapes = np.sin(np.outer(modes, np.pi * (x + 1) / 2)) * 2 / count
    turning, energy = [], []
    for t in (0.0, end):
        u = solution.jet(np.stack([x, np.full_like(x, t)], axis=1), ["t", "x"])
        energy.append(float((u.t.square() + u.x.square()).mean()))
        omega = modes * np.pi / 2
        turning.append(shapes @ u.value.numpy() - 1j * (shapes @ u.t.numpy()) / omega)
    # One may wait for whole turns: ten crossings are five periods of the lowest wave.
    loud = np.abs(turning[0]) > 1e-3 * np.abs(turning[0]).max()
    turned = np.angle(turning[1][loud] / turning[0][loud] * np.exp(-1j * omega[loud] * end))
    return abs(energy[1] / energy[0] - 1), float(np.abs(turned / (omega[loud] * end)).max())


def draw(solutions: dict[str, Solution], path: Path) -> None:
    """Every case at its final time: lines, or maps."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(solutions), figsize=(3.4 * len(solutions), 3.2), layout="constrained")
    for ax, (name, solution) in zip(np.atleast_1d(axes), solutions.items(), strict=True):
        problem = solution.problem
        assert problem is not None
        bounds = problem.domain.bounds
        lines = {a: np.linspace(*bounds[a], 401) if a != "t" else np.array([bounds["t"][1]]) for a in bounds}
        field = solution.on_grid(lines)["u"].squeeze(problem.domain.axes.index("t"))
        if field.ndim == 1:
            ax.plot(lines["x"], field, color="tab:blue")
        else:
            most = float(np.abs(field).max())
            ax.imshow(
                field.T, origin="lower", extent=(*bounds["x"], *bounds["y"]), cmap="RdBu_r", vmin=-most, vmax=most
            )
        ax.set_title(name, fontsize=8)
        ax.set_xlabel("x")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(options: argparse.Namespace) -> None:
    """Run all cases and write the table."""
    torch.set_num_threads(options.threads)
    rows, notes = [], []
    solutions: dict[str, Solution] = {}
    for name, case in cases().items():
        if options.only and options.only not in name:
            continue
        lines, truth, bar = case.truth()
        errors, estimates, seconds = [], [], []
        for seed in range(options.seeds):
            started = time.process_time()
            solution = solve(case.problem, tolerance=case.tolerance, seed=seed, budget=options.budget, progress=False)
            seconds.append(time.process_time() - started)
            estimates.append(solution.provenance.estimate)
            end = np.array([case.problem.domain.bounds["t"][1]])
            found = solution.on_grid({a: lines.get(a, end) for a in case.problem.domain.axes})["u"]
            errors.append(error_of(found.squeeze(case.problem.domain.axes.index("t")), truth))
        solutions[name] = solution
        ours, took = statistics.median(errors), statistics.median(seconds)
        rivals = []
        for rival, (resolutions, run) in case.classical.items():
            for cells in resolutions:
                started = time.process_time()
                grid = run(cells)
                spent = time.process_time() - started
                field, picks = at_lines(grid, case.problem, lines)
                reached = error_of(field, truth[np.ix_(*picks)])
                if reached <= ours:
                    break
            rivals.append((rival, reached, spent))
        beaten = [r for r in rivals if r[1] <= ours and r[2] < took]
        winner = min(beaten, key=lambda r: r[2])[0] if beaten else "slabs"
        shown = "; ".join(f"{r} {e:.1e} in {s:.2g} s" for r, e, s in rivals)
        rows.append(
            f"| {name} | {ours:.1e} [{min(errors):.1e}, {max(errors):.1e}] | {statistics.median(estimates):.1e} | "
            f"{f'{bar:.0e}' if bar else 'exact'} | {took:.2g} | {shown} | {winner} |"
        )
        print(rows[-1], flush=True)
        if "1+1" in name and "crossings" in name:
            energy, speed = crossings_figures(solution)
            notes.append(f"After ten crossings of the line: energy off by {energy:.1e}, wave speeds by {speed:.1e}.")
            print(notes[-1])
        notes.append(f"{name}: {solution.provenance.stages}")
    head = [
        "# Waves by slabs of time and patches of space", "",
        "| problem | slabs, relative L2 | estimated | bar of the truth | seconds | classical | faster at that error |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    foot = (
        f"Median [range] of {options.seeds} seeds, at the final time; seconds are processor time of the whole solve, "
        "with every attempt. Classical solvers: the coarsest of a few resolutions that reaches the slabs' error, else "
        "the finest. "
        f"{platform.machine()} CPU, {options.threads} threads, float64, torch {torch.__version__}. Made by "
        f"`python benchmarks/waves.py --seeds {options.seeds}`."
    )
    if not options.only:
        text = "\n".join([*head, *rows, "", *(f"- {note}" for note in notes), "", foot, ""])
        (ROOT / "results" / "waves.md").write_text(text, encoding="utf-8")
        draw(solutions, ROOT / "results" / "pictures" / "waves.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Waves by slabs beside classical solvers.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--budget", type=float, default=30.0)
    parser.add_argument("--only", help="one case, by a part of its name; writes no file")
    main(parser.parse_args())
