"""DeepXDE (Lu, Meng, Mao and Karniadakis 2021, doi:10.1137/19M1274067), its PyTorch backend.

Settings from its documentation and examples (deepxde/examples/pinn_forward): float64 (its FAQ and the docstring of
``set_LBFGS_options`` advise it where L-BFGS stops early), Adam at 1e-3, then L-BFGS (Poisson_Lshape, Allen_Cahn,
Burgers); four sine layers of 50 and conditions in the output for waves and Helmholtz (the starting point of
Helmholtz_Dirichlet_2d_HPO; the 150 of Helmholtz_Dirichlet_2d takes ten times as long a step), three tanh layers of 50
for smooth fields (Poisson_Dirichlet_1d), four for the L (Poisson_Lshape), weight 100 on conditions in the loss
(Helmholtz_Dirichlet_2d). Adam has a fifth of the seconds: the examples' shares vary, and L-BFGS gains more.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import hard
from .statements import Statement

OSCILLATING = ("multiscale", "helmholtz", "helmholtz_1_4", "wave", "wave_10")
POINTS = {1: 200, 2: 1600, 3: 2000, 5: 2000}
"""Inside: Poisson_Lshape has 1200, Helmholtz ten a wavelength, Burgers 2540."""
SHARE = 0.2


def states(name: str, statement: Statement, method: str) -> bool:
    """All of them."""
    return True


def run(race: Any, method: str) -> None:
    """Adam, then L-BFGS until the seconds are over."""
    os.environ["DDE_BACKEND"] = "pytorch"
    import deepxde as dde
    import torch

    dde.config.set_default_float("float64")
    dde.config.set_random_seed(race.seed)
    s: Statement = race.statement
    race.start()
    geometry = _geometry(dde, s)
    built_in = hard.is_hard(s)

    def columns(x: Any) -> list[Any]:
        return [x[:, i : i + 1] for i in range(s.dimensions)]

    def equation(x: Any, y: Any) -> list[Any]:
        found = []
        for k, f in enumerate(s.source(torch, columns(x))):
            d = [dde.grad.jacobian(y, x, i=k, j=i) for i in range(s.dimensions)]
            c2 = s.linear(torch, columns(x), y[:, k : k + 1], d)[2]
            dd = [dde.grad.hessian(y, x, component=k, i=i, j=i) if c2[i] else 0.0 for i in range(s.dimensions)]
            found.append(s.operator(torch, columns(x), y[:, k : k + 1], d, dd) - f)
        return found

    def held(component: int) -> Any:
        # It counts a function's arguments, so that the component cannot be one with a default.
        return lambda x: s.values(np, columns(x))[component]

    conditions = [
        dde.icbc.DirichletBC(geometry, held(k), lambda _, on: on, component=k)
        for k in range(0 if built_in else s.components)
    ]
    data = dde.data.PDE(geometry, equation, conditions, num_domain=POINTS[s.dimensions],
                        num_boundary=0 if built_in else 400, train_distribution="Hammersley")  # fmt: skip
    wide = race.name in OSCILLATING
    layers = [50] * (4 if wide or s.polygon else 3)
    net = dde.nn.FNN([s.dimensions, *layers, s.components], "sin" if wide else "tanh", "Glorot uniform")
    if built_in:
        net.apply_output_transform(lambda x, y: hard.output(s, torch, columns(x), y))
    model = dde.Model(data, net)
    parameters = sum(p.numel() for p in net.parameters())

    def predict(x: NDArray[np.float64]) -> NDArray[Any]:
        return race.observe(x, model.predict(x))

    class Watch(dde.callbacks.Callback):  # type: ignore[misc, name-defined]
        """Records the error some forty times, and ends the stage on time."""

        def __init__(self, end: float) -> None:
            super().__init__()
            self.end, self.next = end, 0.0

        def on_epoch_end(self) -> None:
            if race.seconds() > self.next:
                race.record(predict, parameters)
                self.next = race.seconds() + race.budget / 40
            if race.seconds() > self.end:
                self.model.stop_training = True

    weights = [1.0] * s.components + [100.0] * len(conditions)
    quiet = {"display_every": 10**9, "verbose": 0}
    model.compile("adam", lr=1e-3, loss_weights=weights, verbose=0)
    model.train(iterations=10**7, callbacks=[Watch(SHARE * race.budget)], **quiet)
    dde.optimizers.set_LBFGS_options(maxiter=10**6, maxfun=10**7, gtol=0, ftol=0)
    dde.optimizers.config.LBFGS_options["iter_per_step"] = 20  # looks at the clock as often; the memory stays
    dde.optimizers.config.LBFGS_options["fun_per_step"] = 25
    model.compile("L-BFGS", loss_weights=weights, verbose=0)
    model.train(callbacks=[Watch(race.budget)], **quiet)
    how = "conditions in the output" if built_in else "conditions in the loss"
    race.record(predict, parameters, f"Adam, then L-BFGS; {len(layers)} layers of {layers[0]}; {how}")


def _geometry(dde: Any, s: Statement) -> Any:
    low, high = (list(map(float, side)) for side in zip(*s.bounds, strict=True))
    if s.polygon is not None:
        return dde.geometry.Polygon([list(map(float, p)) for p in s.polygon])
    if s.dimensions == 1:
        return dde.geometry.Interval(low[0], high[0])
    return dde.geometry.Rectangle(low, high) if s.dimensions == 2 else dde.geometry.Hypercube(low, high)
