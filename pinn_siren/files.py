"""Problem files: a Python file that sets ``problem``."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import PinnSirenError, UsageError, suggest
from .problem import Problem

FILE_LIKENESS = 0.7
"""How like a missing file's name another one must be to be suggested; all of them end alike."""


def load_problem(path: Path) -> Problem | Callable[..., Any]:
    """The ``problem`` that a file sets: a Problem, or a function returning one.

    Raises ``UsageError`` for a file that is missing, no Python, sets no ``problem``, or raises.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a problem file, such as {path}/my_equation.py.")
    if not path.is_file():
        near = suggest(path.name, (f.name for f in sorted(path.parent.glob("*.py"))), FILE_LIKENESS)
        raise UsageError(f"There is no file {path}.{near} `pinn-siren new {path}` writes one to start from.")
    problem = getattr(_run(path), "problem", None)
    if problem is None:
        raise UsageError(f"{path} sets no `problem`: end it with problem = MyEquation(domain=..., conditions=[...]).")
    if isinstance(problem, type):
        raise UsageError(
            f"{path}: `problem` is the class {problem.__name__}; make one of it: "
            f"problem = {problem.__name__}(domain=..., conditions=[...])."
        )
    if not isinstance(problem, Problem) and not callable(problem):
        raise UsageError(
            f"{path}: `problem` is a {type(problem).__name__}; expected a Problem or a function returning one."
        )
    return problem


def call_problem(make: Callable[..., Any], path: Path, arguments: dict[str, Any]) -> Problem:
    """The problem that a file's function returns. Raises ``UsageError`` where it raises or returns something else."""
    try:
        problem = make(**arguments)
    except PinnSirenError:
        raise
    except Exception as error:
        raise UsageError(explain(error, path)) from None
    if not isinstance(problem, Problem):
        raise UsageError(f"{path}: problem() must return a Problem, got {type(problem).__name__}.")
    return problem


def fingerprint(path: Path, own: list[str]) -> str:
    """What changes with a file's text or the options of its ``problem``."""
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()} {' '.join(own)}".strip()


def _run(path: Path) -> ModuleType:
    name = f"pinn_siren_problem_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is no Python file: its name must end in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise UsageError(f"{path}, line {error.lineno}: this is no valid Python: {error.msg}.") from None
    except (UnicodeDecodeError, ValueError) as error:
        if isinstance(error, PinnSirenError):
            raise UsageError(explain(error, path)) from None
        raise UsageError(f"{path} is no Python file: {error}.") from None
    except Exception as error:
        raise UsageError(explain(error, path)) from None
    except SystemExit:
        raise UsageError(
            f"{path} ends Python while it is read: put what runs under if __name__ == '__main__'."
        ) from None
    finally:
        sys.path.remove(str(path.resolve().parent))
    return module


def explain(error: BaseException, path: Path) -> str:
    """One line: the file, the line in it that led to the error, and what it says."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path.resolve()]
    where = f"{path}, line {lines[-1]}" if lines else str(path)
    kind = "" if isinstance(error, PinnSirenError) else f"{type(error).__name__}: "
    return f"{where}: {kind}{error}"


def raised_in(error: BaseException, path: Path) -> bool:
    """Whether an error came through the lines of a file."""
    return any(Path(f.filename) == path.resolve() for f in traceback.extract_tb(error.__traceback__))
