"""Least squares of many features: the matrix held, some rows at a time by QR, and by Gram matrices.

    python benchmarks/large.py
    python benchmarks/large.py --device cuda --features 20000 --rows 60000

prints a table: seconds, the peak of the memory beyond what the process began with, the residual in units of the held
matrix's, and the relative L2 error. The problem is ``poisson_3d`` of ``rows.py``. ``compare`` is for other scripts.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import torch
from rows import ROWS

from pinn_siren import Sampler
from pinn_siren.ansatz.derive import BuiltIn
from pinn_siren.build import build_model
from pinn_siren.memory import Chunks
from pinn_siren.optimizers.features import sine_features
from pinn_siren.optimizers.least_squares import LastLayer
from pinn_siren.scales import measure_scales
from pinn_siren.system import System

SIZES = {"cpu": (2_000, 6_000), "cuda": (20_000, 60_000)}
WAYS = ("held", "qr", "gram")
BAND = 8.0
"""Radians per half-width: what some thousand features of this problem want."""


@dataclass(frozen=True)
class Measured:
    """One solve: ``seconds``; ``peak`` in bytes beyond the start; the weighted ``residual``; ``error``: relative L2."""

    way: str
    features: int
    rows: int
    device: str
    seconds: float
    peak: int
    residual: float
    error: float


def measure(way: str, features: int, rows: int, device: str, chunk: int | None = None) -> Measured:
    """Solve once in this process. ``way``: ``"held"``, ``"qr"`` or ``"gram"``; ``chunk``: points at a time of the last
    two, a tenth of the rows unless given. On the CPU the peak is that of the process: measure one way a process."""
    problem = ROWS["poisson_3d"]().problem
    assert problem.exact is not None
    network = sine_features(features // 2 * 2, dict.fromkeys("xyz", BAND), 1, torch.Generator().manual_seed(1))
    model = build_model(problem, measure_scales(problem), network, torch.float64, 0, BuiltIn(None)).to(device)
    system = System(problem)
    sampler = Sampler(torch.Generator(device).manual_seed(2), torch.float64, "chebyshev")
    inside = 3 * rows // 4
    points = system.sample({c.name: inside if c.on_interior else rows - inside for c in system.constraints}, sampler)
    chunks = None if way == "held" else Chunks("points", chunk or max(1, rows // 10))
    solver = LastLayer(system, model, points, True, gram=way == "gram", chunks=chunks)
    cuda = torch.device(device).type == "cuda"
    if cuda:
        torch.zeros(1, device=device)
        torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device) if cuda else _resident()
    started = time.perf_counter()
    solver.step()
    if cuda:
        torch.cuda.synchronize(device)
    seconds = time.perf_counter() - started
    peak = (torch.cuda.max_memory_allocated(device) if cuda else _resident()) - before
    at = problem.domain.interior(2_000, Sampler(torch.Generator(device).manual_seed(3), torch.float64))
    with torch.no_grad():
        exact = problem.exact(at)
        error = float((model(at)[:, 0] - exact).norm() / exact.norm())
    return Measured(way, features, rows, device, seconds, peak, solver.residual, error)


def compare(device: str, features: int | None = None, rows: int | None = None) -> list[Measured]:
    """All ways, each in a process of its own; the size by the device unless given."""
    usual = SIZES["cuda" if torch.device(device).type == "cuda" else "cpu"]
    one = partial(_alone, features=features or usual[0], rows=rows or usual[1], device=device)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        return list(pool.map(one, WAYS, [torch.get_num_threads()] * len(WAYS)))


def _alone(way: str, threads: int, features: int, rows: int, device: str) -> Measured:
    torch.set_num_threads(threads)
    return measure(way, features, rows, device)


def _resident() -> int:
    """The most bytes that this process held so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def table(found: list[Measured]) -> str:
    """Markdown."""
    held = next(m for m in found if m.way == "held")
    names = {"held": "matrix held", "qr": "rows some at a time, QR", "gram": "the same, Gram matrices"}
    lines = [
        f"{held.features:,} features, {held.rows:,} rows, float64, on {held.device}:",
        "",
        "| way | seconds | peak, GB | residual over the first | relative L2 |",
        "| --- | --- | --- | --- | --- |",
    ]
    for m in found:
        size = f"{m.seconds:.2f} | {m.peak / 1e9:.2f} | {m.residual / held.residual:.3f} | {m.error:.1e}"
        lines.append(f"| {names[m.way]} | {size} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--features", type=int)
    parser.add_argument("--rows", type=int)
    options = parser.parse_args()
    print(table(compare(options.device, options.features, options.rows)))


if __name__ == "__main__":
    main()
