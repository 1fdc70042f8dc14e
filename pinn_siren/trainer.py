"""Trainer: one loop for every problem, network, stage and device."""

from __future__ import annotations

import dataclasses
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .ansatz.derive import BuiltIn, Choice, choose, held
from .balance import BalanceName, make_balance
from .bandwidth import Found
from .build import blindness, build_model, default_points, device_name, pick_device, zero_mean
from .causal import make_causal
from .check import StatementWarning, check, resolution
from .checkpoint import read_checkpoint, write_checkpoint
from .compiled import Compiled
from .concentration import concentrations
from .confidence import confidence, misfits
from .domains import Sampler, Scheme
from .errors import ResidualError, UsageError, expect_whole
from .estimate import Estimate
from .exterior import FoundOutgoing
from .loop import Loop, Outcome
from .loss import Objective
from .model import Model
from .optimizers import LeastSquares, Stage
from .parallel import Ranks, world
from .parameters import expect_seen, forward, make_unknowns
from .patches import FoundPatches
from .precision import PRODUCTS, ieee
from .problem import Problem
from .resampling import ResamplingName, make_resampling
from .scales import measure_scales
from .siren import count_parameters
from .slabs import FoundSlabs
from .solution import Provenance, Solution
from .system import System
from .unknowns import certain

BOUNDARY_SHARE = 0.25
MEASURED = 2**20
"""Measured values that are looked at where a search did not see them."""
Watch = Callable[[float, Model], None]
Features = Found | FoundPatches | FoundSlabs | FoundOutgoing
"""What a search for frozen features found."""
DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass
class Trainer:
    """Trains a network on a problem, stage after stage, in any sequence.

    ``network``: a module from as many inputs as the domain has axes to the problem's fields (twice as many where they
    are complex), made of the functions that jets know; a ``Siren`` of ``width`` 48 and first frequencies from the
    problem's scales unless given. ``device``: CUDA where there is one, else the CPU, unless given; ``points``:
    collocation points inside (a quarter of them on every condition); ``scheme``: how they are drawn; ``conditions``:
    ``"auto"`` builds them into the output where the geometry allows (``ansatz.derive``), ``"hard"`` insists on it for
    every Dirichlet, initial and periodic condition, ``"soft"`` leaves all to the loss; ``checkpoint``: a file that the
    run is kept in. The same seed on the same device and thread count gives the same weights. ``exact``
    is checked against the statement, and never steers the solve.

    ``balance="gradients"``: loss terms with gradients of one length (``balance.GradientBalance``); ``causal``: the
    equation counts at a time only where it holds before (``causal.Causal``); ``resampling``: interior points
    ``"uniform"``, or where the residual is large, ``"rad"`` or ``"r3"`` (``resampling.ResidualDensity``, ``Retain``).

    ``watch``: ``(seconds, model)``, called at every record; the seconds that it takes count as the training's.
    ``folded``: a smaller default network for Gauss-Newton to begin with, its frequencies in the weights and omega 1, so
    that the damping sees all layers alike. ``compile``: run the loss and its gradient as compiled graphs, replayed
    whole on CUDA; each number of points is compiled once, which takes seconds to a minute, and where it is impossible,
    one line says why. ``narrow``: draw more points around narrow sources and initial data, with weights
    (``concentration.Concentration``).

    Raises ``ProblemError`` for a wrong statement or a function in the network that jets do not know, ``UsageError`` for
    arguments that cannot be; warns where the highest derivatives asked for vanish in all of the network, as ReLU's do.
    """

    problem: Problem
    network: nn.Module | None = None
    device: str | torch.device | None = None
    dtype: torch.dtype = torch.float64
    seed: int = 0
    points: int | None = None
    scheme: Scheme = "sobol"
    conditions: Choice = "auto"
    progress: bool = True
    checkpoint: Path | None = None
    balance: BalanceName | None = None
    causal: bool = False
    resampling: ResamplingName = "uniform"
    watch: Watch | None = None
    folded: bool = False
    compile: bool = False
    narrow: bool = True
    outcomes: list[tuple[Stage, Outcome]] = field(default_factory=list, init=False)
    history: dict[str, list[float]] = field(default_factory=dict, init=False)
    seconds: float = field(default=0.0, init=False)
    steps: int = field(default=0, init=False)
    ranks: Ranks = field(default_factory=world, init=False)
    _saved_at: float = field(default_factory=time.perf_counter, init=False)
    _resumed: dict[str, Any] | None = field(default=None, init=False)
    _coarse: tuple[str, ...] = field(default=(), init=False)
    _adopted: Found | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._expect()
        causal, resampling = make_causal(self.causal, self.problem.domain), make_resampling(self.resampling)
        started = time.perf_counter()
        device = pick_device(self.device)
        self.device = device
        self.unknowns = make_unknowns(self.problem, self.dtype, self.seed)
        # Scales, checks and what is built in are those of the problem at the unknowns' first values.
        first: Problem = self.problem if self.unknowns is None else self.unknowns.problem
        firm: Problem = self.problem if self.unknowns is None else certain(self.problem)
        self.scales = measure_scales(first)
        narrow = concentrations(first, self.scales) if self.narrow else {}
        if narrow:
            placed = {name: one.placed for name, one in narrow.items()}
            self.scales = measure_scales(first, placed=placed, narrowest=self.scales.wavenumber)
        built = choose(firm, self.scales, self.conditions, own_network=self.network is not None)
        system = System(first, held(first, built), self.ranks)
        narrow = {c.name: narrow[c.name] for c in system.constraints if c.name in narrow}
        system.constraints = [narrow[c.name].placed(c) if c.name in narrow else c for c in system.constraints]
        balance = make_balance(self.balance, [c.name for c in system.constraints])
        model = build_model(
            first, self.scales, self.network, self.dtype, self.seed, built, self.unknowns, self.folded
        ).to(device)
        self.ranks.share(model)
        sampler = Sampler(torch.Generator(device).manual_seed(self.seed), self.dtype, self.scheme)
        inside = self.points or default_points(self.problem, self.scales, count_parameters(model))
        counts = {c.name: inside if c.on_interior else max(8, int(inside * BOUNDARY_SHARE)) for c in system.constraints}
        # At the first values the exact solution satisfies nothing yet.
        check(first if self.unknowns is None else dataclasses.replace(first, exact=None))  # type: ignore[type-var]
        self._coarse = () if first.is_fit else tuple(resolution(self.scales, inside))
        if self.points is not None:
            self._warn_of_points(4)
        compiled = Compiled() if self.compile else None
        self.objective = Objective(
            system, model, counts, self.scales, sampler, balance, causal, resampling, compiled, narrow
        )
        self._probe(system, model)
        if self.unknowns is not None:
            expect_seen(system, model, sampler)
        inner = self.problem.domain.interior(64, Sampler(torch.Generator(device).manual_seed(1), self.dtype))
        for message in blindness(model, frozenset().union(*system.asked.values()), inner):
            warnings.warn(message, StatementWarning, stacklevel=3)
        self.seconds += time.perf_counter() - started

    def _warn_of_points(self, level: int) -> None:
        """Say once where points are too few: when they are asked for, else when training begins on them."""
        for message in self._coarse:
            warnings.warn(message, StatementWarning, stacklevel=level)
        self._coarse = ()

    @property
    def model(self) -> Model:
        """The fields as a function of points."""
        return self.objective.model

    def _expect(self) -> None:
        """Refuse arguments that cannot be."""
        for name, kind, such in (("problem", Problem, "Poisson"), ("network", nn.Module, "Siren")):
            came = getattr(self, name)
            if not isinstance(came, kind) and not (name == "network" and came is None):
                what = f"the class {came.__name__}" if isinstance(came, type) else type(came).__name__
                raise UsageError(f"{name} must be a {kind.__name__}, such as {such}(...); got {what}.")
        if self.dtype not in DTYPES.values():
            raise UsageError(f"dtype must be torch.float32 or torch.float64, got {self.dtype!r}.")
        if self.points is not None:
            expect_whole("points", self.points, 16)
        expect_whole("seed", self.seed, 0)

    def _probe(self, system: System, model: Model) -> None:
        """Evaluate every constraint at a few points: a wrong shape shows here, before an (n, n) fills the memory."""
        sampler = Sampler(torch.Generator(self.objective.sampler.device).manual_seed(1), self.dtype)
        for c in system.constraints:
            try:
                parts = system.parts(c, c.sample(7, sampler), model)
            except RuntimeError as error:
                if "shapes cannot be multiplied" not in str(error):
                    raise
                axes = self.problem.domain.axes
                raise UsageError(
                    f"The network must have {len(axes)} inputs, one for each of {', '.join(axes)}, and layers that fit "
                    f"each other: {error}."
                ) from None
            for part in parts:
                if not bool(torch.isfinite(part).all()):
                    raise ResidualError(
                        f"The {c.name} residual is NaN or infinite before the first step: look at its coefficients and "
                        "data inside the domain, such as a division by zero or a root of a negative number."
                    )

    @ieee()
    def run(self, stage: Stage, *, tolerance: float = 0.0, budget: float | None = None) -> Outcome:
        """Run a stage until its steps are done, the estimated error is at most ``tolerance``, or ``budget`` seconds.

        Ctrl-C and a loss that is NaN or infinite end it early and keep the last good weights; the outcome says which.
        With ``checkpoint`` set, the run is kept there every 20 seconds; after ``resume``, the stage goes on where it
        was.
        Raises ``ResidualError`` where not even the first losses are finite.
        """
        if not isinstance(stage, Stage):
            what = f"the class {stage.__name__}" if isinstance(stage, type) else type(stage).__name__
            raise UsageError(f"run needs a stage, such as Adam(steps=1000); got {what}.")
        if self.problem.radiates:
            raise UsageError("Radiating() is met by outgoing waves alone, no network is trained: use solve(problem).")
        self._warn_of_points(3)
        started, steps = time.perf_counter(), self.steps
        if self._resumed is None:
            stage.prepare(self.objective)

        def record() -> None:
            self.steps = steps + loop.number
            self._record(time.perf_counter() - started)

        def save() -> None:
            write_checkpoint(self.checkpoint, self._state(loop, time.perf_counter() - started))

        deadline = math.inf if budget is None else started + budget
        loop = Loop(
            self.objective, stage, tolerance, deadline, record, save if self.checkpoint and self.ranks.first else None,
            not (self.progress and self.ranks.first), self._saved_at,
        )  # fmt: skip
        if self._resumed is not None:
            loop.load(self._resumed)
            steps -= loop.number
            self._resumed = None
        try:
            outcome = loop.run()
        finally:
            self.seconds += time.perf_counter() - started
            self._saved_at = loop.saved_at
        self.steps = steps + outcome.steps
        self.outcomes.append((stage, outcome))
        return outcome

    def determined(self, state: dict[str, Tensor]) -> None:
        """Take the weights of unknown fields that were found from data."""
        assert self.unknowns is not None
        self.unknowns.load_state_dict(state)

    def forward(self) -> Trainer:
        """A trainer of the problem at its unknowns' present values, without the data that they are found from."""
        assert self.unknowns is not None
        problem = forward(self.problem, self.unknowns.values())
        return Trainer(problem, device=self.device, dtype=self.dtype, seed=self.seed, progress=False)

    def adopt(self, found: Features) -> None:
        """Take the features that a search found, with all conditions in the residual, for the solution."""
        if isinstance(found, Found):
            self._adopted = found
            self.scales = found.scales or self.scales
        if isinstance(found, Found) and self.unknowns is not None and found.unknowns:
            self.unknowns.load_state_dict(found.unknowns)
        self.objective = self._objective_of(found)
        self.outcomes.append((LeastSquares(), Outcome(found.end, found.reason, found.attempts, found.estimate)))
        self.history = {name: list(column) for name, column in found.history.items()}

    def judge(self, found: Features) -> float:
        """The estimated error of what a search found, as a trained network's is estimated: so that the two compare."""
        return self._objective_of(found).estimate()

    def _objective_of(self, found: Features) -> Objective:
        sampler, problem = self.objective.sampler, self.objective.system.problem
        built = BuiltIn(problem.ansatz)
        model = build_model(problem, self.scales, found.network, self.dtype, self.seed, built, self.unknowns)
        system = System(problem)
        points = {c.name: found.points.get(c.name, MEASURED) for c in system.constraints}
        return Objective(system, model.to(sampler.device), points, self.scales, sampler)

    def _numbers(self) -> dict[str, Estimate]:
        """The unknown numbers, with what the data say of them: of a search's features, or of the trained fields."""
        if self.unknowns is None:
            return {}
        adopted = self._adopted is not None and self._adopted.network is self.model.network
        return self._adopted.numbers if adopted else confidence(self.objective)  # type: ignore[union-attr]

    @torch.no_grad()
    def _data_misfit(self) -> float | None:
        """The root mean square of what the fields leave of measured values, in units of their noise where all state it;
        None of other problems."""
        measured = [c for c in self.objective.system.constraints if c.measured]
        noise = {c.name: c.noise for c in measured if c.noise is not None}
        if self.unknowns is None or not measured or len(noise) < len(measured):
            return None
        points = {c.name: c.sample(2**62, self.objective.sampler) for c in measured}
        left = misfits(self.objective.system, self.model, points)
        return float(torch.cat([left[name] / size for name, size in noise.items()]).square().mean().sqrt())

    def _record(self, elapsed: float) -> None:
        """Add a row to the history's columns."""
        row = {"step": float(self.steps), "seconds": self.seconds + elapsed, "loss": 0.0}
        row |= {name: float(term) for name, term in self.objective.latest.items()}
        # Of the same evaluation as its terms: a line search looks at several points.
        row["loss"] = sum(float(term) for term in self.objective.latest.values())
        for name, value in row.items():
            self.history.setdefault(name, []).append(value)
        if self.watch is not None and self.ranks.first:
            self.watch(row["seconds"], self.model)

    def _state(self, loop: Loop, elapsed: float) -> dict[str, Any]:
        return {
            "made": self.made_by() | _numbered([*(stage for stage, _ in self.outcomes), loop.stage]),
            "weights": self.model.state_dict(),
            "loop": loop.state(),
            "ends": [dataclasses.asdict(outcome) for _, outcome in self.outcomes],
            "history": {name: list(column) for name, column in self.history.items()},
            "seconds": self.seconds + elapsed,
            "steps": self.steps,
        }

    def made_by(self) -> dict[str, Any]:
        """What a checkpoint and the run that goes on from it must share."""
        return {
            "equation": type(self.problem).__name__,
            "domain": str(self.problem.domain),
            "seed": self.seed,
            "dtype": str(self.dtype),
            "points": self.points or 0,
            "scheme": self.scheme,
            "conditions": self.conditions,
            "balance": self.balance,
            "causal": self.causal,
            "resampling": self.resampling,
            "network": [list(w.shape) for w in self.model.parameters()],
        }

    def _options(self) -> list[str]:
        """The options in use that are off by default."""
        balanced = f"balanced {self.balance}" if self.balance else ""
        placed = f"{self.resampling} points" if self.resampling != "uniform" else ""
        compiled = self.objective.compiled
        graphs = "compiled" if compiled is not None and compiled.graphs else ""
        return [option for option in (balanced, "causal" if self.causal else "", placed, graphs) if option]

    def resume(self, stages: Sequence[Stage]) -> int:
        """Take up the checkpoint: its weights, history, ended stages; ``run`` then goes on with the stage under way.

        Returns that stage's number among ``stages``; 0 where there is no checkpoint. On the same device and thread
        count the weights go on bit for bit. Raises ``UsageError`` where it was made with other arguments, and
        ``StorageError`` for another file.
        """
        path = self.checkpoint
        state = None if path is None else self.ranks.once(lambda: read_checkpoint(path))
        if state is None:
            return 0
        theirs, stated = state["made"], _numbered(stages)
        for stage in stages[: len(state["ends"]) + 1]:
            stage.prepare(self.objective)
        mine = self.made_by() | {name: stated.get(name, "none") for name in theirs if name.startswith("stage ")}
        other = [
            f"{name}: {theirs.get(name)} there, {mine[name]} here" for name in mine if mine[name] != theirs.get(name)
        ]
        if other:
            raise UsageError(
                f"{self.checkpoint} belongs to another run ({'; '.join(other)}): give the same arguments, or start "
                "anew without resuming."
            )
        self.model.load_state_dict(state["weights"])
        self.history, self.seconds, self.steps = state["history"], state["seconds"], state["steps"]
        ended = [Outcome(**end) for end in state["ends"]]
        self.outcomes = list(zip(stages, ended, strict=False))
        self._resumed = state["loop"]
        return len(ended)

    @ieee()
    def solution(self, *, tolerance: float = 1e-6, method: str | None = None) -> Solution:
        """What was reached so far, with how it was reached."""
        problem = self.problem if self.unknowns is None else forward(self.problem, self.unknowns.values())
        if problem.free_constant:
            zero_mean(self.model, problem)
        stages = [f"{s.name} {o.steps}" for s, o in self.outcomes]
        provenance = Provenance(
            method=method or ", ".join([" + ".join(stages) or "untrained", *self._options()]),
            stages=", ".join(f"{name}: {o.message}" for name, (_, o) in zip(stages, self.outcomes, strict=True)),
            tolerance=tolerance,
            estimate=self.outcomes[-1][1].estimate if self.outcomes else math.inf,
            seconds=self.seconds,
            seed=self.seed,
            dtype=str(self.dtype).removeprefix("torch."),
            device=device_name(self.objective.sampler.device),
            threads=torch.get_num_threads(),
            points=sum(self.objective.counts.values()),
            interrupted=any(o.end == "interrupted" for _, o in self.outcomes),
            unknowns={name: number.plain() for name, number in self._numbers().items()},
            products=PRODUCTS,
            data_misfit=self._data_misfit(),
        )
        return Solution(problem, self.model, provenance, {k: list(v) for k, v in self.history.items()})


def _numbered(stages: Sequence[Stage]) -> dict[str, str]:
    """What each stage is, by its number."""
    return {f"stage {k}": str(stage) for k, stage in enumerate(stages, 1)}
