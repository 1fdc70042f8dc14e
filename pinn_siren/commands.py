"""The command line's grammar: its commands and their options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

Files = Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="FILE ...", help_behavior_hint="")]
Folders = Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="FOLDER ...", help_behavior_hint="")]
Folder = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")]
Count = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")]
Seconds = Annotated[float | None, tyro.conf.arg(metavar="SECONDS", help_behavior_hint="")]
Tolerance = Annotated[float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="")]
Device = Annotated[str | None, tyro.conf.arg(metavar="DEVICE", help_behavior_hint="")]
Balance = Annotated[Literal["gradients"] | None, tyro.conf.arg(metavar="gradients", help_behavior_hint="")]
Precision = Annotated[
    Literal["float64", "float32"] | None, tyro.conf.arg(metavar="{float64,float32}", help_behavior_hint="")
]
Strictness = Annotated[Literal["certified"] | None, tyro.conf.arg(metavar="certified", help_behavior_hint="")]
Names = Annotated[str | None, tyro.conf.arg(metavar="NAME,...", help_behavior_hint="")]
Number = Annotated[float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="")]
Shell = Annotated[
    tyro.conf.Positional[Literal["bash", "zsh"] | None], tyro.conf.arg(metavar="{bash,zsh}", help_behavior_hint="")
]
Flag = tyro.conf.FlagCreatePairsOff[bool]


@dataclass(frozen=True)
class Solve:
    """Solve problem files and compare them with finite differences; results/<file name>/ keeps it all."""

    files: Files
    """Problem files: Python files that set `problem`."""
    out: Folder = None
    """Folder of the results (with several files: of their folders); results/<file name> unless given."""
    method: Literal["auto", "least-squares", "gauss-newton", "lbfgs", "adam", "patches", "chebyshev", "adjoint"] = (
        "auto"
    )
    """How to solve."""
    tolerance: float = 1e-6
    """The relative L2 error to aim at."""
    steps: Count = None
    """Steps of the last stage at most."""
    points: Count = None
    """Collocation points inside."""
    budget: Seconds = None
    """Seconds at most for each problem."""
    seed: int = 0
    """Seed of weights and points."""
    device: Device = None
    """cpu, cuda or cuda:N; CUDA where there is one, unless given."""
    dtype: Precision = None
    """Precision of network and points: float64, but float32 for a fit of very many values, unless given."""
    conditions: Literal["auto", "hard", "soft"] = "auto"
    """Conditions built into the output where geometry allows, all of them, or none."""
    balance: Balance = None
    """Balance the terms of the loss by their gradients."""
    causal: Flag = False
    """Weigh the equation causally in time."""
    resampling: Literal["uniform", "rad", "r3"] = "uniform"
    """Where interior points go: everywhere alike, or where the residual is large."""
    compile: Flag = False
    """Train by compiled graphs: up to a minute more at the start, steps in one piece on a GPU."""
    resume: Flag = False
    """Go on from the checkpoint of a run that was killed, or start where there is none."""
    require: Strictness = None
    """Exit with 1 unless every verdict is certified."""
    quiet: Flag = False
    """No progress and no reports, only the table."""


@dataclass(frozen=True)
class Check:
    """Say what is understood of problem files and run every check, without solving."""

    files: Files
    """Problem files: Python files that set `problem`."""


@dataclass(frozen=True)
class Reference:
    """Solve problem files by classical methods alone: three grids, observed order, error bar."""

    files: Files
    """Problem files: Python files that set `problem`."""
    out: Folder = None
    """Folder of the results; results/<file name> unless given."""
    resolution: Count = None
    """Cells along the longest axis of the coarsest grid."""
    method: str = "auto"
    """How: auto, finite-differences, chebyshev; for Helmholtz fourth-order, for Wave spectral."""
    tolerance: Tolerance = None
    """With auto: go on to other methods until the error bar is a tenth of this."""


@dataclass(frozen=True)
class Compare:
    """Time to accuracy of every method beside finite differences, or networks of one size beside each other.

    Runs that ended are kept, and not repeated with the same arguments.
    """

    files: Files
    """Problem files: Python files that set `problem`."""
    out: Folder = None
    """Folder of the results (with several files: of their folders); results/<file name> unless given."""
    methods: Names = None
    """Methods, separated by commas; all unless given."""
    networks: Names = None
    """Compare networks instead, some of siren,tanh,relu,softplus,rbf,relu-pe, trained alike by Adam."""
    tolerance: Number = None
    """Relative L2 error at which a method may stop; 1e-10 unless given."""
    budget: Seconds = None
    """Seconds at most for each run and each sequence of grids; 30 unless given, and none for networks."""
    seeds: int = 3
    """How often everything is run, with seeds 0, 1, ..."""
    width: Count = None
    """Of networks: units a layer; 64 unless given, by the number of values for a fit of very many."""
    depth: Count = None
    """Of networks: hidden layers; 3 unless given, 4 for a fit of very many values."""
    steps: Count = None
    """Of networks: steps of Adam; 2000 unless given."""
    rate: Number = None
    """Of networks: Adam's learning rate; 1e-3 unless given."""
    dtype: Precision = None
    """Of networks: precision; float64, but float32 for a fit of very many values, unless given."""
    device: Device = None
    """cpu, cuda or cuda:N; CUDA where there is one, unless given."""
    fresh: Flag = False
    """Repeat runs that are kept."""
    quiet: Flag = False
    """No progress, only the table."""


@dataclass(frozen=True)
class Verify:
    """Recompute reports from the files of results folders; exit with 1 where anything differs."""

    folders: Folders
    """Folders that solve wrote."""


@dataclass(frozen=True)
class Plot:
    """Draw figure.png of results folders again, from their solution.h5 alone."""

    folders: Folders
    """Folders that solve wrote."""


@dataclass(frozen=True)
class Inspect:
    """Show what goes on inside the network of problem files, at the start and after training: layers.png."""

    files: Files
    """Problem files: Python files that set `problem`."""
    out: Folder = None
    """Folder of the results; results/<file name> unless given."""
    steps: int = 500
    """Steps of Adam between the two."""
    seed: int = 0
    """Seed of weights and points."""
    device: Device = None
    """cpu, cuda or cuda:N; CUDA where there is one, unless given."""
    quiet: Flag = False
    """No progress."""


@dataclass(frozen=True)
class New:
    """Write a commented problem file to start from; it runs as it is."""

    file: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """The file to write, such as my_equation.py."""


@dataclass(frozen=True)
class Completion:
    """Print a script that completes commands, options and file names in a shell.

    For bash: source <(pinn-siren completion bash); for zsh: pinn-siren completion zsh > FOLDER/_pinn-siren, with a
    FOLDER of $fpath.
    """

    shell: Shell = None
    """The shell."""


COMMANDS: dict[str, type] = {
    "solve": Solve, "check": Check, "reference": Reference, "compare": Compare, "verify": Verify, "plot": Plot,
    "inspect": Inspect, "new": New, "completion": Completion,
}  # fmt: skip

Command = (
    Annotated[Solve, tyro.conf.subcommand("solve")]
    | Annotated[Check, tyro.conf.subcommand("check")]
    | Annotated[Reference, tyro.conf.subcommand("reference")]
    | Annotated[Compare, tyro.conf.subcommand("compare")]
    | Annotated[Verify, tyro.conf.subcommand("verify")]
    | Annotated[Plot, tyro.conf.subcommand("plot")]
    | Annotated[Inspect, tyro.conf.subcommand("inspect")]
    | Annotated[New, tyro.conf.subcommand("new")]
    | Annotated[Completion, tyro.conf.subcommand("completion")]
)
