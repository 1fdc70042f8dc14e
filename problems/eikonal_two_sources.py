"""First-arrival travel times from two sources around a disk, in a velocity that grows upward. Nondimensional.

Each source has a field a side of the disk, smooth where its rays arrive; the earliest of the four is shown. So the
kinks, behind the disk and where the fronts of both sources meet, are met by no function that would have to bend.
``--method least-squares --tolerance 1e-3``: what sums of sines reach, since fields are rough at the wall.
"""

from pinn_siren import Box, Disk, Eikonal

problem = Eikonal(
    domain=Box(x=(-1, 1), y=(-1, 1)) - Disk(center=(0.1, 0), radius=0.4),
    velocity=lambda p: 1 + 0.3 * p.y,
    source=[(-0.7, 0.1), (0.5, -0.7)],
)
