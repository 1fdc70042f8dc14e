"""The stages that a Trainer runs."""

from .adam import Adam
from .lbfgs import LBFGS
from .least_squares import LeastSquares
from .stage import Stage, Update

__all__ = ["Adam", "LBFGS", "LeastSquares", "Stage", "Update"]
