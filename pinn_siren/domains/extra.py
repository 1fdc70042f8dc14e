"""Packages that only some problems need."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from ..errors import ProblemError


def extra(package: str, what: str, group: str = "shapes") -> ModuleType:
    """The package. Raises ``ProblemError`` that says how to install it where it is missing."""
    try:
        return import_module(package)
    except ImportError:
        name = package.partition(".")[0].replace("skimage", "scikit-image")
        raise ProblemError(f"{what} needs {name}: pip install 'pinn-siren[{group}]'.") from None
