"""Unseen faces from some of their pixels: the space of functions beside what else can be made of the same pixels.

    python benchmarks/function_space.py --budget 600

writes results/function_space.md and results/pictures/function_space.png. The single SIREN has the size of the space's
members and is trained on one context alone; the Gaussian is the best linear guess from the other faces.
"""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

from pinn_siren import Adam, Box, Data, Problem, Siren, Trainer, solve
from pinn_siren.files import load_problem
from pinn_siren.hyper import INNER, HyperSiren
from pinn_siren.images import pixels, psnr
from pinn_siren.images.space import ImageSpace
from pinn_siren.storage import make_folder, write_text

ROOT = Path(__file__).parent.parent
HEAD = "| pixels given | space of functions | single SIREN | mean face | Gaussian of faces |\n" + "| --- " * 5 + "|\n"


@dataclass(frozen=True)
class Options:
    """How long the space is trained, and how the single SIRENs are."""

    budget: float | None = None
    steps: int | None = None
    images: int = 20
    """Unseen faces that single SIRENs are trained on."""
    single: int = 300
    """Steps of each."""
    seed: int = 0


def single(problem: ImageSpace, network: HyperSiren, member: int, options: Options) -> float:
    """PSNR of one SIREN that knows the context of one member alone."""
    image = problem.images[..., problem.source[member]]
    at = np.flatnonzero(problem.given[member])
    points, values = pixels(image[..., None]), image.reshape(-1)
    nx, ny = image.shape
    alone = Problem(domain=Box(x=(0, nx - 1), y=(0, ny - 1)), conditions=[Data(points[at], values[at])])
    generator = torch.Generator().manual_seed(options.seed)
    width, depth = network.sizes["width"], network.sizes["depth"]
    siren = Siren(2, 1, width, depth, [network.omegas[0]] + [INNER] * (depth - 1), generator=generator)
    trainer = Trainer(alone, siren, dtype=torch.float32, seed=options.seed, points=1000, progress=False)
    trainer.run(Adam(steps=options.single))
    return psnr(trainer.solution()(points).reshape(nx, ny), image)


def main(options: Options) -> None:
    """Train the space, compare, and write the table."""
    problem = load_problem(ROOT / "problems" / "function_space.py")()  # type: ignore[operator]
    assert isinstance(problem, ImageSpace)
    solution = solve(problem, budget=options.budget, steps=options.steps, seed=options.seed)
    found, network = problem.metrics(solution), solution.model.network
    assert isinstance(network, HyperSiren)
    counts = problem.given[problem.unseen].sum(1)
    lines = []
    for count in np.unique(counts):
        members = problem.unseen[counts == count][: options.images]
        alone = np.mean([single(problem, network, int(m), options) for m in members])
        others = [found[f"PSNR{name}, {count} pixels (dB)"] for name in ("", ", mean image", ", Gaussian")]
        cells = [f"{figure:.2f}" for figure in (others[0], alone, *others[1:])]
        lines.append(f"| {count} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    made = solution.provenance
    faces = len(counts) // len(np.unique(counts))
    foot = (
        f"Mean PSNR in dB over {faces} faces that training never saw (single SIREN: over {len(members)} of them, "
        f"{options.single} steps each). {made.method}, {solution.parameters} parameters, {made.seconds:.0f} s, "
        f"{made.dtype}, {platform.machine()} CPU, {made.threads} threads, seed {made.seed}. "
        "Made by `python benchmarks/function_space.py`.\n"
    )
    write_text(ROOT / "results" / "function_space.md", HEAD + "\n".join(lines) + "\n\n" + foot)
    (drawn,) = problem.draw(solution, make_folder(ROOT / "results" / "function_space"))
    shutil.copy(drawn, make_folder(ROOT / "results" / "pictures") / "function_space.png")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
