"""The stages that a Trainer runs."""

from .adam import Adam
from .lbfgs import LBFGS
from .stage import Stage, Update

__all__ = ["Adam", "LBFGS", "Stage", "Update"]
