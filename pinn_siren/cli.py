"""The command line: ``pinn-siren solve | check | reference | compare | verify | plot | inspect | new | completion``."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from shlex import quote
from typing import Any

from .arguments import parse, parse_own, refuse
from .commands import Check, Compare, Completion, Inspect, New, Plot, Reference, Solve, Verify
from .compare import BUDGET, TOLERANCE, Comparison, compare
from .compare_networks import STEPS, NetworkComparison, compare_networks
from .completion import script
from .describe import describe
from .errors import PinnSirenError, ProcessLostError, UsageError, suggest
from .files import call_problem, explain, fingerprint, load_problem, raised_in
from .inspection import inspect
from .layers import draw_layers
from .new import write_new
from .optimizers import Adam
from .parallel import joined, launched, world
from .plan import precision
from .plots import Labels, draw, draw_reference
from .problem import Problem
from .provenance import environment
from .solve import solve
from .storage import locked, make_folder, read_solution, write_reference
from .table import reference_table, report_table
from .trainer import DTYPES, Trainer
from .validation import Report, solve_reference
from .verify import verify

OK, FAILED, WRONG_INPUT = 0, 1, 2


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit code: 0 good, 1 failed, 2 wrong input; the worst of several files."""
    try:
        with warnings.catch_warnings(), _terminated_as_interrupted():
            warnings.showwarning = _warn
            command, own = parse(sys.argv[1:] if arguments is None else arguments)
            return RUNS[type(command)](command, own) if not launched() else _beside(command, own)
    except PinnSirenError as error:
        return _complain(error)
    except KeyboardInterrupt:
        print("pinn-siren: interrupted", file=sys.stderr)
        return FAILED


def _beside(command: Any, own: list[str]) -> int:
    """One of several processes that solve together: the first one speaks."""
    if not isinstance(command, Solve):
        raise UsageError("Of the commands only solve runs on several processes: start this one without torchrun.")
    with joined() as ranks:
        if ranks.first:
            return RUNS[Solve](command, own)
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            return RUNS[Solve](command, own)


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
    ranks = world()
    who = "" if ranks.first else f"process {ranks.rank}: "
    print(f"pinn-siren: {who}{error}", file=sys.stderr if ranks.first else sys.__stderr__)
    return FAILED if isinstance(error, ProcessLostError) else WRONG_INPUT


def _problem(path: Path, own: list[str], command: Any) -> Problem:
    """The file's problem; where it is a function, its keyword arguments are options of the command line."""
    found = load_problem(path)
    if isinstance(found, Problem):
        if own:
            raise refuse(own[0], path, {}, type(command))
        return found
    return call_problem(found, path, parse_own(found, path, own, type(command)))


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
        except ProcessLostError:
            raise
        except PinnSirenError as error:
            code = _complain(explain(error, path) if raised_in(error, path) else _of(error, path))
        except Exception as error:
            if not raised_in(error, path):
                raise
            code = _complain(explain(error, path))
        worst = max(worst, code)
    return worst


def _of(error: PinnSirenError, path: Path) -> str:
    """What an error says, with the file that it is about in front."""
    said = str(error)
    return said if str(path) in said else f"{path}: {said}"


def _solve(command: Solve, own: list[str]) -> int:
    reports: dict[str, Report] = {}

    def work(path: Path) -> int:
        problem = _problem(path, own, command)
        if not command.quiet:
            print(f"{path}: solving", file=sys.stderr, flush=True)
        folder = _folder(command.out, path, len(command.files) > 1)
        if not world().first:
            return solved(path, problem, folder)
        with locked(folder):
            return solved(path, problem, folder)

    def solved(path: Path, problem: Problem, folder: Path) -> int:
        checkpoint = folder / "checkpoint.pt"
        if command.resume and not checkpoint.exists() and world().first:
            print(f"{path}: there is no {checkpoint} to go on from: starting anew", file=sys.stderr)
        dtype = None if command.dtype is None else DTYPES[command.dtype]
        solution = solve(
            problem, method=command.method, tolerance=command.tolerance, steps=command.steps, points=command.points,
            budget=command.budget, seed=command.seed, device=command.device, dtype=dtype,
            progress=not command.quiet, checkpoint=checkpoint, resume=command.resume,
            conditions=command.conditions, balance=command.balance, causal=command.causal,
            resampling=command.resampling, compile=command.compile,
        )  # fmt: skip
        if not world().first:
            return OK
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
        problem = _problem(path, own, command)
        reference = solve_reference(problem, command.resolution, method=command.method, tolerance=command.tolerance)
        folder = make_folder(_folder(command.out, path, len(command.files) > 1))
        title = f"{type(problem).__name__} by {reference.name}"
        write_reference(folder / "reference.h5", reference, {**environment(), "problem": type(problem).__name__}, title)
        draw_reference(folder / "reference.png", reference, title, Labels(problem.units, problem.downward))
        rows[path.stem] = reference
        return OK if reference.bar is not None or problem.one_grid else FAILED

    try:
        return _each(command.files, work)
    finally:
        if rows:
            print(reference_table(rows))


def _compare(command: Compare, own: list[str]) -> int:
    sizes = {"--width": command.width, "--depth": command.depth, "--steps": command.steps,
             "--rate": command.rate, "--dtype": command.dtype}  # fmt: skip
    training = next((name for name, value in sizes.items() if value is not None), None)
    if command.networks is None and training is not None:
        raise UsageError(f"{training} belongs to --networks: methods have sizes, steps and a precision of their own.")
    other = "--methods" if command.methods else "--tolerance" if command.tolerance is not None else None
    if command.networks is not None and other is not None:
        raise UsageError(f"{other} has no meaning with --networks: these are all trained alike by Adam.")

    def work(path: Path) -> int:
        problem = _problem(path, own, command)
        folder = _folder(command.out, path, len(command.files) > 1)
        common: dict[str, Any] = {
            "seeds": command.seeds, "device": command.device, "folder": folder, "fresh": command.fresh,
            "progress": not command.quiet, "statement": fingerprint(path, own),
        }  # fmt: skip
        found: Comparison | NetworkComparison
        with locked(folder):
            if command.networks is not None:
                found = compare_networks(
                    problem, networks=_names(command.networks), budget=command.budget,
                    width=command.width, depth=command.depth, steps=_or(command.steps, STEPS),
                    rate=_or(command.rate, Adam.lr), dtype=None if command.dtype is None else DTYPES[command.dtype],
                    **common,
                )  # fmt: skip
            else:
                methods = None if command.methods is None else _names(command.methods)
                found = compare(
                    problem, methods=methods, tolerance=_or(command.tolerance, TOLERANCE),
                    budget=_or(command.budget, BUDGET), **common,
                )  # fmt: skip
        print(f"\n{path}\n{found}\nkept in {folder}/\n", flush=True)
        if found.interrupted:
            raise KeyboardInterrupt
        return OK

    return _each(command.files, work)


def _names(listed: str) -> list[str]:
    return [name.strip() for name in listed.split(",") if name.strip()]


def _or(given: Any, usual: Any) -> Any:
    return usual if given is None else given


def _check(command: Check, own: list[str]) -> int:
    def work(path: Path) -> int:
        print(f"{path}\n{describe(_problem(path, own, command))}\n")
        return OK

    return _each(command.files, work)


def _verify(command: Verify, own: list[str]) -> int:
    _some_folders(command.folders)
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
    _some_folders(command.folders)
    for folder in command.folders:
        draw(folder / "figure.png", read_solution(folder / "solution.h5"))
        print(f"{folder}/figure.png")
    return OK


def _inspect(command: Inspect, own: list[str]) -> int:
    def work(path: Path) -> int:
        problem = _problem(path, own, command)
        trainer = Trainer(
            problem, dtype=precision(problem.is_signal), seed=command.seed, device=command.device,
            progress=not command.quiet,
        )  # fmt: skip
        stages = {"at the start": inspect(trainer.objective)}
        trainer.run(Adam(steps=command.steps))
        stages[f"after {trainer.steps} steps"] = inspect(trainer.objective)
        folder = make_folder(_folder(command.out, path, len(command.files) > 1))
        draw_layers(folder / "layers.png", stages, f"{type(problem).__name__}: {type(trainer.model.network).__name__}")
        print(f"{folder}/layers.png")
        return OK

    return _each(command.files, work)


def _some_folders(folders: tuple[Path, ...]) -> None:
    if not folders:
        raise UsageError("Name at least one folder that solve wrote, such as results/poisson.")
    for folder in folders:
        if folder.is_file():
            raise UsageError(f"{folder} is a file; name the folder that solve wrote, {folder.parent}.")
        if not folder.is_dir():
            near = suggest(folder.name, (f.name for f in sorted(folder.parent.glob("*/"))))
            raise UsageError(f"There is no folder {folder}; name one that solve wrote, such as results/poisson.{near}")


def _new(command: New, own: list[str]) -> int:
    if command.file is None:
        raise UsageError("Name the file to write: pinn-siren new my_equation.py.")
    path = write_new(command.file)
    print(f"{path} is written; next:\n\n  pinn-siren check {quote(str(path))}\n  pinn-siren solve {quote(str(path))} "
          "--tolerance 1e-2")  # fmt: skip
    return OK


def _completion(command: Completion, own: list[str]) -> int:
    if command.shell is None:
        raise UsageError("Name a shell: pinn-siren completion bash, or zsh.")
    print(script(command.shell))
    return OK


RUNS: dict[type, Callable[[Any, list[str]], int]] = {
    Solve: _solve, Check: _check, Reference: _reference, Compare: _compare, Verify: _verify, Plot: _plot,
    Inspect: _inspect, New: _new, Completion: _completion,
}  # fmt: skip

__all__ = ["entry", "main"]
