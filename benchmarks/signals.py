"""Images as networks: the figures of problems/image.py, image_poisson.py and inpainting.py in one table.

    python benchmarks/signals.py

writes results/signals.md and results/pictures/signals.png (PSNR against seconds). Finished runs are kept in
results/signals.json, each with its commit, and skipped when it is started again on the same machine unless --again;
--size 64 makes a small version in minutes, --points 4096 takes as many pixels a step at most. Seconds are the process's
own on its cores, as a quiet machine would take on one.
"""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from matplotlib.figure import Figure
from torch import nn

from pinn_siren import MLP, Adam, Problem, Siren, Trainer
from pinn_siren.files import load_problem
from pinn_siren.optimizers import LongWaves
from pinn_siren.plan import DERIVATIVES_RATE, precision
from pinn_siren.provenance import environment
from pinn_siren.series import SeriesSiren
from pinn_siren.storage import make_folder, replacing, write_text

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results"
FIGURES = ("PSNR (dB)", "SSIM", "gradient PSNR (dB)", "Laplacian PSNR (dB)", "discrete solve, PSNR (dB)")
HEAD = (
    "| problem | network | training | image PSNR, dB | SSIM | gradient PSNR, dB | Laplacian PSNR, dB "
    "| discrete solve, dB | steps | points a step | core seconds |\n"
    f"{'| --- ' * 11}|\n"
)
LIMIT = 220.0
PIECE = 4096
"""Points that are evaluated at a time: what they keep stays in the cache."""
Runs = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Row:
    """One run: the file and its options, the network (the default one where None), the training."""

    file: str
    title: str
    training: str
    stage: Adam
    options: dict[str, Any] = field(default_factory=dict)
    network: Callable[[torch.Generator], nn.Module] | None = None
    whole: bool = False
    """All pixels at every step, instead of a part."""
    limit: float = LIMIT


def authors(generator: torch.Generator) -> nn.Module:
    """The network of the authors' notebook: 256 units, three hidden layers after the first, omega 30."""
    return Siren(2, 1, width=256, depth=4, omega=30.0, dtype=torch.float32, generator=generator)


def other(activation: str, encoding: int = 0) -> Callable[[torch.Generator], nn.Module]:
    """A network of the same size with another activation function."""
    return lambda g: MLP(2, 1, 256, 4, activation, encoding, dtype=torch.float32, generator=g)


NOTEBOOK = Adam(steps=500, lr=1e-4, schedule="constant", warmup=0)
SLOPES = Adam(steps=2500, lr=DERIVATIVES_RATE)
ROWS = (
    Row("image", "image", "as its authors: 500 steps, lr 1e-4", NOTEBOOK, network=authors, whole=True),
    Row("image", "image, ReLU", "as its authors", NOTEBOOK, network=other("relu"), whole=True),
    Row("image", "image, tanh", "as its authors", NOTEBOOK, network=other("tanh"), whole=True),
    Row("image", "image, ReLU, encoded", "as its authors", NOTEBOOK, network=other("relu", 8), whole=True),
    Row("image", "image", "500 steps of the default", Adam(steps=500)),
    Row("image", "image", "default", Adam(steps=20_000), limit=600.0),
    Row("image_poisson", "image from its gradient", "default", SLOPES),
    Row("image_poisson", "image from its Laplacian", "default", SLOPES, {"of": "laplacian"}, limit=400.0),
    Row("image_poisson", "gradients of two images", "default", SLOPES, {"blend": "moon"}),
    *(
        Row("inpainting", f"image from a tenth, prior: {prior}", "default", Adam(steps=2000), {"prior": prior})
        for prior in ("none", "tv", "hessian")
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """Which image, of which size, which rows."""

    size: int = 256
    seed: int = 1
    only: str = ""
    """Rows whose title and training hold this alone."""
    points: int = 0
    """Pixels of each step at most; 0: as the row says."""
    steps: int = 0
    """Steps of each row at most; 0: as the row says."""
    again: bool = False
    """Run rows once more that are there already."""


def main(options: Options) -> None:
    """Run what has not been run; the table and the picture are written after each."""
    # Budgets, schedules and curves alike: what else the machine does changes none of them.
    time.perf_counter = time.process_time
    made = environment()
    commit = {name: made.pop(name) for name in ("git_commit", "git_dirty") if name in made}
    here = {"machine": platform.node(), "threads": torch.get_num_threads(), **made}
    kept = make_folder(RESULTS) / "signals.json"
    found = json.loads(kept.read_text()) if kept.exists() else {}
    runs: Runs = found["runs"] if found.get("here") == here else {}
    for row in ROWS:
        key = key_of(row, options)
        if (key in runs and not options.again) or options.only not in f"{row.title}: {row.training}":
            continue
        runs[key] = run(row, options) | commit
        write_text(kept, json.dumps({"here": here, "runs": runs}, indent=1) + "\n")
        show(runs, options)
        print(f"{key}: {runs[key]['metrics']}", flush=True)
    show(runs, options)
    print(table(runs, options))


def show(runs: Runs, options: Options) -> None:
    """Write the table and the picture."""
    write_text(RESULTS / "signals.md", table(runs, options))
    draw(RESULTS / "pictures" / "signals.png", runs)


def key_of(row: Row, options: Options) -> str:
    """What names a run."""
    limits = f"{options.points} points, {options.steps} steps at most"
    return f"{row.title}, {row.training}, {options.size} pixels, {limits}, seed {options.seed}"


def run(row: Row, options: Options) -> dict[str, Any]:
    """Train one row, and measure it."""
    make = load_problem(ROOT / "problems" / f"{row.file}.py")
    assert not isinstance(make, Problem)
    problem = make(size=options.size, **row.options)
    network = None if row.network is None else row.network(torch.Generator().manual_seed(options.seed))
    points = min(problem.samples, options.points or problem.samples) if row.whole else options.points or None
    trainer = Trainer(
        problem, network, seed=options.seed, points=points, dtype=precision(problem.is_signal), progress=False
    )
    stage = replace(row.stage, steps=min(row.stage.steps, options.steps or row.stage.steps))
    trainer.objective.chunks.rows = min(PIECE, trainer.objective.chunks.rows)
    trainer.run(stage, budget=row.limit)
    if problem.of_derivatives and row.network is None:
        trainer.run(LongWaves())
    metrics = problem.metrics(trainer.solution())
    scale = trainer.scales.amplitude**2
    curve = [
        (s, -10 * math.log10(scale * loss)) for s, loss in zip(trainer.history["seconds"], losses(trainer), strict=True)
    ]
    return {
        "title": row.title,
        "training": row.training,
        "points": sum(trainer.objective.counts.values()),
        "metrics": metrics,
        "steps": trainer.steps,
        "seconds": trainer.seconds,
        "network": describe(trainer),
        "curve": curve if row.file == "image" else [],
    }


def losses(trainer: Trainer) -> list[float]:
    """The recorded losses, kept above zero."""
    return [max(loss, 1e-30) for loss in trainer.history["loss"]]


def describe(trainer: Trainer) -> str:
    """The network in a few words."""
    network = trainer.model.network
    network = network.siren if isinstance(network, SeriesSiren) else network
    first = f", omega {network.omegas[0]:.3g}" if isinstance(network, Siren) else ""
    return (
        f"{type(trainer.model.network).__name__} {getattr(network, 'width', '')}x{getattr(network, 'depth', '')}{first}"
    )


def table(runs: Runs, options: Options) -> str:
    """The table of what has been run."""
    lines = []
    for done in runs.values():
        figures = [f"{done['metrics'][name]:.4g}" if name in done["metrics"] else "" for name in FIGURES]
        counts = [str(done["steps"]), str(done["points"]), f"{done['seconds']:.0f}"]
        cells = [done["title"], done["network"], done["training"], *figures, *counts]
        lines.append("| " + " | ".join(cells) + " |")
    foot = (
        f"camera, {options.size} pixels a side, at the pixels themselves; the authors take all pixels at every step. "
        f"Of an image from its derivatives the constant is fitted by least squares. "
        f"{platform.machine()} CPU, {torch.get_num_threads()} threads, float32, "
        f"torch {torch.__version__}, seed {options.seed}. Made by `python benchmarks/signals.py`.\n"
    )
    return HEAD + "\n".join(lines) + "\n\n" + foot


def draw(path: Path, runs: Runs) -> None:
    """PSNR of the pixels of each step against seconds."""
    make_folder(path.parent)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for done in runs.values():
        if done["curve"]:
            label = f"{done['title']}, {done['training']}: {done['steps']} steps, {done['seconds']:.0f} s"
            axes.plot(*zip(*done["curve"], strict=True), label=label, linewidth=1)
    axes.set(xlabel="seconds", ylabel="PSNR of a step's pixels, dB", xscale="log")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
