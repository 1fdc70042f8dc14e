"""PINA (Coscia, Ivagnes, Demo and Rozza 2023, doi:10.21105/joss.05352): Adam, then L-BFGS, on Lightning.

From its tutorials: Adam at 6e-3 and a grid of about 900 points (tutorial2, Poisson), boundary and initial conditions in
the output of a ``torch.nn.Module`` (tutorial3, wave), ``TorchOptimizer``, Latin hypercube points (tutorial1). More than
they do, in its favour: float64, networks of 40 or 80 a layer in place of 10, sines where the solution oscillates, and
L-BFGS after Adam. Values that are not built in are conditions on the boundary, as in ``Poisson2DSquareProblem``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import hard
from .statements import Statement

OSCILLATING = ("multiscale", "helmholtz", "helmholtz_1_4", "wave", "wave_10")
AXES, FIELDS = "abcde", "uv"
POINTS = 1600
SHARE = 0.3


def states(name: str, statement: Statement, method: str) -> bool:
    """Boxes of up to three dimensions."""
    return statement.polygon is None and statement.dimensions <= 3


def run(race: Any, method: str) -> None:
    """A trainer for each optimizer, ended by the clock."""
    import logging
    import warnings

    import lightning
    import torch
    from pina import Condition, Trainer
    from pina.domain import CartesianDomain
    from pina.equation import Equation
    from pina.operator import grad
    from pina.optim import TorchOptimizer
    from pina.problem import SpatialProblem
    from pina.solver import PhysicsInformedSingleModelSolver

    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(race.seed)
    s: Statement = race.statement
    race.start()
    axes, fields = list(AXES[: s.dimensions]), list(FIELDS[: s.components])
    box = CartesianDomain({a: list(map(float, b)) for a, b in zip(axes, s.bounds, strict=True)})
    built_in = hard.is_hard(s)

    def plain(t: Any) -> Any:
        return t.as_subclass(torch.Tensor)

    def columns(p: Any) -> list[Any]:
        return [plain(p)[:, i : i + 1] for i in range(s.dimensions)]

    def equation(p: Any, out: Any) -> Any:
        x, found = columns(p), []
        for k, f in zip(fields, s.source(torch, x), strict=True):
            first = [grad(out, p, components=[k], d=[a]) for a in axes]
            u, d = plain(out.extract([k])), [plain(g) for g in first]
            c2 = s.linear(torch, x, u, d)[2]
            dd = [plain(grad(g, p, components=g.labels, d=[a])) if c else 0.0 for g, a, c in zip(first, axes, c2)]  # noqa: B905
            found.append(s.operator(torch, x, u, d, dd) - f)
        return torch.cat(found, 1)

    def held(p: Any, out: Any) -> Any:
        return 10.0 * (plain(out) - torch.cat(list(s.values(torch, columns(p))), 1))

    class Stated(SpatialProblem):  # type: ignore[misc]
        output_variables = fields
        spatial_domain = box
        domains = {"D": box} | ({} if built_in else {"sides": box.partial()})
        conditions = {"D": Condition(domain="D", equation=Equation(equation))} | (
            {} if built_in else {"sides": Condition(domain="sides", equation=Equation(held))}
        )

    class Sine(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.sin(x)

    wide = race.name in OSCILLATING
    width = 80 if wide else 40
    act = Sine if wide else torch.nn.Tanh

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            linear = torch.nn.Linear
            self.net = torch.nn.Sequential(linear(s.dimensions, width), act(), linear(width, width), act(),
                                           linear(width, s.components))  # fmt: skip

        def forward(self, p: Any) -> Any:
            raw = self.net(plain(p))
            return hard.output(s, torch, columns(p), raw) if built_in else raw

    network = Network()
    problem = Stated()
    inside = (POINTS, "lh") if s.dimensions > 1 else (200, "random")
    problem.discretise_domain(*inside, domains=["D"])
    if not built_in:
        problem.discretise_domain(400, "random", domains=["sides"])
    parameters = sum(p.numel() for p in network.parameters())

    def predict(x: NDArray[np.float64]) -> NDArray[Any]:
        with torch.no_grad():
            return race.observe(x, network(torch.from_numpy(x)).numpy())

    class Watch(lightning.pytorch.Callback):  # type: ignore[misc, name-defined]
        def __init__(self, end: float) -> None:
            self.end, self.next = end, 0.0

        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            if race.seconds() > self.next:
                race.record(predict, parameters)
                self.next = race.seconds() + race.budget / 40
            trainer.should_stop = race.seconds() > self.end

    stages = (
        (SHARE * race.budget, TorchOptimizer(torch.optim.Adam, lr=6e-3)),
        (race.budget, TorchOptimizer(torch.optim.LBFGS, max_iter=20, history_size=100, tolerance_grad=0,
                                     tolerance_change=0, line_search_fn="strong_wolfe")),
    )  # fmt: skip
    for end, optimizer in stages:
        solver = PhysicsInformedSingleModelSolver(problem, network, optimizer=optimizer)
        Trainer(
            solver, max_epochs=-1, accelerator="cpu", callbacks=[Watch(end)], logger=False, enable_progress_bar=False,
            enable_checkpointing=False, enable_model_summary=False,
        ).train()  # fmt: skip
    how = "conditions in the output" if built_in else "conditions in the loss"
    race.record(predict, parameters, f"Adam, then L-BFGS; two layers of {width}; {how}")
