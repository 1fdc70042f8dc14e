"""A video as a function of pixels and time: (red, green, blue)(x, y, t). ``--input``: a file, or a folder of frames.

Without it, the bikes of Sitzmann et al. 2020 (arXiv 2006.09661, section 4.1), every second frame and a fourth of the
size along each side, so that a CPU does it. Whole, on a GPU: ``--shrink 1 --every 1 --frames 0``, with
``--points 174080 --steps 100000``.
"""

from pinn_siren.signals.video import bikes, read_video, video_problem


def problem(input: str = "", frames: int = 24, every: int = 2, shrink: int = 4):
    return video_problem(*read_video(input or bikes(), frames, every, shrink))
