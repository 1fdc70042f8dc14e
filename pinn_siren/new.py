"""A problem file to start from."""

from __future__ import annotations

import keyword
import os
import re
import sys
from pathlib import Path

import pinn_siren

from .errors import UsageError
from .storage import write_text

TEMPLATE = '''"""A new equation: laplacian(u) - mass**2 * u = source on a square.

The names below are yours to change. `pinn-siren check` says what was understood, `pinn-siren solve` solves.
"""

from collections.abc import Callable
from pathlib import Path

import torch

from pinn_siren import Box, Dirichlet, Problem, solve


class {name}(Problem):
    """laplacian(u) - mass**2 * u = source, nondimensional."""

    # What the equation needs beside u: numbers, or functions of points. The constructor below takes them by name.
    mass: float
    source: Callable

    # Several unknowns: outputs = ("u", "v"), residual(self, p, u, v) returning a tuple. Complex: complex_valued = True.

    def residual(self, p, u):
        """Zero where the equation holds, for n points at once: shape (n,)."""
        # u.value is the field; u.x, u.xy, u.xxyy, u.laplacian are derivatives; p.x, p.y coordinates: (n,) each.
        # With a time axis: u.t, u.tt, p.t.
        return u.laplacian - self.mass**2 * u.value - self.source(p)


MASS = 2.0


def exact(p):
    """The solution, for the verdict alone: solving never looks at it."""
    return torch.sin(torch.pi * p.x) * torch.sin(torch.pi * p.y)


problem = {name}(
    # An interval an axis; t is time, as in Box(x=(0, 1), t=(0, 2)). Also: Disk, Ball, Polygon, and a - b, a + b, a & b.
    domain=Box(x=(0, 1), y=(0, 1)),
    mass=MASS,
    source=lambda p: -(2 * torch.pi**2 + MASS**2) * exact(p),
    # On all sides, or on one: Dirichlet(lambda p: p.y, on="left"), Neumann(0, on="top"). Also: Robin, Periodic("x"),
    # Initial(0, rate=0) at the first time, Condition(residual) for anything else.
    conditions=[Dirichlet(0)],
    exact=exact,  # Leave it out where none is known: finite differences then judge alone.
)

if __name__ == "__main__":
    solution = solve(problem, tolerance=1e-2)
    print(solution.report)
    print("u(0.5, 0.5) =", solution([[0.5, 0.5]])[0])
    solution.save(f"results/{{Path(__file__).stem}}")
'''


def write_new(path: Path) -> Path:
    """Write a commented problem file that runs as it is, and return its path; ``.py`` is added where it is missing.

    Raises ``UsageError`` for a file that is there already, a folder, and a name that would hide a module.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file in it, such as {path / 'my_equation.py'}.")
    path = path if path.suffix == ".py" else path.with_name(path.name + ".py")
    if os.path.lexists(path):
        raise UsageError(f"{path} is there already and stays as it is: name another file, or remove it first.")
    if path.stem in sys.stdlib_module_names or path.stem in sys.modules:
        raise UsageError(
            f"{path.name} would hide the Python module {path.stem} from the files beside it: name it otherwise, such "
            f"as {path.stem}_equation.py."
        )
    write_text(path, TEMPLATE.format(name=class_name(path.stem)))
    return path


def class_name(stem: str) -> str:
    """A class's name from a file's: ``my_equation`` is ``MyEquation``, ``2d-heat`` is ``Equation2dHeat``."""
    name = "".join(word[:1].upper() + word[1:] for word in re.split(r"[\W_]+", stem))
    if name in pinn_siren.__all__ or keyword.iskeyword(name) or name in ("Callable", "Path"):
        return f"{name}Equation"
    if name and not name.isidentifier():
        name = f"Equation{name}"
    return name if name.isidentifier() else "MyEquation"
