"""How many threads a piece of work is worth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def at_most(count: int) -> Iterator[None]:
    """No more than so many threads inside; as before after it.

    Threads that wait for each other spin: on a machine that others use too, small work takes many times longer on two
    threads than on one, and on a quiet one it gains little.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(min(count, before))
    try:
        yield
    finally:
        torch.set_num_threads(before)


__all__ = ["at_most"]
