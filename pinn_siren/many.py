"""solve_many: many problems of one kind, with one search for features or patches and one factorization an operator."""

from __future__ import annotations

import copy
import hashlib
import math
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .ansatz.derive import BuiltIn
from .bandwidth import ROUNDING, Found, Search
from .build import build_model, zero_mean
from .check import StatementWarning, doubts
from .errors import ProblemError, UsageError, expect_positive, expect_whole, suggest
from .model import Model
from .optimizers.by_qr import solve as solve_system
from .optimizers.design import Design, design, put
from .optimizers.least_squares import LastLayer, weigh
from .optimizers.linearized import last_layer
from .optimizers.weighted import fits
from .parameters import make_unknowns
from .patches import needs_patches
from .patchwise import solve_on_patches
from .plan import SEARCH_SECONDS, TRAINED
from .problem import Problem
from .scales import Scales, measure_scales
from .solution import Provenance, Solution
from .solve import solve

METHODS = ("auto", "least-squares")
AT_ONCE = 256
"""Right-hand sides of one factorization that are solved for at once."""
ITERATIONS = 20
SHOWN = 5
"""Numbers of problems that a warning lists at most."""
PLACES = ("on", "axis", "output")
"""What says where a condition holds."""


def solve_many(
    problems: Sequence[Problem],
    *,
    method: str = "auto",
    tolerance: float = 1e-6,
    seed: int = 0,
    progress: bool = True,
) -> list[Solution]:
    """Solve problems of one class on one domain that differ in numbers or functions: sources, data, wavenumbers.

    Sine features are searched for once, for the problem of the highest wavenumbers, and serve all. Linear problems of
    the same operator, such as many sources, share a factorization: ``min |A X - B|``, a column of ``B`` each; the
    operator is recognized by its coefficients at the collocation points. Where one layer of features does not do, those
    of one operator are solved on patches that suit all their sources, factored once for each size that is tried; what
    meets ``tolerance`` is left out of the next. What is left then is solved by ``solve``; nothing is trained together.
    Every statement is checked; errors and warnings say the numbers of the problems, from 1. Each solution has its own
    report; its ``seconds`` are an equal share of all. With ``progress`` one line says how many a second.

    Raises ``UsageError`` for problems that are not of one kind, or another method; ``ProblemError`` for a wrong
    statement.
    """
    expect_positive("tolerance", tolerance)
    expect_whole("seed", seed, 0)
    if method not in METHODS:
        raise UsageError(
            f"solve_many's method is one of {', '.join(METHODS)}; got {method!r}.{suggest(method, METHODS)} For "
            "training, call solve for each problem."
        )
    _expect_one_kind(problems)
    started = time.perf_counter()
    deadline = started + SEARCH_SECONDS * len(problems)
    scales = _stated(problems)
    batch = _Batch(list(problems), _common(scales), tolerance, seed)
    hardest = max(range(len(problems)), key=lambda i: math.prod(scales[i].wavenumber.values()))
    found = None if needs_patches(problems[hardest], batch.scales) else batch.search(hardest)
    estimates: list[float] = [math.inf] * len(problems)
    if found is not None and (method == "least-squares" or found.estimate <= max(tolerance, TRAINED)):
        estimates = batch.fit(found)
    shared = [i for i, e in enumerate(estimates) if found is not None and e <= max(tolerance, found.estimate)]
    share = (time.perf_counter() - started) / max(1, len(shared))
    solutions: dict[int, Solution] = {}
    if found is not None:
        solutions = {i: batch.solution(i, found, estimates[i], share) for i in shared}
    if found is None or not shared:
        lasting = method == "least-squares"
        solutions |= solve_on_patches(problems, scales, tolerance, seed, deadline, math.inf if lasting else TRAINED)
    on_patches, alone = len(solutions) - len(shared), len(problems) - len(solutions)
    solutions |= {i: _alone(p, method, tolerance, seed) for i, p in enumerate(problems) if i not in solutions}
    if progress:
        seconds = time.perf_counter() - started
        print(
            f"{len(problems)} problems in {seconds:.2g} s, {len(problems) / seconds:.3g} a second: {len(shared)} with "
            f"shared features, {batch.factorizations} factorizations, "
            f"{f'{on_patches} on shared patches, ' if on_patches else ''}{alone} one by one",
            file=sys.stderr,
        )
    return [solutions[i] for i in range(len(problems))]


class _Batch:
    """Problems with common features: ``models``, a problem each once they are fitted."""

    def __init__(self, problems: list[Problem], scales: Scales, tolerance: float, seed: int) -> None:
        self.problems, self.scales, self.tolerance, self.seed = problems, scales, tolerance, seed
        self.models: list[Model] = []
        self.factorizations = 0

    def search(self, number: int) -> Found:
        """Features for one of them; none that satisfy its equation alone."""
        self._search = self._of(number)
        return self._search.run()

    def _of(self, number: int) -> Search:
        return Search(self.problems[number], self.scales, self.tolerance, self.seed, math.inf, own=False)

    def fit(self, found: Found) -> list[float]:
        """Solve for all last layers; the estimated relative error of each."""
        network = copy.deepcopy(found.network)
        for w in last_layer(network).parameters():
            w.data.zero_()
        solvers, groups = list[LastLayer](), dict[str, list[tuple[int, Design]]]()
        searches = [self._of(i) for i in range(len(self.problems))]
        for i, (problem, search) in enumerate(zip(self.problems, searches, strict=True)):
            own = copy.deepcopy(network)
            model = build_model(problem, self.scales, own, torch.float64, self.seed, BuiltIn(problem.ansatz))
            solver = search.last_layer(model, network.width)
            solvers.append(solver)
            if solver.linear:
                system = design(solver.system, solver.points, model)
                groups.setdefault(_operator(system) if fits(system) else str(i), []).append((i, system))
            else:
                groups[str(i)] = []
                _iterate(solver)
        self.factorizations = len(groups)
        for group in groups.values():
            for start in range(0, len(group), AT_ONCE):
                some = group[start : start + AT_ONCE]
                _solve_together([solvers[i] for i, _ in some], [system for _, system in some])
        self.models = [solver.model for solver in solvers]
        misfits = [search.judge(solver)[0] for search, solver in zip(searches, solvers, strict=True)]
        # How much larger errors are than misfits, as the search met it.
        ratio = found.estimate / max(self._search.best.misfit, ROUNDING)
        return [max(ratio * misfit, ROUNDING) for misfit in misfits]

    def solution(self, number: int, found: Found, estimate: float, seconds: float) -> Solution:
        """One of the results."""
        problem, model = self.problems[number], self.models[number]
        if problem.free_constant:
            zero_mean(model, problem)
        said = f"LeastSquares: features shared by {len(self.problems)} problems, {found.reason}"
        provenance = Provenance(
            "LeastSquares", said, self.tolerance, estimate, seconds, self.seed, "float64", "cpu",
            torch.get_num_threads(), sum(found.points.values()),
        )  # fmt: skip
        history = {"step": [1.0], "seconds": [seconds], "loss": [estimate**2]}
        return Solution(problem, model, provenance, history)


def _expect_one_kind(problems: Sequence[Problem]) -> None:
    if not isinstance(problems, Sequence) or not problems:
        what = "none" if isinstance(problems, Sequence) else type(problems).__name__
        raise UsageError(f"solve_many needs a list of problems, such as [Poisson(...), Poisson(...)]; got {what}.")
    for number, problem in enumerate(problems, 1):
        if not isinstance(problem, Problem):
            raise UsageError(f"solve_many needs problems; number {number} is a {type(problem).__name__}.")
        first = problems[0]
        if type(problem) is not type(first) or str(problem.domain) != str(first.domain):
            raise UsageError(
                f"solve_many needs problems of one class on one domain: number 1 is {type(first).__name__} on "
                f"{first.domain}, number {number} is {type(problem).__name__} on {problem.domain}."
            )
        if problem.is_signal or make_unknowns(problem, torch.float64, 0) is not None:
            raise UsageError(
                f"solve_many takes no signals and no problems with unknowns, as number {number} is: call solve."
            )


def _stated(problems: Sequence[Problem]) -> list[Scales]:
    """Check every statement, and measure its scales; the trial solve once for the same kinds of conditions."""
    found, said, tried = list[Scales](), dict[str, list[str]](), set[str]()
    for number, problem in enumerate(problems, 1):
        kinds = str([(type(c).__name__, *(getattr(c, name, None) for name in PLACES)) for c in problem.conditions])
        try:
            for message in doubts(problem, kinds not in tried):
                said.setdefault(message, []).append(str(number))
            found.append(measure_scales(problem))
        except ProblemError as error:
            raise type(error)(f"Problem number {number}: {error}") from error
        tried.add(kinds)
    for message, numbers in said.items():
        which = f"{len(numbers)} of {len(problems)} problems, number {', '.join(numbers[:SHOWN])}"
        warnings.warn(f"{which}{', ...' if len(numbers) > SHOWN else ''}: {message}", StatementWarning, stacklevel=3)
    return found


def _alone(problem: Problem, method: str, tolerance: float, seed: int) -> Solution:
    with warnings.catch_warnings():
        # What may be a mistake was said.
        warnings.simplefilter("ignore", StatementWarning)
        return solve(problem, method=method, tolerance=tolerance, seed=seed, progress=False)


def _common(scales: list[Scales]) -> Scales:
    """One set of scales: the highest wavenumbers and the largest amplitude."""
    highest = {a: max(s.wavenumber[a] for s in scales) for a in scales[0].wavenumber}
    return replace(scales[0], wavenumber=highest, amplitude=max(s.amplitude for s in scales))


def _operator(system: Design) -> str:
    """Equal where the matrices are: a digest of the coefficients of all fields, the points and the weights."""
    digest = hashlib.sha256(f"{system.whole} {system.dtype}".encode())
    for rows in system.constraints:
        c = rows.constraint
        digest.update(f"{c.name} {c.weight} {c.reduce} {rows.plan.keys} {list(rows.groups)}".encode())
        for tensor in (*rows.groups.values(), *(p.coordinates for p in rows.points)):
            digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def _solve_together(solvers: list[LastLayer], systems: list[Design]) -> None:
    """Linear problems of one operator by one factorization; one that does not fit the memory by its own solver."""
    if not fits(systems[0]):
        for solver in solvers:
            solver.step()
        return
    blocks = systems[0].blocks()
    sizes = [float(b.matrix.abs().square().mean().sqrt()) or 1.0 for b in blocks]
    factors = weigh(blocks, sizes)
    matrix = torch.cat([b.matrix * w for b, w in zip(blocks, factors, strict=True)])
    rights = torch.stack([_right(system, factors) for system in systems], dim=1)
    found = solve_system(matrix, rights)
    for solver, system, unknowns in zip(solvers, systems, found.T, strict=True):
        solver.scales, solver.whole = sizes, system.whole
        put(solver.model, unknowns, system.whole)


def _right(system: Design, factors: list[float]) -> Tensor:
    sides = []
    for rows in system.constraints:
        mean = rows.constraint.reduce == "mean"
        sides += [b.mean(0, keepdim=True) if mean else b for b in rows.right.T]
    return torch.cat([b * w for b, w in zip(sides, factors, strict=True)])


def _iterate(solver: LastLayer) -> None:
    for _ in range(ITERATIONS):
        solver.step()
        if solver.done:
            break


__all__ = ["solve_many"]
