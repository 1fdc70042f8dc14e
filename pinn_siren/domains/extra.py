"""Packages that only some domains and signals need."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from ..errors import ProblemError


def extra(package: str, what: str, group: str = "shapes") -> ModuleType:
    """The package. Raises ``ProblemError`` that says how to install it where it is missing."""
    try:
        return import_module(package)
    except ImportError:
        raise ProblemError(f"{what} needs {package.partition('.')[0]}: pip install 'pinn-siren[{group}]'.") from None
