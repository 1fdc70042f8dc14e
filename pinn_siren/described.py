"""What a file says of a solution beside its weights: the form of its problem, its network, its ansatz."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from .ansatz.hard import HardConditions
from .domains import Domain, Sides, from_configuration
from .equations import Branches, Eikonal, PointSources, SurfaceFactor, SurfaceStart
from .errors import StorageError, UsageError
from .networks import rebuild
from .problem import Problem


@dataclass(frozen=True, eq=False)
class Shape:
    """The form of a problem, as far as evaluating its solution needs it."""

    name: str
    domain: Domain
    physical: Domain
    fields: tuple[str, ...]
    outputs: tuple[str, ...]
    complex_valued: bool
    earliest: bool
    sides: Sides | None = None

    @classmethod
    def of(cls, problem: Problem) -> Shape:
        """The form of a problem."""
        return cls(
            type(problem).__name__, problem.domain, problem.physical_domain, problem.fields, problem.outputs,
            problem.complex_valued, isinstance(problem, Eikonal) and problem.fields != problem.outputs, problem.sides,
        )  # fmt: skip

    def configuration(self) -> dict[str, Any]:
        """What ``from_configuration`` takes."""
        return {
            "equation": self.name,
            "domain": self.domain.configuration(),
            "physical": self.physical.configuration(),
            "fields": list(self.fields),
            "outputs": list(self.outputs),
            "complex_valued": self.complex_valued,
            "earliest": self.earliest,
            "sides": None if self.sides is None else self.sides.configuration(),
            "observed": self.fields[: len(self.outputs)] == self.outputs or self.earliest or self.sides is not None,
        }

    @classmethod
    def from_configuration(cls, described: dict[str, Any]) -> Shape:
        """The form that a file describes. Raises ``StorageError`` for outputs that it cannot make."""
        if not described["observed"]:
            raise StorageError(
                f"{described['equation']} makes its outputs of other fields by its own observe, which no file keeps: "
                "solve again from the problem."
            )
        domain, shapes = from_configuration(described["domain"]), described.get("sides") or []
        return cls(
            described["equation"], domain, from_configuration(described["physical"]),
            tuple(described["fields"]), tuple(described["outputs"]), described["complex_valued"],
            described["earliest"], Sides(domain, [from_configuration(s) for s in shapes]) if shapes else None,
        )  # fmt: skip


def network_of(described: dict[str, Any], dtype: torch.dtype) -> nn.Module:
    """The network that a file describes. Raises ``StorageError`` for a user's own, which it cannot."""
    if described["network"] == "own":
        raise StorageError(f"The network is your own {described['class']}: pass Solution.load(folder, network=...).")
    try:
        return rebuild(described, dtype)
    except UsageError as error:
        raise StorageError(
            f"{error} The file is of another version: pass Solution.load(folder, network=...)."
        ) from None


def ansatz_of(described: dict[str, Any] | None) -> Any:
    """The ansatz that a file describes. Raises ``StorageError`` for a user's own, which it cannot."""
    if described is None:
        return None
    arguments = {k: v for k, v in described.items() if k != "name"}
    if described["name"] == "HardConditions":
        return HardConditions.from_configuration(described)
    if described["name"] == "PointSources":
        sources = tuple(tuple(source) for source in arguments["sources"])
        return PointSources(sources, tuple(arguments["slownesses"]))
    if described["name"] == "Branches":
        lists: dict[str, Any] = {k: tuple(map(tuple, arguments[k])) for k in ("sources", "points", "own")}
        plain: dict[str, Any] = {k: tuple(arguments[k]) for k in ("slownesses", "jumps", "parts")}
        return Branches(margin=arguments["margin"], late=arguments["late"], **plain, **lists)
    if described["name"] == "SurfaceStart":
        return SurfaceStart(tuple(map(tuple, arguments["points"])), arguments["slowness"], arguments["width"])
    if described["name"] == "SurfaceFactor":
        return SurfaceFactor(**arguments)
    raise StorageError("The solution was made with an own ansatz: pass Solution.load(folder, ansatz=...).")


__all__ = ["Shape", "ansatz_of", "network_of"]
