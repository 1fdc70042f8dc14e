"""A space of images: functions whose network follows from a few of their pixels, trained on many, tried on others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import nn

from ..conditions import ConditionBase, Constraint, Fields, Parts, Raster
from ..domains import Box, Sampler
from ..errors import ProblemError
from ..hyper import HyperSiren
from ..points import Points
from ..problem import Problem
from ..reference.grid import GridSolution
from ..storage import replacing
from .fields import Field, pixels
from .quality import psnr
from .read import upright

if TYPE_CHECKING:
    from ..solution import Solution

AT_ONCE = 4
"""Members whose code and weights a step looks at."""
SHOWN = 4
"""Images that are drawn."""
NOISE = 0.03
"""Deviation of what a Gaussian of images leaves unexplained at a pixel."""


@dataclass(frozen=True, eq=False)
class Small(ConditionBase):
    """A field that is one number a member should be small: its mean square over random members."""

    field: str
    members: int
    weight: float

    def constraints(self, problem: Any) -> list[Constraint]:
        """One constraint, at the middle of a few members."""
        axes, bounds = problem.domain.axes, problem.domain.bounds
        which = problem.fields.index(self.field)

        def sample(n: int, sampler: Sampler) -> list[Points]:
            count, device = min(n, AT_ONCE), sampler.device
            middle = [[sum(ends) / 2 for ends in bounds.values()]]
            found = torch.tensor(middle * count, dtype=sampler.dtype, device=device)
            found[:, -1] = torch.randint(self.members, (count,), generator=sampler.generator, device=device)
            return [Points(axes, found)]

        def residual(points: list[Points], fields: list[Fields]) -> Parts:
            return fields[0][which].value  # type: ignore[no-any-return]

        return [Constraint(f"small {self.field}", sample, residual, self.weight, wavenumbers=dict)]


class ImageSpace(Problem):
    """``u(x, y, n)``: image n at pixel (x, y), as a function of some of its pixels alone; intensities in [0, 1].

    ``images``: ``(nx, ny, functions)``; ``source``: of each member n, which image it is, ``(members,)``; ``given``: the
    pixels that it is made from, ``(members, nx ny)``. The first ``taught`` members are trained on, at all their pixels;
    the others, of images that none of these shows, are what the solution is compared with. Behind u the network has two
    fields more, the sizes of a member's code and weights. ``sizes``: of the network, as ``HyperSiren`` takes them.
    """

    images: Field
    source: NDArray[np.int64]
    given: NDArray[np.int8]
    taught: int
    sizes: dict[str, Any]

    one_grid = True
    reference_method = "images that training never saw"

    @property
    def fields(self) -> tuple[str, ...]:
        """The image, and how large its code and its weights are."""
        return (*self.outputs, "code", "weights")

    @property
    def unseen(self) -> NDArray[np.int64]:
        """The members to compare with."""
        return np.arange(self.taught, len(self.source))

    def own_network(self, dtype: torch.dtype, generator: torch.Generator) -> nn.Module:
        """A set encoder and a hypernetwork, which hold the contexts."""
        nx, ny, known = self.images.shape
        network = HyperSiren(2, 1, len(self.source), known, nx * ny, **self.sizes, dtype=dtype, generator=generator)
        places = pixels(self.images) / (np.array([nx, ny]) - 1) * 2 - 1
        # What differs from the mean image: else the mean over a context would say most of which pixels it holds.
        values = self._flat - self._flat[self._seen].mean(0)
        values = values[..., None] / values[self._seen].std()
        tables = (torch.from_numpy(np.ascontiguousarray(t)) for t in (places, values, self.source, self.given))
        network.hold(*tables)
        return network

    def finite_differences(self, cells: dict[str, int]) -> GridSolution:
        """The images of the members to compare with, at their pixels."""
        return GridSolution(self._nodes, {"u": self.images[..., self.source[self.unseen]]})

    @property
    def _flat(self) -> Field:
        """``(functions, nx ny)``."""
        return self.images.reshape(-1, self.images.shape[2]).T

    @property
    def _seen(self) -> NDArray[np.int64]:
        """The images that are taught."""
        return np.unique(self.source[: self.taught])

    @property
    def _nodes(self) -> dict[str, Field]:
        nx, ny, _ = self.images.shape
        return {"x": np.arange(nx, dtype=float), "y": np.arange(ny, dtype=float), "n": self.unseen.astype(float)}

    def guesses(self) -> dict[str, Field]:
        """``(nx, ny, unseen)`` by name: what is found without a network from the taught images' mean and covariance.

        ``mean image``: their mean; ``Gaussian``: its conditional mean, given the context, which is the best linear one.
        """
        flat, taught = self._flat, self._flat[self._seen]
        mean = taught.mean(0)
        spread = np.cov(taught.T)
        found = []
        for member in self.unseen:
            at = np.flatnonzero(self.given[member])
            inner = spread[np.ix_(at, at)] + NOISE**2 * np.eye(len(at))
            found.append(mean + spread[:, at] @ np.linalg.solve(inner, flat[self.source[member]][at] - mean[at]))
        nx, ny, _ = self.images.shape
        shape = (nx, ny, len(self.unseen))
        return {
            "mean image": np.broadcast_to(mean.reshape(nx, ny, 1), shape),
            "Gaussian": np.stack(found, axis=1).reshape(shape),
        }

    def metrics(self, solution: Solution) -> dict[str, float]:
        """Mean PSNR over the unseen images by the number of pixels given; beside those of ``guesses``."""
        found = {"": solution.on_grid(self._nodes)["u"]} | {f", {k}": v for k, v in self.guesses().items()}
        truth, counts = self.images[..., self.source[self.unseen]], self.given[self.unseen].sum(1)
        return {
            f"PSNR{name}, {count} pixels (dB)": float(
                np.mean([psnr(field[..., i], truth[..., i]) for i in np.flatnonzero(counts == count)])
            )
            for count in np.unique(counts)
            for name, field in found.items()
        }

    def draw(self, solution: Solution, folder: Path) -> list[Path]:
        """Write ``space.png``: what is given of some unseen images, what is made of it, and the images."""
        found, nx, ny = solution.on_grid(self._nodes)["u"], *self.images.shape[:2]
        counts = self.given[self.unseen].sum(1)
        columns = self.unseen[: SHOWN * len(np.unique(counts))]
        figure = Figure(figsize=(1.1 * len(columns), 4.2), layout="constrained")
        panels = figure.subplots(3, len(columns), squeeze=False)
        for i, (column, member) in enumerate(zip(panels.T, columns, strict=True)):
            truth = self.images[..., self.source[member]]
            shown = np.where(self.given[member].reshape(nx, ny) > 0, truth, np.nan)
            for axes, picture in zip(column, (shown, found[..., i], truth), strict=True):
                axes.set(xticks=[], yticks=[], facecolor="C0")
                axes.imshow(upright(picture), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            column[0].set_title(f"{counts[i]} pixels", fontsize=8)
        for axes, name in zip(panels[:, 0], ("given", "network", "image"), strict=True):
            axes.set_ylabel(name, fontsize=9)
        with replacing(folder / "space.png") as temporary:
            figure.savefig(temporary, format="png", dpi=130)
        return [folder / "space.png"]


def image_space(
    images: Field, unseen: int, contexts: tuple[int, ...], draws: int, code: float, weights: float, seed: int = 0,
    **sizes: Any,
) -> ImageSpace:  # fmt: skip
    """The space of ``(nx, ny, count)`` images, the last ``unseen`` of which training never sees.

    Each of the others is taught with ``draws`` contexts, of random pixels, their number log-uniform from the least of
    ``contexts`` to all; each unseen one is tried with contexts of exactly these numbers. ``code`` and ``weights``: how
    much the mean squares of a member's code and weights count beside that of its misfit. Raises ``ProblemError`` for
    numbers that the images do not have.
    """
    nx, ny, count = images.shape
    if not (0 < unseen < count and all(0 < k <= nx * ny for k in contexts) and contexts and draws > 0):
        raise ProblemError(
            f"Of {count} images of {nx * ny} pixels, some may be unseen, and contexts hold some of the pixels; got "
            f"{unseen=}, {contexts=}, {draws=}."
        )
    random, seen = np.random.default_rng(seed), count - unseen
    smallest = np.log(min(contexts) / (nx * ny))
    amounts = np.ceil(nx * ny * np.exp(smallest * random.random(seen * draws))).astype(int)
    amounts = np.concatenate([amounts, np.repeat([contexts], unseen, axis=0).ravel()])
    order = np.argsort(random.random((len(amounts), nx * ny)), axis=1).argsort(axis=1)
    source = np.concatenate([np.repeat(np.arange(seen), draws), np.repeat(np.arange(seen, count), len(contexts))])
    taught, members = seen * draws, len(source)
    nodes = {"x": np.arange(nx), "y": np.arange(ny), "n": np.arange(taught)}
    stated: dict[str, Any] = {
        "domain": Box(x=(0, nx - 1), y=(0, ny - 1), n=(0, members - 1)),
        "conditions": [
            Raster(nodes, images[..., source[:taught]].astype(np.float32), whole="n"),
            Small("code", taught, code),
            Small("weights", taught, weights),
        ],
    }
    return ImageSpace(
        **stated, images=images, source=source, given=(order < amounts[:, None]).astype(np.int8), taught=taught,
        sizes=sizes,
    )  # fmt: skip
