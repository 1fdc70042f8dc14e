"""An image as a function of its coordinates: u = intensity at the pixels, with derivatives that follow.

    pinn-siren solve problems/image.py --input photo.jpg --resolution 1024 --crop 20 20 90 90

The first problem of Sitzmann et al. 2020 (arXiv 2006.09661). Intensities in [0, 1], lengths in pixels.
"""

from pinn_siren import Data
from pinn_siren.images import Picture, box_of, columns, on_pixels, picture_class, pixels, read_image


def problem(
    input: str = "camera",
    size: int = 256,
    gray: bool = False,
    resolution: int | None = None,
    crop: tuple[float, float, float, float] | None = None,
) -> Picture:
    """A network that is the image.

    Args:
        input: A PNG, JPEG or TIFF file, or an image that scikit-image ships, such as camera, astronaut or cat.
        size: Pixels along the longer side at most.
        gray: Drop the colours.
        resolution: Pixels along the longer side of render.png, any number: the network has no pixels.
        crop: Left, top, right and bottom edge of render.png, in pixels.
    """
    image = read_image(input, size, gray)
    return picture_class(image)(
        domain=box_of(image),
        conditions=[Data(pixels(image), columns(image))],
        reference=lambda cells: on_pixels(image),
        image=image,
        resolution=resolution,
        crop=crop,
    )
