"""Conditions: what holds beside the equation, and where."""

from .base import ConditionBase, Constraint, Fields, Parts, Place, pick, unique_names
from .other import Condition, Initial, Periodic
from .radiation import PML, Absorbing
from .sides import Boundary, Dirichlet, Neumann, Robin, is_zero

__all__ = [
    "Absorbing", "Boundary", "Condition", "ConditionBase", "Constraint", "Dirichlet", "Fields", "Initial", "Neumann",
    "PML", "Parts", "Periodic", "Place", "Robin", "is_zero", "pick", "unique_names",
]  # fmt: skip
