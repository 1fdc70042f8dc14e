"""An image from its gradient alone, or from its Laplacian alone; or from the stronger gradients of two images.

    pinn-siren solve problems/image_poisson.py --of laplacian
    pinn-siren solve problems/image_poisson.py --input camera --blend moon

Section 3.2 of Sitzmann et al. 2020 (arXiv 2006.09661). Lengths are in pixels, so that intensities come out in their own
units; the constant alone stays free, and the one nearest to the image, in the least-squares sense, is added before the
two are compared. Beside the network stands the five-point solve of the same equation.
"""

from typing import Literal

from pinn_siren import Data, Neumann
from pinn_siren.images import (
    Picture,
    box_of,
    columns,
    discrete_poisson,
    divergence,
    finer,
    gradient,
    laplacian,
    mixed,
    on_pixels,
    picture_class,
    pixels,
    read_image,
)


def problem(
    input: str = "camera",
    of: Literal["gradient", "laplacian"] = "gradient",
    blend: str | None = None,
    stencil: Literal["spectral", "compact"] = "spectral",
    size: int = 256,
    gray: bool = False,
    resolution: int | None = None,
) -> Picture:
    """A network whose derivatives are an image's.

    Args:
        input: A PNG, JPEG or TIFF file, or an image that scikit-image ships, such as camera, astronaut or cat.
        of: What is known of the image.
        blend: A second image; then the stronger one of both gradients is known, everywhere.
        stencil: Derivatives of the cosine series through the pixels, or Sobel's and five-point ones.
        size: Pixels along the longer side at most.
        gray: Drop the colours.
        resolution: Pixels along the longer side of render.png.
    """
    image = read_image(input, size, gray or blend is not None)
    # A network could hide waves between pixels: of the cosine series the derivatives are known there too.
    times = 2 if stencil == "spectral" else 1
    fine = finer(image, times)
    slopes, curvature = gradient(fine, stencil) * times, laplacian(fine, stencil) * times**2
    if blend is not None:
        other = finer(read_image(blend, size, True, image.shape[:2]), times)
        slopes = mixed(slopes, gradient(other, stencil) * times)
        curvature = divergence(slopes) * times
    kind = picture_class(image)
    if of == "gradient":
        conditions = [Data(pixels(fine) / times, columns(slopes), of="grad")]
        classical = discrete_poisson(divergence(slopes[::times, ::times]))
    else:
        # The image goes on as its mirror image: without a condition at the edge any harmonic field would be free.
        edges = [Neumann(0, output=name) for name in kind.outputs]
        conditions = [Data(pixels(fine) / times, columns(curvature), of="laplacian"), *edges]
        classical = discrete_poisson(curvature[::times, ::times])
    return kind(
        domain=box_of(image),
        conditions=conditions,
        reference=lambda cells: on_pixels(classical),
        described="five-point Poisson solve by cosine transform",
        image=image if blend is None else classical + image.mean(),
        named="image" if blend is None else "discrete solve",
        stencil=stencil,
        resolution=resolution,
    )
