"""First-arrival travel times behind a slow lens, where rays from both sides cross. Nondimensional.

Rays bend toward the slow middle and meet in a caustic, whose cusp begins a kink: beyond it, what passed on the other
side arrives later. Each side is a field of its own, started from the times along its rays. ``--middle`` is the speed in
the lens: above 1 it is fast, and kinks begin at both of its sides. ``--method least-squares --tolerance 1e-3``: what
sums of sines reach, since times are rough at a cusp.
"""

import torch

from pinn_siren import Box, Eikonal

CENTER, WIDTH = (-0.2, 0.1), 0.15


def problem(middle: float = 0.5):
    """The square with a lens whose speed in the middle is ``middle``, 1 far from it."""

    def velocity(p):
        squared_distance = (p.x - CENTER[0]) ** 2 + (p.y - CENTER[1]) ** 2
        return 1 + (middle - 1) * torch.exp(-squared_distance / (2 * WIDTH**2))

    return Eikonal(
        domain=Box(x=(-1, 1), y=(-1, 1)),
        velocity=velocity,
        source=(-0.8, 0.0),
    )
