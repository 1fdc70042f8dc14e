"""Several processes on one problem: each holds the whole network and a share of the points.

The state of a run does not depend on their number: all draw the same points from the same generator, each evaluates its
share, and the residuals are gathered, so that every sum, mean and decision is made on the same numbers everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .errors import PinnSirenError, ProcessLostError, UsageError
from .points import Points

TIMEOUT = timedelta(minutes=30)
"""How long a process waits for the others, such as for the first one while that makes a report."""

Made = TypeVar("Made")


@dataclass(frozen=True)
class Ranks:
    """Process number ``rank`` of ``size``; ``Ranks()`` is alone, and then nothing here communicates.

    All processes must call the same methods in the same order. Raises ``ProcessLostError`` where one of them has ended.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process prints and writes."""
        return self.rank == 0

    def cut(self, n: int) -> slice:
        """The part of ``n`` points that is this process's: contiguous, equal within one."""
        return slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)

    def splits(self, n: int) -> bool:
        """Whether ``n`` points are shared out: fewer than there are processes are evaluated by all."""
        return 1 < self.size <= n

    def own(self, points: list[Points]) -> list[Points]:
        """This process's share of matched sets of points."""
        return [p[self.cut(len(p))] for p in points] if self.splits(len(points[0])) else points

    def portion(self, n: int) -> tuple[slice, float]:
        """The part of ``n`` points that is evaluated here, and how much it counts in a sum over the processes."""
        return (self.cut(n), 1.0) if self.splits(n) else (slice(0, n), 1 / self.size)

    def rows(self, points: list[Points], whole: bool) -> tuple[list[Points], bool]:
        """The points whose equations this process keeps, and whether it does: what is ``whole`` the first one keeps."""
        kept = whole or not self.splits(len(points[0]))
        return (points, self.first) if kept else (self.own(points), True)

    def gathered(self, share: Tensor, n: int) -> Tensor:
        """``(n,)`` of everyone from the shares. Its gradients by the weights are shares too: their sum is meant."""
        if self.size == 1:
            return share
        if not self.splits(n):
            return self.shared(share)
        found: Tensor = _Gathered.apply(share, self, n)  # type: ignore[no-untyped-call]
        return found

    def shared(self, same: Tensor) -> Tensor:
        """A number that every process computes from the whole: its gradient counts once in the sum over processes."""
        return same if self.size == 1 else same.detach() + (same - same.detach()) / self.size

    def sum(self, x: Tensor) -> Tensor:
        """The sum over the processes, the same bits everywhere."""
        if self.size == 1:
            return x
        total = _real(x).contiguous().clone()
        _together(lambda: dist.all_reduce(total))
        return torch.view_as_complex(total) if x.is_complex() else total

    def total(self, x: Tensor) -> float:
        """``sum |x|^2`` over all processes."""
        return float(self.sum(x.abs().square().sum()))

    def stacked(self, x: Tensor) -> Tensor:
        """The rows of all processes, one after the other; as many rows each (at most ``x.shape[1]``) with zeros."""
        if self.size == 1:
            return x
        padded = torch.cat([x, x.new_zeros(x.shape[1] - len(x), x.shape[1])])
        return torch.cat(self._all(padded))

    def triangle(self, rows: Tensor) -> Tensor:
        """Rows with the same ``A^H A`` as those of all processes: each one's QR, and all the triangles."""
        return rows if self.size == 1 else self.stacked(torch.linalg.qr(rows, mode="r").R)

    def from_first(self, x: Tensor) -> Tensor:
        """The first process's numbers: rounding that differs between machines never makes the replicas drift."""
        if self.size == 1:
            return x
        sent = _real(x).contiguous().clone()
        _together(lambda: dist.broadcast(sent, 0))
        return torch.view_as_complex(sent) if x.is_complex() else sent

    def agree(self, number: float) -> float:
        """What the first process says, such as the time, so that all decide alike."""
        return number if self.size == 1 else float(self.from_first(torch.tensor(number, dtype=torch.float64)))

    def every(self, yes: bool) -> bool:
        """Whether it is so on all processes."""
        return yes if self.size == 1 else float(self.sum(torch.tensor(float(not yes), dtype=torch.float64))) == 0

    def once(self, work: Callable[[], Made]) -> Made:
        """Work that the first process does alone; the others get what it returns or raises."""
        if self.size == 1:
            return work()
        sent: list[Any] = [None, None]
        if self.first:
            try:
                sent = [work(), None]
            except PinnSirenError as error:
                sent = [None, error]
        _together(lambda: dist.broadcast_object_list(sent, 0))
        if sent[1] is not None:
            raise sent[1]
        made: Made = sent[0]
        return made

    @torch.no_grad()
    def share(self, model: nn.Module) -> None:
        """Give all processes the first one's weights, once."""
        for tensor in [*model.parameters(), *model.buffers()] if self.size > 1 else []:
            tensor.copy_(self.from_first(tensor))

    def summed(self, gradients: list[Tensor]) -> list[Tensor]:
        """The sums of gradients over the processes, in one message."""
        if self.size == 1:
            return gradients
        flat = self.sum(torch.cat([_real(g).reshape(-1) for g in gradients]))
        pieces = flat.split([_real(g).numel() for g in gradients])
        shaped = [piece.reshape(_real(g).shape) for piece, g in zip(pieces, gradients, strict=True)]
        return [torch.view_as_complex(s) if g.is_complex() else s for s, g in zip(shaped, gradients, strict=True)]

    def _all(self, x: Tensor) -> list[Tensor]:
        """Every process's tensor of the same shape."""
        sent = _real(x).contiguous()
        found = [torch.empty_like(sent) for _ in range(self.size)]
        _together(lambda: dist.all_gather(found, sent))
        return [torch.view_as_complex(f) for f in found] if x.is_complex() else found


ALONE = Ranks()


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, share: Tensor, ranks: Ranks, n: int) -> Tensor:
        ctx.cut = ranks.cut(n)
        cuts = [Ranks(r, ranks.size).cut(n) for r in range(ranks.size)]
        most = max(c.stop - c.start for c in cuts)
        padded = torch.cat([share, share.new_zeros(most - len(share))])
        return torch.cat([x[: c.stop - c.start] for x, c in zip(ranks._all(padded), cuts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0][ctx.cut], None, None


def world() -> Ranks:
    """The processes that this one belongs to; alone outside of ``joined``."""
    if not (dist.is_available() and dist.is_initialized()):
        return ALONE
    return Ranks(dist.get_rank(), dist.get_world_size())


def launched() -> bool:
    """Whether torchrun, or a launcher that sets the same variables, started this process beside others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def local_device() -> torch.device:
    """The GPU of this process on its machine. Raises ``UsageError`` where there are fewer than processes."""
    number, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= count:
        raise UsageError(
            f"This machine has {count} GPU(s) and more processes: start at most --nproc-per-node {count}, or take "
            "--device cpu."
        )
    return torch.device("cuda", number)


@contextmanager
def joined(timeout: timedelta = TIMEOUT) -> Iterator[Ranks]:
    """Join the processes that torchrun started: gloo between CPUs, NCCL between GPUs; alone where it started none."""
    if not launched() or dist.is_initialized():
        yield world()
        return
    gpus = torch.cuda.is_available() and dist.is_nccl_available()
    if gpus:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    _together(lambda: dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=timeout))
    try:
        yield world()
    finally:
        dist.destroy_process_group()


def _real(x: Tensor) -> Tensor:
    return torch.view_as_real(x.detach()) if x.is_complex() else x.detach()


def _together(message: Callable[[], Any]) -> None:
    """Communicate, and say what it means where that fails."""
    try:
        message()
    except RuntimeError as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].split("] ")[-1].split(". ")[0]
        raise ProcessLostError(
            f"Another process of this run has ended or cannot be reached, so all of it ends ({reason}). Start it again "
            "with --resume to go on from its checkpoint."
        ) from None


__all__ = ["ALONE", "Ranks", "joined", "launched", "local_device", "world"]
