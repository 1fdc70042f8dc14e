"""Images as fields: reading, derivatives, the discrete Poisson solve, quality, and problems that are judged by them."""

from .fields import discrete_poisson, divergence, finer, gradient, laplacian, mixed, pixels
from .picture import ColourPicture, Picture, box_of, columns, on_pixels, picture_class
from .quality import psnr, ssim
from .read import NAMES, read_image

__all__ = [
    "ColourPicture", "NAMES", "Picture", "box_of", "columns", "discrete_poisson", "divergence", "finer", "gradient",
    "laplacian", "mixed", "on_pixels", "picture_class", "pixels", "psnr", "read_image", "ssim",
]  # fmt: skip
