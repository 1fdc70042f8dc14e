"""neurodiffeq (Chen and others 2020, doi:10.21105/joss.01931): Adam, conditions in the output.

Its defaults: ``FCNN`` with two tanh layers of 32 (its README takes ``SinActv`` for oscillations, and so here), Adam at
1e-3, ``Solver2D`` with a noisy 32 x 32 grid drawn anew each epoch, float64. ``DirichletBVP2D`` takes values on four
sides; the others are stated by a subclass of ``BaseCondition``, its way to conditions of one's own.
One validation batch an epoch in place of four, since it only costs time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import hard
from .statements import Statement

OSCILLATING = ("multiscale", "helmholtz", "helmholtz_1_4", "wave", "wave_10")
WIDTH = 32


def states(name: str, statement: Statement, method: str) -> bool:
    """Boxes of one and two dimensions, which its solvers are for."""
    return statement.polygon is None and statement.dimensions <= 2


def run(race: Any, method: str) -> None:
    """Epochs of Adam until the seconds are over; the networks of the lowest validation loss count, its default."""
    import torch
    from neurodiffeq import diff
    from neurodiffeq.conditions import BaseCondition, DirichletBVP2D
    from neurodiffeq.networks import FCNN, SinActv
    from neurodiffeq.solvers import Solver1D, Solver2D

    torch.set_default_dtype(torch.float64)
    torch.manual_seed(race.seed)
    np.random.seed(race.seed)  # noqa: NPY002 (its own generator)
    s: Statement = race.statement
    race.start()
    low, high = zip(*s.bounds, strict=True)

    class BuiltIn(BaseCondition):  # type: ignore[misc]
        def parameterize(self, raw: Any, *x: Any) -> Any:
            return hard.output(s, torch, x, raw)

    def side(axis: int, end: int, component: int) -> Any:
        """The values on a side, a function of the other coordinate."""

        def values(other: Any) -> Any:
            x = [other, other]
            x[axis] = torch.full_like(other, s.bounds[axis][end])
            return s.values(torch, x)[component]

        return values

    def condition(component: int) -> Any:
        if hard.is_hard(s):
            return BuiltIn()
        ends = [(s.bounds[axis][end], side(axis, end, component)) for axis in (0, 1) for end in (0, 1)]
        return DirichletBVP2D(*(part for pair in ends for part in pair))

    def equations(*arguments: Any) -> list[Any]:
        fields, x = arguments[: s.components], arguments[s.components :]
        found = []
        for u, f in zip(fields, s.source(torch, x), strict=True):
            d = [diff(u, c) for c in x]
            c2 = s.linear(torch, x, u, d)[2]
            dd = [diff(g, c) if k else 0.0 for g, c, k in zip(d, x, c2, strict=True)]
            found.append(s.operator(torch, x, u, d, dd) - f)
        return found

    actv = SinActv if race.name in OSCILLATING else torch.nn.Tanh
    nets = [FCNN(s.dimensions, 1, hidden_units=(WIDTH, WIDTH), actv=actv) for _ in range(s.components)]
    conditions = [condition(k) for k in range(s.components)]
    if s.dimensions == 1:
        solver = Solver1D(equations, conditions, t_min=low[0], t_max=high[0], nets=nets, n_batches_valid=1)
    else:
        solver = Solver2D(equations, conditions, xy_min=low, xy_max=high, nets=nets, n_batches_valid=1)
    parameters = sum(p.numel() for net in nets for p in net.parameters())
    note = f"Adam, layers of {WIDTH}, conditions in the output"

    def predict(x: NDArray[np.float64]) -> NDArray[Any]:
        found = solver.get_solution(copy=False)(*torch.from_numpy(x).T, to_numpy=True)
        fields = found if isinstance(found, list | tuple) else [found]
        return race.observe(x, np.stack([np.ravel(f) for f in fields], axis=1))

    due = 0.0

    def watch(solver: Any) -> None:
        nonlocal due
        if race.seconds() > due:
            race.record(predict, parameters, note)
            due = race.seconds() + race.budget / 40
        if race.left() < 0:
            solver._stop_training = True

    solver.fit(max_epochs=10**6, callbacks=[watch], tqdm_file=None)
    race.record(predict, parameters, note)
