"""A sound as a function of time: u(t) = samples. ``--input`` takes a .wav file, ``--start`` and ``--seconds`` a part.

Without it, a few bars of plucked strings are synthesized. The reconstruction is written as a .wav beside the results.
Sitzmann et al. 2020 (arXiv 2006.09661, section 4.1) fit seven seconds of Bach.
"""

import math

import numpy as np

from pinn_siren.signals.sound import Recording, read_sound, sound_problem

RATE, BEAT = 8000, 0.25  # samples a second; seconds a note
MELODY = (60, 64, 67, 72, 76, 67, 72, 76, 60, 62, 69, 74, 77, 69, 74, 77)  # MIDI notes, as Bach's first prelude begins
PARTIALS, DECAY = 6, 2.5  # harmonics of a string; 1/s, of the first one


def plucked(note, time):
    """A string from the moment it is plucked: harmonics that fade the faster the higher they are."""
    pitch = 440 * 2 ** ((note - 69) / 12)
    rise = 1 - np.exp(-np.maximum(time, 0) / 0.004)
    harmonics = (
        np.sin(2 * np.pi * n * pitch * time) * np.exp(-DECAY * math.sqrt(n) * np.maximum(time, 0)) / n**1.5
        for n in range(1, PARTIALS + 1)
    )
    return np.where(time > 0, rise * sum(harmonics), 0.0)


def melody(seconds, rate):
    """Notes in eighths, each left to sound, with amplitude 1 at most."""
    time = np.arange(round(seconds * rate)) / rate
    notes = (MELODY[i % len(MELODY)] for i in range(math.ceil(seconds / BEAT)))
    sound = sum(plucked(note, time - i * BEAT) for i, note in enumerate(notes))
    return Recording(sound / np.abs(sound).max(), rate)


def problem(input: str = "", start: float = 0.0, seconds: float = 4.0, rate: int = RATE):
    return sound_problem(read_sound(input, start, seconds) if input else melody(seconds, rate))
