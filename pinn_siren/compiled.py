"""Compiled: a piece of the loss and its gradient as one graph of tensor operations, fused by torch's compiler."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from .memory import ran_out

Derive = Callable[..., list[Tensor | None]]
"""``(*tensors) -> [value, *gradient]``."""
Graph = Callable[..., list[Tensor]]
CLOSE = 1e-2
"""How far the compiled gradient may be from the plain one: rounding in float32 stays below, a wrong graph above."""


class Compiled:
    """``derive(*tensors)`` by a compiled graph for each key and shape, its backward pass included.

    The first call for a shape runs plainly, and what is compiled must give the same. The operations are recorded as
    they run, so that any residual may be compiled whose operations do not depend on the values at the points; numbers
    that are no tensors stay what they were then. On CUDA a graph is replayed as a whole (CUDA graphs). Where something
    cannot be compiled, everything goes on without, and one line says why.
    """

    def __init__(self) -> None:
        self.graphs: dict[Hashable, tuple[Graph, list[bool]]] = {}
        self.refused = ""

    def __call__(self, key: Hashable, derive: Derive, tensors: Sequence[Tensor]) -> list[Tensor | None]:
        """What ``derive(*tensors)`` returns."""
        if self.refused:
            return derive(*tensors)
        key = (key, *((t.shape, t.dtype) for t in tensors))
        if key not in self.graphs:
            return self._first(key, derive, tensors)
        graph, known = self.graphs[key]
        found = iter(graph(*tensors))
        return [next(found) if k else None for k in known]

    def _first(self, key: Hashable, derive: Derive, tensors: Sequence[Tensor]) -> list[Tensor | None]:
        plain = derive(*tensors)
        known = [t is not None for t in plain]
        wanted = [t for t in plain if t is not None]
        try:
            with warnings.catch_warnings():
                # Such as complex operations that are not fused.
                warnings.simplefilter("ignore")
                graph = _compiled(derive, tensors)
                came = graph(*tensors)
            gap = max(float((a - b).norm()) for a, b in zip(came, wanted, strict=True))
            size = max(float(b.norm()) for b in wanted)
            if not gap <= CLOSE * size:
                raise ArithmeticError(f"the graph is {gap / size:.0e} away from what it was made of")
        except Exception as error:
            if ran_out(error):
                raise
            reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
            self.refused = reason[:200]
            print(f"Not compiled ({self.refused}): going on without.", file=sys.stderr)
        else:
            self.graphs[key] = graph, known
        return plain


def _compiled(derive: Derive, tensors: Sequence[Tensor]) -> Graph:
    """Record what runs, forward and backward, and compile it."""
    # Copies: what an ansatz kept for the tensors themselves would be taken for a constant.
    copies = [t.clone() for t in tensors]
    recorded = make_fx(lambda *given: [t for t in derive(*given) if t is not None])(*copies)
    replayed = tensors[0].device.type == "cuda"
    graph = torch.compile(recorded, dynamic=False, mode="reduce-overhead" if replayed else "default")

    def run(*given: Tensor) -> list[Tensor]:
        with torch.no_grad():
            # What is replayed writes to the same memory again.
            return [t.clone() if replayed else t for t in graph(*given)]

    return run
