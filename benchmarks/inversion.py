"""Full-waveform inversion of a disc: a SIREN beside the classical grid, on the same data with the same Gauss-Newton.

    python benchmarks/inversion.py --seeds 3

Geometry and wavenumber are those of the SIREN paper's inversion (Sitzmann et al. 2020, arXiv 2006.09661, and its code):
k = 20 in [-1, 1]^2 with absorbing layers of 0.5, 5 sources below, 30 receivers on the other three sides, a disc in a
medium of speed 1. The data are the exact series of waves around a disc in open space, with 1% noise: they share
neither grid nor discretization nor layer with the inversion. Writes results/inversion.md
and results/pictures/inversion.png.
"""

from __future__ import annotations

import argparse
import runpy
import statistics
import time
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
CENTER, RADIUS, SPEED, NOISE = (STATED[n] for n in ("CENTER", "RADIUS", "SPEED", "NOISE"))
SOLVER = 0.004  # the error of the inversion's solver, of the data's root mean square, as the noise


def survey(cells: int = 80) -> Survey:
    """The paper's sources and receivers."""
    return Survey(WAVENUMBER, SOURCES, RECEIVERS, cells=cells)


def measured(seed: int, width: float):
    """The series with noise, and the deviation that an inversion must reckon with."""
    exact = STATED["disc_waves"](width)
    size = np.sqrt(np.mean(np.abs(exact) ** 2) / 2)
    random = np.random.default_rng(100 + seed)
    noise = NOISE * size * (random.standard_normal(exact.shape) + 1j * random.standard_normal(exact.shape))
    return exact + noise, float(size * np.hypot(NOISE, SOLVER))


def true_speed(nodes):
    """1, and 2 in the disc."""
    return np.where(np.linalg.norm(nodes - CENTER, axis=1) < RADIUS, SPEED, 1.0)


def media(s: Survey, seed: int) -> dict[str, Medium]:
    """What is compared, by name."""
    field = UnknownField(1.0, bounds=BOUNDS, wavenumber=2 * WAVENUMBER, width=128)
    grids = {f"grid, smooth over {length:g}": GridMedium(s, length, None) for length in (0.03, 0.05, 0.08)}
    grids |= {f"grid, smooth over {length:g}, bounds": GridMedium(s, length, BOUNDS) for length in (0.02, 0.03, 0.05)}
    return grids | {"SIREN, 128 wide, bounds": NetworkMedium(s, field, seed)}


def main() -> None:
    """Invert, write the table and draw the first seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    s = survey()
    truth = true_speed(s.nodes)
    found: dict[str, list[tuple[float, float, Inverted]]] = {}
    for seed in range(options.seeds):
        data, noise = measured(seed, s.width)
        for name, medium in media(s, seed).items():
            started = time.process_time()
            inverted = invert(s, data, noise, medium, options.steps)
            spent = time.process_time() - started
            found.setdefault(name, []).append((float(np.mean((inverted.speed - truth) ** 2)), spent, inverted))
            print(f"seed {seed}, {name}: {found[name][-1][0]:.2e}, {spent:.0f} s", flush=True)
    lines = ["| model | parameters | speed MSE, median [range] | misfit | waves solved | CPU seconds |",
             "| --- | --- | --- | --- | --- | --- |",
             f"| no disc | – | {np.mean((1 - truth) ** 2):.1e} | – | – | – |"]  # fmt: skip
    sizes = {name: medium.size for name, medium in media(s, 0).items()}
    for name, runs in found.items():
        errors = [e for e, _, _ in runs]
        lines.append(
            f"| {name} | {sizes[name]} | {statistics.median(errors):.1e} [{min(errors):.1e}, {max(errors):.1e}] | "
            f"{statistics.median(r.misfits[-1] for _, _, r in runs):.2f} | "
            f"{statistics.median(r.solves for _, _, r in runs):.0f} | {statistics.median(t for _, t, _ in runs):.0f} |"
        )
    lines += ["", f"Mean squared error of the speed over [-0.4, 0.4]^2, {options.seeds} seeds of noise and network; at "
              f"most {options.steps} steps, ended where the misfit is that of the noise. Made by `python "
              f"benchmarks/inversion.py --seeds {options.seeds}`.", ""]  # fmt: skip
    (ROOT / "results" / "inversion.md").write_text("\n".join(lines), encoding="utf-8")
    grids = [name for name in found if name.startswith("grid")]
    best = min(grids, key=lambda name: statistics.median(e for e, _, _ in found[name]))
    plain = min((n for n in grids if "bounds" not in n), key=lambda n: statistics.median(e for e, _, _ in found[n]))
    draw(s, {"true": truth} | {n: found[n][0][2].speed for n in (plain, best, list(found)[-1])})


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
