"""The stages that a Trainer runs."""

from .adam import Adam
from .gauss_newton import GaussNewton
from .lbfgs import LBFGS
from .least_squares import LeastSquares
from .series import LongWaves
from .stage import Stage, Update

__all__ = ["Adam", "GaussNewton", "LBFGS", "LeastSquares", "LongWaves", "Stage", "Update"]
