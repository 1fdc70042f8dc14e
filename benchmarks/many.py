"""How many problems a second solve_many takes, against solve one after another, in one run.

python benchmarks/many.py: three batches, sources of one operator, wavenumbers of Helmholtz equations, and sources in
the SIREN paper's Helmholtz problem, which patches solve; processor seconds of one thread, and the largest relative
difference of the answers. Writes results/many.md.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pinn_siren import Box, Dirichlet, Helmholtz, Poisson, Problem, Solution, solve, solve_many
from pinn_siren.files import load_problem

ROOT = Path(__file__).parent.parent
TOLERANCE = 1e-6
SQUARE = Box(x=(0, 1), y=(0, 1))


def sources(n: int, seed: int) -> list[Problem]:
    """Poisson problems with a smooth random source each."""
    random = np.random.default_rng(seed)

    def one(a: list[float]) -> Problem:
        def source(p):
            return sum(c * torch.sin((i + 1) * torch.pi * p.x) * torch.sin(torch.pi * p.y) for i, c in enumerate(a))

        return Poisson(domain=SQUARE, source=source, conditions=[Dirichlet(0)])

    return [one(random.standard_normal(3).tolist()) for _ in range(n)]


def wavenumbers(n: int, seed: int) -> list[Problem]:
    """Helmholtz problems between two resonances, k from 5 to 6.5."""
    first = 5.0 + 0.01 * seed

    def source(p):
        return torch.sin(torch.pi * p.x) * torch.sin(2 * torch.pi * p.y)

    return [
        Helmholtz(domain=SQUARE, wavenumber=float(k), source=source, conditions=[Dirichlet(0)])
        for k in np.linspace(first, 6.5, n)
    ]


def layered(n: int, seed: int) -> list[Problem]:
    """The SIREN paper's Helmholtz problem, its source at random places of the physical region."""
    paper = load_problem(ROOT / "problems" / "helmholtz_paper.py")()
    places = np.random.default_rng(seed).uniform(-0.45, 0.45, (n, 2)).tolist()

    def one(x: float, y: float) -> Problem:
        def source(p):
            return torch.exp(-((p.x - x) ** 2 + (p.y - y) ** 2) / 2e-4) / (2 * torch.pi * 1e-4)

        return replace(paper, source=source)

    return [one(*place) for place in places]


def timed(work: Callable[[], list[Solution]]) -> tuple[float, list[Solution]]:
    """Processor seconds, and the solutions."""
    started = time.process_time()
    found = work()
    return time.process_time() - started, found


def difference(some: list[Solution], others: list[Solution]) -> float:
    """The largest relative one of the answers, L2 on a grid."""
    grid = np.stack(np.meshgrid(*[np.linspace(0.02, 0.98, 25)] * 2), axis=-1).reshape(-1, 2)
    pairs = [(a(grid), b(grid)) for a, b in zip(some, others, strict=True)]
    return max(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in pairs)


def main() -> None:
    """Run both batches both ways and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, default=64)
    parser.add_argument("--wavenumbers", type=int, default=16)
    parser.add_argument("--layered", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    # The first solve of a process imports and warms up.
    solve(sources(1, 0)[0], tolerance=1e-2, progress=False, device="cpu")
    lines = ["| batch | one by one, seconds | solve_many, seconds | problems a second | ratio | difference |",
             "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    cases = ((f"{options.sources} sources", sources, options.sources),
             (f"{options.wavenumbers} wavenumbers", wavenumbers, options.wavenumbers),
             (f"{options.layered} sources, SIREN paper's Helmholtz", layered, options.layered))  # fmt: skip
    for name, batch, n in cases:
        apart, together, off = [], [], []
        for seed in range(options.seeds):
            seconds, many = timed(
                lambda batch=batch, n=n, seed=seed: solve_many(
                    batch(n, seed), tolerance=TOLERANCE, seed=seed, progress=False
                )
            )
            together.append(seconds)
            seconds, alone = timed(
                lambda batch=batch, n=n, seed=seed: [
                    solve(p, tolerance=TOLERANCE, seed=seed, progress=False, device="cpu") for p in batch(n, seed)
                ]
            )
            apart.append(seconds)
            off.append(difference(many, alone))
        one, all_ = statistics.median(apart), statistics.median(together)
        lines.append(
            f"| {name} | {_shown(apart)} | {_shown(together)} | {n / all_:.3g} | {one / all_:.2g} | {max(off):.0e} |"
        )
        print(lines[-1], flush=True)
    lines += ["", f"Processor seconds of one thread, median [range] of {options.seeds} seeds, tolerance {TOLERANCE:g}; "
              f"the largest relative L2 difference of the answers; {platform.machine()} CPU, 1 thread, float64, torch "
              f"{torch.__version__}. Made by `python benchmarks/many.py --sources {options.sources} --wavenumbers "
              f"{options.wavenumbers} --layered {options.layered} --seeds {options.seeds}`.", ""]  # fmt: skip
    (ROOT / "results" / "many.md").write_text("\n".join(lines), encoding="utf-8")


def _shown(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2g} [{min(seconds):.2g}, {max(seconds):.2g}]"


if __name__ == "__main__":
    main()
