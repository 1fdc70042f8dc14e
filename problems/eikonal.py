"""First-arrival travel times (s) from a source at 0.5 km depth, in a velocity that grows linearly with depth (km/s)."""

import torch

from pinn_siren import Box, Eikonal

SOURCE = (1.0, 0.5)
SURFACE_VELOCITY, GRADIENT = 2.0, 0.5  # km/s, 1/s


def velocity(p):
    return SURFACE_VELOCITY + GRADIENT * p.z


def travel_time(p):
    """Rays are circles (Slotnick 1959): T = arccosh(1 + g^2 r^2 / (2 v(source) v(p))) / g."""
    squared_distance = (p.x - SOURCE[0]) ** 2 + (p.z - SOURCE[1]) ** 2
    at_source = SURFACE_VELOCITY + GRADIENT * SOURCE[1]
    return torch.acosh(1 + GRADIENT**2 * squared_distance / (2 * at_source * velocity(p))) / GRADIENT


problem = Eikonal(
    domain=Box(x=(0, 4), z=(0, 2)),
    velocity=velocity,
    source=SOURCE,
    exact=travel_time,
    units={"x": "km", "z": "km", "u": "s"},
    downward=["z"],
)
