"""An image from a tenth of its pixels: u = intensity there, and a prior that says what images are like elsewhere.

    pinn-siren solve problems/inpainting.py --prior tv --weight 0.03

Sitzmann et al. 2020 (arXiv 2006.09661), supplement: inpainting with one SIREN. The priors are the mean of |grad u|, the
total variation (Rudin, Osher and Fatemi 1992, doi 10.1016/0167-2789(92)90242-F), and of the Frobenius norm of the
Hessian. Intensities in [0, 1], lengths in pixels.
"""

from typing import Literal

import numpy as np

from pinn_siren import Condition, Data
from pinn_siren.errors import ProblemError
from pinn_siren.images import Picture, box_of, columns, on_pixels, picture_class, pixels, read_image

SMALLEST = 1e-3
"""The length below which a prior's root is rounded off, per pixel: the smallest change that is seen."""


def total_variation(p, u):
    """A residual whose square is |grad u|."""
    return (u.grad.square().sum(1) + SMALLEST**2) ** 0.25


def hessian(p, u):
    """A residual whose square is the Frobenius norm of the Hessian."""
    return (u.xx**2 + 2 * u.xy**2 + u.yy**2 + SMALLEST**2) ** 0.25


PRIORS = {"tv": total_variation, "hessian": hessian}


def problem(
    input: str = "camera",
    known: float = 0.1,
    prior: Literal["none", "tv", "hessian"] = "tv",
    weight: float = 0.03,
    size: int = 256,
    gray: bool = False,
    draw: int = 0,
) -> Picture:
    """A network that is the image, taught a part of it.

    Args:
        input: A PNG, JPEG or TIFF file, or an image that scikit-image ships, such as camera, astronaut or cat.
        known: The share of the pixels that is given.
        prior: What is small of an image between them.
        weight: Of the prior, beside 1 of the pixels.
        size: Pixels along the longer side at most.
        gray: Drop the colours.
        draw: Seed of which pixels are given.
    """
    if not 0 < known <= 1:
        raise ProblemError(f"known must be a share of the pixels, above 0 and at most 1; got {known}.")
    image = read_image(input, size, gray)
    count = image.shape[0] * image.shape[1]
    some = np.sort(np.random.default_rng(draw).permutation(count)[: max(16, round(known * count))])
    given = np.zeros((count, image.shape[2]))
    given[some] = image.reshape(count, -1)[some]
    kind = picture_class(image)
    priors = [Condition(PRIORS[prior], on="interior", output=n, weight=weight) for n in kind.outputs if prior in PRIORS]
    return kind(
        domain=box_of(image),
        conditions=[Data(pixels(image)[some], columns(image.reshape(count, 1, -1)[some])), *priors],
        reference=lambda cells: on_pixels(image),
        image=image,
        given=given.reshape(image.shape),
    )
