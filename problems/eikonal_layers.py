"""Travel times (s) in two layers, the lower one twice as fast (km/s), from a source in the upper one (km).

Far from the source the head wave is first, which runs along the jump in the lower layer. Direct wave, head wave and
transmitted wave have a field each. ``--method least-squares --tolerance 1e-3``: where the head wave begins, times have
no second derivatives, and fast marching is of first order.
"""

import torch

from pinn_siren import Box, Eikonal

SOURCE = (0.5, 0.6)  # km
JUMP, UPPER, LOWER = 1.0, 1.0, 2.0  # km, km/s


def velocity(p):
    return torch.where(p.z > JUMP, LOWER, UPPER)


def travel_time(p):
    """Above: the earlier of the direct and the head wave, which leaves at the critical angle; below: Fermat's crossing
    point, where the time is least (bisection of its derivative)."""
    x, z = p.x - SOURCE[0], p.z - JUMP
    height = JUMP - SOURCE[1]
    direct = torch.hypot(x, p.z - SOURCE[1]) / UPPER
    sine = UPPER / LOWER
    cosine = (1 - sine**2) ** 0.5
    head = (height - z) * cosine / UPPER + x.abs() / LOWER
    above = torch.where(x.abs() >= (height - z) * sine / cosine, torch.minimum(direct, head), direct)
    low, high = x.clamp(max=0), x.clamp(min=0)
    for _ in range(60):
        middle = (low + high) / 2
        slope = middle / torch.hypot(middle, z.new_tensor(height)) / UPPER
        slope = slope + (middle - x) / torch.hypot(middle - x, z).clamp(min=1e-300) / LOWER
        low, high = torch.where(slope < 0, middle, low), torch.where(slope < 0, high, middle)
    below = torch.hypot(low, z.new_tensor(height)) / UPPER + torch.hypot(low - x, z) / LOWER
    return torch.where(p.z > JUMP, below, above)


problem = Eikonal(
    domain=Box(x=(0, 3), z=(0, 2)),
    velocity=velocity,
    source=SOURCE,
    jumps=[Box(x=(-1, 4), z=(JUMP, 3))],
    exact=travel_time,
    units={"x": "km", "z": "km", "u": "s"},
    downward=["z"],
)
