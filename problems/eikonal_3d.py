"""First-arrival travel times (s) from a source in a block whose velocity (km/s) grows with depth.

The unknown is a smooth factor of the time at the speed of the source; plane sections of the field are drawn.
"""

import torch

from pinn_siren import Box, Eikonal

SOURCE = (0.6, 0.8, 0.4)  # km
SURFACE_VELOCITY, GRADIENT = 2.0, 0.8  # km/s, 1/s


def velocity(p):
    return SURFACE_VELOCITY + GRADIENT * p.z


def travel_time(p):
    """Rays are circles (Slotnick 1959): T = arccosh(1 + g^2 r^2 / (2 v(source) v(p))) / g."""
    squared_distance = (p.space - p.space.new_tensor(SOURCE)).square().sum(dim=1)
    at_source = SURFACE_VELOCITY + GRADIENT * SOURCE[2]
    return torch.acosh(1 + GRADIENT**2 * squared_distance / (2 * at_source * velocity(p))) / GRADIENT


problem = Eikonal(
    domain=Box(x=(0, 2), y=(0, 2), z=(0, 1)),
    velocity=velocity,
    source=SOURCE,
    exact=travel_time,
    units={"x": "km", "y": "km", "z": "km", "u": "s"},
    downward=["z"],
)
