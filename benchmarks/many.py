"""How many problems a second solve_many takes, against solve one after another, in one run.

python benchmarks/many.py: two batches, sources of one operator and wavenumbers of Helmholtz equations; processor
seconds of one thread, and the largest relative difference of the answers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import torch

from pinn_siren import Box, Dirichlet, Helmholtz, Poisson, Problem, Solution, solve, solve_many

TOLERANCE = 1e-6
SQUARE = Box(x=(0, 1), y=(0, 1))


def sources(n: int) -> list[Problem]:
    """Poisson problems with a smooth random source each."""
    random = np.random.default_rng(3)

    def one(a: list[float]) -> Problem:
        def source(p):
            return sum(c * torch.sin((i + 1) * torch.pi * p.x) * torch.sin(torch.pi * p.y) for i, c in enumerate(a))

        return Poisson(domain=SQUARE, source=source, conditions=[Dirichlet(0)])

    return [one(random.standard_normal(3).tolist()) for _ in range(n)]


def wavenumbers(n: int) -> list[Problem]:
    """Helmholtz problems between two resonances, k from 5 to 6.5."""

    def source(p):
        return torch.sin(torch.pi * p.x) * torch.sin(2 * torch.pi * p.y)

    return [
        Helmholtz(domain=SQUARE, wavenumber=float(k), source=source, conditions=[Dirichlet(0)])
        for k in np.linspace(5.0, 6.5, n)
    ]


def timed(work: Callable[[], list[Solution]]) -> tuple[float, list[Solution]]:
    """Processor seconds, and the solutions."""
    started = time.process_time()
    found = work()
    return time.process_time() - started, found


def main() -> None:
    """Print a table."""
    torch.set_num_threads(1)
    grid = np.stack(np.meshgrid(*[np.linspace(0.02, 0.98, 25)] * 2), axis=-1).reshape(-1, 2)
    # The first solve of a process imports and warms up.
    solve(sources(1)[0], tolerance=1e-2, progress=False, device="cpu")
    print(f"{'batch':16} {'one by one':>14} {'solve_many':>14} {'ratio':>6} {'difference':>10}")
    for name, problems in (("64 sources", sources(64)), ("16 wavenumbers", wavenumbers(16))):
        together, many = timed(lambda problems=problems: solve_many(problems, tolerance=TOLERANCE, progress=False))
        apart, alone = timed(
            lambda problems=problems: [solve(p, tolerance=TOLERANCE, progress=False, device="cpu") for p in problems]
        )
        pairs = [(a(grid), b(grid)) for a, b in zip(many, alone, strict=True)]
        off = max(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in pairs)
        rates = len(problems) / np.array([apart, together])
        print(f"{name:16} {rates[0]:12.3g}/s {rates[1]:12.3g}/s {rates[1] / rates[0]:6.1f} {off:10.1e}")
        if not math.isfinite(off):
            raise SystemExit("the answers are not finite")


if __name__ == "__main__":
    main()
