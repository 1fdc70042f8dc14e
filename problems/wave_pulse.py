"""The pulse of the SIREN paper (arXiv 2006.09661): u_tt = laplacian u from a narrow Gaussian at rest, absorbing sides.

Until t = 0.4 no wave has reached a side, and a Fourier series certifies it; with a later end it leaves the box.
"""

import torch

from pinn_siren import Absorbing, Box, Initial, Wave

VARIANCE = 5e-4


def pulse(p):
    return torch.exp(-(p.x**2 + p.y**2) / (2 * VARIANCE))


def problem(end: float = 0.4) -> Wave:
    """The pulse in free space.

    Args:
        end: The final time; from about 0.9 on waves meet the sides.
    """
    return Wave(
        domain=Box(x=(-1, 1), y=(-1, 1), t=(0, end)),
        speed=1.0,
        conditions=[Absorbing(), Initial(pulse, rate=0)],
    )
