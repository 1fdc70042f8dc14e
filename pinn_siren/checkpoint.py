"""Checkpoints: a run under way, in one file of tensors and plain types."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch

from .errors import StorageError
from .storage import make_folder, replacing

KEYS = {"made", "weights", "loop", "ends", "history", "seconds", "steps"}


def write_checkpoint(path: Path | None, state: dict[str, Any]) -> None:
    """Keep a state, whole or not at all: a killed run leaves the old file or the new one."""
    assert path is not None
    make_folder(path.parent)
    with replacing(path) as temporary:
        torch.save(state, temporary)


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """The state in a file, or None where there is none. Loads tensors and plain types only.

    Raises ``StorageError`` for a damaged or foreign file.
    """
    if not path.exists():
        return None
    try:
        # torch.load looks at no checksum: a changed byte would go on as another weight.
        with zipfile.ZipFile(path) as records:
            damaged = records.testzip()
        if damaged is not None:
            raise ValueError(f"{damaged} in it is damaged")
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or not state.keys() >= KEYS:
            raise ValueError("it holds something else")
    except Exception as error:  # a damaged file raises anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise StorageError(f"{path} is not a checkpoint of pinn_siren ({reason}); remove it, or start anew.") from None
    return state
