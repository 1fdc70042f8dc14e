"""The table of a comparison, as text and in Markdown, from its rows alone."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence

from ..table import aligned
from .curves import Row, fastest, power, reached, shown


def cells(rows: Sequence[Row], bar: float, verdicts: Sequence[Sequence[str]], mark: str) -> list[list[str]]:
    """The head and a line a method; ``mark``: how the fastest time to each accuracy is shown, as in ``"{}*"``."""
    accuracies = reached(rows)
    best = {a: fastest(rows, a) for a in accuracies}
    table = [["method", "unknowns", "error", "seconds", *(f"s to {power(a)}" for a in accuracies), "verdict"]]
    for row, words in zip(rows, verdicts, strict=True):
        if row.refused is not None:
            table.append([row.method, *["-"] * (3 + len(accuracies)), "cannot, see below"])
            continue
        times = [
            mark.format(shown(row.times[a])) if row is best[a] else shown(row.times[a]) for a in accuracies
        ]  # fmt: skip
        table.append(
            [row.method, str(row.unknowns), spread(row.errors, bar), _seconds(row.seconds), *times, agreed(words)]
        )
    return table


def spread(errors: Sequence[float], bar: float = 0.0) -> str:
    """``median [least, largest]``; nothing is said below the bar, where errors are those of the truth."""
    if any(math.isnan(e) for e in errors):
        return "-"
    middle = statistics.median(errors)
    shown_middle = f"< {bar:.1e}" if middle < bar else f"{middle:.1e}"
    low, high = max(min(errors), bar), max(max(errors), bar)
    return shown_middle if f"{low:.1e}" == f"{high:.1e}" else f"{shown_middle} [{low:.1e}, {high:.1e}]"


def agreed(words: Sequence[str]) -> str:
    """The verdict of all seeds, or the commonest with its number."""
    (word, count), *others = Counter(words).most_common()
    return f"{word}, {count} of {len(words)}" if others else word


def refusals(rows: Sequence[Row]) -> list[str]:
    """Why a method could not be run, a line each."""
    return [f"{row.method} cannot: {row.refused}" for row in rows if row.refused is not None]


def as_text(table: Sequence[Sequence[str]]) -> str:
    """Aligned columns."""
    return aligned(table[0], table[1:])


def as_markdown(table: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = ["| " + " | ".join(line) + " |" for line in table]
    return "\n".join([lines[0], "|" + " --- |" * len(table[0]), *lines[1:]])


def _seconds(values: Sequence[float]) -> str:
    low, middle, high = (shown(v) for v in (min(values), statistics.median(values), max(values)))
    return middle if low == high else f"{middle} [{low}, {high}]"
