"""Provenance: how a solution was made."""

from __future__ import annotations

import platform
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class Provenance:
    """How a solution was made. ``seconds``: of the solve alone; ``estimate``: of its relative L2 error, from residuals
    at fresh points; ``points``: collocation points, all constraints together; ``unknowns``: of each unknown, by name,
    ``Estimate.plain()``; ``products``: how matrix products were rounded, ``"ieee"``: in the dtype, no TF32 or bfloat16;
    empty where it was not recorded; ``data_misfit``: the root mean square of what the fields leave of measured values,
    in units of their stated noise, where unknowns are found from them."""

    method: str
    stages: str
    tolerance: float
    estimate: float
    seconds: float
    seed: int
    dtype: str
    device: str
    threads: int
    points: int
    interrupted: bool = False
    unknowns: dict[str, Any] = field(default_factory=dict)
    products: str = ""
    data_misfit: float | None = None


def environment() -> dict[str, str | int | float]:
    """What a file should say of where it was made: versions, and the checkout's commit where there is one."""
    described: dict[str, str | int | float] = {"torch": str(torch.__version__), "python": platform.python_version()}
    here = Path(__file__).parent
    try:
        commit = _git(here, "rev-parse", "HEAD")
        dirty = bool(_git(here, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return described
    return described | {"git_commit": commit, "git_dirty": int(dirty)}


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
