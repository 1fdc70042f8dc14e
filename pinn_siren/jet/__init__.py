"""Jets: fields with their derivatives, propagated forward."""

from .jet import Jet, JetPoints, MissingDerivativeError, constant, coordinate, jet, lift
from .linearize import Column, Linearization, Residual, is_linear, linearize
from .plan import LAPLACIAN, VALUE, Plan, derivatives_of, key_order, make_plan

__all__ = [
    "Column", "Jet", "JetPoints", "LAPLACIAN", "Linearization", "MissingDerivativeError", "Plan", "Residual", "VALUE",
    "constant", "coordinate", "derivatives_of", "is_linear", "jet", "key_order", "lift", "linearize", "make_plan",
]  # fmt: skip
