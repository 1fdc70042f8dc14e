"""Precision of matrix products: as the dtype says, and never a shorter one that the hardware would take for speed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

PRODUCTS = "ieee"
"""What a report says of products made inside ``ieee``."""


@contextmanager
def ieee() -> Iterator[None]:
    """Products of float32 matrices in float32 inside, by IEEE 754: no TF32, no bfloat16, no autocast.

    TF32 keeps 10 bits of a number, 3 digits: second derivatives of a network have none left then, and a linear system
    is solved to as few. What was set before holds again afterwards.
    """
    backends: tuple[Any, ...] = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = [backend.fp32_precision for backend in backends]
    try:
        wanted = torch.get_float32_matmul_precision()
    except RuntimeError:
        # It cannot be told where the backends were set one by one.
        wanted = "highest"
    torch.set_float32_matmul_precision("highest")
    try:
        with ExitStack() as plain:
            for device in ("cpu", "cuda"):
                if torch.is_autocast_enabled(device):
                    plain.enter_context(torch.autocast(device, enabled=False))
            yield
    finally:
        torch.set_float32_matmul_precision(wanted)
        for backend, precision in zip(backends, before, strict=True):
            if backend.fp32_precision != precision:
                backend.fp32_precision = precision
