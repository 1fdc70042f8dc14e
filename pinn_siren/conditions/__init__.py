"""Conditions: what holds beside the equation, and where."""

from .base import ConditionBase, Constraint, Fields, Norm, Parts, Place, pick, unique_names
from .data import Data
from .integral import Integral
from .interface import Interface, own, sides_of
from .other import Condition, Initial, Periodic
from .radiation import PML, Absorbing, Radiating
from .raster import Raster
from .sides import Boundary, Dirichlet, Neumann, Robin, is_zero


def leaves_constant(condition: ConditionBase) -> bool:
    """Whether a condition holds for a field plus a constant where it holds for the field."""
    slopes = isinstance(condition, Data) and condition.of != "value"
    return slopes or isinstance(condition, Neumann | Periodic | Interface)


__all__ = [
    "Absorbing", "Boundary", "Condition", "ConditionBase", "Constraint", "Data", "Dirichlet", "Fields", "Initial",
    "Integral", "Interface", "Neumann", "Norm", "PML", "Parts", "Periodic", "Place", "Radiating", "Raster", "Robin",
    "is_zero", "leaves_constant", "own", "pick", "sides_of", "unique_names",
]  # fmt: skip
