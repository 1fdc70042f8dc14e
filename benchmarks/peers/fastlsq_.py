"""FastLSQ (Sulc 2026, arXiv:2602.10541): random sine features, least squares; Newton where nonlinear.

Through ``solve_linear`` and ``solve_nonlinear``, three blocks, boundary weight 100 as in its own problems. Two ways,
apart: ``fastlsq`` lets it search the bandwidth (``auto_scale``; one draw a scale, since its default of five would not
fit the budget), and that search scores by the error against the *exact* solution, which no other method here sees;
``fastlsq, scale given`` is told the best bandwidth, found beforehand against the exact solution.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .statements import AT_SOURCE, Statement

WEIGHT = 100.0
SEARCHED = 200
"""Features a block in the search, at most: nine solves at 800 would not fit any budget here."""
SETTINGS: dict[str, tuple[float | tuple[float, ...], int]] = {
    "poisson": (3.0, 200), "multiscale": (30.0, 800), "poisson_3d": (2.0, 500), "poisson_5d": (0.7, 700),
    "helmholtz": (10.0, 300), "helmholtz_1_4": (8.0, 400), "wave": (15.0, 400), "wave_10": ((6.0, 60.0), 700),
    "eikonal": (1.5, 100), "burgers": (30.0, 100), "allen_cahn": (5.0, 150), "bratu": (5.0, 150),
    "l_shape": (10.0, 300),
}  # fmt: skip
"""Scale and features a block, the best of a short scan against the exact solution; a scale an axis (its
``scale_multipliers``) for the fast wave. The search is given the features too: fewer than the default 500 where they
suffice, since that is faster."""


def states(name: str, statement: Statement, method: str) -> bool:
    """All of them."""
    return True


def run(race: Any, method: str) -> None:
    """Its search where asked for, then one call of its high-level interface."""
    import torch
    from fastlsq import FastLSQSolver, auto_select_scale, solve_linear, solve_nonlinear

    torch.manual_seed(race.seed)
    np.random.seed(race.seed)  # noqa: NPY002 (its own generator)
    s: Statement = race.statement
    given = method.endswith("given")
    told, hidden = SETTINGS[race.name]
    problem = stated(race, told if given and isinstance(told, tuple) else None)
    race.start()
    if given:
        scale = told[0] if isinstance(told, tuple) else told
    else:
        problem.n_outputs = 1  # the real part is enough to search by
        scale = auto_select_scale(
            problem, lambda d: FastLSQSolver(d, normalize=not s.affine), hidden_size=min(hidden, SEARCHED), n_pde=3000,
            n_bc=800, n_trials=1, newton_mode=not s.affine, verbose=False,
        )  # fmt: skip
        problem.n_outputs = s.components
    if s.components == 2:
        solver = _two(problem, scale, hidden)
    else:
        options = {"return_solver": True, "return_metrics": False, "verbose": False}
        if not s.affine:  # its defaults stop at 1e-8 of the first residual, and their ridge at 1e-9 of the field
            options |= {"mu": 1e-14, "tol_res": 1e-13, "tol_du": 1e-13}
        solve = solve_linear if s.affine else solve_nonlinear
        solver = solve(problem, scale=scale, hidden_size=hidden, **options)["solver"]

    def predict(x: NDArray[np.float64]) -> NDArray[Any]:
        return race.observe(x, solver.predict(torch.from_numpy(x)).detach().numpy())

    size = solver.n_features * s.components
    note = f"scale {scale:.3g}, {'given' if given else 'its own search, which sees the exact solution'}"
    race.record(predict, size, f"{solver.n_features} features, {note}")


def _two(problem: Any, scale: float, hidden: int) -> Any:
    """Real and imaginary part share the matrix: its ``solve_lstsq`` takes both right sides at once.

    ``solve_linear`` would solve a matrix of four blocks, eight times the work.
    """
    from fastlsq import FastLSQSolver, solve_lstsq

    solver = FastLSQSolver(problem.dim)
    for _ in range(3):
        solver.add_block(hidden_size=hidden, scale=scale)
    solver.beta = solve_lstsq(*problem.build(solver, *problem.get_train_data(3000, 800)))
    return solver


def stated(race: Any, scale: Any) -> Any:
    """The problem as its classes state theirs (fastlsq/problems/linear.py and nonlinear.py)."""
    import torch

    s: Statement = race.statement
    low, high = (torch.tensor(side, dtype=torch.float64) for side in zip(*s.bounds, strict=True))

    def box(n: int) -> Any:
        x = low + (high - low) * torch.rand(n, s.dimensions, dtype=torch.float64)
        return x if s.polygon is None else x[~((x > 0).all(1))]

    def columns(x: Any) -> list[Any]:
        return [x[:, i : i + 1] for i in range(s.dimensions)]

    def faces(n: int) -> Any:
        if s.polygon is not None:
            ends = torch.tensor(s.polygon, dtype=torch.float64)
            sides = torch.randint(0, len(ends), (n,))
            a, b = ends[sides], ends.roll(-1, 0)[sides]
            return a + torch.rand(n, 1, dtype=torch.float64) * (b - a)
        parts = []
        for axis, end in s.sides:
            x = box(max(1, n // len(s.sides)))
            x[:, axis] = (low, high)[end][axis]
            parts.append(x)
        return torch.cat(parts)

    class Stated:
        name, dim, n_outputs = race.name, s.dimensions, s.components

        def exact(self, x: Any) -> Any:
            """The unknown itself: the search needs it."""
            from .protocol import exact_values

            x = x.detach().cpu().numpy()
            truth = exact_values(race.name, race.row.problem, x)
            if race.name == "eikonal":
                r = np.maximum(np.hypot(x[:, 0] - 1.0, x[:, 1] - 0.5), 1e-300)
                truth = truth / (r / AT_SOURCE) - 1
            parts = [truth.real, truth.imag][: self.n_outputs] if np.iscomplexobj(truth) else [truth]
            return torch.from_numpy(np.stack(parts, 1))

        def exact_grad(self, x: Any) -> Any:
            """Never used in the search: only its metrics report it."""
            return torch.zeros(x.shape, dtype=torch.float64)

        def source(self, x: Any) -> Any:
            return torch.cat(list(s.source(torch, columns(x))), 1)

        def get_test_points(self, n: int = 5000) -> Any:
            return box(n)

        def get_train_data(self, n_pde: int = 5000, n_bc: int = 1000) -> Any:
            x = box(n_pde)
            conditions = []
            if s.values is not None:
                on = faces(n_bc)
                conditions.append((on, torch.cat(list(s.values(torch, columns(on))), 1), "value"))
            if s.initial is not None:
                first = box(n_bc)
                first[:, -1] = low[-1]
                start = s.initial(torch, columns(first))
                conditions += [(first, start, "value"), (first, 0 * start, "rate")]
            return x, conditions, self.source(x)

        def rows(self, basis: Any, conditions: Any) -> list[tuple[Any, Any]]:
            found = []
            for x, values, kind in conditions:
                h = basis.evaluate(x) if kind == "value" else basis.gradient(x)[:, -1, :]
                found.append((WEIGHT * h, WEIGHT * values))
            return found

        def linearized(self, basis: Any, x: Any, beta: Any) -> tuple[Any, Any]:
            """Features under the operator's derivative, and the operator's value, at the field of ``beta``."""
            cache = basis.cache(x)
            h, g, gg = (basis.evaluate(x, cache=cache), basis.gradient(x, cache=cache),
                        basis.hessian_diag(x, cache=cache))  # fmt: skip
            axes = range(s.dimensions)
            u, d, dd = h @ beta, [g[:, i] @ beta for i in axes], [gg[:, i] @ beta for i in axes]
            c0, c1, c2 = s.linear(torch, columns(x), u, d)
            matrix = c0 * h + sum(c1[i] * g[:, i] + c2[i] * gg[:, i] for i in axes)
            return matrix, s.operator(torch, columns(x), u, d, dd)

        def build(self, solver: Any, x: Any, conditions: Any, f: Any) -> tuple[Any, Any]:
            basis = solver.basis
            none = torch.zeros(solver.n_features, 1, dtype=torch.float64)
            pairs = [(self.linearized(basis, x, none)[0], f), *self.rows(basis, conditions)]
            matrix, right = torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs])
            return matrix, right[:, : self.n_outputs]

        def build_newton_step(self, solver: Any, x: Any, conditions: Any, f: Any) -> tuple[Any, Any]:
            basis, beta = solver.basis, solver.beta
            matrix, value = self.linearized(basis, x, beta)
            pairs = [(matrix, f - value), *((a, b - a @ beta) for a, b in self.rows(basis, conditions))]
            return torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs])

        def build_linear_init(self, solver: Any, x: Any, conditions: Any, f: Any) -> tuple[Any, Any]:
            basis = solver.basis
            none = torch.zeros(solver.n_features, 1, dtype=torch.float64)
            matrix, value = self.linearized(basis, x, none)
            pairs = [(matrix, f - value), *self.rows(basis, conditions)]
            return torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs])

    problem = Stated()
    if isinstance(scale, tuple):
        problem.scale_multipliers = [v / scale[0] for v in scale]
    return problem
