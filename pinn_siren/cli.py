"""The command line: ``pinn-siren solve | reference | verify | plot``."""

from __future__ import annotations

import inspect
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from .errors import PinnSirenError, UsageError
from .files import call_problem, explain, load_problem, raised_in
from .plots import draw, draw_reference
from .problem import Problem
from .provenance import environment
from .solve import solve
from .storage import locked, make_folder, read_solution, write_reference
from .table import reference_table, report_table
from .trainer import DTYPES
from .validation import Report, solve_reference
from .verify import verify

OK, FAILED, WRONG_INPUT = 0, 1, 2


@dataclass(frozen=True)
class Solve:
    """Solve problem files and compare them with finite differences; results/<file name>/ keeps it all."""

    files: tyro.conf.Positional[tuple[Path, ...]]
    """Problem files: Python files that set `problem`."""
    out: Path | None = None
    """Folder of the results (with several files: of their folders); results/<file name> unless given."""
    method: Literal["auto", "adam", "lbfgs"] = "auto"
    """How to train."""
    tolerance: float = 1e-6
    """The relative L2 error to aim at."""
    steps: int | None = None
    """Steps of the last stage at most."""
    points: int | None = None
    """Collocation points inside."""
    budget: float | None = None
    """Seconds at most for each problem."""
    seed: int = 0
    """Seed of weights and points."""
    device: str | None = None
    """cpu, cuda or cuda:N; CUDA where there is one, unless given."""
    dtype: Literal["float64", "float32"] = "float64"
    """Precision of network and points."""
    resume: bool = False
    """Go on from the checkpoint of a run that was killed, or start where there is none."""
    require: Literal["certified"] | None = None
    """Exit with 1 unless every verdict is certified."""
    quiet: bool = False
    """No progress and no reports, only the table."""


@dataclass(frozen=True)
class Reference:
    """Solve problem files by finite differences alone: three grids, observed order, error bar."""

    files: tyro.conf.Positional[tuple[Path, ...]]
    """Problem files."""
    out: Path | None = None
    """Folder of the results; results/<file name> unless given."""
    resolution: int | None = None
    """Cells along the longest axis of the coarsest grid."""


@dataclass(frozen=True)
class Verify:
    """Recompute reports from the files of results folders; exit with 1 where anything differs."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Folders that solve wrote."""


@dataclass(frozen=True)
class Plot:
    """Draw figure.png of results folders again, from their solution.h5 alone."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Folders that solve wrote."""


Command = (
    Annotated[Solve, tyro.conf.subcommand("solve")]
    | Annotated[Reference, tyro.conf.subcommand("reference")]
    | Annotated[Verify, tyro.conf.subcommand("verify")]
    | Annotated[Plot, tyro.conf.subcommand("plot")]
)


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit code: 0 good, 1 failed, 2 wrong input; the worst of several files."""
    command, own = tyro.cli(Command, prog="pinn-siren", args=arguments, return_unknown_args=True)  # type: ignore[call-overload]
    runs: dict[type, Callable[[Any, list[str]], int]] = {
        Solve: _solve, Reference: _reference, Verify: _verify, Plot: _plot
    }  # fmt: skip
    try:
        with warnings.catch_warnings(), _terminated_as_interrupted():
            warnings.showwarning = _warn
            return runs[type(command)](command, own)
    except PinnSirenError as error:
        return _complain(error)
    except KeyboardInterrupt:
        print("pinn-siren: interrupted", file=sys.stderr)
        return FAILED


def entry() -> None:
    """The console script."""
    sys.exit(main())


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends a run like Ctrl-C: what was reached is written."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _warn(message: Warning | str, *where: Any, **more: Any) -> None:
    print(f"pinn-siren: warning: {message}", file=sys.stderr)


def _complain(error: object) -> int:
    print(f"pinn-siren: {error}", file=sys.stderr)
    return WRONG_INPUT


def _problem(path: Path, own: list[str]) -> Problem:
    """The file's problem; where it is a function, its keyword arguments are options of the command line."""
    found = load_problem(path)
    if isinstance(found, Problem):
        if own:
            raise UsageError(f"{own[0]} is no option of pinn-siren, and {path} sets a problem that takes none.")
        return found
    try:
        inspect.signature(found).bind()
    except TypeError:
        raise UsageError(
            f"{path}: problem() needs a default for every argument, so that it runs without options."
        ) from None
    chosen: dict[str, Any] = {}

    def keep(**arguments: Any) -> None:
        chosen.update(arguments)

    keep.__signature__ = inspect.signature(found)  # type: ignore[attr-defined]
    keep.__annotations__ = dict(getattr(found, "__annotations__", {}))
    keep.__doc__ = found.__doc__
    tyro.cli(keep, prog=f"pinn-siren ... {path}", args=own)
    return call_problem(found, path, chosen)


def _folder(out: Path | None, path: Path, several: bool) -> Path:
    return Path("results") / path.stem if out is None else out / path.stem if several else out


def _each(files: tuple[Path, ...], work: Any) -> int:
    """Do the work on every file, whatever becomes of the others; the worst exit code."""
    if not files:
        raise UsageError("Name at least one problem file, such as problems/poisson.py.")
    names = [path.stem for path in files]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise UsageError(
            f"Two files are called {twice}: their results would share a folder. Solve them apart with --out."
        )
    worst = OK
    for path in files:
        try:
            code = work(path)
        except PinnSirenError as error:
            code = _complain(explain(error, path) if raised_in(error, path) else f"{path}: {_bare(error, path)}")
        except Exception as error:
            if not raised_in(error, path):
                raise
            code = _complain(explain(error, path))
        worst = max(worst, code)
    return worst


def _bare(error: Exception, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ").removeprefix(f"{path}, ")


def _solve(command: Solve, own: list[str]) -> int:
    reports: dict[str, Report] = {}

    def work(path: Path) -> int:
        problem = _problem(path, own)
        if not command.quiet:
            print(f"{path}: solving", file=sys.stderr, flush=True)
        folder = _folder(command.out, path, len(command.files) > 1)
        with locked(folder):
            return solved(path, problem, folder)

    def solved(path: Path, problem: Problem, folder: Path) -> int:
        checkpoint = folder / "checkpoint.pt"
        solution = solve(
            problem, method=command.method, tolerance=command.tolerance, steps=command.steps, points=command.points,
            budget=command.budget, seed=command.seed, device=command.device, dtype=DTYPES[command.dtype],
            progress=not command.quiet, checkpoint=checkpoint, resume=command.resume,
        )  # fmt: skip
        solution.save(folder)
        if not solution.provenance.interrupted:
            checkpoint.unlink(missing_ok=True)
        report = reports[path.stem] = solution.report
        if not command.quiet:
            print(f"\n{report}\nkept in {folder}/\n", flush=True)
        if report.interrupted:
            raise KeyboardInterrupt
        if command.require == "certified" and report.verdict != "certified":
            return FAILED
        return FAILED if report.verdict == "failed" else OK

    try:
        return _each(command.files, work)
    finally:
        if reports:
            print(report_table(reports))


def _reference(command: Reference, own: list[str]) -> int:
    rows = {}

    def work(path: Path) -> int:
        problem = _problem(path, own)
        reference = solve_reference(problem, command.resolution)
        folder = make_folder(_folder(command.out, path, len(command.files) > 1))
        title = f"{type(problem).__name__} by {reference.method}"
        write_reference(folder / "reference.h5", reference, {**environment(), "problem": type(problem).__name__}, title)
        draw_reference(folder / "reference.png", reference, title)
        rows[path.stem] = reference
        return OK if reference.error is not None else FAILED

    try:
        return _each(command.files, work)
    finally:
        if rows:
            print(reference_table(rows))


def _verify(command: Verify, own: list[str]) -> int:
    _some_folders(command.folders, own)
    worst = OK
    for folder in command.folders:
        report, differences = verify(folder)
        print(f"{folder}\n{report}\n(seconds and seed are recorded, not recomputed)")
        for line in differences:
            print(f"differs: {line}")
        print("everything else follows from the files\n" if not differences else f"{len(differences)} difference(s)\n")
        worst = max(worst, FAILED if differences else OK)
    return worst


def _plot(command: Plot, own: list[str]) -> int:
    _some_folders(command.folders, own)
    for folder in command.folders:
        draw(folder / "figure.png", read_solution(folder / "solution.h5"))
        print(f"{folder}/figure.png")
    return OK


def _some_folders(folders: tuple[Path, ...], own: list[str]) -> None:
    if not folders:
        raise UsageError("Name at least one folder that solve wrote, such as results/poisson.")
    if own:
        raise UsageError(f"{own[0]} is no option here; see pinn-siren --help.")


__all__ = ["entry", "main"]
