"""Errors against seconds: when an accuracy is reached, by whom first, and what is said of it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

GRIDS, EXTRAPOLATED = "finite differences", "Richardson extrapolation"
CLASSICAL = (GRIDS, EXTRAPOLATED)
ACCURACIES = tuple(10.0**-k for k in range(2, 16, 2))
Curve = tuple[tuple[float, float], ...]
"""Pairs of seconds and relative L2 error, in the order of time; for grids, from the coarsest to the finest."""


@dataclass(frozen=True)
class Run:
    """One run of one method, or of the sequence of grids: its curve, the last point of which is what it reached.

    ``unknowns``: the network's parameters, or the nodes of the finest grid; ``refused``: why there is no curve.
    """

    method: str
    seed: int
    curve: Curve = ()
    unknowns: int = 0
    ended: str = ""
    refused: str | None = None

    @property
    def seconds(self) -> float:
        """When it ended."""
        return self.curve[-1][0]

    @property
    def error(self) -> float:
        """What it ended with."""
        return self.curve[-1][1]

    def plain(self) -> dict[str, Any]:
        """Plain types for JSON, which has no infinity: None stands for it."""
        curve = [[s, e if math.isfinite(e) else None] for s, e in self.curve]
        return {**self.__dict__, "curve": curve}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Run:
        """The run back from plain types."""
        curve = tuple((s, math.inf if e is None else e) for s, e in plain["curve"])
        return cls(**{**plain, "curve": curve})


@dataclass(frozen=True)
class Row:
    """The runs of one method: ``times`` are the medians of the seconds to each accuracy, infinite if not reached."""

    method: str
    unknowns: int
    errors: tuple[float, ...]
    seconds: tuple[float, ...]
    times: dict[float, float]
    refused: str | None = None

    @property
    def classical(self) -> bool:
        """Whether it is a sequence of grids."""
        return self.method in CLASSICAL


def time_to(accuracy: float, curve: Curve, bar: float = 0.0) -> float:
    """The least seconds with an error that is surely this small, the truth's own ``bar`` added; else infinite."""
    return min((s for s, e in curve if e + bar <= accuracy), default=math.inf)


def make_rows(runs: Sequence[Run], bar: float = 0.0) -> list[Row]:
    """A row a method, in the order of their first runs; a method that failed with one seed is refused."""
    rows = []
    for method in dict.fromkeys(r.method for r in runs):
        own = [r for r in runs if r.method == method]
        refused = next((r.refused for r in own if r.refused is not None), None)
        if refused is not None:
            rows.append(Row(method, 0, (), (), {}, refused))
            continue
        times = {a: statistics.median(time_to(a, r.curve, bar) for r in own) for a in ACCURACIES}
        rows.append(Row(method, own[-1].unknowns, tuple(r.error for r in own), tuple(r.seconds for r in own), times))
    return rows


def reached(rows: Iterable[Row]) -> list[float]:
    """The accuracies that any method reaches, the first one in any case."""
    times = [r.times for r in rows if r.refused is None]
    return [a for a in ACCURACIES if any(t[a] < math.inf for t in times)] or [ACCURACIES[0]]


def fastest(rows: Iterable[Row], accuracy: float) -> Row | None:
    """The method that reaches an accuracy first; None where none does."""
    able = [r for r in rows if r.times.get(accuracy, math.inf) < math.inf]
    return min(able, key=lambda r: r.times[accuracy], default=None)


def verdict_sentences(rows: Sequence[Row]) -> list[str]:
    """Who is fastest to each accuracy that is reached, a sentence for each of the classical solver and the networks.

    The ratio is that to the best of the other side.
    """
    won: dict[bool, list[str]] = {True: [], False: []}
    for accuracy in reached(rows):
        first = fastest(rows, accuracy)
        if first is None:
            return [f"No method reaches {power(accuracy)}."]
        other = fastest([r for r in rows if r.classical != first.classical], accuracy)
        side = "network" if first.classical else "grid"
        ratio = (
            f"no {side} reaches it" if other is None
            else f"{_ratio(other.times[accuracy] / first.times[accuracy])} times as fast as {other.method}"
        )  # fmt: skip
        won[first.classical].append(f"{power(accuracy)} ({first.method}, {shown(first.times[accuracy])} s; {ratio})")
    said = []
    if won[True]:
        said.append(f"The classical solver is the fastest to {_listed(won[True])}.")
    if won[False]:
        said.append(f"A network is the fastest to {_listed(won[False])}.")
    return said


def shown(seconds: float) -> str:
    """Seconds with two digits."""
    return "-" if not math.isfinite(seconds) else f"{seconds:.2g}" if seconds < 10 else f"{seconds:.0f}"


def power(accuracy: float) -> str:
    """``1e-6``."""
    return f"1e{round(math.log10(accuracy))}"


def _ratio(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
