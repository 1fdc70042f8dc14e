"""The exceptions that a user can meet. Each message says what was expected, what came, and what to do."""

import difflib
import numbers
from collections.abc import Iterable
from typing import Any


class PinnSirenError(Exception):
    """Base of every error that this package raises on purpose."""


class ProblemError(PinnSirenError, ValueError):
    """The problem is stated wrongly: a domain, a condition, a coefficient, a field."""


class ResidualError(ProblemError):
    """A residual returns the wrong shape, type or device, or is not finite where it must be."""


class NoReferenceError(PinnSirenError):
    """No finite-difference solver covers this problem."""


class StorageError(PinnSirenError):
    """A file is missing, damaged, or not one of ours."""


class ProcessLostError(PinnSirenError):
    """A process of a run on several has ended or cannot be reached."""


class UsageError(PinnSirenError, ValueError):
    """A call or a command line that cannot be carried out as written."""


class OutOfMemoryError(PinnSirenError, MemoryError):
    """The memory does not hold the smallest piece that the work can be cut into."""


def expect_whole(name: str, value: Any, least: int) -> None:
    """Raises ``UsageError`` unless a value is a whole number of at least ``least``."""
    if not isinstance(value, numbers.Integral) or int(value) < least:
        raise UsageError(f"{name} must be a whole number of at least {least}, got {value!r}.")


def expect_positive(name: str, value: Any) -> None:
    """Raises ``UsageError`` unless a value is a number above zero."""
    if not isinstance(value, numbers.Real) or not float(value) > 0:
        raise UsageError(f"{name} must be a positive number, got {value!r}.")


def suggest(name: object, valid: Iterable[str], cutoff: float = 0.3) -> str:
    """``" Did you mean 'x'?"`` with the nearest of the valid names, or an empty string."""
    near = difflib.get_close_matches(str(name), list(valid), n=1, cutoff=cutoff)
    return f" Did you mean {near[0]!r}?" if near else ""
