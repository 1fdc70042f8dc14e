"""Problem: a domain, conditions and a residual; stated once, solved by any method, checked by another."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

import torch
from torch import Tensor, nn

from .coefficients import Coefficient, call, values
from .conditions import (
    PML,
    ConditionBase,
    Constraint,
    Data,
    Place,
    Radiating,
    Raster,
    leaves_constant,
    own,
    sides_of,
    unique_names,
)
from .domains import Box, Domain, Sampler, Sides
from .errors import NoReferenceError, ProblemError, suggest
from .jet import Jet, MissingDerivativeError, Plan, derivatives_of, make_plan
from .points import TIME, Points

if TYPE_CHECKING:
    from .reference.grid import GridSolution, Reference
    from .solution import Solution


SIGNAL = 2_000
"""A fit of so many values is of a signal: it holds more than sine features of frozen frequencies represent."""


class _Stated(type):
    """Turns a second ``@dataclass`` into a message: subclasses of Problem are dataclasses already."""

    def __setattr__(cls, name: str, value: Any) -> None:
        if name == "__dataclass_params__" and name in cls.__dict__:
            raise ProblemError(
                f"{cls.__name__} is a frozen, keyword-only dataclass already, as every subclass of Problem: "
                "remove the @dataclass above it."
            )
        super().__setattr__(name, value)


@dataclass_transform(kw_only_default=True, frozen_default=True, eq_default=False, field_specifiers=(field,))
class Problem(metaclass=_Stated):
    """Find u with ``residual(p, u) = 0`` in the domain and every condition satisfied.

    A subclass states its own fields by annotation and ``residual(self, p, u)``, and is a frozen, keyword-only
    dataclass by itself. ``outputs`` names the unknown fields (``residual(self, p, u, v)`` then returns a tuple);
    ``complex_valued`` makes them complex.

    ``domain``: where; ``conditions``: what holds beside the equation; ``exact``: the solution, ``p -> (n,)`` or a
    tuple, for validation only; ``ansatz``: ``(p, u) -> Jet``, conditions built into the output; ``reference``:
    ``cells -> GridSolution``, an own classical solver. Units are the user's; all lengths and times in the same ones.

    ``one_grid``: the reference is known on one grid alone, as measured values are; it then has no order and no error
    bar, and the verdict is left open. ``reference_method`` says what it is. ``share``: the part of a fit's very many
    values that a step of training sees; ``learning_rate``: Adam's for them, where it is not the usual one.

    ``units``: of axes and outputs by name, as in ``{"z": "km", "u": "s"}``; ``downward``: the axes that grow downward,
    as a depth does. Files keep both, and pictures show them; nothing is computed with them.

    Without a residual of its own, a problem with ``Data`` is a fit: its conditions are all that holds.

    Raises ``ProblemError`` for a statement that cannot be meant.
    """

    outputs: ClassVar[tuple[str, ...]] = ("u",)
    complex_valued: ClassVar[bool] = False
    stretches: ClassVar[bool] = False
    reference_method: ClassVar[str] = "finite differences of the residual, second order, sparse LU"
    cut_method: ClassVar[str] = "finite differences on cut cells, second order, sparse LU"
    sides_method: ClassVar[str] = "finite differences on cut cells matched at interfaces, second order, sparse LU"
    one_grid: ClassVar[bool] = False
    share: ClassVar[float] = 1 / 8
    learning_rate: ClassVar[float | None] = None

    domain: Domain
    conditions: Sequence[ConditionBase] = ()
    exact: Callable[[Points], Any] | None = None
    ansatz: Callable[..., Any] | None = None
    reference: Callable[[dict[str, int]], GridSolution] | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    downward: Sequence[str] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = inspect.get_annotations(cls)
        inherited = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
        for name in inherited:
            if name in cls.__dict__ and name not in own and not isinstance(cls.__dict__[name], property):
                raise ProblemError(
                    f"{cls.__name__}.{name} would hide the field {name!r} of Problem: pass it to the constructor, "
                    f"{cls.__name__}({name}=...), or give your own another name."
                )
        dataclasses.dataclass(frozen=True, kw_only=True, eq=False)(cls)

    def __post_init__(self) -> None:
        if not isinstance(self.domain, Domain):
            raise ProblemError(f"domain must be a domain such as Box(x=(0, 1)), got {type(self.domain).__name__}.")
        if not isinstance(self.conditions, Sequence):
            raise ProblemError(
                f"conditions must be a list, got {type(self.conditions).__name__}: write conditions=[...]."
            )
        for condition in self.conditions:
            if not isinstance(condition, ConditionBase):
                came = f"class, {condition.__name__}" if isinstance(condition, type) else type(condition).__name__
                raise ProblemError(f"conditions holds a {came}; expected Dirichlet(0), Initial(...), ...")
        if not isinstance(self.outputs, tuple) or not all(isinstance(name, str) for name in self.outputs):
            raise ProblemError(f'outputs must be a tuple of names, as in outputs = ("u",); got {self.outputs!r}.')
        for name in ("exact", "ansatz", "reference"):
            if getattr(self, name) is not None and not callable(getattr(self, name)):
                raise ProblemError(f"{name} must be a function, got {type(getattr(self, name)).__name__}.")
        self._check_labels()

    def _check_labels(self) -> None:
        if not isinstance(self.units, Mapping) or not all(isinstance(unit, str) for unit in self.units.values()):
            raise ProblemError(f'units must be texts by name, as in {{"x": "km", "u": "s"}}; got {self.units!r}.')
        if isinstance(self.downward, str) or not isinstance(self.downward, Sequence):
            raise ProblemError(f'downward must be a list of axes, as in ["z"]; got {self.downward!r}.')
        axes = self.domain.axes
        for given, known, what in (
            (self.units, (*axes, *self.outputs), "axes and outputs"),
            (self.downward, self.domain.space_axes, "space axes"),
        ):
            for name in given:
                if name not in known:
                    raise ProblemError(
                        f"{'units' if given is self.units else 'downward'} names {name!r}; the {what} are "
                        f"{', '.join(known)}.{suggest(str(name), known)}"
                    )

    def residual(self, p: Points, u: Any) -> Any:
        """``(n,)``, zero where the equation holds; a tuple with several outputs. Pointwise in p and u."""
        raise ProblemError(
            f"{type(self).__name__} has no residual: define residual(self, p, u), or give Data(points, values) to fit."
        )

    @property
    def is_fit(self) -> bool:
        """Whether there is no equation, and data to fit."""
        return type(self).residual is Problem.residual and any(isinstance(c, Data | Raster) for c in self.conditions)

    @cached_property
    def samples(self) -> int:
        """The values that a fit represents, at most at one condition's points; 0 where there is an equation."""
        data = [c for c in self.conditions if isinstance(c, Data | Raster)] if self.is_fit else []
        return max((c.count for c in data), default=0)

    @property
    def is_signal(self) -> bool:
        """Whether this is a fit of very many values, such as an image's."""
        return self.samples >= SIGNAL

    @property
    def of_derivatives(self) -> bool:
        """Whether this is a fit whose data are derivatives alone."""
        known = [c for c in self.conditions if isinstance(c, Data | Raster)]
        return self.is_fit and all(isinstance(c, Data) and c.of != "value" for c in known)

    @property
    def first_frequency(self) -> float:
        """The part of the highest wavenumber that the network's first layer starts at, unless given: depth brings the
        rest."""
        return 1 / 2

    @property
    def fields(self) -> tuple[str, ...]:
        """The unknowns that the network represents: the outputs, and what may stand behind them, unless ``observe``
        makes outputs of others; where interfaces cut the domain, the outputs of each side."""
        if self.sides is None:
            return self.outputs
        return tuple(f"{name}{k + 1}" for k in range(len(self.sides)) for name in self.outputs)

    @property
    def stated_fields(self) -> tuple[str, ...]:
        """The unknowns that conditions speak of: ``fields``, or the outputs, whichever side a point is on."""
        return self.fields if self.sides is None else self.outputs

    @cached_property
    def sides(self) -> Sides | None:
        """The parts that interfaces cut the domain into, with fields of their own; None where there are none."""
        return sides_of(self.domain, self.conditions)

    def observe(self, values: Tensor) -> Tensor:
        """``(n, fields) -> (n, outputs)``: what a user sees of the unknowns."""
        return values[:, : len(self.outputs)]

    def seen(self, values: Tensor, p: Points) -> Tensor:
        """``(n, fields) -> (n, k)``: of several sides' fields those of each point's own side, else all of them."""
        return values if self.sides is None else self.sides.pick(values, p.coordinates)

    def own_network(self, dtype: torch.dtype, generator: torch.Generator) -> nn.Module | None:
        """The network of a problem that has a form of its own, for coordinates in [-1, 1]; None: a ``Siren``."""
        return None

    def metrics(self, solution: Solution) -> dict[str, float]:
        """Figures of merit that belong to this problem alone, by name, such as ``{"PSNR (dB)": 41.2}``.

        The report prints and keeps them; no verdict rests on them.
        """
        return {}

    def draw(self, solution: Solution, folder: Path) -> list[Path]:
        """Write the problem's own pictures and files into a folder, beside ``figure.png``; returns their paths."""
        return []

    @property
    def free_constant(self) -> bool:
        """Whether adding a constant to a solution gives another one; then the one of zero mean is meant."""
        alone = self.is_fit and self.ansatz is None
        return alone and all(leaves_constant(c) for c in self.conditions)

    @property
    def apart(self) -> bool:
        """Whether no residual joins two fields, so that each is solved for alone."""
        return False

    def slowness(self, p: Points) -> Tensor | None:
        """Of travel times ``|grad u|``, ``(n,)``, which says whether they are first arrivals; None of other fields."""
        return None

    def radiation(self) -> tuple[Coefficient | None, Coefficient | None]:
        """Speed and wavenumber of the waves that ``Absorbing()`` lets out; the built-in wave equations know theirs."""
        return None, None

    @property
    def layer(self) -> PML | None:
        """The absorbing layer, if there is one. Raises ``ProblemError`` for two."""
        layers = [c for c in self.conditions if isinstance(c, PML)]
        if len(layers) > 1:
            raise ProblemError("Give one PML: on= takes a list of sides.")
        return layers[0] if layers else None

    @property
    def radiates(self) -> bool:
        """Whether waves leave into open space, by a condition that features satisfy and no grid has."""
        return any(isinstance(c, Radiating) for c in self.conditions)

    @property
    def physical_domain(self) -> Domain:
        """The domain without its absorbing layer."""
        return self.layer.physical(self.domain) if self.layer else self.domain

    def constraints(self) -> list[Constraint]:
        """The equation and every condition, as ``C_m = 0`` on ``Omega_m``, with names that tell them apart."""
        equation = Constraint("equation", self._inside, self._equation, on_interior=True, place=Place("interior"))
        beside = [self._sided(c) for condition in self.conditions for c in condition.constraints(self)]
        equations = [equation] if self.sides is None else self._equations
        return unique_names(beside if self.is_fit else [*equations, *beside])

    @property
    def _equations(self) -> list[Constraint]:
        """The equation on each side, for the fields of that side."""
        assert self.sides is not None
        count = len(self.outputs)

        def stated(k: int, sides: Sides) -> Constraint:
            def sample(n: int, sampler: Sampler) -> list[Points]:
                return [sides.interior(k, n, sampler)]

            def residual(points: list[Points], fields: list[tuple[Jet, ...]]) -> Any:
                return self._equation(points, [fields[0][k * count : (k + 1) * count]])

            return Constraint("equation", sample, residual, on_interior=True, scattered=True)

        return [stated(k, self.sides) for k in range(len(self.sides))]

    def _sided(self, c: Constraint) -> Constraint:
        """A condition, for the fields of the side that each of its points is on."""
        if self.sides is None or (c.place is not None and c.place.kind == "interface"):
            return c
        sides = self.sides

        def residual(points: list[Points], fields: list[tuple[Jet, ...]]) -> Any:
            found = [own(u, sides.of(p.coordinates), len(sides)) for p, u in zip(points, fields, strict=True)]
            return c.residual(points, found)

        return replace(c, residual=residual, scattered=len(c.sample(1, Sampler(torch.Generator()))) == 1)

    def _inside(self, n: int, sampler: Sampler) -> list[Points]:
        return [self.domain.interior(n, sampler)]

    def _equation(self, points: list[Points], fields: list[tuple[Jet, ...]]) -> Any:
        return call(self.residual, (points[0], *fields[0]), f"residual(p, {', '.join(self.stated_fields)})")

    @cached_property
    def derivatives(self) -> frozenset[str]:
        """The derivatives that the residual asks for, recorded from one call at random jets; none of a fit."""
        if self.is_fit:
            return frozenset()
        sampler = Sampler(torch.Generator().manual_seed(1))
        points = self._inside(3, sampler)
        count = len(self.stated_fields)
        _, asked = record(
            lambda plan: self._equation(points, [self.random_fields(points[0], plan, sampler)[:count]]), self
        )
        return asked

    def order(self, axis: str) -> int:
        """The equation's order along one axis."""
        return derivatives_of(self.derivatives, axis, self.domain.space_axes)

    def random_fields(self, p: Points, plan: Plan, sampler: Sampler) -> tuple[Jet, ...]:
        """A jet a field with independent standard normal channels, to probe the residual with."""

        def channels() -> Tensor:
            shape = (len(plan.keys), len(p))
            return torch.randn(shape, generator=sampler.generator, dtype=sampler.dtype, device=sampler.device)

        return tuple(
            Jet(torch.complex(channels(), channels()) if self.complex_valued else channels(), plan, p)
            for _ in self.fields
        )

    @property
    def classical_method(self) -> str:
        """What solves the reference: by name, for reports."""
        if self.reference is not None:
            return self.reference_method if self.one_grid else "own reference"
        if self.sides is not None:
            return self.sides_method
        return self.reference_method if isinstance(self.domain, Box) else self.cut_method

    def cells(self, resolution: int | None = None) -> dict[str, int]:
        """Cells an axis of the coarsest reference grid: ``resolution`` on the longest space axis and in time."""
        bounds = self.domain.bounds
        space = [bounds[a][1] - bounds[a][0] for a in self.domain.space_axes]
        count = resolution or {1: 100, 2: 64, 3: 20}.get(len(bounds), 8)
        if not isinstance(count, int) or count < 4:
            raise ProblemError(f"A reference grid needs at least 4 cells an axis, got resolution={count!r}.")
        longest = max(space, default=1.0)
        cells = {
            a: count if a == TIME else max(4, round(count * (high - low) / longest))
            for a, (low, high) in bounds.items()
        }
        covered = isinstance(self.domain, Box) or self.cut_method == self.reference_method
        own = type(self).finite_differences is not Problem.finite_differences and covered
        if resolution is None and self.reference is None and not own:
            from .reference.residual import affordable

            return affordable(self, cells)
        return cells

    def alternatives(self) -> dict[str, Callable[[dict[str, int]], Reference]]:
        """Other classical solvers of this equation by name, from the coarsest grid's cells to a judged reference."""
        return {}

    def finite_differences(self, cells: dict[str, int]) -> GridSolution:
        """The reference solution on one grid: from ``reference``, or by finite differences of the residual.

        Raises ``NoReferenceError`` where these do not cover the problem.
        """
        if self.reference is not None:
            return self.reference(cells)
        if self.is_fit:
            raise NoReferenceError("A fit has no equation to solve by finite differences; give exact= or reference=.")
        if self.radiates:
            raise NoReferenceError("No grid reaches the open space of Radiating(): give exact=, or use Absorbing().")
        if self.sides is not None:
            raise NoReferenceError(
                f"Across interfaces the finite differences solve Poisson problems, not {type(self).__name__}: give "
                "exact= or reference=."
            )
        # The solver knows problems, so it is known only when one is solved.
        from .reference.residual import solve_residual

        return solve_residual(self, cells)


dataclasses.dataclass(frozen=True, kw_only=True, eq=False)(Problem)


def record(
    evaluate: Callable[[Plan], Any], problem: Problem, asked: frozenset[str] = frozenset()
) -> tuple[Any, frozenset[str]]:
    """Evaluate with as many derivatives as it takes: what is missing is added, and the evaluation starts again."""
    while True:
        try:
            return evaluate(make_plan(problem.domain.axes, asked)), asked
        except MissingDerivativeError as missing:
            asked |= missing.keys


def exact_outputs(problem: Problem, p: Points) -> list[Tensor]:
    """``(n,)`` values of the exact solution, an output each, in float64 or complex128.

    Raises ``ProblemError`` where ``exact`` returns another number of outputs, another shape, or NaN.
    """
    assert problem.exact is not None
    came = call(problem.exact, (p,), "exact(p)")
    parts = came if isinstance(came, tuple | list) else (came,)
    if len(parts) != len(problem.outputs):
        raise ProblemError(f"exact(p) must return {len(problem.outputs)} output(s), got {len(parts)}.")
    return [values(lambda _, part=part: part, p, "exact") for part in parts]  # type: ignore[misc]


def rectangle(problem: Problem) -> Box:
    """The problem's domain, which must be a box. Raises ``NoReferenceError`` otherwise."""
    if not isinstance(problem.domain, Box):
        raise NoReferenceError(f"The finite-difference solver works on a Box, not on {problem.domain}.")
    return problem.domain
