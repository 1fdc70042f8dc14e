"""Rows that outgrow memory: written to a temporary file as they come, and mapped where they are read."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .errors import OutOfMemoryError
from .memory import allowed_bytes

MOST, SHARE = 2**26, 0.1
"""Bytes of one array that memory holds at most, and their share of what is free."""
CHUNK, CHUNKS = 2**20, 16
"""Bytes of a chunk of rows in a file, about, and how many chunks are read or written at once."""

_mapped: weakref.WeakValueDictionary[int, mmap.mmap] = weakref.WeakValueDictionary()


def held_bytes() -> int:
    """How many bytes of one array memory may hold; what is larger lies in a file."""
    return min(MOST, allowed_bytes(share=SHARE))


def folder() -> Path:
    """Where temporary files lie: ``TMPDIR``, else ``/var/tmp``, since ``/tmp`` is often a part of the memory."""
    large = Path("/var/tmp")
    return large if "TMPDIR" not in os.environ and os.access(large, os.W_OK) else Path(tempfile.gettempdir())


class Rows:
    """A growing array of rows of ``shape``: in memory up to ``most`` bytes (``held_bytes``), then in a file.

    The file has no name and is gone with the last array that maps it. Raises ``OutOfMemoryError`` where the disk is
    full.
    """

    def __init__(self, shape: Sequence[int], dtype: np.dtype[Any] | type = np.float64, most: int | None = None) -> None:
        self.shape, self.dtype, self.count = tuple(shape), np.dtype(dtype), 0
        self._parts: list[NDArray[Any]] = []
        self._most = held_bytes() if most is None else most
        self._file: IO[bytes] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all rows so far."""
        return self.count * math.prod(self.shape) * self.dtype.itemsize

    def append(self, rows: NDArray[Any]) -> None:
        """Add ``(n, *shape)`` rows."""
        self._parts.append(np.ascontiguousarray(rows, self.dtype))
        self.count += len(rows)
        if self._file is None and self.nbytes <= self._most:
            return
        try:
            if self._file is None:
                self._file = _temporary()
            for part in self._parts:
                self._file.write(part.data)
        except OSError as error:
            raise _full(error) from None
        self._parts = []

    def array(self) -> NDArray[Any]:
        """``(count, *shape)``: all rows."""
        if self._file is None:
            return np.concatenate([np.empty((0, *self.shape), self.dtype), *self._parts])
        try:
            self._file.flush()
        except OSError as error:
            raise _full(error) from None
        return _map(self._file, (self.count, *self.shape), self.dtype)


def zeros(rows: int, width: int, dtype: torch.dtype) -> Tensor:
    """``(rows, width)``: zeros, which take neither memory nor disk where ``held_bytes`` do not hold them."""
    size = rows * width * dtype.itemsize
    if size <= held_bytes():
        return torch.zeros(rows, width, dtype=dtype)
    with _temporary() as file:
        file.truncate(size)
        return torch.from_numpy(_map(file, (rows, width), torch.zeros(0, dtype=dtype).numpy().dtype))


def in_file(array: NDArray[Any] | Tensor) -> bool:
    """Whether an array, or what it is a view of, lies in a file."""
    return _mapping(array) is not None


def release(array: NDArray[Any] | Tensor) -> None:
    """Give back the memory that reading an array that lies in a file took; the file keeps its values."""
    mapping = _mapping(array)
    if mapping is not None:
        mapping.madvise(mmap.MADV_DONTNEED)


def blocks(array: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """The rows of an array by blocks of a few chunks, each with its first row; memory holds one of them."""
    step = CHUNKS * chunk_rows(array.shape, array.dtype.itemsize)
    for start in range(0, len(array), step):
        yield start, array[start : start + step]
        release(array)


def chunk_rows(shape: Sequence[int], itemsize: int) -> int:
    """How many rows of an array of this shape make a chunk."""
    return max(1, CHUNK // max(1, math.prod(shape[1:]) * itemsize))


def _temporary() -> IO[bytes]:
    return tempfile.TemporaryFile(dir=folder())


def _map(file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    mapping = mmap.mmap(file.fileno(), math.prod(shape) * dtype.itemsize)
    array = np.frombuffer(mapping, dtype).reshape(shape)
    _mapped[array.ctypes.data] = mapping
    return array


def _mapping(array: NDArray[Any] | Tensor) -> mmap.mmap | None:
    # A single number, as files give a scalar, is no array.
    if not _mapped or not isinstance(array, np.ndarray | Tensor):
        return None
    if isinstance(array, Tensor) and array.device.type != "cpu":
        return None
    address = array.data_ptr() if isinstance(array, Tensor) else array.ctypes.data
    return next((m for start, m in _mapped.items() if start <= address < start + len(m)), None)


def _full(error: OSError) -> OutOfMemoryError:
    return OutOfMemoryError(
        f"{folder()} does not hold what outgrew the memory ({error.strerror or error}). Free space there, name a "
        "folder on a larger disk by TMPDIR, or ask for a lower tolerance or a shorter time."
    )


__all__ = ["CHUNKS", "Rows", "blocks", "chunk_rows", "folder", "held_bytes", "in_file", "release", "zeros"]
