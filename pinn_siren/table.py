"""The tables that the command line prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .reference import Reference
from .validation import Report


def report_table(reports: Mapping[str, Report]) -> str:
    """One line a solution: errors, the reference's own beside them, seconds, verdict."""
    head = (
        "problem",
        "method",
        "parameters",
        "to reference",
        "reference's own",
        "to exact",
        "seconds",
        "ref. s",
        "verdict",
    )
    rows = [
        (
            name, r.method, str(r.parameters), _difference(r), _number(r.reference_error),
            _number(r.relative_l2 if r.against == "exact" else None), f"{r.seconds:.1f}",
            "-" if r.reference_seconds is None else f"{r.reference_seconds:.1f}", r.verdict,
        )
        for name, r in reports.items()
    ]  # fmt: skip
    made = next(iter(reports.values()))
    foot = (
        f"Relative L2 errors. {made.device}, {made.dtype}, {made.threads} threads, seed {made.seed}; "
        "<: below the reference's own error, so no more can be said."
    )
    return aligned(head, rows) + "\n" + foot


def reference_table(references: Mapping[str, Reference]) -> str:
    """One line a reference: grid, observed order, error bar, seconds."""
    head = ("problem", "method", "finest grid", "observed order", "relative L2 error bar", "seconds")
    rows = [
        (
            name, r.name, " x ".join(map(str, r.finest.shape)),
            "-" if r.observed_order is None else f"{r.observed_order:.2f}",
            "none: one grid" if len(r.levels) == 1 else
            "none: the grids do not converge" if r.bar is None else f"{r.bar:.1e}", f"{r.seconds:.2f}",
        )
        for name, r in references.items()
    ]  # fmt: skip
    return aligned(head, rows)


def _difference(r: Report) -> str:
    if r.reference_difference is None:
        return "-"
    if r.reference_error is not None and r.reference_difference < r.reference_error:
        return f"< {r.reference_error:.1e}"
    return f"{r.reference_difference:.1e}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns under their heads."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]]
    return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])
