"""Solve partial differential equations with neural networks, checked against classical solvers."""

from .compare import compare
from .compare_networks import compare_networks
from .conditions import (
    PML,
    Absorbing,
    Condition,
    Data,
    Dirichlet,
    Initial,
    Integral,
    Interface,
    Neumann,
    Periodic,
    Radiating,
    Raster,
    Robin,
)  # fmt: skip
from .domains import Ball, Box, Disk, Mesh, Polygon, Region, Sampler
from .equations import Eikonal, Helmholtz, Poisson, Wave
from .errors import PinnSirenError
from .jet import Jet, jet
from .many import solve_many
from .networks import MLP, GaussianRBF, PositionalEncoding
from .optimizers import LBFGS, Adam, GaussNewton, LeastSquares, Stage
from .patches import Decomposition, Patches
from .points import Points
from .problem import Problem
from .siren import Siren
from .solution import Solution
from .solve import solve
from .trainer import Trainer
from .unknowns import Unknown, UnknownField
from .validation import Report, solve_reference

__all__ = [
    "Absorbing", "Adam", "Ball", "Box", "Condition", "Data", "Decomposition", "Dirichlet", "Disk", "Eikonal",
    "GaussNewton", "GaussianRBF", "Helmholtz", "Initial", "Integral", "Interface", "Jet", "LBFGS", "LeastSquares",
    "MLP", "Mesh", "Neumann", "PML", "Patches", "Periodic", "PinnSirenError", "Points", "Poisson", "Polygon",
    "PositionalEncoding", "Problem", "Radiating", "Raster", "Region", "Report", "Robin", "Sampler", "Siren",
    "Solution", "Stage", "Trainer", "Unknown", "UnknownField", "Wave", "compare", "compare_networks", "jet", "solve",
    "solve_many", "solve_reference",
]  # fmt: skip
