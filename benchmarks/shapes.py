"""Shapes, a sound and a video: one run each, their figures in a table.

    python benchmarks/shapes.py --budget 900

writes results/signals_3d.md, where the rows of earlier runs stay, and what the solves write to results/signals/NAME/.
The scanned rabbit is that of the package pymeshfix (Stanford's scan, holes and all), closed by it; its distance is then
that to a closed mesh. It is under the GPL and nothing else needs it, so it is in an extra of its own:
pip install -e '.[signals,rabbit]'. Seconds are the process's own on its cores, as a quiet machine would take on one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import tyro

from pinn_siren import MLP, Problem, solve
from pinn_siren.build import default_size
from pinn_siren.files import call_problem, load_problem
from pinn_siren.storage import make_folder, write_text

ROOT = Path(__file__).parent.parent
SQUARES: dict[str, Any] = {"method": "gauss-newton", "dtype": torch.float64}
HEAD = "| signal | method | parameters | core seconds | figures |\n| --- | --- | --- | --- | --- |\n"


@dataclass(frozen=True)
class Row:
    """A problem file with its options, and how it is solved."""

    file: str
    options: dict[str, Any]
    how: dict[str, Any]
    relu: bool = False
    """By a network of the default one's size with rectified linear units."""


ROWS = {
    "sphere": Row("shape", {"shape": "sphere"}, {}),
    "torus": Row("shape", {"shape": "torus"}, {}),
    "box": Row("shape", {"shape": "box"}, {}),
    "torus without normals": Row("shape", {"shape": "torus", "normals": False}, {}),
    "sphere, squares": Row("shape", {"shape": "sphere", "loss": "squares"}, SQUARES),
    "torus, squares": Row("shape", {"shape": "torus", "loss": "squares"}, {}),
    "box, squares": Row("shape", {"shape": "box", "loss": "squares"}, {}),
    "rabbit": Row("shape", {"input": "rabbit", "resolution": 192}, {}),
    "melody": Row("audio", {}, {}),
    "bikes": Row("video", {}, {}),
    "bikes, ReLU": Row("video", {}, {}, relu=True),
}


@dataclass(frozen=True)
class Options:
    """Which rows, and how many seconds each."""

    names: tuple[str, ...] = tuple(ROWS)
    budget: float = 900.0
    steps: int | None = None
    """Of each row at most; unless given, as many as there is time for."""
    device: str | None = None
    seed: int = 0


def rabbit(folder: Path) -> Path:
    """The rabbit as a closed mesh in a file."""
    from pymeshfix import clean_from_file

    spec = find_spec("pymeshfix")
    assert spec is not None and spec.submodule_search_locations
    scan = Path(spec.submodule_search_locations[0]) / "examples" / "StanfordBunny.ply"
    path = make_folder(folder) / "rabbit.ply"
    clean_from_file(str(scan), str(path))
    return path


def stated(row: Row) -> Problem:
    """The problem of a row."""
    path = ROOT / "problems" / f"{row.file}.py"
    options = dict(row.options)
    if options.get("input") == "rabbit":
        options["input"] = str(rabbit(ROOT / "results" / "signals"))
    return call_problem(load_problem(path), path, options)


def run(name: str, options: Options) -> str:
    """Solve a row, keep it, and say its figures as a line of the table."""
    row = ROWS[name]
    how = row.how if options.steps is None else row.how | {"steps": options.steps}
    problem = stated(row)
    if row.relu:
        width, depth = default_size(problem)
        generator = torch.Generator().manual_seed(options.seed)
        sizes = len(problem.domain.axes), len(problem.fields), width, depth
        how = how | {"network": MLP(*sizes, "relu", dtype=torch.float32, generator=generator)}
    solution = solve(problem, budget=options.budget, device=options.device, seed=options.seed, **how)
    solution.save(ROOT / "results" / "signals" / name.replace(", ", "_").replace(" ", "_"))
    report = solution.report
    figures = "; ".join(f"{key.replace('|', chr(92) + '|')} {value:.4g}" for key, value in report.metrics.items())
    return f"| {name} | {report.method} | {report.parameters} | {report.seconds:.0f} | {figures} |"


def main(options: Options) -> None:
    """Run the rows and write the table; a line is kept as soon as it is known."""
    # Budgets and schedules alike: what else the machine does changes none of them.
    time.perf_counter = time.process_time
    path = ROOT / "results" / "signals_3d.md"
    kept = path.read_text().splitlines()[2:] if path.exists() else []
    lines = {line.split("|")[1].strip(): line for line in kept}
    for name in options.names:
        lines[name] = run(name, options)
        print(lines[name], flush=True)
        write_text(path, HEAD + "\n".join(lines[n] for n in ROWS if n in lines) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Options))
