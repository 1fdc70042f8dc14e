"""Full-waveform inversion of a disc: a SIREN beside the classical grid, on the same data with the same Gauss-Newton.

    python benchmarks/inversion.py --seeds 5

Geometry and wavenumber are those of the SIREN paper's inversion (Sitzmann et al. 2020, arXiv 2006.09661, and its code):
k = 20 in [-1, 1]^2 with absorbing layers of 0.5, 5 sources below, 30 receivers on the other three sides, a disc in a
medium of speed 1. The data are the exact series of waves around a disc in open space, with noise: they share neither
grid nor discretization nor layer with the inversion. Every model stops where its misfit is the noise; the grids, which
are there with fewer waves, also go on to as many as the network took with the same noise. Writes results/inversion.md
and results/pictures/inversion.png.
"""

from __future__ import annotations

import argparse
import runpy
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np

from pinn_siren import UnknownField
from pinn_siren.reference.survey import Survey
from pinn_siren.waveform import GridMedium, Inverted, Medium, NetworkMedium, invert

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).parent.parent
STATED = runpy.run_path(str(ROOT / "problems" / "inversion.py"))
WAVENUMBER, BOUNDS, SOURCES, RECEIVERS = (STATED[n] for n in ("WAVENUMBER", "BOUNDS", "SOURCES", "RECEIVERS"))
CENTER, RADIUS, SPEED = (STATED[n] for n in ("CENTER", "RADIUS", "SPEED"))
NOISES = (0.01, 0.05)  # of the data's root mean square
OURS, ON = "SIREN, 128 wide, bounds", ", goes on"
SOLVER = 0.004  # the error of the inversion's solver, of the data's root mean square, as the noise


def survey(cells: int = 80) -> Survey:
    """The paper's sources and receivers."""
    return Survey(WAVENUMBER, SOURCES, RECEIVERS, cells=cells)


def measured(share: float, seed: int, width: float):
    """The series with noise, and the deviation that an inversion must reckon with."""
    exact = STATED["disc_waves"](width)
    size = np.sqrt(np.mean(np.abs(exact) ** 2) / 2)
    random = np.random.default_rng(100 + seed)
    noise = share * size * (random.standard_normal(exact.shape) + 1j * random.standard_normal(exact.shape))
    return exact + noise, float(size * np.hypot(share, SOLVER))


def true_speed(nodes):
    """1, and 2 in the disc."""
    return np.where(np.linalg.norm(nodes - CENTER, axis=1) < RADIUS, SPEED, 1.0)


def grids(s: Survey) -> dict[str, Medium]:
    """The classical models, by name."""
    free = {"grid, smooth over 0.03": GridMedium(s, 0.03, None)}
    return free | {f"grid, smooth over {n:g}, bounds": GridMedium(s, n, BOUNDS) for n in (0.03, 0.05)}


def network(s: Survey, seed: int) -> Medium:
    """Ours."""
    return NetworkMedium(s, UnknownField(1.0, bounds=BOUNDS, wavenumber=2 * WAVENUMBER, width=128), seed)


@dataclass(frozen=True)
class Run:
    """One inversion: the speed's mean squared error, CPU seconds, and what was found."""

    error: float
    seconds: float
    found: Inverted


def timed(s: Survey, data, noise: float, medium: Medium, steps: int, before: Run | None = None, most: int = 0) -> Run:
    """Invert, or go on from a run before to as many waves; compare with the truth."""
    started = time.process_time()
    if before is None:
        found = invert(s, data, noise, medium, steps)
    else:
        found = invert(s, data, noise, medium, steps, aim=0.0, most=most, start=before.found)
    seconds = time.process_time() - started + (before.seconds if before else 0.0)
    return Run(float(np.mean((found.speed - true_speed(s.nodes)) ** 2)), seconds, found)


def main() -> None:
    """Invert, write the table and draw the first seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    s = survey()
    found: dict[tuple[float, str], list[Run]] = {}
    for share in NOISES:
        for seed in range(options.seeds):
            data, noise = measured(share, seed, s.width)
            ours = timed(s, data, noise, network(s, seed), options.steps)
            found.setdefault((share, OURS), []).append(ours)
            for name, medium in grids(s).items():
                run = timed(s, data, noise, medium, options.steps)
                on = timed(s, data, noise, medium, options.steps, run, ours.found.solves)
                found.setdefault((share, name), []).append(run)
                found.setdefault((share, name + ON), []).append(on)
            for (of, name), runs in found.items():
                if of == share:
                    print(f"noise {share:.0%}, seed {seed}, {name}: {runs[-1].error:.2e}", flush=True)
    write(s, found, options)
    first = {name: runs for (share, name), runs in found.items() if share == NOISES[0]}
    median = {name: statistics.median(r.error for r in runs) for name, runs in first.items()}
    best = [min((n for n in first if n != OURS and ("bounds" in n) == held), key=median.__getitem__)
            for held in (False, True)]  # fmt: skip
    draw(s, {"true": true_speed(s.nodes)} | {name: first[name][0].found.speed for name in (*best, OURS)})


def write(s: Survey, found: dict[tuple[float, str], list[Run]], options: argparse.Namespace) -> None:
    """The table, the noise and then the model's name."""
    lines = ["| noise | model | parameters | speed MSE, median [range] | misfit | waves solved | CPU seconds |",
             "| --- | --- | --- | --- | --- | --- | --- |",
             f"| – | no disc | – | {np.mean((1 - true_speed(s.nodes)) ** 2):.1e} | – | – | – |"]  # fmt: skip
    sizes = {name: medium.size for name, medium in grids(s).items()} | {OURS: network(s, 0).size}
    for (share, name), runs in sorted(found.items(), key=lambda one: (one[0][0], one[0][1] == OURS)):
        errors = [r.error for r in runs]
        lines.append(
            f"| {share:.0%} | {name} | {sizes[name.removesuffix(ON)]} | "
            f"{statistics.median(errors):.1e} [{min(errors):.1e}, {max(errors):.1e}] | "
            f"{statistics.median(r.found.misfits[-1] for r in runs):.2f} | "
            f"{statistics.median(r.found.solves for r in runs):.0f} | "
            f"{statistics.median(r.seconds for r in runs):.0f} |"
        )
    lines += ["", f"Mean squared error of the speed over [-0.4, 0.4]^2, {options.seeds} seeds of noise and network; at "
              f"most {options.steps} steps, ended where the mean squared misfit is that of the noise, 1, but for rows "
              "that go on: these end after as many waves as the network took with the same data, or where they stall. "
              f"Made by `python benchmarks/inversion.py --seeds {options.seeds}`.", ""]  # fmt: skip
    (ROOT / "results" / "inversion.md").write_text("\n".join(lines), encoding="utf-8")


def draw(s: Survey, speeds) -> None:
    """The media side by side, in one scale."""
    figure, axes = plt.subplots(1, len(speeds), figsize=(3.2 * len(speeds), 3.3), layout="constrained")
    side = round(np.sqrt(len(s.nodes)))
    for ax, (name, speed) in zip(axes, speeds.items(), strict=True):
        extent = (-s.unknown, s.unknown, -s.unknown, s.unknown)
        image = ax.imshow(speed.reshape(side, side).T, origin="lower", extent=extent, vmin=0.9, vmax=2.2)
        ax.plot(*SOURCES.T, "r*", *RECEIVERS.T, "w.", markersize=4)
        ax.set(title=name, xlim=(-0.43, 0.43), ylim=(-0.43, 0.43), facecolor="0.3")
    figure.colorbar(image, ax=axes, label="speed")
    figure.savefig(ROOT / "results" / "pictures" / "inversion.png", dpi=80)
    plt.close(figure)


if __name__ == "__main__":
    main()
