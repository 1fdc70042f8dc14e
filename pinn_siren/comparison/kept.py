"""What a comparison keeps: runs that ended, in one JSON file, and fields, in an archive of arrays beside it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import StorageError
from ..reference import GridSolution
from ..storage import make_folder, replacing, write_text


@dataclass
class Kept:
    """Runs by name, written after each of them; taken up again where the file was made with the same arguments.

    ``path``: the JSON file, None to keep nothing; ``made``: the arguments and the machine; ``fresh``: start anew.
    Raises ``StorageError`` for a file of something else.
    """

    path: Path | None
    made: dict[str, Any]
    fresh: bool = False
    runs: dict[str, dict[str, Any]] = field(default_factory=dict, init=False)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        # What goes through JSON comes back as lists and strings: compare like with like.
        self.made = json.loads(json.dumps(self.made))
        if self.path is None or self.fresh or not self.path.exists():
            return
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            made, runs = found["made"], dict(found["runs"])
            if made == self.made:
                self.arrays = self._read()
                self.runs = runs
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise StorageError(
                f"{self.path} is not what pinn-siren compare wrote ({reason}): remove it, or give --fresh."
            ) from None

    @property
    def _archive(self) -> Path:
        assert self.path is not None
        return self.path.with_suffix(".npz")

    def _read(self) -> dict[str, NDArray[Any]]:
        if not self._archive.exists():
            return {}
        with np.load(self._archive, allow_pickle=False) as stored:
            return dict(stored)

    def put(self, name: str, run: dict[str, Any]) -> None:
        """Keep one run."""
        self.runs[name] = run
        if self.path is not None:
            make_folder(self.path.parent)
            write_text(self.path, json.dumps({"made": self.made, "runs": self.runs}, indent=1) + "\n")

    def put_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep arrays, before the run that they belong to."""
        self.arrays |= arrays
        if self.path is not None:
            make_folder(self.path.parent)
            with replacing(self._archive) as temporary, open(temporary, "wb") as file:
                np.savez_compressed(file, **self.arrays)  # type: ignore[arg-type]

    def put_grid(self, name: str, grid: GridSolution) -> None:
        """Keep a solution on a grid."""
        arrays: dict[str, NDArray[Any]] = {f"{name}/axis/{axis}": nodes for axis, nodes in grid.coordinates.items()}
        arrays |= {f"{name}/field/{output}": values for output, values in grid.values.items()}
        arrays[f"{name}/weights"] = grid.quadrature()
        self.put_arrays(arrays)

    def grid(self, name: str) -> GridSolution | None:
        """A solution on a grid that was kept, if there is one."""

        def under(kind: str) -> dict[str, NDArray[Any]]:
            start = f"{name}/{kind}/"
            return {k.removeprefix(start): v for k, v in self.arrays.items() if k.startswith(start)}

        axes = under("axis")
        return GridSolution(axes, under("field"), self.arrays[f"{name}/weights"]) if axes else None
