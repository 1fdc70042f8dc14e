"""Checksums of stored arrays."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .reference import Reference
from .spill import blocks
from .storage import StoredSolution


def checksums(stored: StoredSolution) -> dict[str, str]:
    """A SHA-256 of every array in ``solution.h5``, by its name there."""
    weights = {} if stored.weights is None else {"weights": stored.weights}
    groups = {
        "": {**stored.coordinates, **stored.fields, **weights},
        "network/": stored.network,
        "history/": stored.history,
    }
    return {prefix + name: _digest(array) for prefix, arrays in groups.items() for name, array in arrays.items()}


def reference_checksums(reference: Reference | None) -> dict[str, str]:
    """A SHA-256 of every array in ``reference.h5``, by its grid and name; none where there is no reference."""
    arrays: dict[str, NDArray[Any]] = {}
    grids = {f"grid {k}": level for k, level in enumerate(reference.levels if reference is not None else ())}
    if reference is not None and reference.extrapolated is not None:
        grids["extrapolated"] = reference.extrapolated
    for place, grid in grids.items():
        weights = {} if grid.weights is None else {"weights": grid.weights}
        arrays |= {f"{place}: {name}": a for name, a in (grid.coordinates | grid.values | weights).items()}
    return {f"reference.h5, {name}": _digest(array) for name, array in arrays.items()}


def _digest(array: NDArray[Any]) -> str:
    plain = np.asarray(array)
    found = hashlib.sha256(f"{plain.dtype.str}{plain.shape}".encode())
    for _, block in blocks(plain) if plain.ndim else [(0, plain)]:
        found.update(_without_payloads(block).tobytes())
    return found.hexdigest()


def _without_payloads(array: NDArray[Any]) -> NDArray[Any]:
    """One byte pattern for NaN: masked nodes must not depend on how a library writes them."""
    return np.where(np.isnan(array), np.asarray(np.nan, array.dtype), array) if array.dtype.kind in "fc" else array
