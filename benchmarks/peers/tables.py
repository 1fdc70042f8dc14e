"""From runs to tables: pure functions of ``{row: {method: [Run, ...]}}``."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from .methods import METHODS, OURS
from .protocol import Run

Runs = Mapping[str, Mapping[str, Sequence[Run]]]
AIM_ERROR, AIM_TIME, FLOOR = 100.0, 10.0, 1e-10
LEVELS = (1e-6, 1e-8, 1e-10)


def middle(numbers: Sequence[float]) -> float:
    """The median; of none, not a number."""
    return statistics.median(numbers) if numbers else math.nan


def best_by(run: Run, seconds: float) -> float:
    """The smallest error a run had shown by then, or by its first result: who answers once is not judged before."""
    limit = max(seconds, min(s for s, _ in run.curve))
    return min(e for s, e in run.curve if s <= limit)


def time_to(run: Run, error: float) -> float:
    """When a run first showed this error, infinite if it never did."""
    return min((s for s, e in run.curve if e <= error), default=math.inf)


def middle_run(runs: Sequence[Run]) -> tuple[float, float]:
    """The median error and the median seconds of the runs that came to a result."""
    good = [r for r in runs if r.curve]
    return middle([r.error for r in good]), middle([r.seconds for r in good])


def compare(ours: Sequence[Run], peer: Sequence[Run]) -> tuple[float, float, bool]:
    """How many times more accurate at equal seconds, how many times faster at equal accuracy, is the aim met.

    Equal seconds are the later of ours and the peer's first result.

    Equal accuracy is the worse of the two errors: where the peer never reaches ours, its time to its own best is a
    lower bound of what it would need. The aim: 100 times more accurate or 10 times faster; both below 1e-10: time
    alone.
    """
    error, seconds = middle_run(ours)
    shown = [r for r in peer if r.curve]
    if not shown or math.isnan(error):
        return math.nan, math.nan, False
    at_ours = middle([best_by(r, seconds) for r in shown])
    finest = middle([min(e for _, e in r.curve) for r in shown])
    level = max(error, finest)
    theirs = middle([time_to(r, max(level, min(e for _, e in r.curve))) for r in shown])
    accurate, faster = at_ours / max(error, 1e-300), theirs / max(seconds, 1e-9)
    if error < FLOOR and finest < FLOOR:
        return accurate, faster, faster >= AIM_TIME
    return accurate, faster, accurate >= AIM_ERROR or faster >= AIM_TIME


def against_peers(
    runs: Runs, titles: Mapping[str, str], kind: str, aims: Mapping[str, tuple[float, float] | None]
) -> str:
    """One table: ours of this kind, every peer of this kind, and how they compare."""
    own = OURS[kind]
    peers = [m.name for m in METHODS.values() if m.kind == kind and m.name != own]
    lines = [
        "| problem | aim | " + own + ": error | seconds | peer | error | seconds | more accurate at equal seconds "
        "| faster at equal accuracy | aim met |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row, methods in runs.items():
        ours = [r for r in methods.get(own, ()) if r.curve]
        aim = aims.get(row)
        wanted = "-" if aim is None else f"{aim[0]:.0e} in {aim[1]:g} s"
        head = [titles[row], wanted, spread([r.error for r in ours]), spread([r.seconds for r in ours], "{:.2f}")]
        for peer in [p for p in peers if p in methods]:
            theirs = methods[peer]
            error, seconds = middle_run(theirs)
            if math.isnan(error):
                why = next((r.failure for r in theirs if r.failure), "no result")
                cells = [peer, "-", "-", "-", "-", why.replace("|", "/")[:60]]
            elif not ours:
                cells = [peer, f"{error:.1e}", f"{seconds:.2f}", "-", "-", "-"]
            else:
                accurate, faster, met = compare(ours, theirs)
                cells = [peer, f"{error:.1e}", f"{seconds:.2f}", times(accurate), times(faster), "yes" if met else "no"]
            lines.append("| " + " | ".join(head + cells) + " |")
            head = [""] * 4
        if head[0]:
            lines.append("| " + " | ".join([*head, *["-"] * 6]) + " |")
    return "\n".join(lines)


def against_classical(runs: Runs, titles: Mapping[str, str]) -> str:
    """The best classical way to each level, and its time over ours."""
    lines = [
        "| problem | " + " | ".join(f"to {level:.0e}" for level in LEVELS) + " | best error | least-squares |",
        "| --- | " + " | ".join("---" for _ in LEVELS) + " | --- | --- |",
    ]
    classical = [m.name for m in METHODS.values() if m.kind == "classical"]
    for row, methods in runs.items():
        error, seconds = middle_run([r for r in methods.get(OURS["frozen"], ()) if r.curve])
        cells = []
        for level in LEVELS:
            found = [(middle([time_to(r, level) for r in methods[m]]), m) for m in classical if methods.get(m)]
            best, name = min(found, default=(math.inf, ""))
            if math.isinf(best):
                cells.append("-")
            elif error <= level:
                cells.append(f"{name}, {best:.2g} s, {times(seconds / best)} less than ours")
            else:
                cells.append(f"{name}, {best:.2g} s")
        finest = [(min(e for _, e in r.curve), m) for m in classical for r in methods.get(m, ()) if r.curve]
        least, name = min(finest, default=(math.nan, "-"))
        ours = "-" if math.isnan(error) else f"{error:.1e} in {seconds:.2g} s"
        lines.append("| " + " | ".join([titles[row], *cells, f"{least:.0e}, {name}", ours]) + " |")
    return "\n".join(lines)


def spread(numbers: Sequence[float], form: str = "{:.1e}") -> str:
    """The median, and the range where there are several."""
    if not numbers:
        return "-"
    text = form.format(middle(numbers))
    return text if len(numbers) == 1 else f"{text} [{form.format(min(numbers))}, {form.format(max(numbers))}]"


def times(ratio: float) -> str:
    """``12x``; three digits at most."""
    return "-" if not math.isfinite(ratio) else f"{ratio:.2g}x" if ratio < 1000 else f"{ratio:.0e}x"
