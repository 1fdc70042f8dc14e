"""Error against seconds, a panel a row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from .methods import METHODS, OURS
from .tables import Runs

COLOURS = {
    "least-squares": "#b2182b", "gauss-newton": "#ef8a62", "fastlsq": "#2166ac", "fastlsq, scale given": "#67a9cf",
    "deepxde": "#1b7837", "jinns": "#762a83", "jinns, SSBroyden": "#af8dc3", "pina": "#a6761d",
    "neurodiffeq": "#666666",
}  # fmt: skip
FLOOR = 1e-16


def draw(path: Path, runs: Runs, titles: Mapping[str, str]) -> None:
    """Write the picture: lines for methods with a course, one mark a run for those with a result alone."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = min(4, max(1, len(runs)))
    rows = math.ceil(len(runs) / columns)
    foot = 0.9  # inches for the legend
    figure, axes = plt.subplots(rows, columns, figsize=(4 * columns, 3 * rows + foot), squeeze=False, sharey=True)
    handles = {}
    for axis, (row, methods) in zip(axes.ravel(), runs.items(), strict=False):
        for name, found in methods.items():
            classical = METHODS[name].kind == "classical"
            for run in found:
                # A classical curve is one solve a point: from coarse to fine, the best so far.
                curve = sorted((max(s, 1e-5), max(e, FLOOR)) for s, e in run.curve if math.isfinite(e))
                if classical:
                    best = math.inf
                    curve = [(s, best := e) for s, e in curve if e < best]
                if not curve:
                    continue
                style = {"color": COLOURS.get(name, "#bbbbbb"), "lw": 1.4, "zorder": 2}
                if classical:
                    style |= {"color": "#c0c0c0", "lw": 0.9, "zorder": 1}
                elif name in OURS.values():
                    style |= {"zorder": 3}
                if len(curve) == 1:
                    mark = "*" if name in OURS.values() else "o"
                    (line,) = axis.plot(*curve[0], mark, ms=9 if mark == "*" else 6, **style)
                else:
                    (line,) = axis.plot(*zip(*curve, strict=True), **style)
                handles["classical, one solve a point" if classical else name] = line
        axis.set(xscale="log", yscale="log", ylim=(FLOOR / 3, 10))
        axis.set_title(titles[row], fontsize=9)
        axis.grid(alpha=0.25)
        axis.tick_params(labelsize=8)
    for axis in axes.ravel()[len(runs) :]:
        axis.axis("off")
    for axis in axes[:, 0]:
        axis.set_ylabel("relative L2 error", fontsize=9)
    for axis in axes[-1]:
        axis.set_xlabel("seconds", fontsize=9)
    wide = min(columns + 1, len(handles) or 1)
    figure.legend(handles.values(), handles.keys(), loc="lower center", ncols=wide, fontsize=9, frameon=False)
    figure.tight_layout(rect=(0, foot / (3 * rows + foot), 1, 1))
    figure.savefig(path, dpi=110)
    plt.close(figure)
