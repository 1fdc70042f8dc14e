"""One training step of the SIREN paper's Helmholtz problem: by jets, by compiled jets, and by nested autograd.

The same network, points, loss and optimizer in each; ``gpu.py`` makes the tables.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pinn_siren import Adam, Points, Siren, Trainer
from pinn_siren.check import StatementWarning
from pinn_siren.files import load_problem
from pinn_siren.jet import Jet, Plan, make_plan
from pinn_siren.loss import Objective
from pinn_siren.precision import ieee

PAPER = Path(__file__).parent.parent / "problems" / "helmholtz_paper.py"
POINTS, WIDTH, DEPTH = 52_900, 256, 3
TILE = {"cpu": 1024, "cuda": 8192}
"""The side of the square matrices whose product says how fast the machine is."""

Step = Callable[[], None]


def paper_trainer(
    device: str, points: int = POINTS, width: int = WIDTH, compile: bool = False, dtype: torch.dtype = torch.float32
) -> Trainer:
    """The paper's step: ``width`` x 3 hidden, complex output, value, first and second derivatives."""
    network = Siren(2, 2, width, DEPTH, 30.0, dtype=dtype, generator=torch.Generator().manual_seed(1))
    with warnings.catch_warnings():
        # Few points are meant here.
        warnings.simplefilter("ignore", StatementWarning)
        trainer = Trainer(
            load_problem(PAPER)(), network, device=device, dtype=dtype, points=points, conditions="soft",
            progress=False, compile=compile,
        )  # fmt: skip
    trainer.objective.resample()
    return trainer


def by_jets(objective: Objective) -> Step:
    """A step of ``Adam`` as the trainer takes it, on points that stay."""
    stage = Adam(steps=1_000_000)
    update, number = stage.begin(objective), 0

    def step() -> None:
        nonlocal number
        update.advance(number, stage.steps)
        number += 1

    return step


def by_nested_autograd(objective: Objective) -> Step:
    """The same step as it is mostly written: the network's values, and ``torch.autograd.grad`` for each derivative."""
    trained = list(objective.parameters())
    optimizer = torch.optim.Adam(trained, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        nested_loss(objective).backward()
        optimizer.step()

    return step


def nested_loss(objective: Objective) -> Tensor:
    """The loss at the objective's points, by nested autograd."""
    terms = []
    for c in objective.system.constraints:
        plan = make_plan(objective.system.problem.domain.axes, objective.system.asked[c.name])
        points = objective.points[c.name]
        parts = c.residual(points, [(_nested(objective, p, plan),) for p in points])
        parts = parts if isinstance(parts, tuple) else (parts,)
        sized = zip(parts, objective.sizes(c), strict=True)
        terms.append(c.weight * torch.stack([c.mean(part / size) for part, size in sized]).sum())
    return torch.stack(terms).sum()


def _nested(objective: Objective, p: Points, plan: Plan) -> Jet:
    model = objective.model
    x = p.coordinates.detach().requires_grad_()
    raw = model.network((x - model.center) / model.scale)
    real, imaginary = (_derivatives(raw[:, i] * model.amplitude, x, plan) for i in (0, 1))
    return Jet(torch.complex(real, imaginary), plan, p)


def _derivatives(value: Tensor, x: Tensor, plan: Plan) -> Tensor:
    known = {"": value}
    for key in plan.keys[1:]:
        before = known[key[:-1]]
        known[key] = torch.autograd.grad(before.sum(), x, create_graph=True)[0][:, plan.axes.index(key[-1])]
    return torch.stack([known[key] for key in plan.keys])


def arithmetic(objective: Objective) -> float:
    """Floating-point operations that the matrix products of a step must do, forward and backward."""
    shapes = [layer.weight.shape for layer in objective.model.network.layers]
    # Forward, by the weights, and by what went in; the coordinates that go in first need no gradient.
    products = sum((3 if i else 2) * outs * ins for i, (outs, ins) in enumerate(shapes))
    rows = 0
    for c in objective.system.constraints:
        plan = make_plan(objective.system.problem.domain.axes, objective.system.asked[c.name])
        rows += len(plan.keys) * sum(len(p) for p in objective.points[c.name])
    return 2.0 * rows * products


@ieee()
def matrix_rate(device: str, seconds: float = 1.0) -> float:
    """Floating-point operations a second of a product of large square float32 matrices, the best of many."""
    n = TILE[torch.device(device).type]
    a, b = (torch.randn(n, n, device=device) for _ in range(2))
    torch.mm(a, b)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        best = min(best, timed(lambda: torch.mm(a, b), device))
    return 2.0 * n**3 / best


def timed(step: Callable[[], object], device: str) -> float:
    """Seconds of one call, the device's work included."""
    cuda = torch.device(device).type == "cuda"
    if cuda:
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    step()
    if cuda:
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


@dataclass(frozen=True)
class Way:
    """One way to take the step: milliseconds (median), how many times faster than nested autograd (median of
    interleaved pairs), and the share of the measured rate of matrix products on the arithmetic that must be done."""

    name: str
    milliseconds: float
    ratio: float
    share: float


@ieee()
def race(device: str, points: int, repeats: int = 15, width: int = WIDTH, compile: bool = True) -> list[Way]:
    """Nested autograd, jets, and jets compiled, one after the other, ``repeats`` times, after two steps each."""
    plain = paper_trainer(device, points, width)
    steps = {"nested autograd": by_nested_autograd(paper_trainer(device, points, width).objective)}
    steps["jets"] = by_jets(plain.objective)
    if compile:
        compiled = paper_trainer(device, points, width, compile=True)
        steps["jets, compiled"] = by_jets(compiled.objective)
        steps["jets, compiled"]()
        if compiled.objective.compiled is not None and compiled.objective.compiled.refused:
            del steps["jets, compiled"]
    for step in steps.values():
        step(), step()
    rate, work = matrix_rate(device), arithmetic(plain.objective)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(repeats):
        for name, step in steps.items():
            seconds[name].append(timed(step, device))
    found = []
    for name, own in seconds.items():
        median = statistics.median(own)
        ratio = statistics.median(a / b for a, b in zip(seconds["nested autograd"], own, strict=True))
        found.append(Way(name, 1e3 * median, ratio, work / median / rate))
    return found


@ieee()
def sweep(device: str, sizes: list[tuple[int, int]], repeats: int = 7) -> list[tuple[int, int, float, float]]:
    """Of each ``(points, width)``: these, the seconds of a step by jets (median), and the share of the matrix rate."""
    rate, found = matrix_rate(device), []
    trainer: Trainer | None = None
    for points, width in sizes:
        if trainer is None or trainer.model.network.width != width:
            trainer = paper_trainer(device, 1_000, width)
        objective = trainer.objective
        objective.counts = {c.name: points if c.on_interior else points // 4 for c in objective.system.constraints}
        objective.resample()
        step = by_jets(objective)
        step(), step()
        median = statistics.median(timed(step, device) for _ in range(repeats))
        found.append((points, width, median, arithmetic(objective) / median / rate))
    return found
