"""Memory: how many rows fit a share of what is free, and work in chunks that are halved where it runs out."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch

from .errors import OutOfMemoryError

SHARE = 0.5
"""Of the free memory that one piece of work may take."""
GUESS = 4 * 2**30
"""Bytes that are taken to be free where the system tells nothing."""
WORDS = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED", "Invalid buffer size")
"""What allocators other than Python's say in a ``RuntimeError``: torch on CPU, CUDA, cuBLAS and cuSOLVER, MPS."""

T = TypeVar("T")


def free_bytes(device: torch.device | str = "cpu") -> int:
    """Bytes that are free on a device: of CUDA with what torch keeps unused, else of the host."""
    device = torch.device(device)
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + kept
    return max(0, min(_host(), _container()))


def allowed_bytes(device: torch.device | str = "cpu", share: float = SHARE) -> int:
    """The share of the free memory that one piece of work may take."""
    return int(share * free_bytes(device))


def rows_within(device: torch.device | str, bytes_per_row: float, share: float = SHARE) -> int:
    """How many rows fit the share of the free memory, at least one."""
    return max(1, int(allowed_bytes(device, share) // max(1.0, bytes_per_row)))


def ran_out(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on any device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in WORDS)


@dataclass
class Chunks:
    """Work on so many rows at a time, at most ``rows``, which stays halved where memory ran out.

    ``what`` says in the plural what the rows are; ``halvings``: how often memory ran out.
    """

    what: str
    rows: int
    halvings: int = field(default=0, init=False)

    def over(self, total: int, work: Callable[[slice], T]) -> Iterator[T]:
        """``work(rows)`` for every chunk of ``total`` rows, in order.

        Where it runs out of memory the same rows are worked on again, half as many at once, so until it succeeds
        ``work`` must leave nothing behind. Raises ``OutOfMemoryError`` where one row does not fit.
        """
        start = 0
        while start < total:
            stop = min(start + self.rows, total)
            try:
                found = work(slice(start, stop))
            except (MemoryError, RuntimeError) as error:
                if not ran_out(error):
                    raise
                # What the failed call held is freed only when its traceback is, after this block.
                said = " ".join(str(error).split())
            else:
                yield found
                start = stop
                continue
            self._halve(stop - start, said)

    def _halve(self, rows: int, said: str) -> None:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if rows == 1:
            raise OutOfMemoryError(
                f"Memory ran out with one of the {self.what} at a time. Free memory, or take a smaller network or a "
                f"machine with more. The system says: {said[:200]}"
            )
        self.rows = rows // 2
        self.halvings += 1
        print(f"Out of memory with {rows} {self.what} at once: going on with {self.rows}.", file=sys.stderr)


def _host() -> int:
    """Free bytes of the host: what Linux could hand out without swapping, else half of what there is."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return GUESS


def _container(root: Path = Path("/sys/fs/cgroup")) -> int:
    """What a container's limit leaves (control groups of Linux, version 2 or 1); very many bytes without one."""
    for limit, used, stale in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            most, now = ((root / name).read_text(encoding="ascii").strip() for name in (limit, used))
            stat = (root / limit).with_name("memory.stat").read_text(encoding="ascii").split()
        except OSError:
            continue
        if most.isdigit():
            # Cached files are given back when memory is asked for.
            cached = int(stat[stat.index(stale) + 1]) if stale in stat else 0
            return int(most) - int(now) + cached
    return sys.maxsize


__all__ = ["SHARE", "Chunks", "allowed_bytes", "free_bytes", "ran_out", "rows_within"]
