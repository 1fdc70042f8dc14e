"""Validation: error norms, verdicts, and the report."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .domains import Domain
from .errors import PinnSirenError
from .estimate import shown
from .parameters import forward
from .points import Points
from .problem import Problem, exact_outputs
from .provenance import Provenance
from .reference import GridSolution, Reference, masked, weighted
from .reference.causality import causality
from .reference.choice import choose

Evaluate = Callable[[dict[str, NDArray[np.float64]]], dict[str, NDArray[Any]]]
"""From a grid's coordinates to every output there, one dimension an axis."""

WIDEST_BAR = 1e-2
"""A reference whose own error bar is wider than this vouches for nothing."""
INFINITE = "infinite"
SLOWNESS = "slowness"
OWN_GRID = {1: 513, 2: 129, 3: 33}


@dataclass(frozen=True)
class Figures:
    """Errors of one solution on one grid, and the verdict. Norms are quadrature-weighted; ``max_error`` is absolute.

    ``against``: what ``relative_l2`` and ``max_error`` compare with, ``"exact"``, ``"reference"`` or ``"none"``;
    ``reference_difference``: the relative L2 difference to the reference; ``reference_error``: the reference's own bar;
    ``reference_to_exact``: its true error, where the exact solution is known. With several outputs: the worst.
    ``objection``: why travel times are no first arrivals, None where nothing speaks against it.
    """

    against: str
    relative_l2: float | None
    max_error: float | None
    reference_difference: float | None
    reference_error: float | None
    reference_to_exact: float | None
    observed_order: float | None
    verdict: str
    passed: bool
    objection: str | None = None


@dataclass(frozen=True)
class Report:
    """What is known of a solution's error, and how it was made. Prints as a table, saves as ``report.json``.

    ``metrics``: the problem's own figures (``Problem.metrics``).
    """

    problem: str
    method: str
    stages: str
    verdict: str
    passed: bool
    tolerance: float
    against: str
    relative_l2: float | None
    max_error: float | None
    reference_difference: float | None
    reference_error: float | None
    reference_to_exact: float | None
    observed_order: float | None
    estimate: float
    seconds: float
    reference_seconds: float | None
    reference_method: str | None
    no_reference: str | None
    parameters: int
    points: int
    seed: int
    dtype: str
    device: str
    threads: int
    interrupted: bool
    objection: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    unknowns: dict[str, Any] = field(default_factory=dict)
    products: str = ""
    data_misfit: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The report's fields by name."""
        return asdict(self)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """The report back from its JSON text. Raises ``TypeError`` or ``ValueError`` for another text."""
        plain = {k: v for k, v in json.loads(text).items() if k != "checksums"}
        return cls(**_each(plain, lambda v: math.inf if v == INFINITE else v))

    def to_json(self, checksums: dict[str, str]) -> str:
        """The report as JSON text, infinities as ``"infinite"``, with the checksums of the stored arrays."""
        plain = _each(self.as_dict(), lambda v: INFINITE if isinstance(v, float) and not math.isfinite(v) else v)
        return json.dumps({**plain, "checksums": checksums}, indent=2) + "\n"

    def __str__(self) -> str:
        rows = [
            ("problem", self.problem),
            ("method", f"{self.method}, {self.parameters} parameters, {self.points} points"),
            ("stages", self.stages),
            ("verdict", f"{self.verdict} (tolerance {self.tolerance:.1e})"),
        ]
        if self.reference_difference is not None:
            rows.append(
                ("relative L2 to the reference", shown_difference(self.reference_difference, self.reference_error))
            )
            rows.append(("reference", f"{self.reference_method}, {self.reference_seconds:.2f} s"))
            if self.verdict != "unverified":
                rows.append(("reference's own error", shown_bar(self.reference_error, self.observed_order)))
        if self.no_reference is not None:
            rows.append(("no reference", self.no_reference))
        if self.against == "exact":
            rows.append(("relative L2 to the exact solution", f"{self.relative_l2:.2e}"))
        if self.reference_to_exact is not None:
            rows.append(("reference to the exact solution", f"{self.reference_to_exact:.2e}"))
        if self.max_error is not None:
            rows.append((f"largest error ({self.against})", f"{self.max_error:.2e}"))
        if self.objection is not None:
            rows.append(("objection", self.objection))
        rows += [(f"unknown {name}", shown(found)) for name, found in self.unknowns.items()]
        if self.data_misfit is not None:
            rows.append(("misfit of the data, of their noise", f"{self.data_misfit:.3g}"))
        rows += [(name, f"{value:.4g}") for name, value in self.metrics.items()]
        rows.append(("estimated error, from residuals", f"{self.estimate:.1e}"))
        dtype = f"{self.dtype} ({self.products})" if self.products else self.dtype
        rows.append(("seconds", f"{self.seconds:.1f} on {self.device}, {dtype}, {self.threads} threads"))
        rows.append(("seed", str(self.seed)))
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _each(named: dict[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """A dictionary with every value changed, those of dictionaries in it too."""
    return {k: _each(v, change) if isinstance(v, dict) else change(v) for k, v in named.items()}


def shown_difference(difference: float, bar: float | None) -> str:
    """A difference to a reference as it may be claimed: never below the reference's own error."""
    if bar is not None and difference < bar:
        return f"below the reference's error ({bar:.1e})"
    return f"{difference:.2e}"


def shown_bar(bar: float | None, order: float | None) -> str:
    """A reference's error bar and observed order."""
    seen = "" if order is None else f", observed order {order:.2f}"
    return ("no bar: the grids do not converge" if bar is None else f"{bar:.1e}") + seen


def relative_l2(u: NDArray[Any], truth: NDArray[Any], weights: NDArray[np.float64]) -> float | None:
    """``|u - truth|_2 / |truth|_2``, quadrature-weighted, nodes where the truth is masked (NaN) left out.

    Infinite where ``u`` is NaN at any other node; None where the truth is nowhere known.
    """
    known = ~np.isnan(truth)
    if not known.any():
        return None
    if not np.isfinite(u[known]).all():
        return math.inf
    w = weights[known]
    size = float(np.sqrt(np.sum(w * np.abs(truth[known]) ** 2)))
    error = float(np.sqrt(np.sum(w * np.abs(u[known] - truth[known]) ** 2)))
    return error / size if size > 0 else (0.0 if error == 0 else math.inf)


def max_error(u: NDArray[Any], truth: NDArray[Any]) -> float:
    """The largest ``|u - truth|`` where the truth is known; infinite where ``u`` is NaN there."""
    gap = np.abs(u - truth)[~np.isnan(truth)]
    return float(gap.max()) if np.isfinite(gap).all() else math.inf


def judge(
    grid: GridSolution,
    fields: dict[str, NDArray[Any]],
    outputs: tuple[str, ...],
    observed_order: float | None,
    reference_error: float | None,
    tolerance: float,
    one_grid: bool = False,
) -> Figures:
    """The errors and the verdict from fields on a grid alone: ``u``, ``u_reference``, ``u_exact`` for each output.

    With a ``slowness`` the output is a travel time, and must be a first arrival (``causality``): where the exact
    solution does not decide, one that is none has failed. ``one_grid``: nothing is known of the reference's own error,
    so that the verdict does not rest on it.
    """
    weights = grid.quadrature()

    def worst(one: str, other: str) -> float | None:
        pairs = [(n + one, n + other) for n in outputs if n + one in fields and n + other in fields]
        errors = [relative_l2(fields[a], fields[b], weights) for a, b in pairs]
        return max((e for e in errors if e is not None), default=None)

    to_exact, difference = worst("", "_exact"), worst("", "_reference")
    against = "exact" if to_exact is not None else "reference" if difference is not None else "none"
    largest = max((max_error(fields[n], fields[f"{n}_{against}"]) for n in outputs if against != "none"), default=None)
    objection = _objection(grid, fields, outputs)
    word = verdict(to_exact, None if one_grid else difference, reference_error, tolerance)
    word = "failed" if objection is not None and to_exact is None else word
    return Figures(
        against, difference if to_exact is None else to_exact, largest, difference, reference_error,
        worst("_reference", "_exact"), observed_order, word, word in ("certified", "consistent"),
        objection,
    )  # fmt: skip


def _objection(grid: GridSolution, fields: dict[str, NDArray[Any]], outputs: tuple[str, ...]) -> str | None:
    if SLOWNESS not in fields:
        return None
    found = causality(fields[outputs[0]], fields[SLOWNESS], grid.coordinates)
    return None if found.holds else str(found)


def verdict(to_exact: float | None, difference: float | None, bar: float | None, tolerance: float) -> str:
    """``certified``, ``consistent``, ``failed`` or ``unverified``; where the exact solution is known, it decides."""
    if to_exact is not None:
        return "certified" if to_exact <= tolerance else "failed"
    if difference is None:
        return "unverified"
    if bar is not None and difference + bar <= tolerance:
        return "certified"
    if bar is not None and difference <= bar and tolerance < bar <= WIDEST_BAR:
        return "consistent"
    return "failed"


def solve_reference(
    problem: Problem, resolution: int | None = None, *, method: str = "auto", tolerance: float | None = None
) -> Reference:
    """The classical solution of a problem at three resolutions, its observed order and error bar; on its only grid
    where that is all there is.

    ``resolution``: cells along the longest space axis (and in time) of the coarsest grid. ``method``:
    ``"finite-differences"``, ``"chebyshev"`` (elements, for smooth problems on boxes), an equation's own
    (``"fourth-order"`` of Helmholtz, ``"spectral"`` of Wave), or ``"auto"``: finite
    differences, and what has the smaller bar where theirs is above a tenth of the ``tolerance``. Raises
    ``NoReferenceError`` where no solver covers the problem. Unknowns are at the values that they start from.
    """
    return choose(forward(problem), resolution, method, tolerance)


def exact_values(problem: Problem, grid: GridSolution) -> dict[str, NDArray[Any]]:
    """``<output>_exact`` on a grid, where the problem carries its exact solution."""
    if problem.exact is None:
        return {}
    points = Points(problem.domain.axes, torch.from_numpy(grid.nodes()))
    parts = exact_outputs(problem, points)
    return {f"{n}_exact": part.numpy().reshape(grid.shape) for n, part in zip(problem.outputs, parts, strict=True)}


def exact_inside(problem: Problem, grid: GridSolution) -> dict[str, NDArray[Any]]:
    """``exact_values``, NaN outside the domain; of zero mean where the problem leaves a constant free."""
    outside = ~problem.domain.contains(torch.from_numpy(grid.nodes())).numpy().reshape(grid.shape)
    exact = {name: masked(values, outside) for name, values in exact_values(problem, grid).items()}
    if problem.free_constant:
        exact = {
            name: values - np.average(values[~outside], weights=grid.quadrature()[~outside])
            for name, values in exact.items()
        }
    return exact


def slowness_on(problem: Problem, grid: GridSolution) -> dict[str, NDArray[Any]]:
    """``slowness`` on a grid, NaN outside the domain, where the problem's output is a travel time."""
    nodes = torch.from_numpy(grid.nodes())
    inside = problem.domain.contains(nodes)
    found = problem.slowness(Points(problem.domain.axes, nodes[inside]))
    if found is None:
        return {}
    field = np.full(len(nodes), np.nan)
    field[inside.numpy()] = found.numpy()
    return {SLOWNESS: field.reshape(grid.shape)}


def own_grid(domain: Domain) -> GridSolution:
    """A grid for a solution without a reference."""
    nodes = OWN_GRID.get(len(domain.bounds), 9)
    return weighted(domain, GridSolution({a: np.linspace(*ends, nodes) for a, ends in domain.bounds.items()}, {}))


@dataclass(frozen=True, eq=False)
class Examination:
    """A report with what it stands on: the reference, the grid, and the fields there."""

    report: Report
    reference: Reference | None
    grid: GridSolution
    fields: dict[str, NDArray[Any]]


def examine(
    problem: Problem, evaluate: Evaluate, made: Provenance, parameters: int, metrics: dict[str, float]
) -> Examination:
    """Compare fields with the exact solution and with finite differences, as far as there are any."""
    reference, why = None, None
    try:
        reference = solve_reference(problem, tolerance=made.tolerance)
    except Exception as error:
        # The network is trained by now: what the reference cannot take is said, and nothing is lost. Only an own
        # reference may raise anything; an error of ours that is no statement about the problem must show.
        if not isinstance(error, PinnSirenError) and problem.reference is None:
            raise
        why = str(error) if isinstance(error, PinnSirenError) else f"reference: {type(error).__name__}: {error}"
    grid = reference.best if reference is not None else own_grid(problem.physical_domain)
    exact = exact_inside(problem, grid)
    fields = slowness_on(problem, grid) | _compared(evaluate(grid.coordinates), reference, exact)
    order, bar = (reference.observed_order, reference.bar) if reference else (None, None)
    figures = judge(grid, fields, problem.outputs, order, bar, made.tolerance, problem.one_grid)
    report = Report(
        problem=type(problem).__name__,
        reference_seconds=reference.seconds if reference else None,
        reference_method=reference.name if reference else None,
        no_reference=why,
        parameters=parameters,
        metrics=metrics,
        **asdict(made),
        **asdict(figures),
    )
    return Examination(report, reference, grid, fields)


def _compared(
    outputs: dict[str, NDArray[Any]], reference: Reference | None, exact: dict[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """The outputs beside the reference, the exact solution and the error against the better of the two."""
    fields = {**outputs, **exact}
    if reference is not None:
        fields |= {f"{n}_reference": reference.best.values[n] for n in outputs}
    for n in outputs:
        truth = fields.get(f"{n}_exact", fields.get(f"{n}_reference"))
        if truth is not None:
            fields["error" if len(outputs) == 1 else f"{n}_error"] = np.abs(fields[n] - truth)
    return fields
