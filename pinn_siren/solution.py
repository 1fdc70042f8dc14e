"""Solution: a solved problem, to evaluate, validate and keep."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from dataclasses import fields as fields_of
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .ansatz.hard import HardConditions
from .conditions import own
from .described import Shape, ansatz_of, network_of
from .equations import PointSources, SurfaceFactor, SurfaceStart
from .errors import StorageError, UsageError
from .estimate import Estimate
from .integrity import checksums, reference_checksums
from .jet import Jet, make_plan
from .model import Model
from .networks import OURS, TORCH, describe
from .parameters import Unknowns
from .plots import draw
from .points import Points
from .precision import ieee
from .problem import Problem
from .provenance import Provenance, environment
from .siren import count_parameters
from .spill import in_file
from .storage import StoredSolution, make_folder, read_solution, write_reference, write_solution, write_text
from .validation import Examination, Report, examine

CHUNK = 65_536
_KEPT = ", ".join([*(c.__name__ for c in OURS.values()), *(f"nn.{c.__name__}" for c in TORCH), "nn.Sequential of them"])


class Solution:
    """The fields that solve a problem, as functions of the coordinates.

    ``solution(points)`` evaluates, ``solution.jet(points)`` gives derivatives, ``solution.report`` validates,
    ``solution.save(folder)`` keeps all of it, ``Solution.load(folder)`` brings the fields back.
    """

    def __init__(
        self, problem: Problem | None, model: Model, provenance: Provenance, history: dict[str, list[float]]
    ) -> None:
        self.problem, self.model, self.provenance, self.history = problem, model, provenance, history
        self._shape = Shape.of(problem) if problem is not None else None
        self._report: Report | None = None

    @property
    def shape(self) -> Shape:
        """What is known of the problem's form."""
        assert self._shape is not None
        return self._shape

    def __call__(self, points: Any) -> Any:
        """The outputs at ``(n, d)`` points: ``(n,)``, or ``(n, outputs)`` where there are several.

        An array or list gives an array, a tensor or ``Points`` a tensor on its device. Outside the domain: NaN, and one
        warning. Raises ``UsageError`` for another shape.
        """
        p = self._points(points)
        values, outside = self._evaluate(p)
        if outside:
            warnings.warn(f"{outside} of {len(p)} points lie outside {self.shape.domain}: NaN.", stacklevel=2)
        values = values[:, 0] if values.shape[1] == 1 else values
        if isinstance(points, Tensor):
            return values.to(points.device)
        return values if isinstance(points, Points) else values.cpu().numpy()

    @ieee()
    def jet(self, points: Any, derivatives: Sequence[str] = ()) -> Jet | tuple[Jet, ...]:
        """The unknown fields with derivatives: ``solution.jet(points, ["x", "laplacian"]).x``, tensors of ``(n,)``.

        Without ``derivatives`` all up to the second order are carried. A single field comes as one jet, several as a
        tuple; an eikonal problem with several sources has one travel time each. Where interfaces cut the domain, it is
        that of the side which each point is on.
        """
        p = self._points(points)
        axes = p.axes
        every = [*axes, *(a + b for a in axes for b in axes)]
        with torch.no_grad():
            asked = frozenset(derivatives or every) - {"value"}
            jets = self.model.fields_at(p, make_plan(axes, asked))
            sides = self.shape.sides
            jets = jets if sides is None else own(jets, sides.of(p.coordinates), len(sides))
        return jets[0] if len(jets) == 1 else jets

    @cached_property
    def examination(self) -> Examination:
        """The comparison with the exact solution and with finite differences, with the fields it stands on."""
        if self.problem is None:
            raise UsageError("A loaded solution has no problem to compare with; pinn-siren verify checks its folder.")
        try:
            metrics = {name: float(value) for name, value in self.problem.metrics(self).items()}
        except Exception as error:  # The network is trained by now: what a user's figures cannot take is said.
            warnings.warn(f"metrics: {type(error).__name__}: {error}", stacklevel=2)
            metrics = {}
        return examine(self.problem, self.on_grid, self.provenance, self.parameters, metrics)

    @property
    def report(self) -> Report:
        """The report: computed when first asked, then kept; a loaded solution brings its own."""
        return self._report if self._report is not None else self.examination.report

    def on_grid(self, coordinates: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[Any]]:
        """Each output on a tensor grid, one dimension an axis in the order of ``coordinates``; NaN outside."""
        mesh = np.meshgrid(*coordinates.values(), indexing="ij")
        found, _ = self._evaluate(self._points(np.stack([m.ravel() for m in mesh], axis=1)))
        values = found.cpu().numpy().reshape(*mesh[0].shape, len(self.shape.outputs))
        return {name: values[..., i] for i, name in enumerate(self.shape.outputs)}

    @ieee()
    @torch.no_grad()
    def _evaluate(self, p: Points) -> tuple[Tensor, int]:
        """``(n, outputs)``, NaN outside the domain, and how many points lie there."""
        values = torch.cat([self._observe(self.model(part), part) for part in _chunks(p)])
        outside = ~self.shape.domain.contains(p.coordinates)
        values[outside] = values.new_tensor(complex(torch.nan, torch.nan) if values.is_complex() else torch.nan)
        return values, int(outside.sum())

    def save(self, folder: str | Path) -> None:
        """Write ``solution.h5``, ``reference.h5`` (where there is one), ``report.json`` and ``figure.png``, and what
        the problem draws itself.

        Each file is the old one or the new one, never half. Raises ``StorageError`` where that cannot be done; warns
        where the network is of a class that no file can describe, since loading then needs it again.
        """
        found = self.examination
        folder = make_folder(folder)
        attributes = {**environment(), **self.report.as_dict(), "configuration": self.configuration()}
        attributes["metrics"] = json.dumps(attributes["metrics"])
        attributes["unknowns"] = json.dumps(attributes["unknowns"]) if attributes["unknowns"] else None
        stored = StoredSolution(
            coordinates=dict(found.grid.coordinates),
            fields=found.fields | self._unknown_fields(found.grid.coordinates, found.fields[self.shape.outputs[0]]),
            network={name: w.detach().cpu().numpy() for name, w in self.model.state_dict().items()},
            network_configuration=self.configuration(),
            history={name: np.asarray(column) for name, column in self.history.items()},
            attributes={k: int(v) if isinstance(v, bool) else v for k, v in attributes.items() if v is not None},
            title=f"{self.report.problem} solved with a network ({type(self.model.network).__name__})",
            weights=found.grid.weights,
            units=self._units(found.fields),
            positive=dict.fromkeys(self.problem.downward, "down") if self.problem is not None else {},
        )
        write_solution(folder / "solution.h5", stored)
        if found.reference is not None:
            title = f"{self.report.problem} by {found.reference.name}"
            write_reference(folder / "reference.h5", found.reference, environment(), title)
        else:
            (folder / "reference.h5").unlink(missing_ok=True)
        sums = checksums(stored) | reference_checksums(found.reference)
        write_text(folder / "report.json", self.report.to_json(sums))
        draw(folder / "figure.png", stored)
        assert self.problem is not None
        self.problem.draw(self, folder)
        if describe(self.model.network) is None:
            name = type(self.model.network).__name__
            warnings.warn(
                f"{name} is your own network, and a file keeps its weights alone: load with Solution.load(folder, "
                f"network={name}(...)). Kept whole are {_KEPT}.",
                stacklevel=2,
            )

    def _units(self, fields: Iterable[str]) -> dict[str, str]:
        """Of the axes and of stored fields: those of ``u`` are those of ``u_reference``, ``u_exact`` and ``error``."""
        stated = dict(self.problem.units) if self.problem is not None else {}
        outputs = [name for name in self.shape.outputs if name in stated]
        for name in fields:
            alone = name == "error" and len(self.shape.outputs) == 1
            stated.update((name, stated[out]) for out in outputs if alone or name.startswith(f"{out}_"))
        return stated

    @classmethod
    def load(cls, folder: str | Path, *, ansatz: Any = None, network: nn.Module | None = None) -> Solution:
        """The fields and the report saved in a folder, without their problem file.

        An own ``ansatz`` and an own ``network`` (of the same form) cannot be kept in a file and must be given again.
        Raises ``StorageError`` for a missing, foreign or damaged file.
        """
        folder = Path(folder)
        report, stored = read_report(folder), read_solution(folder / "solution.h5")
        made = Provenance(**{f.name: getattr(report, f.name) for f in fields_of(Provenance)})
        history = {name: column.tolist() for name, column in stored.history.items()}
        try:
            solution = cls.rebuild(stored.network_configuration, stored.network, made, history, ansatz, network)
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise StorageError(
                f"{folder / 'solution.h5'} holds a network that cannot be built again ({reason}): solve again."
            ) from None
        solution._report = report
        return solution

    @classmethod
    def rebuild(
        cls,
        text: str,
        state: dict[str, NDArray[Any]],
        provenance: Provenance,
        history: dict[str, list[float]],
        ansatz: Any = None,
        network: nn.Module | None = None,
    ) -> Solution:
        """Rebuild what ``configuration`` described. Raises ``StorageError`` where a part is missing."""
        described = json.loads(text)
        shape = Shape.from_configuration(described)
        weights = {name: torch.from_numpy(v if in_file(v) else np.array(v)) for name, v in state.items()}
        dtype = weights["center"].dtype
        own = network is not None
        network = network_of(described["network"], dtype) if network is None else network.to(dtype)
        model = Model(
            network, shape.domain.axes, shape.fields, shape.complex_valued,
            weights["center"], weights["scale"], weights["amplitude"], ansatz or ansatz_of(described["ansatz"]),
            described["periods"], Unknowns.from_configuration(described.get("unknowns", {}), shape.domain, dtype),
        )  # fmt: skip
        try:
            # What lies in a file stays there.
            model.load_state_dict(weights, assign=any(in_file(v) for v in state.values()))
        except RuntimeError as error:
            if not own:
                raise
            reason = " ".join(line.strip() for line in str(error).splitlines()[1:2])
            raise StorageError(
                f"The network does not fit the stored weights; give one of the same form. {reason}"
            ) from None
        solution = cls(None, model, provenance, history)
        solution._shape = shape
        return solution

    def configuration(self) -> str:
        """JSON text that, with the weights, rebuilds the fields."""
        network, ansatz = self.model.network, self.model.ansatz
        own = {"network": "own", "class": type(network).__name__}
        described: dict[str, Any] = {
            **self.shape.configuration(),
            "network": describe(network) or own,
            "ansatz": None if ansatz is None else {"name": "own"},
        }
        described["periods"] = self.model.periods
        if self.model.unknowns is not None:
            described["unknowns"] = self.model.unknowns.configuration()
        if isinstance(ansatz, HardConditions):
            described["ansatz"] = ansatz.configuration()
        if isinstance(ansatz, PointSources | SurfaceFactor | SurfaceStart):
            described["ansatz"] = {"name": type(ansatz).__name__, **asdict(ansatz)}
        return json.dumps(described)

    @cached_property
    def unknowns(self) -> dict[str, Any]:
        """The unknowns by name: an ``Estimate`` of each number or vector, a function of points of each field."""
        found = self.model.unknowns
        if found is None:
            return {}
        return {
            name: self._field(name) if name in found.networks else Estimate.from_plain(self.provenance.unknowns[name])
            for name in found.stated
        }

    def _unknown_fields(
        self, coordinates: dict[str, NDArray[np.float64]], like: NDArray[Any]
    ) -> dict[str, NDArray[Any]]:
        """The unknown fields on a grid, by names that no output has; NaN where an output is."""
        mesh = np.meshgrid(*coordinates.values(), indexing="ij")
        nodes = np.stack([m.ravel() for m in mesh], axis=1)
        networks = {} if self.model.unknowns is None else dict(self.model.unknowns.networks)
        found = {}
        for name in networks:
            values = self.unknowns[name](nodes).reshape(mesh[0].shape)
            called = name.replace(" ", "_")
            found[called if called not in self.shape.outputs else f"unknown_{called}"] = np.where(
                np.isnan(like), np.nan, values
            )
        return found

    def _field(self, name: str) -> Callable[[Any], Any]:
        """An unknown field as a function of points, like the solution itself."""
        assert self.model.unknowns is not None
        network = self.model.unknowns.networks[name]

        def evaluate(points: Any) -> Any:
            p = self._points(points)
            with torch.no_grad():
                values = torch.cat([network(part) for part in _chunks(p)])
            if isinstance(points, Tensor):
                return values.to(points.device)
            return values if isinstance(points, Points) else values.cpu().numpy()

        return evaluate

    @property
    def parameters(self) -> int:
        """Trainable numbers of the network."""
        return count_parameters(self.model)

    def __repr__(self) -> str:
        s = self.shape
        return f"Solution({s.name}, {', '.join(s.outputs)} on {s.domain}, {self.provenance.method})"

    def _observe(self, values: Tensor, p: Points) -> Tensor:
        if self.shape.sides is not None:
            return self.shape.sides.pick(values, p.coordinates)
        if self.problem is not None:
            return self.problem.observe(values)
        return values.min(dim=1, keepdim=True).values if self.shape.earliest else values[:, : len(self.shape.outputs)]

    def _points(self, points: Any) -> Points:
        axes, like = self.shape.domain.axes, self.model.center
        if isinstance(points, Points):
            if points.axes != axes:
                raise UsageError(f"The points have the axes {points.axes}, the solution has {axes}.")
            return Points(axes, points.coordinates.to(like), points.outward)
        try:
            coordinates = torch.as_tensor(np.asarray(points) if not isinstance(points, Tensor) else points)
        except (TypeError, ValueError):
            raise UsageError(
                f"Points must be numbers of shape (n, {len(axes)}), got {type(points).__name__}."
            ) from None
        if coordinates.ndim != 2 or coordinates.shape[1] != len(axes):
            raise UsageError(
                f"Points must have shape (n, {len(axes)}), a column for each of {', '.join(axes)}; got "
                f"{tuple(coordinates.shape)}. One point is [[{', '.join(axes)}]]."
            )
        return Points(axes, coordinates.to(like))


def read_report(folder: Path) -> Report:
    """The saved report. Raises ``StorageError`` where there is none, or another text."""
    path = folder / "report.json"
    try:
        return Report.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StorageError(f"There is no {path}: expected a folder that pinn-siren solve wrote.") from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise StorageError(f"{path} is not a report of pinn_siren ({error}); solve again.") from None


def _chunks(p: Points) -> list[Points]:
    return [p[slice(i, i + CHUNK)] for i in range(0, len(p), CHUNK)] or [p]


__all__ = ["Provenance", "Solution"]
