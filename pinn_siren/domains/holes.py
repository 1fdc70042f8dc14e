"""Round holes of plane regions, and the room around them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from .csg import roles
from .domain import Domain
from .shapes import Disk

ANGLES, RINGS, FARTHEST = 256, 200, 20.0
"""Where a ring around a hole is looked at, and so many rings up to so many radii."""
CLOSE = 1e-6

ROOM = 1.3
"""Around a disk, in radii, where what is around it is not known."""


@dataclass(frozen=True)
class Hole:
    """A disk that a region leaves out: ``center``, ``radius``, and ``room``, the radius of the widest ring around it
    that is all inside the region."""

    center: tuple[float, float]
    radius: float
    room: float

    @property
    def ratio(self) -> float:
        """The radius over the distance to the nearest singularity of a field's part from outside.

        Behind a wall that is the hole's own mirror image, where what the walls and holes are given is smooth.
        """
        return self.radius / (2 * self.room - self.radius)


def holes_of(domain: Domain) -> list[Hole]:
    """The disks that a plane region leaves out whole, with nothing of its boundary but their own circles there."""
    if len(domain.axes) != 2 or domain.has_time:
        return []
    found: list[Hole] = []
    angle = 2 * math.pi * torch.arange(ANGLES, dtype=torch.float64) / ANGLES
    round_ = torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)
    shares = 1 + torch.cat([torch.tensor([CLOSE]), torch.logspace(-3, math.log10(FARTHEST), RINGS)]).double()
    for leaf, role in roles(domain):
        if not isinstance(leaf, Disk) or role > 0 or any(leaf.center == hole.center for hole in found):
            continue
        center = torch.tensor(leaf.center, dtype=torch.float64)
        rings = center + leaf.radius * shares[:, None, None] * round_
        free = (domain.level(rings.flatten(0, 1)) < 0).reshape(len(shares), ANGLES).all(dim=1)
        if bool(free[0]):
            last = len(shares) if bool(free.all()) else int((~free).int().argmax())
            found.append(Hole((leaf.center[0], leaf.center[1]), leaf.radius, leaf.radius * float(shares[last - 1])))
    return found


def disk_of(domain: Domain) -> Hole | None:
    """The disk that a plane region is, but for whole disks left out of it; None of others.

    What is around it is not looked at: its ``room`` is a guess.
    """
    if len(domain.axes) != 2 or domain.has_time:
        return None
    leaves = roles(domain)
    whole = [leaf for leaf, role in leaves if role > 0]
    if len(whole) != 1 or not isinstance(whole[0], Disk) or len(holes_of(domain)) != len(leaves) - 1:
        return None
    disk = whole[0]
    return Hole((disk.center[0], disk.center[1]), disk.radius, ROOM * disk.radius)


__all__ = ["Hole", "disk_of", "holes_of"]
