"""Solve partial differential equations with sine networks, checked against classical solvers."""

from .conditions import PML, Absorbing, Condition, Dirichlet, Initial, Neumann, Periodic, Robin
from .domains import Box
from .equations import Eikonal, Helmholtz, Poisson, Wave
from .jet import Jet, jet
from .points import Points
from .problem import Problem
from .siren import Siren
