"""An image as a field: where its pixels are, its derivatives, and the image that has given ones.

All fields are ``(nx, ny, channels)``, lengths in pixels, pixel centers at 0, 1, ..., n - 1. Beyond the outermost
centers an image is continued as its mirror image, so that its normal derivative vanishes there.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from ..errors import ProblemError, suggest

Field = NDArray[np.float64]
Stencil = Literal["spectral", "compact"]


def pixels(field: Field) -> Field:
    """``(nx ny, 2)``: x and y of every pixel, in the order of ``field.reshape(nx * ny, -1)``."""
    x, y = np.meshgrid(*(np.arange(n, dtype=float) for n in field.shape[:2]), indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=1)


def gradient(field: Field, stencil: Stencil = "spectral") -> Field:
    """``(nx, ny, channels, 2)``: the gradient a pixel.

    ``"spectral"``: of the cosine series through all pixels, right up to the shortest wave that they hold.
    ``"compact"``: Sobel's, divided by its gain of 8 so that long waves come out right; the x derivative of a wave of
    wavenumbers (k, l) is damped by ``sin(k) / k cos(l / 2)^2``.
    """
    if _known(stencil) == "compact":
        return np.stack([_sobel(field, a) for a in (0, 1)], axis=-1)
    return np.stack([_derivative(field, a, 1) for a in (0, 1)], axis=-1)


def laplacian(field: Field, stencil: Stencil = "spectral") -> Field:
    """``(nx, ny, channels)``: the Laplacian a pixel squared; ``"compact"``: the five-point one."""
    if _known(stencil) == "compact":
        return np.sum([ndimage.correlate1d(field, [1, -2, 1], axis=a, mode="mirror") for a in (0, 1)], axis=0)
    return _derivative(field, 0, 2) + _derivative(field, 1, 2)


def finer(field: Field, times: int) -> Field:
    """The cosine series through the pixels, on a grid ``times`` as fine: ``(times (nx - 1) + 1, ..., channels)``."""
    for axis in (0, 1):
        n = field.shape[axis]
        waves = np.moveaxis(fft.dct(field, type=1, axis=axis), axis, 0) * times
        if times > 1:
            # On the coarse grid the shortest wave and its mirror image are one; on the finer one they are two halves.
            waves[-1] /= 2
        waves = np.concatenate([waves, np.zeros(((times - 1) * (n - 1), *waves.shape[1:]))])
        field = np.moveaxis(fft.idct(waves, type=1, axis=0), 0, axis)
    return field


def divergence(slopes: Field) -> Field:
    """``(nx, ny, channels, 2) -> (nx, ny, channels)``: central differences of a field whose mirror image is odd."""
    found = np.zeros(slopes.shape[:-1])
    for axis in (0, 1):
        inner = np.moveaxis(slopes[..., axis], axis, 0)
        wider = np.concatenate([-inner[1:2], inner, -inner[-2:-1]])
        found += np.moveaxis((wider[2:] - wider[:-2]) / 2, 0, axis)
    return found


def discrete_poisson(source: Field) -> Field:
    """The image of zero mean (trapezoidal) whose five-point Laplacian is ``source``, less the source's own mean.

    A cosine transform along each axis makes the mirrored equations diagonal: exact but for rounding.
    """
    waves = [4 * np.sin(np.pi * np.arange(n) / (2 * (n - 1))) ** 2 for n in source.shape[:2]]
    symbol = -(waves[0][:, None] + waves[1])[..., None]
    symbol[0, 0] = -np.inf
    return np.asarray(fft.idctn(fft.dctn(source, type=1, axes=(0, 1)) / symbol, type=1, axes=(0, 1)))


def mixed(one: Field, other: Field) -> Field:
    """Of two gradients ``(..., 2)`` the longer one, everywhere (Perez, Gangnet and Blake 2003, 10.1145/882262.882269).

    The longest over the channels decides, so that colours stay together.
    """
    stronger = (one**2).sum(-1).max(-1) >= (other**2).sum(-1).max(-1)
    return np.asarray(np.where(stronger[..., None, None], one, other))


def _sobel(field: Field, axis: int) -> Field:
    """A central difference along one axis, averaged along the other."""
    slope = ndimage.correlate1d(field, [-0.5, 0, 0.5], axis=axis, mode="mirror")
    return np.asarray(ndimage.correlate1d(slope, [0.25, 0.5, 0.25], axis=1 - axis, mode="mirror"))


def _derivative(field: Field, axis: int, order: int) -> Field:
    """A derivative of the cosine series through the pixels along one axis."""
    mirrored = np.concatenate([field, np.flip(field, axis).take(range(1, field.shape[axis] - 1), axis)], axis)
    n = mirrored.shape[axis]
    factor = (2j * np.pi * fft.fftfreq(n)) ** order
    if order % 2:
        factor[n // 2] = 0.0  # The shortest wave has its zeros of slope at the pixels.
    shape = [1] * field.ndim
    shape[axis] = n
    waves = fft.fft(mirrored, axis=axis) * factor.reshape(shape)
    return np.asarray(fft.ifft(waves, axis=axis).real.take(range(field.shape[axis]), axis))


def _known(stencil: str) -> str:
    kinds = ("spectral", "compact")
    if stencil not in kinds:
        raise ProblemError(f"stencil is one of {', '.join(kinds)}; got {stencil!r}.{suggest(stencil, kinds)}")
    return stencil
