"""How a damped least-squares problem is held: the free memory decides, and where it runs out after all the next way."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .. import memory
from ..errors import OutOfMemoryError
from ..parallel import ALONE, Ranks
from .damped import Chunks, Damped, Dual, Primal
from .products import Products

HELD, TRIANGLES, SKETCHED = 3, 8, 6
"""How often the matrix is in memory where it is held, a triangle where it is factored, and a sketch of it."""
RANK, LEAST = 1000, 8
"""Columns of a sketch at most, and at least."""
NAMES = (
    "the derivatives held: they are made some rows at a time",
    "a triangle of all columns: products with the rows take its place",
)


@dataclass
class Ways:
    """The matrix is held, reduced to a triangle of its columns, or never kept: the first way that fits the share.

    Processes that have some of the ``rows`` each make a triangle, as one that has enough rows does, and all do what the
    first one's memory allows. ``gone``: how many ways ran out of memory so far; these are not tried again. ``rank``:
    columns of the last way's sketch at most.
    """

    gone: int = 0
    rank: int = RANK

    def damped(
        self, chunks: Chunks, rows: int, size: int, device: torch.device | str = "cpu", ranks: Ranks = ALONE
    ) -> Damped:
        """``min |J d + r|^2 + mu |d|^2`` with ``chunks()`` that yields ``(r, J)``, ``rows`` by ``size`` in all, some
        rows at a time."""
        numbers = int(ranks.agree(memory.allowed_bytes(device) / torch.float64.itemsize))
        tall = rows >= size or ranks.size > 1
        least = size if tall else rows
        held = HELD * -(-rows // ranks.size) * size + TRIANGLES * least**2 <= numbers
        ways: list[tuple[bool, Callable[[], Damped]]] = [
            (held, lambda: Primal(chunks, True, ranks) if tall else Dual(chunks)),
            (tall and TRIANGLES * size**2 <= numbers, lambda: Primal(chunks, False, ranks)),
        ]
        for number, (fits, make) in enumerate(ways):
            if fits and number >= self.gone:
                self._now = number
                return make()
        self._now = len(ways)
        self._rank = min(rows, size, self.rank, max(LEAST, numbers // (SKETCHED * size)))
        return Products(chunks, size, self._rank, ranks)

    def smaller(self, said: str, ranks: Ranks = ALONE) -> None:
        """Rule out the way that ran out of memory, or halve its sketch, and say so.

        Raises ``OutOfMemoryError`` where neither is left, and with several processes: the others wait for this one.
        """
        last = self._now == len(NAMES)
        if ranks.size > 1 or (last and self._rank <= LEAST):
            raise OutOfMemoryError(
                "Memory ran out in a step of Gauss-Newton. Free memory, take fewer points or a smaller network, or "
                f"train with LBFGS or Adam. The system says: {said[:200]}"
            )
        if last:
            self.rank = max(LEAST, self._rank // 2)
            print(f"Out of memory with a sketch of {self._rank} columns: going on with {self.rank}.", file=sys.stderr)
            return
        self.gone = self._now + 1
        print(f"Out of memory with {NAMES[self._now]}.", file=sys.stderr)


__all__ = ["Ways"]
