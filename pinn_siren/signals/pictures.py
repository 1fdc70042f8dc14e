"""Pictures of signals: a surface with the distance on slices, a sound with its spectrum, frames of a video."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LightSource
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from ..storage import replacing
from .cloud import Real
from .surface import Index

if TYPE_CHECKING:
    from ..solution import Solution
    from .distance import SignedDistance
    from .sound import Recording
    from .video import Video

FACES = 40_000
"""Faces that are drawn at most: matplotlib sorts them all."""
SLICE = 200


def draw_shape(path: Path, problem: SignedDistance, solution: Solution, vertices: Real, faces: Index) -> None:
    """Writes a PNG: the zero level as a shaded surface, and the distance on the slices through the box's middle."""
    while len(faces) > FACES:
        vertices, faces = problem.surface(solution, int(problem.resolution * (FACES / len(faces)) ** 0.5 * 0.95))
    bounds = problem.domain.bounds
    figure = Figure(figsize=(15, 4.4), dpi=130, layout="constrained")
    panels = figure.add_gridspec(1, 4, width_ratios=[1.2, 1, 1, 1])
    _paint_surface(figure.add_subplot(panels[0], projection="3d"), vertices, faces, bounds)
    slices = {fixed: _slice(problem, solution, fixed) for fixed in "zyx"}
    most = max(np.abs(values).max() for _, values in slices.values())
    longest = 2 * problem.half
    for k, (fixed, (grid, values)) in enumerate(slices.items(), 1):
        axes = figure.add_subplot(panels[k])
        across, up = (a for a in "xyz" if a != fixed)
        painted = axes.contourf(grid[across], grid[up], values, np.linspace(-most, most, 41), cmap="RdBu")
        axes.contour(grid[across], grid[up], values, [0.0], colors="black", linewidths=1.5)
        middle = grid[fixed][0] if abs(grid[fixed][0]) > 1e-3 * longest else 0.0
        axes.set(aspect="equal", xlabel=across, ylabel=up, title=f"u at {fixed} = {middle:.3g}")
    figure.colorbar(painted, ax=figure.axes[1:], label="signed distance", shrink=0.8)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _slice(problem: SignedDistance, solution: Solution, fixed: str) -> tuple[dict[str, Real], Real]:
    bounds = problem.domain.bounds
    grid = {a: np.linspace(*bounds[a], SLICE) if a != fixed else np.array([sum(bounds[a]) / 2]) for a in "xyz"}
    return grid, solution.on_grid(grid)["u"].squeeze("xyz".index(fixed)).T


def _paint_surface(axes: object, vertices: Real, faces: Index, bounds: dict[str, tuple[float, float]]) -> None:
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    shade = LightSource(azdeg=225, altdeg=45).shade_normals(normals, fraction=1.0)
    colours = np.clip(np.outer(0.25 + 0.75 * shade, [0.55, 0.7, 0.9]), 0, 1)
    axes.add_collection3d(Poly3DCollection(corners, facecolors=colours, edgecolors="none"))  # type: ignore[attr-defined]
    (x0, x1), (y0, y1), (z0, z1) = bounds.values()
    axes.set(xlim=(x0, x1), ylim=(y0, y1), zlim=(z0, z1), xlabel="x", ylabel="y", zlabel="z", title="u = 0")  # type: ignore[attr-defined]
    axes.set_box_aspect((x1 - x0, y1 - y0, z1 - z0))  # type: ignore[attr-defined]


def draw_sound(path: Path, recording: Recording, played: Real) -> None:
    """Writes a PNG: for each channel the recording and the solution, a close look at the loudest part, and both
    spectra."""
    channels = recording.channels
    figure = Figure(figsize=(15, 3.2 * len(channels) + 0.6), dpi=130, layout="constrained")
    panels = figure.subplots(len(channels), 3, squeeze=False)
    times, count = recording.times, len(recording.times)
    frequencies = np.fft.rfftfreq(count, 1 / recording.rate)
    for row, name, told, heard in zip(panels, channels, recording.samples.T, played.T, strict=True):
        loudest, wide = int(np.abs(told).argmax()), max(50, round(0.01 * recording.rate))
        close = slice(max(0, loudest - wide), loudest + wide)
        row[1].locator_params(nbins=5)
        for axes, part in ((row[0], slice(None)), (row[1], close)):
            axes.plot(times[part], told[part], color="0.6", linewidth=2.5, label="recording")
            axes.plot(times[part], heard[part], color="C0", linewidth=0.8, label="solution")
            axes.plot(times[part], (heard - told)[part], color="C3", linewidth=0.8, label="difference")
            axes.set(xlabel="time (s)", ylabel=f"{name} (full scale 1)")
        row[0].legend(loc="upper right", fontsize=8)
        for values, colour in ((told, "0.6"), (heard, "C0"), (heard - told, "C3")):
            row[2].loglog(frequencies[1:], np.abs(np.fft.rfft(values))[1:] * 2 / count + 1e-12, color=colour, lw=0.8)
        row[2].set(xlabel="frequency (Hz)", ylabel="amplitude", ylim=(1e-8, None))
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def draw_video(path: Path, problem: Video, solution: Solution, psnr: Real) -> None:
    """Writes a PNG: three frames of the video, of the solution and the difference, and each frame's PSNR."""
    count, rows, columns, _ = problem.frames.shape
    shown = sorted({0, count // 2, count - 1})
    height = 3.6 * rows / columns
    figure = Figure(figsize=(12, (height + 0.4) * len(shown) + 2.6), dpi=130, layout="constrained")
    panels = figure.add_gridspec(len(shown) + 1, 3, height_ratios=[height] * len(shown) + [2.2])
    for row, number in enumerate(shown):
        told, heard = problem.frames[number] / 255.0, problem.frame(solution, number)
        # Ten times the difference around grey: what is left of it would not show otherwise.
        for k, (title, picture) in enumerate(
            {"video": told, "solution": heard, "difference x 10": np.clip(0.5 + 10 * (heard - told), 0, 1)}.items()
        ):
            axes = figure.add_subplot(panels[row, k])
            axes.imshow(picture, interpolation="nearest")
            axes.set_title(f"{title}, frame {number}", fontsize=9)
            axes.set_axis_off()
    axes = figure.add_subplot(panels[len(shown), :])
    axes.plot(problem.nodes["t"], psnr, marker=".")
    axes.set(xlabel="time (s)", ylabel="PSNR (dB)")
    axes.grid(alpha=0.3)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
