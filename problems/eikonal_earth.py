"""First-arrival travel times (s) through an Earth whose speed is a table of depth (km) and speed (km/s).

``--table`` takes a text file of two columns, one depth a line, growing; ``#`` begins a comment, and a depth that stands
twice is a jump. Between the depths speeds are linear, and ``--smooth`` averages them over so many km, as waves of that
length do; without it (0) jumps stay, and sums of sines reach two digits only. The source is at the surface; lengths are
in km, in a flat section of ``--across`` by ``--deep``. ``--tolerance 1e-3`` is what fast marching can certify.
"""

from pathlib import Path

import numpy as np
import torch

from pinn_siren import Box, Eikonal
from pinn_siren.errors import ProblemError

OWN = Path(__file__).parent / "earth.txt"


def read_table(path):
    """``(m,), (m,)``: depths and speeds. Raises ``ProblemError`` that says which line cannot be."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ProblemError(f"No table of depth and speed can be read from {str(path)!r}: {error}.") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not (words := line.split("#")[0].replace(",", " ").split()):
            continue
        try:
            depth, speed = map(float, words)
        except ValueError:
            depth = speed = np.nan
        if not (np.isfinite([depth, speed]).all() and speed > 0):
            raise ProblemError(
                f"{path}, line {number}: expected a depth (km) and a positive speed (km/s), got {line.strip()!r}."
            )
        if rows and depth < rows[-1][0]:
            raise ProblemError(f"{path}, line {number}: depths must grow, got {depth:g} below {rows[-1][0]:g}.")
        rows.append((depth, speed))
    if len({depth for depth, _ in rows}) < 2:
        raise ProblemError(f"{path} has {len(rows)} line(s) of depth and speed; expected two depths or more.")
    return np.array(rows).T


def profile(depths, speeds, smooth):
    """Depth (n,) to speed (n,): linear between the table's depths, its ends beyond them, averaged over ``smooth``."""
    reach = smooth / 2 + depths[-1] - depths[0]
    knots = torch.from_numpy(np.concatenate([[depths[0] - reach], depths, [depths[-1] + reach]]))
    at = torch.from_numpy(np.concatenate([speeds[:1], speeds, speeds[-1:]]))
    widths = knots.diff()
    sums = torch.cat([at.new_zeros(1), (widths * (at[1:] + at[:-1]) / 2).cumsum(0)])

    def piece(z):
        k = (torch.searchsorted(knots.to(z.device), z.detach().contiguous(), right=True) - 1).clamp(0, len(knots) - 2)
        first, slope = at.to(z)[k], ((at[1:] - at[:-1]) / widths.clamp(min=1e-9)).to(z)[k]
        return k, z - knots.to(z)[k], first, slope

    def integral(z):
        k, beyond, first, slope = piece(z)
        return sums.to(z)[k] + beyond * (first + slope * beyond / 2)

    def speed(z):
        if smooth:
            return (integral(z + smooth / 2) - integral(z - smooth / 2)) / smooth
        _, beyond, first, slope = piece(z)
        return first + slope * beyond

    return speed


def problem(table: str = str(OWN), smooth: float = 40.0, across: float = 600.0, deep: float = 300.0):
    """The section of the Earth that a table says. Raises ``ProblemError`` for a bad table, ``smooth`` below 0 too."""
    if not 0 <= smooth < float("inf"):
        raise ProblemError(f"smooth must be a length in km, 0 or more; got {smooth:g}.")
    speed = profile(*read_table(table), smooth)
    return Eikonal(
        domain=Box(x=(0, across), z=(0, deep)),
        velocity=lambda p: speed(p.z),
        source=(0.0, 0.0),
        units={"x": "km", "z": "km", "u": "s"},
        downward=["z"],
    )
