"""One trained network over the whole domain beside frozen features on patches: the SIREN paper's two problems.

    python benchmarks/trained.py --only helmholtz --methods gauss-newton --cpu 900
    python benchmarks/trained.py --table

Each row ends after ``--cpu`` seconds of the process, or sooner by its own judgement, and is kept in
results/trained_rows.json, so that a run goes on where another ended; ``--table`` writes results/trained.md and
results/pictures/trained.png from what is there. Errors are relative L2, and mean squares over the same points, against
patches at 1e-6 (Helmholtz, the inner square, which has no layer) and a Fourier series (wave, all times).
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

from pinn_siren import LBFGS, Adam, Points, Problem, Solution, Trainer, solve
from pinn_siren.files import load_problem
from pinn_siren.model import Model
from pinn_siren.reference import solve_helmholtz, solve_wave
from pinn_siren.reference.wave_fourier import fourier_wave

ROOT = Path(__file__).parent.parent
ROWS, CACHE = ROOT / "results" / "trained_rows.json", ROOT / "build" / "trained"
NODES = 101
METHODS = ("adam", "adam, then l-bfgs", "gauss-newton", "patches", "finite differences")
PAPER = {"helmholtz": "7.9e-6", "wave": "1.5e-4 to 2.5e-4"}
ENDLESS = 10**7


def problem(name: str) -> Problem:
    """The gallery's statement."""
    return load_problem(ROOT / "problems" / {"helmholtz": "helmholtz_paper.py", "wave": "wave_pulse.py"}[name])()


def grid(name: str) -> tuple[Points, tuple[int, ...]]:
    """Where errors are measured: equally spaced, and the shape."""
    if name == "helmholtz":
        lines = [np.linspace(-0.5, 0.5, NODES)] * 2
    else:
        lines = [np.linspace(-1, 1, NODES)] * 2 + [np.linspace(0, 0.4, 5)]
    places = np.stack([g.reshape(-1) for g in np.meshgrid(*lines, indexing="ij")], axis=1)
    return Points(("x", "y", "t")[: len(lines)], torch.from_numpy(places)), tuple(len(x) for x in lines)


def truth(name: str) -> np.ndarray:
    """The field on the grid, made once."""
    CACHE.mkdir(parents=True, exist_ok=True)
    kept = CACHE / f"{name}_truth.npy"
    if not kept.exists():
        if name == "helmholtz":
            points, shape = grid(name)
            found = (
                solve(problem(name), method="patches", tolerance=1e-6, progress=False)(points).reshape(shape).numpy()
            )
        else:
            found = by_reference(fourier_wave, NODES - 1)
        np.save(kept, found)
    return np.load(kept)


def by_reference(solver: Callable[..., object], cells: int) -> np.ndarray:
    """A classical solver's field of the pulse on the grid."""
    stated = problem("wave")
    shown = {"x": cells, "y": cells, "t": 4}
    found = solver(stated.domain, cells=shown, speed=1.0, source=0.0, conditions=stated.conditions)  # type: ignore[attr-defined]
    values = getattr(found, "finest", found).values["u"]
    step = cells // (NODES - 1)
    return values[::step, ::step]


def errors(name: str, field: np.ndarray) -> dict[str, float]:
    """Relative L2, and the mean square of the difference; of the wave both at the last time too."""
    u = truth(name)
    figures = {"l2": float(np.linalg.norm(field - u) / np.linalg.norm(u)), "mse": float((abs(field - u) ** 2).mean())}
    if name == "wave":
        last, end = field[..., -1], u[..., -1]
        figures |= {
            "l2 at the end": float(np.linalg.norm(last - end) / np.linalg.norm(end)),
            "mse at the end": float(((last - end) ** 2).mean()),
        }
    return figures


class Clock:
    """Seconds of this process, the way there, and the end of a row."""

    def __init__(self, name: str, limit: float) -> None:
        self.name, self.limit, self.began = name, limit, time.process_time()
        self.measuring, self.way, self.records = 0.0, list[tuple[float, float]](), 0
        self.points, self.shape = grid(name)

    @property
    def seconds(self) -> float:
        """What was spent, without measuring errors."""
        return time.process_time() - self.began - self.measuring

    def __call__(self, _: float, model: Model) -> None:
        """A record of the training: the error now and then."""
        self.records += 1
        if not self.way or self.seconds > 1.04 * self.way[-1][0] + 2:
            now, started = self.seconds, time.process_time()
            with torch.no_grad():
                came = model(self.points)[:, 0]
            error = errors(self.name, came.reshape(self.shape).numpy())["l2"]
            self.way.append((now, error))
            print(f"{self.name} {now:.0f} s, {error:.2e}", flush=True)
            self.measuring += time.process_time() - started
        if self.seconds > self.limit:
            raise KeyboardInterrupt


def trained(name: str, method: str, limit: float, seed: int, keep: Path) -> dict[str, object]:
    """A row of one network: the field kept for the picture, its figures returned."""
    clock = Clock(name, limit)
    stated, causal = problem(name), name == "wave" and method != "gauss-newton"
    if method == "gauss-newton":
        solution = solve(stated, method=method, tolerance=1e-4, seed=seed, progress=False, watch=clock)
        steps = clock.records
    else:
        trainer = Trainer(stated, seed=seed, causal=causal, resampling="rad", progress=False, watch=clock)
        clock.limit = limit if method == "adam" else limit / 3
        trainer.run(Adam(steps=ENDLESS, schedule="constant"))
        if method != "adam":
            clock.limit = limit
            trainer.run(LBFGS(steps=ENDLESS))
        solution, steps = trainer.solution(), trainer.steps
    seconds = clock.seconds
    field = evaluated(solution, clock.points).reshape(clock.shape).numpy()
    np.save(keep, field)
    return errors(name, field) | {"seconds": seconds, "steps": steps, "numbers": solution.parameters, "way": clock.way}


def evaluated(solution: Solution, points: Points) -> Tensor:
    """Values at points, some at a time."""
    return torch.cat([solution(points[i : i + 2**13]) for i in range(0, len(points), 2**13)])


def classical(name: str, method: str, keep: Path) -> dict[str, object]:
    """A row of patches (slabs of them, in time), or of finite differences of second order."""
    stated, (points, shape), began = problem(name), grid(name), time.process_time()
    size = None
    if method == "patches":
        kind = "patches" if name == "helmholtz" else "least-squares"
        solution = solve(stated, method=kind, tolerance=1e-5, progress=False)
        size, field = solution.parameters, None
    elif name == "helmholtz":
        cells = dict.fromkeys("xy", 8 * (NODES - 1))
        found = solve_helmholtz(
            stated.domain, wavenumber=stated.wavenumber, speed=1.0, source=stated.source,
            conditions=stated.conditions, cells=cells,
        )  # fmt: skip
        lines, whole = found.coordinates["x"], found.values["u"]
        pick = [int(abs(lines - x).argmin()) for x in np.linspace(-0.5, 0.5, NODES)]
        field = whole[np.ix_(pick, pick)]
    else:
        field = by_reference(solve_wave, 4 * (NODES - 1))
    seconds = time.process_time() - began
    field = evaluated(solution, points).reshape(shape).numpy() if field is None else field
    np.save(keep, field)
    return errors(name, field) | {"seconds": seconds, "steps": None, "numbers": size, "way": []}


def table(rows: dict[str, dict]) -> str:
    """Both problems' rows."""
    lines = []
    for name, title in (("helmholtz", "Helmholtz, k = 20, variance 1e-4"), ("wave", "wave, variance 5e-4, t to 0.4")):
        size = float((abs(truth(name)) ** 2).mean())
        lines += [
            f"\n## {title}\n",
            "| method | relative L2 | MSE | CPU seconds | steps | numbers | seed |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        for key, row in rows.items():
            problem_, method, seed = key.split("/")
            if problem_ == name:
                last = f" ({row['l2 at the end']:.1e} at t = 0.4)" if name == "wave" else ""
                cells = [row["steps"] or "", row["numbers"] or "", seed if row["steps"] else ""]
                figures = f"{row['l2']:.1e}{last} | {row['mse']:.1e} | {row['seconds']:.0f}"
                lines.append(f"| {method} | {figures} | " + " | ".join(map(str, cells)) + " |")
        lines.append(f"| the SIREN paper, trained | | {PAPER[name]} | | | | |")
        lines.append(f"| a field of zero | 1 | {size:.1e} | | | | |")
        for key, row in rows.items():
            reached = [s for s, e in row["way"] if e <= 1e-2]
            if key.startswith(name) and reached:
                lines.append(f"\n{key.split('/')[1]}, seed {key.split('/')[2]}: 1e-2 after {reached[0]:.0f} s.")
    return "\n".join(lines)


def draw(rows: dict[str, dict]) -> None:
    """The truth, the best trained field and the difference, a problem a row."""
    figure, axes = plt.subplots(2, 4, figsize=(13, 6.2), layout="constrained")
    for line, name in zip(axes, ("helmholtz", "wave"), strict=True):
        shown = {k: row for k, row in rows.items() if k.startswith(name) and row["steps"]}
        half, cut = (0.5, ...) if name == "helmholtz" else (1.0, (..., -1))
        u = truth(name).real[cut]
        low_high = float(np.quantile(abs(u), 0.998))
        best = min(shown, key=lambda k: shown[k]["l2"])
        field = np.load(CACHE / f"{best.replace('/', '_')}.npy").real[cut]
        pictures = [
            ("reference" + (", real part" if name == "helmholtz" else ", t = 0.4"), u, low_high),
            (f"trained: {best.split('/')[1]}", field, low_high),
            ("difference", field - u, float(abs(field - u).max())),
        ]
        for ax, (title, values, top) in zip(line, pictures, strict=False):
            drawn = ax.imshow(values.T, origin="lower", extent=(-half, half) * 2, cmap="RdBu_r", vmin=-top, vmax=top)
            figure.colorbar(drawn, ax=ax, shrink=0.8)
            ax.set(title=title, xlabel="x", ylabel="y")
        for key, row in shown.items():
            seconds, found = zip(*row["way"], strict=True)
            line[3].loglog(seconds, found, label=key.split("/")[1])
        line[3].set(xlabel="CPU seconds", ylabel="relative L2 error", title="the way there")
        line[3].grid(alpha=0.3)
        line[3].legend()
    figure.savefig(ROOT / "results" / "pictures" / "trained.png", dpi=110)


def main() -> None:
    """Run the rows that are missing, or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(PAPER))
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--cpu", type=float, default=900.0)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = json.loads(ROWS.read_text()) if ROWS.exists() else {}
    wanted = [(n, m, s) for n in options.only for m in options.methods for s in options.seeds]
    for name, method, seed in wanted if not options.table else []:
        key = f"{name}/{method}/{seed}"
        if key in rows or (method in METHODS[3:] and seed):
            continue
        keep = CACHE / f"{key.replace('/', '_')}.npy"
        truth(name)
        made = (
            classical(name, method, keep) if method in METHODS[3:] else trained(name, method, options.cpu, seed, keep)
        )
        rows = (json.loads(ROWS.read_text()) if ROWS.exists() else {}) | {key: made}
        ROWS.write_text(json.dumps(rows, indent=1))
        print(key, {k: v for k, v in made.items() if k != "way"}, flush=True)
    if options.table:
        draw(rows)
        about = f"{platform.machine()} CPU, one thread, float64, torch {torch.__version__}, other work beside it."
        text = f"# One trained network beside frozen patches\n{table(rows)}\n\nMade on {about}\n"
        (ROOT / "results" / "trained.md").write_text(text)
        print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
