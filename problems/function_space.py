"""A space of functions: images from a few of their pixels, by a network that has seen other images.

    pinn-siren solve problems/function_space.py
    pinn-siren solve problems/function_space.py --contexts 20 200

A set encoder takes the pixels that are given, (x, y, intensity) each, to a code; a hypernetwork takes the code to the
weights of a SIREN, which is the image (Sitzmann et al. 2020, arXiv 2006.09661, section 4.4). The images are the 100
faces of 25 by 25 pixels that scikit-image ships, of Huang et al. 2007, Labeled Faces in the Wild; a fifth of them is
never seen in training. Intensities in [0, 1], lengths in pixels, n counts images with their contexts.
"""

import numpy as np

from pinn_siren.domains.extra import extra
from pinn_siren.images.space import ImageSpace, image_space

FACES = 100
"""Of scikit-image's 200 crops the first half; the others show no faces."""


def faces(mirrored: int):
    """``(25, 25, count)``, x to the right, y upward: the first ``mirrored`` of them again as in a mirror, in front."""
    crops = np.asarray(extra("skimage.data", "The faces", "signals").lfw_subset()[:FACES], dtype=float)
    shuffled = crops[np.random.default_rng(0).permutation(FACES)][:, ::-1].transpose(2, 1, 0)
    return np.concatenate([shuffled[::-1, :, :mirrored], shuffled], axis=2)


def problem(
    contexts: tuple[int, ...] = (10, 100, 625),
    unseen: int = 20,
    draws: int = 16,
    width: int = 48,
    code: float = 1e-3,
    weights: float = 1e-3,
) -> ImageSpace:
    """Images of faces as functions of some of their pixels.

    Args:
        contexts: How many pixels are given of the images that are tried.
        unseen: Faces that training never sees.
        draws: Contexts of each face in training, of random sizes.
        width: Of the SIREN.
        code: How much the size of the codes counts in training.
        weights: How much the size of the SIREN's weights counts.
    """
    return image_space(faces(FACES - unseen), unseen, contexts, draws, code, weights, width=width)
