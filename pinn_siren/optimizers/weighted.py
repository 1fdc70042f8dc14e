"""A linear system with its blocks weighted: held as a matrix where that fits the memory, else made row by row."""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from ..conditions import Constraint
from ..memory import Chunks, allowed_bytes
from .by_gram import solve_gram
from .by_qr import RIDGE, beside, solve_apart, solve_swept
from .design import Block, Design

HELD, STREAMED, TRIANGLES = 4, 6, 6
"""How often the matrix is in memory while it is solved; else how often a chunk of rows, and how often the triangle."""
LEAST_ROWS = 64
"""Points of the smallest chunk to begin with: fewer rows make no use of fast products."""

T = TypeVar("T")


class Weighted(ABC):
    """``min |A x - b|``: ``scales``: the root mean square of every block; ``weights``: their factors."""

    scales: list[float]
    weights: list[float]

    @property
    @abstractmethod
    def finite(self) -> bool:
        """Whether every number is."""

    @abstractmethod
    def solve(self) -> Tensor:
        """``(unknowns,)``: the solution."""

    @abstractmethod
    def misfits(self, *unknowns: Tensor) -> list[float]:
        """``|A x - b|`` for several ``x``."""


class Held(Weighted):
    """``matrix`` and ``right`` of all rows; of several processes' rows the triangles, which have the same squares."""

    def __init__(self, design: Design, weigh: Callable[[list[Block], list[float]], list[float]]) -> None:
        blocks = design.blocks()
        self._ranks, self._fields = design.ranks, design.fields
        ranks = design.ranks
        self.scales = [math.sqrt(ranks.total(b.matrix) / (b.total * design.unknowns)) or 1.0 for b in blocks]
        self.weights = weigh(blocks, self.scales)
        self.matrix = torch.cat([b.matrix.mul_(w) for b, w in zip(blocks, self.weights, strict=True)])
        self.right = torch.cat([b.right * w for b, w in zip(blocks, self.weights, strict=True)])
        self._finite = ranks.every(bool(torch.isfinite(self.matrix).all() and torch.isfinite(self.right).all()))
        if ranks.size > 1 and self._finite:
            split, n = design.whole and not design.dtype.is_complex, design.unknowns
            both = ranks.triangle(beside(self.matrix.to(design.dtype), self.right))
            self.matrix = both[:, :n]
            self.right = torch.complex(both[:, n], both[:, n + 1]) if split else both[:, n]

    @property
    def finite(self) -> bool:
        """Whether every number is."""
        return self._finite

    def solve(self, ridge: float = RIDGE) -> Tensor:
        """By one QR, or one a field where these are apart."""
        found = self._ranks.from_first(solve_apart(self.matrix, self.right, self._fields, ridge))
        self.matrix = self.matrix.to(found.dtype)
        return found

    def misfits(self, *unknowns: Tensor) -> list[float]:
        """``|A x - b|`` for several ``x``."""
        return [float((self.matrix @ x - self.right).norm()) for x in unknowns]


class Streamed(Weighted):
    """Rows are made where they are needed, as many points at a time as ``chunks`` says.

    ``gram``: by Gram matrices, three passes of products alone, no longer by one of QR.
    """

    def __init__(
        self, design: Design, factor: Callable[[Constraint, int, float], float], chunks: Chunks, gram: bool = False
    ) -> None:
        self.design, self.chunks, self.gram = design, chunks, gram
        squares, self._finite = [0.0] * len(design.lengths), True

        def measure(blocks: slice, rows: Tensor, right: Tensor) -> tuple[slice, list[float], bool]:
            return blocks, rows.abs().square().sum((1, 2)).tolist(), bool(torch.isfinite(right).all())

        for blocks, found, finite in design.sweep(chunks, measure):
            self._finite = self._finite and finite and all(map(math.isfinite, found))
            squares[blocks] = [a + b for a, b in zip(squares[blocks], found, strict=True)]
        ranks, lengths = design.ranks, design.lengths
        self._finite = ranks.every(self._finite)
        squares = ranks.sum(torch.tensor(squares, dtype=torch.float64)).tolist()
        self.scales = [math.sqrt(s / (n * design.unknowns)) or 1.0 for s, n in zip(squares, lengths, strict=True)]
        self.weights = list(map(factor, design.kinds, lengths, self.scales))

    @property
    def finite(self) -> bool:
        """Whether every number is."""
        return self._finite

    def solve(self) -> Tensor:
        """By a triangle, or Gram matrices, that take up some rows after others."""
        split = self.design.whole and not self.design.dtype.is_complex
        ranks, n = self.design.ranks, self.design.unknowns
        if self.gram:
            return ranks.from_first(solve_gram(self._sweep, n, split, ranks=ranks))
        return ranks.from_first(solve_swept(self._sweep, n, split, ranks))

    def misfits(self, *unknowns: Tensor) -> list[float]:
        """``|A x - b|`` for several ``x``, in one pass."""

        def work(matrix: Tensor, right: Tensor) -> list[float]:
            return [float((matrix.to(x.dtype) @ x - right).abs().square().sum()) for x in unknowns]

        squares = [sum(parts) for parts in zip(*self._sweep(work), strict=True)]
        return self.design.ranks.sum(torch.tensor(squares, dtype=torch.float64)).sqrt().tolist()

    def _sweep(self, work: Callable[[Tensor, Tensor], T]) -> Iterator[T]:
        kind = self.design.dtype

        def weighed(blocks: slice, rows: Tensor, right: Tensor) -> T:
            weights = torch.tensor(self.weights[blocks], dtype=torch.float64, device=rows.device)[:, None]
            rows = (rows * weights[..., None]).to(kind)
            return work(rows.flatten(0, 1), (right * weights).reshape(-1))

        return self.design.sweep(self.chunks, weighed)


def fits(design: Design) -> bool:
    """Whether the matrix of all rows may be held."""
    n, item = design.unknowns, 16 if design.whole else design.dtype.itemsize
    return (HELD * sum(design.lengths) + TRIANGLES * n) * n * item <= allowed_bytes(design.device)


def chunks_of(design: Design) -> Chunks:
    """As many points at a time as fit beside the triangle."""
    left = allowed_bytes(design.device) - TRIANGLES * design.unknowns**2 * design.dtype.itemsize
    return Chunks("points of the least-squares system", max(LEAST_ROWS, int(left // (STREAMED * design.row_bytes))))


def say_streamed(design: Design) -> None:
    """One line: the matrix did not fit after all."""
    rows = sum(design.lengths)
    print(f"Out of memory with all {rows} rows of least squares: going on with some at a time.", file=sys.stderr)


__all__ = ["Held", "Streamed", "Weighted", "chunks_of", "fits", "say_streamed"]
