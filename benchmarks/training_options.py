"""Balance, causal weights and resampling against the default: the same stages, the same seconds, the same seeds.

    python benchmarks/training_options.py --budget 30 --seeds 3

writes results/training_options.md. Beside files of the gallery stands an internal layer, what resampling is for: the
viscous Burgers equation, whose front steepens at t = 0.3 to a width of 0.02. Finished runs are kept in
results/training_options.json, and skipped when it is started again on the same machine with the same commit.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from pinn_siren import Box, Dirichlet, Initial, Points, Problem, Trainer
from pinn_siren.files import load_problem
from pinn_siren.plan import make_stages
from pinn_siren.provenance import environment
from pinn_siren.storage import write_text

ROOT = Path(__file__).parent.parent
KEPT, TABLE = ROOT / "results" / "training_options.json", ROOT / "results" / "training_options.md"
HEAD = (
    "| problem | option | relative L2 error | ratio to the default | steps | compared with |\n"
    "| --- | --- | --- | --- | --- | --- |\n"
)
OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    'balance="gradients"': {"balance": "gradients"},
    "causal=True": {"causal": True},
    'resampling="rad"': {"resampling": "rad"},
    'resampling="r3"': {"resampling": "r3"},
}
Runs = dict[str, dict[str, Any]]
VISCOSITY, HERMITE = 0.01, 64


class Burgers(Problem):
    """``u_t + u u_x = viscosity u_xx``, nondimensional."""

    viscosity: float

    def residual(self, p: Points, u: Any) -> torch.Tensor:
        """Zero where the equation holds."""
        return u.t + u.value * u.x - self.viscosity * u.xx


def exact(p: Points) -> torch.Tensor:
    """From ``-sin(pi x)``, by the transform of Cole (1951) and Hopf (1950) and Gauss-Hermite quadrature."""
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.hermite.hermgauss(HERMITE))
    y = p.x[:, None] - (4 * VISCOSITY * p.t[:, None]).sqrt() * nodes
    power = -torch.cos(torch.pi * y) / (2 * torch.pi * VISCOSITY)
    share = weights * torch.exp(power - power.amax(1, keepdim=True))
    return -(torch.sin(torch.pi * y) * share).sum(1) / share.sum(1)


def burgers() -> Problem:
    """A smooth wave that becomes a front at x = 0."""
    start = [Initial(lambda p: -torch.sin(torch.pi * p.x)), Dirichlet(0)]
    return Burgers(domain=Box(x=(-1, 1), t=(0, 1)), viscosity=VISCOSITY, conditions=start, exact=exact)


OWN = {"burgers": burgers}
POINTS = {"burgers": 1_000}
"""Collocation points where other than the default: so few that it matters where they are."""


@dataclass(frozen=True)
class Options:
    """Which problems, how often, for how long."""

    problems: tuple[str, ...] = ("poisson", "helmholtz", "wave", "allen_cahn", "burgers")
    seeds: int = 3
    budget: float = 30.0
    """Seconds of each run."""
    only: tuple[str, ...] = tuple(OPTIONS)
    """Which options."""


def main(options: Options) -> None:
    """Run what has not been run, and write the table after each."""
    here = {"machine": platform.node(), "threads": torch.get_num_threads(), **environment()}
    runs = kept(here)
    for name in options.problems:
        problem = OWN[name]() if name in OWN else load_problem(ROOT / "problems" / f"{name}.py")
        assert isinstance(problem, Problem)
        for seed in range(options.seeds):
            for option, arguments in ((chosen, OPTIONS[chosen]) for chosen in options.only):
                key = key_of(name, option, seed, options)
                if key in runs or (option == "causal=True" and not problem.domain.has_time):
                    continue
                runs[key] = run(problem, seed, options.budget, {"points": POINTS.get(name), **arguments})
                write_text(KEPT, json.dumps({"here": here, "runs": runs}, indent=1) + "\n")
                write_text(TABLE, table(runs, options))
                print(f"{key}: {runs[key]}", flush=True)
    write_text(TABLE, table(runs, options))
    print(table(runs, options))


def table(runs: Runs, options: Options) -> str:
    """The table of what has been run."""
    return HEAD + "\n".join(rows(runs, options)) + "\n\n" + footnote(options)


def kept(here: dict[str, Any]) -> Runs:
    """The runs that were finished on this machine with this code."""
    found = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    return found["runs"] if found.get("here") == here else {}


def key_of(name: str, option: str, seed: int, options: Options) -> str:
    """What names a run."""
    return f"{name}, {option}, seed {seed}, {options.budget:g} s"


def run(problem: Problem, seed: int, budget: float, arguments: dict[str, Any]) -> dict[str, Any]:
    """The default stages for so many seconds, whatever error is reached."""
    started = time.perf_counter()
    trainer = Trainer(problem, seed=seed, progress=False, **arguments)
    for stage in make_stages("lbfgs").stages:
        if trainer.run(stage, budget=budget - (time.perf_counter() - started)).end == "budget":
            break
    report = trainer.solution().report
    return {"error": report.relative_l2, "against": report.against, "steps": trainer.steps}


def rows(runs: Runs, options: Options) -> list[str]:
    """A line for each option of each problem."""
    lines = []
    for name in options.problems:
        default = 0.0
        for option in OPTIONS:
            keys = [key_of(name, option, seed, options) for seed in range(options.seeds)]
            found = [runs[key] for key in keys if key in runs]
            if not found:
                continue
            errors = [r["error"] for r in found]
            middle = statistics.median(errors)
            default = default or middle
            cells = [
                name,
                "default" if option == "default" else f"`{option}`",
                f"{middle:.1e} [{min(errors):.1e}, {max(errors):.1e}]",
                f"{middle / default:.2f}",
                f"{statistics.median(r['steps'] for r in found):.0f}",
                found[0]["against"],
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def footnote(options: Options) -> str:
    """How the table was made."""
    machine = f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
    command = f"python benchmarks/training_options.py --budget {options.budget:g} --seeds {options.seeds}"
    return (
        f"Median [range] of {options.seeds} seeds after {options.budget:g} seconds of Adam, then L-BFGS, which all "
        f"options share; a ratio below 1 is better than the default. {machine}, float64, torch {torch.__version__}. "
        f"Made by `{command}`.\n"
    )


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
