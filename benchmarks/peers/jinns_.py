"""jinns (Gangloff and Jouvin 2024, arXiv:2412.14132): natural gradient and self-scaled Broyden in JAX.

``jinns``: ``vanilla_ngd`` as its notebook heat_equation_ngd states it: float64, two tanh layers of 16, full batches of
about 2000 points. Its ridge ``gram_reg`` has to fit the problem: 1e-7 was the best of 1e-5 (the default) to 1e-11 on
``poisson``; on ``helmholtz_1_4``, where the operator is larger, 0.1 alone of 1e-9 to 0.1 came below 1 in half a minute;
larger operators have theirs in proportion. In its favour the line search halves the step up to 30 times: with the
default, 15 times by 0.8, the first steps overshoot. ``jinns, SSBroyden``: ``scale_by_SSBroyden_family``
(arXiv:2603.10599), its default zoom line search. Conditions are in the output where they are zero (its
``output_transform``), in the loss otherwise. Sine where the solution oscillates.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import hard
from .statements import Statement

OSCILLATING = {"multiscale": 16.0, "helmholtz": 2.0, "helmholtz_1_4": 1.0, "wave": 2.0, "wave_10": 10.0}
"""Sine layers, the first one's input times this."""
RIDGE, RIDGES = 1e-7, {"multiscale": 10.0, "helmholtz": 0.1, "helmholtz_1_4": 0.1, "wave": 0.1, "wave_10": 10.0}
"""Where the equation's coefficients are large, so is the Gram matrix."""
WEIGHT = 100.0


def states(name: str, statement: Statement, method: str) -> bool:
    """Boxes of one to three dimensions, sides in the loss up to two: what its generators of points cover."""
    if statement.polygon is not None or statement.dimensions > 3:
        return False
    return hard.is_hard(statement) or statement.dimensions <= 2


def run(race: Any, method: str) -> None:
    """Chunks of ``jinns.solve``, the optimizer's state handed on, until the seconds are over."""
    import equinox as eqx
    import jax
    import jax.experimental
    import jax.numpy as jnp
    import jinns
    import jinns.solver
    import jinns.validation
    import optax

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_cpu_enable_async_dispatch", False)  # else the clock's callback can wait for itself
    s: Statement = race.statement
    race.start()
    low, high = (np.array(side, dtype=float) for side in zip(*s.bounds, strict=True))
    built_in = hard.is_hard(s)
    keys = jax.random.split(jax.random.PRNGKey(race.seed), 2)
    n = 400 if s.dimensions == 1 else 2000
    data = jinns.data.CubicMeshPDEStatio(
        key=keys[0], n=n, nb=None if built_in else 400, dim=s.dimensions, min_pts=tuple(low), max_pts=tuple(high),
        method="uniform" if s.dimensions > 1 else "grid",
    )  # fmt: skip
    boost = OSCILLATING.get(race.name)
    act = (jnp.sin,) if boost else (jnp.tanh,)
    width = 24 if boost else 16
    network = ((eqx.nn.Linear, s.dimensions, width), act, (eqx.nn.Linear, width, width), act,
               (eqx.nn.Linear, width, s.components))  # fmt: skip

    def inputs(x: Any, params: Any) -> Any:
        return (2 * (x - low) / (high - low) - 1) * (boost or 1.0)

    def outputs(x: Any, y: Any, params: Any) -> Any:
        return hard.output(s, jnp, list(x), y) if built_in else y

    u, start = jinns.nn.PINN_MLP.create(key=keys[1], eqx_list=network, eq_type="PDEStatio", input_transform=inputs,
                                        output_transform=outputs)  # fmt: skip
    params = jinns.parameters.Params(nn_params=start, eq_params={"unused": jnp.array(1.0)})
    axes = jnp.eye(s.dimensions)

    class Equation(jinns.loss.PDEStatio):  # type: ignore[misc, name-defined]
        def equation(self, x: Any, u: Any, params: Any) -> Any:
            f = functools.partial(lambda params, x: u(x, params), params)

            def along(e: Any) -> tuple[Any, Any]:
                first = lambda x: jax.jvp(f, (x,), (e,))[1]  # noqa: E731
                return jax.jvp(first, (x,), (e,))

            value = f(x)
            pairs = [along(e) for e in axes]
            d, dd = [a for a, _ in pairs], [b for _, b in pairs]
            return s.operator(jnp, list(x), value, d, dd) - jnp.stack(s.source(jnp, list(x)))

    class Sides(jinns.loss.Dirichlet):  # type: ignore[misc, name-defined]
        def equation_f(self, inputs: Any, params: Any, gridify: bool = False) -> Any:
            faces = range(inputs.shape[-1])
            return tuple(jnp.stack(s.values(jnp, list(inputs[:, face]))) for face in faces)

    weights = {"dyn_loss": jnp.array(1.0)} | ({} if built_in else {"boundary_loss": jnp.array(WEIGHT)})
    loss = jinns.loss.LossPDEStatio(
        u=u, loss_weights=jinns.loss.LossWeightsPDEStatio(**weights), dynamic_loss=Equation(),
        boundary_condition=None if built_in else Sides(), params=params,
    )  # fmt: skip
    count = sum(a.size for a in jax.tree.leaves(start))

    def predict(params: Any) -> Any:
        def at(x: NDArray[np.float64]) -> NDArray[Any]:
            return race.observe(x, np.asarray(jax.vmap(lambda p: u(p, params))(jnp.asarray(x))))

        return at

    seen: list[tuple[float, Any]] = []

    def look(leaves: Any) -> NDArray[np.bool_]:
        seconds = race.seconds()
        if not seen or seconds > seen[-1][0] + race.budget / 60 or seconds > race.budget:
            seen.append((seconds, [np.array(a) for a in leaves]))
        return np.array(seconds > race.budget)

    class Clock(jinns.validation.AbstractValidationModule):  # type: ignore[misc, name-defined]
        """Its hook for early stopping: keeps the parameters for the curve, and ends on time."""

        call_every: int = eqx.field(static=True, default=1)

        def __call__(self, params: Any) -> Any:
            over = jax.experimental.io_callback(look, jax.ShapeDtypeStruct((), bool), jax.tree.leaves(params))
            return self, over, jnp.array(0.0), False

    if method == "jinns":
        ridge = RIDGES.get(race.name, RIDGE)
        search = optax.scale_by_backtracking_linesearch(max_backtracking_steps=30, decrease_factor=0.5)
        optimizer, extra = jinns.optimizers.vanilla_ngd(gram_reg=ridge, linesearch=search), None
        how = f"natural gradient, ridge {ridge:g}"
    else:
        variable = jinns.solver.GetJinnsVariableName
        optimizer, how = jinns.optimizers.scale_by_SSBroyden_family(), "self-scaled Broyden"
        extra = {"value": variable("train_loss_value"), "grad_pt": variable("grads"), "value_fn": callback_value,
                 "grad_fn": callback_gradient, "loss": variable("loss"), "batch": variable("batch")}  # fmt: skip
    note = f"{how}; two layers of {width}; conditions in the {'output' if built_in else 'loss'}"
    jinns.solve(n_iter=100_000, init_params=params, data=data, loss=loss, optimizer=optimizer, validation=Clock(),
                print_loss_every=10**6, verbose=False, extra_optax_args_and_kwargs=extra)  # fmt: skip
    shape = jax.tree.structure(params)
    for seconds, leaves in seen:
        error = race.error(predict(jax.tree.unflatten(shape, leaves))(race.points))
        race.note(seconds, error, count, note)


def callback_value(params: Any, loss: Any, batch: Any) -> Any:
    """The loss, for the line search."""
    return loss.evaluate(params, batch)[0]


def callback_gradient(params: Any, loss: Any, batch: Any) -> Any:
    """Its gradient after the step."""
    import jax

    return jax.grad(lambda p: loss.evaluate(p, batch)[0])(params)
