"""Every measurement of speed on a GPU, in one command and one table.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --device cpu --only step

is made to end within nine minutes on a data-centre GPU and writes results/gpu.md and results/gpu.png. On a CPU the
same code runs at a tenth of the size (``--small``: much smaller, to see that it runs) and writes results/step.md and
results/step.png. What fails is said in its place in the table, and the rest goes on.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import torch
from step import POINTS, WIDTH, race, sweep

from pinn_siren import GaussNewton, Points, Siren, Trainer, solve
from pinn_siren.files import load_problem
from pinn_siren.provenance import environment
from pinn_siren.storage import write_text

ROOT = Path(__file__).parent.parent
LAUNCH = 1.5
"""A step is bound by launches while it takes less than this many times the shortest one."""
BUSY = 0.5
"""A step is bound by arithmetic from this share of the measured rate of matrix products on."""


@dataclass(frozen=True)
class Size:
    """How large everything is: by how much the points are divided, which widths and point numbers, and for how long."""

    divided: int
    points: tuple[int, ...]
    widths: tuple[int, ...]
    repeats: int
    wave_seconds: float
    helmholtz_seconds: float
    features: int
    compile: bool


SIZES = {
    "cuda": Size(
        1, (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000), (64, 128, 256, 512, 1024), 15, 120, 60, 20_000,
        True,
    ),
    "cpu": Size(10, (1_000, 3_000, 10_000), (64, 128, 256), 15, 60, 60, 2_000, True),
    "small": Size(200, (100, 300), (8, 16), 3, 3, 3, 200, False),
}  # fmt: skip
Part = Callable[[str, Size, Path], str]


def paper_step(device: str, size: Size, plot: Path) -> str:
    """The paper's Helmholtz step against nested autograd."""
    points, width = POINTS // size.divided, WIDTH if size.compile else 16
    ways = race(device, points, size.repeats, width, size.compile)
    lines = [
        f"The SIREN paper's Helmholtz step: {points:,} points, {width} x 3 hidden, complex output, "
        "value, first and second derivatives, Adam, float32.",
        "",
        "| step | ms | times faster | share of the float32 matrix rate |",
        "| --- | --- | --- | --- |",
    ]
    return "\n".join(lines + [f"| {w.name} | {w.milliseconds:.1f} | {w.ratio:.2f} | {w.share:.0%} |" for w in ways])


def regimes(device: str, size: Size, plot: Path) -> str:
    """The time of a step against points and width."""
    middle = size.widths[len(size.widths) // 2]
    by_points = sweep(device, [(n, middle) for n in size.points])
    by_width = sweep(device, [(POINTS // size.divided, w) for w in size.widths])
    lines = ["| points | width | ms | share of the float32 matrix rate |", "| --- | --- | --- | --- |"]
    lines += [f"| {n:,} | {w} | {1e3 * t:.2f} | {share:.0%} |" for n, w, t, share in by_points + by_width]
    shortest = min(t for _, _, t, _ in by_points)
    bound = [n for n, _, t, _ in by_points if t < LAUNCH * shortest]
    busy = [n for n, _, _, share in by_points if share >= BUSY]
    said = f"At width {middle} launches take the time up to {max(bound):,} points; arithmetic takes it "
    said += f"from {min(busy):,} on." if busy else "nowhere."
    _draw(by_points, by_width, plot)
    return "\n".join([*lines, "", said])


def _draw(
    by_points: list[tuple[int, int, float, float]], by_width: list[tuple[int, int, float, float]], at: Path
) -> None:
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axis, rows, column, name in ((axes[0], by_points, 0, "points"), (axes[1], by_width, 1, "width")):
        axis.loglog([r[column] for r in rows], [1e3 * r[2] for r in rows], "o-", color="black")
        axis.set(xlabel=name, ylabel="milliseconds a step")
        share = axis.twinx()
        share.semilogx([r[column] for r in rows], [100 * r[3] for r in rows], "s--", color="tab:blue")
        share.set_ylabel("% of the matrix rate", color="tab:blue")
        share.set_ylim(0, 100)
    at.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(at, dpi=120)
    pyplot.close(figure)


def large(device: str, size: Size, plot: Path) -> str:
    """Least squares of many features."""
    from large import compare, table

    return table(compare(device, size.features, 3 * size.features))


def wave(device: str, size: Size, plot: Path) -> str:
    """All layers trained on the wave equation by Gauss-Newton."""
    problem = load_problem(ROOT / "problems" / "wave.py")
    network = Siren(2, 1, 60, 4, 1.0, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        # The highest wavenumber is in the weights, as in the default network of Gauss-Newton.
        next(network.parameters()).mul_(6.0)
    trainer = Trainer(problem, network, device=device, progress=False)
    outcome = trainer.run(GaussNewton(steps=100_000, patience=60), tolerance=1e-14, budget=size.wave_seconds)
    p = problem.domain.interior(10_000, trainer.objective.sampler)
    with torch.no_grad():
        exact = problem.exact(p)
        error = float((trainer.model(p)[:, 0] - exact).norm() / exact.norm())
    return (
        f"Wave equation, 1+1, c = 2, two modes, SIREN 4 x 60 by Gauss-Newton, float64: relative L2 {error:.1e} after "
        f"{trainer.seconds:.0f} s and {outcome.steps} steps ({outcome.message})."
    )


def paper_trained(device: str, size: Size, plot: Path) -> str:
    """The paper's Helmholtz problem by a trained SIREN."""
    problem = load_problem(ROOT / "problems" / "helmholtz_paper.py")()
    solution = solve(
        problem, method="gauss-newton", tolerance=1e-4, budget=size.helmholtz_seconds, device=device, progress=False
    )
    # Frozen features on patches are certified to 1e-6 by the reference, and need no fine grid.
    truth = solve(problem, tolerance=1e-6, device="cpu", progress=False)
    axes = [torch.linspace(-0.5, 0.5, 101, dtype=torch.float64)] * 2
    p = Points(("x", "y"), torch.stack([g.reshape(-1) for g in torch.meshgrid(*axes, indexing="ij")], dim=1))
    error = float((solution(p) - truth(p)).norm() / truth(p).norm())
    return (
        f"The paper's Helmholtz problem by a trained SIREN ({solution.provenance.method}, {solution.parameters} "
        f"parameters): relative L2 {error:.1e} to the solution on patches, {solution.provenance.seconds:.0f} s."
    )


PARTS: dict[str, Part] = {
    "step": paper_step, "sweep": regimes, "large": large, "helmholtz": paper_trained, "wave": wave,
}  # fmt: skip


def run(device: str, size: Size, only: list[str], out: Path) -> str:
    """Measure part after part, and write the table after each."""
    started, done = time.perf_counter(), [machine(device)]
    for name in only:
        began = time.perf_counter()
        try:
            said = PARTS[name](device, size, out.with_suffix(".png"))
        except Exception as error:
            said = f"{name} failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        print(f"{said}\n({name}: {time.perf_counter() - began:.0f} s)\n", flush=True)
        done.append(said)
        total = f"All of it took {time.perf_counter() - started:.0f} s."
        write_text(out, "\n\n".join([*done, total]) + "\n")
    return "\n\n".join(done)


def machine(device: str) -> str:
    """The device, its driver, torch, and the commit."""
    versions = environment()
    known = [f"torch {versions['torch']}", f"commit {str(versions.get('git_commit', 'unknown'))[:10]}"]
    if torch.device(device).type == "cuda":
        try:
            asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
            driver = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=20).stdout.split()[0]
        except (OSError, subprocess.SubprocessError, IndexError):
            driver = "unknown"
        return ", ".join([torch.cuda.get_device_name(device), f"driver {driver}", f"CUDA {torch.version.cuda}", *known])
    return ", ".join([f"CPU, {torch.get_num_threads()} threads", *known])


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", default=",".join(PARTS), help="some of " + ", ".join(PARTS))
    parser.add_argument("--small", action="store_true", help="to see that it runs")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    kind = torch.device(options.device).type
    out = options.out or ROOT / "results" / ("gpu.md" if kind == "cuda" else "step.md")
    run(options.device, SIZES["small" if options.small else kind], options.only.split(","), out)


if __name__ == "__main__":
    main()
