"""First-arrival travel times around a disk: velocity |grad u| = 1, and no ray comes out of a boundary, du/dn >= 0.

Behind the disk, rays creep along it and leave it as tangents; where those from both sides meet, the time has a kink.
Nondimensional.
"""

from pinn_siren import Box, Disk, Eikonal

problem = Eikonal(
    domain=Box(x=(-1, 1), y=(-1, 1)) - Disk(center=(0.1, 0), radius=0.4),
    velocity=1.0,
    source=(-0.7, 0.1),
)
