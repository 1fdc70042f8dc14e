"""Sounds: wav files in and out, and a sound as a function of time."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.io import wavfile

from ..conditions import Data
from ..domains import Box
from ..errors import ProblemError
from ..problem import Problem
from ..reference.grid import GridSolution
from ..storage import replacing

if TYPE_CHECKING:
    from ..solution import Solution

LEAST = 16
"""Samples that a sound has at least."""


@dataclass(frozen=True, eq=False)
class Recording:
    """``samples`` ``(n, channels)``, full scale 1, at ``rate`` samples a second.

    Raises ``ProblemError`` for fewer than ``LEAST`` samples, numbers that are not finite, silence, and no rate.
    """

    samples: NDArray[np.float64]
    rate: float

    def __post_init__(self) -> None:
        samples = np.array(self.samples, dtype=np.float64)
        samples = samples[:, None] if samples.ndim == 1 else samples
        object.__setattr__(self, "samples", samples)
        if samples.ndim != 2 or samples.shape[1] < 1:
            raise ProblemError(f"A sound needs samples of shape (n,) or (n, channels), got {samples.shape}.")
        if not 0 < self.rate < math.inf:
            raise ProblemError(f"The rate of a sound must be a positive number of samples a second, got {self.rate!r}.")
        if len(samples) < LEAST:
            raise ProblemError(f"A sound needs at least {LEAST} samples, got {len(samples)}.")
        wrong = np.flatnonzero(~np.isfinite(samples).all(axis=1))
        if len(wrong):
            raise ProblemError(f"{len(wrong)} samples of the sound are NaN or infinite, first number {wrong[0]}.")
        if not np.ptp(samples, axis=0).any():
            raise ProblemError("The sound is silent: all its samples are alike.")

    @property
    def times(self) -> NDArray[np.float64]:
        """``(n,)``: the samples' times, in seconds from the first."""
        return np.arange(len(self.samples)) / self.rate

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels' names."""
        count = self.samples.shape[1]
        return (
            ("u",) if count == 1 else ("left", "right") if count == 2 else tuple(f"c{i}" for i in range(1, count + 1))
        )


def read_sound(path: str | Path, start: float = 0.0, seconds: float = math.inf) -> Recording:
    """A wav file of any rate, depth and number of channels, or ``seconds`` of it from ``start`` on.

    Raises ``ProblemError`` for a file that is missing or no wav, a part that is not there, and what ``Recording``
    raises.
    """
    path = Path(path)
    if not path.is_file():
        raise ProblemError(f"There is no sound {path}: name a .wav file.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)
            rate, samples = wavfile.read(path)
    except Exception as error:  # scipy has no common class for what it cannot read.
        raise ProblemError(f"{path} cannot be read as .wav: {' '.join(str(error).split())}.") from None
    whole = len(samples) / rate
    if not (0 <= start < whole and seconds > 0):
        raise ProblemError(f"{path} lasts {whole:.3g} s: there is no part of {seconds:g} s from {start:g} s on.")
    first = int(start * rate)
    last = len(samples) if seconds == math.inf else first + round(seconds * rate)
    try:
        return Recording(_full_scale(samples[first:last]), rate)
    except ProblemError as error:
        raise ProblemError(f"{path}: {error}") from None


def write_sound(path: str | Path, samples: NDArray[np.float64], rate: float) -> None:
    """Writes samples of full scale 1 as 16-bit wav, whole or not at all; louder ones are clipped."""
    with replacing(path) as temporary:
        wavfile.write(temporary, round(rate), np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16))


class Sound(Problem):
    """``u(t) = samples``: a sound as a function of time in seconds; its channels are the outputs."""

    recording: Recording
    one_grid = True
    reference_method = "the recording"
    # In the same time, twice as many steps on half as many samples gain more.
    share: ClassVar[float] = 1 / 16

    def finite_differences(self, cells: dict[str, int]) -> GridSolution:
        """The recording itself."""
        r = self.recording
        return GridSolution({"t": r.times}, dict(zip(r.channels, r.samples.T, strict=True)))

    def played(self, solution: Solution) -> NDArray[np.float64]:
        """``(n, channels)``: the solution at the samples' times."""
        return np.stack(list(solution.on_grid({"t": self.recording.times}).values()), axis=1)

    def metrics(self, solution: Solution) -> dict[str, float]:
        """Mean square error of the sound at amplitude 1, and the signal-to-noise ratio."""
        samples = self.recording.samples
        error = float(((self.played(solution) - samples) ** 2).mean())
        power = float((samples**2).mean())
        return {
            "MSE at amplitude 1": error / float(np.abs(samples).max()) ** 2,
            "SNR (dB)": 10 * math.log10(power / error) if error else math.inf,
        }

    def draw(self, solution: Solution, folder: Path) -> list[Path]:
        """Write the solution as a sound, ``reconstruction.wav``, the ``recording.wav`` beside it, and a picture of
        both, ``sound.png``."""
        from .pictures import draw_sound

        played = self.played(solution)
        write_sound(folder / "reconstruction.wav", played, self.recording.rate)
        write_sound(folder / "recording.wav", self.recording.samples, self.recording.rate)
        draw_sound(folder / "sound.png", self.recording, played)
        return [folder / name for name in ("reconstruction.wav", "recording.wav", "sound.png")]


def sound_problem(recording: Recording) -> Sound:
    """The problem of a recording."""
    r = recording
    # A class of its own for the channels: outputs belong to the class.
    kind: Any = type("Sound", (Sound,), {"outputs": r.channels})
    samples = r.samples if len(r.channels) > 1 else r.samples[:, 0]
    data = Data(torch.from_numpy(r.times), torch.from_numpy(samples))
    problem: Sound = kind(domain=Box(t=(0.0, float(r.times[-1]))), conditions=[data], recording=r)
    return problem


def _full_scale(samples: NDArray[Any]) -> NDArray[np.float64]:
    """Samples of full scale 1; 8-bit ones are unsigned."""
    if samples.dtype.kind == "f":
        return samples.astype(np.float64)
    middle = 128.0 if samples.dtype == np.uint8 else 0.0
    return (samples.astype(np.float64) - middle) / (128.0 if middle else -float(np.iinfo(samples.dtype).min))
