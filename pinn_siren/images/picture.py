"""A problem whose solution is an image: figures of merit and pictures against the image that it should be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..domains import Box
from ..errors import ProblemError
from ..points import Points
from ..problem import Problem
from ..reference.grid import GridSolution
from .fields import Field, Stencil, gradient, laplacian, pixels
from .panels import draw_panels, save_image
from .quality import psnr, span_of, ssim
from .read import FEWEST, upright

if TYPE_CHECKING:
    from ..solution import Solution

COLOURS = ("red", "green", "blue")
CHUNK = 16_384
"""Pixels whose derivatives are evaluated at a time."""


@dataclass(frozen=True, eq=False)
class Views:
    """An image ``(nx, ny, channels)``, its gradient ``(..., 2)`` and its Laplacian, lengths in pixels."""

    value: Field
    gradient: Field
    laplacian: Field

    @property
    def slope(self) -> Field:
        """The gradient's length, a channel each."""
        return np.asarray(np.linalg.norm(self.gradient, axis=-1))


class Picture(Problem):
    """A field u(x, y) that should be an image: intensities in [0, 1], lengths in pixels, y upward.

    ``image``: ``(nx, ny, channels)``, what the solution is compared with, ``named`` so in pictures; ``described``: what
    the reference is; ``stencil``: how the derivatives that it is compared with are taken; ``given``: what is known, to
    be shown beside;
    ``resolution``: pixels along the longer side of a picture of its own; ``crop``: its left, top, right and bottom
    edge, in pixels from the upper left one. One field for gray images, three for colours.
    """

    image: Field
    named: str = "image"
    described: str = "the pixels"
    stencil: Stencil = "spectral"
    given: Field | None = None
    resolution: int | None = None
    crop: tuple[float, float, float, float] | None = None

    one_grid = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resolution is not None and self.resolution < FEWEST:
            raise ProblemError(f"resolution must be at least {FEWEST} pixels, got {self.resolution}.")
        left, top, right, bottom = self.window
        columns, rows = self.image.shape[:2]
        if not (0 <= left < right <= columns - 1 and 0 <= top < bottom <= rows - 1):
            raise ProblemError(
                f"crop must be left, top, right, bottom within 0 to {columns - 1} and 0 to {rows - 1} pixels, got "
                f"{self.crop}."
            )

    @property
    def first_frequency(self) -> float:
        """Less than of a field, to be smooth between the pixels too; of derivatives, whose spectra reach higher than
        the image's, less again."""
        return 1 / 8 if self.of_derivatives else 1 / 4

    @property
    def classical_method(self) -> str:
        """What the reference is."""
        return self.described

    @property
    def window(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom edge of what is rendered."""
        return self.crop or (0.0, 0.0, self.image.shape[0] - 1.0, self.image.shape[1] - 1.0)

    def metrics(self, solution: Solution) -> dict[str, float]:
        """PSNR and SSIM of the image, its gradient's length and its Laplacian; where a constant is free, with the one
        that brings the image nearest in the least-squares sense."""
        found, shift = self._found(solution)
        truth = views(self.image, self.stencil)
        named = {"constant added, by least squares": shift} if self.free_constant else {}
        for name, one, other in (
            ("", found.value, truth.value),
            ("gradient ", found.slope, truth.slope),
            ("Laplacian ", found.laplacian, truth.laplacian),
        ):
            span = span_of(other) if name else 1.0
            named |= {f"{name}PSNR (dB)": psnr(one, other, span), f"{name}SSIM": ssim(one, other, span)}
        classical = self._classical()
        if self.named == "image" and self.free_constant:
            named["discrete solve, PSNR (dB)"] = psnr(classical + _nearest(classical, self.image), self.image)
        return named

    def draw(self, solution: Solution, folder: Path) -> list[Path]:
        """``pictures.png``: image, gradient and Laplacian beside what they should be; ``image.png``: the image alone;
        ``render.png``: the crop at the resolution asked for."""
        found, shift = self._found(solution)
        rows = {f"the {self.named}": views(self.image, self.stencil), "the network": found}
        classical = self._classical()
        if self.named == "image" and self.free_constant:
            rows["the discrete solve"] = views(classical + _nearest(classical, self.image), self.stencil)
        written = [folder / "pictures.png", folder / "image.png"]
        draw_panels(written[0], rows, self.given)
        save_image(written[1], upright(found.value))
        if self.resolution is not None or self.crop is not None:
            written.append(folder / "render.png")
            save_image(written[2], self.render(solution) + shift)
        return written

    def render(self, solution: Solution) -> Field:
        """``(rows, columns, channels)``: the crop, with ``resolution`` pixels along its longer side."""
        left, top, right, bottom = self.window
        last = self.image.shape[1] - 1
        longer = max(right - left, bottom - top)
        count = self.resolution or round(longer) + 1
        nx, ny = (max(2, round(count * side / longer)) for side in (right - left, bottom - top))
        x, y = np.linspace(left, right, nx), np.linspace(last - bottom, last - top, ny)
        grid = solution.on_grid({"x": x, "y": y})
        return upright(np.stack([grid[name] for name in self.outputs], axis=-1))

    def _classical(self) -> Field:
        assert self.reference is not None
        values = self.reference({}).values
        return np.stack([np.asarray(values[name], dtype=float) for name in self.outputs], axis=-1)

    def _found(self, solution: Solution) -> tuple[Views, float]:
        """The network's views at the pixels, and the mean constant that was added."""
        found = network_views(solution, self.image)
        if not self.free_constant:
            return found, 0.0
        shift = _nearest(found.value, self.image)
        return Views(found.value + shift, found.gradient, found.laplacian), float(shift.mean())


class ColourPicture(Picture):
    """A picture of three channels."""

    outputs = COLOURS


def picture_class(image: Field) -> type[Picture]:
    """The problem for an image's number of channels."""
    return ColourPicture if image.shape[2] == 3 else Picture


def box_of(image: Field) -> Box:
    """From the first to the last pixel center along each axis."""
    return Box(x=(0, image.shape[0] - 1), y=(0, image.shape[1] - 1))


def on_pixels(image: Field) -> GridSolution:
    """The image as a solution on the grid of its pixels."""
    axes = {axis: np.arange(n, dtype=float) for axis, n in zip("xy", image.shape[:2], strict=True)}
    return GridSolution(axes, {name: image[..., i] for i, name in enumerate(picture_class(image).outputs)})


def columns(field: Field) -> Field:
    """Values as ``Data`` takes them: ``(nx ny,)`` of one channel, ``(nx ny, channels)`` of several, more for slopes."""
    table = field.reshape(-1, *field.shape[2:])
    return table[:, 0] if table.shape[1] == 1 else table


def views(image: Field, stencil: Stencil) -> Views:
    """An image with its derivatives at the pixels."""
    return Views(image, gradient(image, stencil), laplacian(image, stencil))


def network_views(solution: Solution, image: Field) -> Views:
    """The network with its derivatives at the pixels of an image."""
    at = torch.from_numpy(pixels(image))
    parts = [_derivatives(solution, Points(("x", "y"), part)) for part in at.split(CHUNK)]
    value, slopes, curvature = (torch.cat(pieces).double().cpu().numpy() for pieces in zip(*parts, strict=True))
    shape = image.shape
    return Views(value.reshape(shape), slopes.reshape(*shape, 2), curvature.reshape(shape))


def _derivatives(solution: Solution, p: Points) -> tuple[Tensor, Tensor, Tensor]:
    jets = solution.jet(p, ["x", "y", "laplacian"])
    jets = jets if isinstance(jets, tuple) else (jets,)
    return (
        torch.stack([u.value for u in jets], 1),
        torch.stack([u.grad for u in jets], 1),
        torch.stack([u.laplacian for u in jets], 1),
    )


def _nearest(field: Field, image: Field) -> Field:
    """``(channels,)``: the constant that brings a field nearest to an image in the least-squares sense."""
    return np.asarray((image - field).mean((0, 1)))
