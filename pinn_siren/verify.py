"""verify(folder): recompute a report from the files, and say what differs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .domains import Domain
from .errors import UsageError
from .integrity import checksums, reference_checksums
from .reference import GridSolution, Reference, judged, weighted
from .solution import Solution, read_report
from .storage import StoredSolution, read_reference, read_solution
from .validation import Figures, Report, judge

FIELD_TOLERANCE = 1e-6
"""How far a stored value may lie from its recomputation, of the field's maximum."""
FIGURE_TOLERANCE = 1e-9


def verify(folder: str | Path) -> tuple[Report, list[str]]:
    """The saved report, and a sentence for everything that does not follow from the files; none if all does.

    The network is evaluated again on the grid; errors, order, error bar and verdict are computed again from the stored
    fields; every stored array is compared with its checksum. Seconds and seed are recorded, not computed. Raises
    ``StorageError`` for a missing or unreadable file.
    """
    folder = Path(folder)
    report, stored = read_report(folder), read_solution(folder / "solution.h5")
    solution = Solution.load(folder)
    found = _network(solution, stored)
    reference = read_reference(folder / "reference.h5")[0] if report.reference_method is not None else None
    again = None
    if reference is not None:
        again, differences = _again(reference)
        found += differences + _reference(reference, stored)
    found += _weights(solution.shape.physical, stored, reference)
    if reference is None or again is not None:
        found += _figures(report, stored, again)
    found += _checksums(folder, checksums(stored) | reference_checksums(reference), found)
    return report, found


def _network(solution: Solution, stored: StoredSolution) -> list[str]:
    """The stored outputs against the network's."""
    again = solution.on_grid(stored.coordinates)
    return [
        line
        for name, values in again.items()
        for line in _compare(name, stored.coordinates, stored.fields, values, "the network gives")
    ]


def _reference(reference: Reference, stored: StoredSolution) -> list[str]:
    """The reference in ``solution.h5`` against ``reference.h5``."""
    return [
        line
        for name, values in reference.best.values.items()
        for line in _compare(f"{name}_reference", stored.coordinates, stored.fields, values, "reference.h5 has")
    ]


def _again(reference: Reference) -> tuple[Reference | None, list[str]]:
    """The reference with order, bars and extrapolation as they follow from its grids, and how its own differ."""
    try:
        again = judged(reference.levels, reference.method, reference.formal_order, reference.seconds)
    except UsageError as error:
        return None, [f"reference.h5 cannot be judged. {error}"]
    if (again.extrapolated is None) != (reference.extrapolated is None):
        return again, ["reference.h5 has an extrapolated solution and its grids do not give one, or the other way."]
    if again.extrapolated is None or reference.extrapolated is None:
        return again, []
    kept, found = reference.extrapolated, []
    for name, values in again.extrapolated.values.items():
        found += _compare(name, kept.coordinates, kept.values, values, "the grids extrapolate to")
    return again, [f"reference.h5, extrapolated: {line}" for line in found]


def _weights(domain: Domain, stored: StoredSolution, reference: Reference | None) -> list[str]:
    """The weights of the norms against those that follow from the domain."""
    grids = {"solution.h5": GridSolution(stored.coordinates, {}, stored.weights)}
    grids |= {f"reference.h5, grid {k},": level for k, level in enumerate(reference.levels if reference else ())}
    if reference is not None and reference.extrapolated is not None:
        grids["reference.h5, extrapolated,"] = reference.extrapolated
    found = []
    for where, grid in grids.items():
        again = weighted(domain, GridSolution(grid.coordinates, {})).quadrature()
        if grid.quadrature().shape != again.shape or not np.allclose(grid.quadrature(), again, rtol=1e-9, atol=0):
            found.append(f"weights in {where} are not those of {domain}.")
    return found


def _compare(
    name: str, coordinates: dict[str, NDArray[Any]], fields: Mapping[str, NDArray[Any]], again: NDArray[Any], who: str
) -> list[str]:
    if name not in fields:
        return [f"{name} is missing in solution.h5."]
    kept = fields[name]
    if kept.shape != again.shape:
        return [f"{name} has the shape {kept.shape}; {who} {again.shape}."]
    gap = np.abs(kept - again)
    gap[np.isnan(kept) & np.isnan(again)] = 0.0
    gap[np.isnan(gap)] = np.inf
    worst = np.unravel_index(np.argmax(gap), gap.shape)
    if gap[worst] <= FIELD_TOLERANCE * np.nanmax(np.abs(again), initial=0.0):
        return []
    place = ", ".join(f"{a}={nodes[i]:.6g}" for (a, nodes), i in zip(coordinates.items(), worst, strict=True))
    return [f"{name} at {place} is {kept[worst]:.9g}; {who} {again[worst]:.9g}."]


def _figures(report: Report, stored: StoredSolution, reference: Reference | None) -> list[str]:
    """The report's figures against those of the stored fields; ``reference``: as judged again."""
    order, bar = (reference.observed_order, reference.bar) if reference else (None, None)
    outputs = tuple(json.loads(stored.network_configuration)["outputs"])
    grid = GridSolution(stored.coordinates, {}, stored.weights)
    alone = reference is not None and len(reference.levels) == 1
    again = judge(grid, stored.fields, outputs, order, bar, report.tolerance, alone)
    found = [
        f"{name} is {getattr(report, name)} in report.json; the stored fields give {getattr(again, name)}."
        for name in Figures.__dataclass_fields__
        if not _same(getattr(report, name), getattr(again, name))
    ]
    recorded = json.loads(str(stored.attributes.get("metrics", "{}")))
    if recorded != report.metrics:
        found.append(f"metrics are {report.metrics} in report.json; solution.h5 has {recorded}.")
    return found


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return bool(np.isclose(one, other, rtol=FIGURE_TOLERANCE, atol=1e-300))
    return bool(one == other)


def _checksums(folder: Path, now: dict[str, str], already: list[str]) -> list[str]:
    """What the comparisons above cannot see: any array that is not the one that was written."""
    written = json.loads((folder / "report.json").read_text(encoding="utf-8")).get("checksums", {})
    named = {line.split()[0] for line in already}
    changed = [n for n in sorted(written.keys() | now.keys()) if written.get(n) != now.get(n) and n not in named]
    return [f"{_place(name)} is not what was written: its checksum differs." for name in changed]


def _place(name: str) -> str:
    return name if name.startswith("reference.h5") else f"{name} in solution.h5"
