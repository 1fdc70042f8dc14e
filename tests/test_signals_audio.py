"""Sounds: wav in and out, wrong files, and a short solve in its band."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from pinn_siren import Adam, Siren, Trainer, solve_reference
from pinn_siren.cli import main
from pinn_siren.errors import ProblemError
from pinn_siren.files import call_problem, load_problem
from pinn_siren.scales import measure_scales
from pinn_siren.signals.sound import Recording, read_sound, sound_problem, write_sound

FILE = Path(__file__).parent.parent / "problems" / "audio.py"
TIMES = np.arange(800) / 4000
TONE = 0.5 * np.sin(2 * np.pi * 440 * TIMES)


def gallery(**options):
    return call_problem(load_problem(FILE), FILE, options)


@pytest.mark.parametrize("rate", [8000, 11025, 44100])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float32])
def test_any_rate_and_depth_is_read_at_full_scale_1(tmp_path, rate, kind):
    samples = TONE.astype(kind) if kind == np.float32 else (TONE * np.iinfo(kind).max).astype(kind)
    if kind == np.uint8:
        samples = np.round(128 + 127 * TONE).astype(kind)
    wavfile.write(tmp_path / "a.wav", rate, samples)
    sound = read_sound(tmp_path / "a.wav")
    assert sound.rate == rate and sound.channels == ("u",)
    assert np.abs(sound.samples[:, 0] - TONE).max() <= (0.01 if kind == np.uint8 else 1e-4)


def test_a_part_and_two_channels(tmp_path):
    write_sound(tmp_path / "a.wav", np.stack([TONE, -TONE], axis=1), 4000)
    sound = read_sound(tmp_path / "a.wav", start=0.05, seconds=0.1)
    assert sound.samples.shape == (400, 2) and sound.channels == ("left", "right")
    assert np.abs(sound.samples[:, 0] - TONE[200:600]).max() <= 1e-4
    problem = sound_problem(sound)
    assert problem.outputs == ("left", "right")
    assert np.allclose(solve_reference(problem).finest.values["right"], sound.samples[:, 1])


def test_louder_than_full_scale_is_clipped(tmp_path):
    write_sound(tmp_path / "a.wav", 4 * TONE, 4000)
    assert np.abs(read_sound(tmp_path / "a.wav").samples).max() <= 1


@pytest.mark.parametrize("pitch", [220.0, 1000.0])
def test_the_first_frequency_comes_from_the_bandwidth(pitch):
    tone = np.sin(2 * np.pi * pitch * np.arange(4000) / 8000)
    scales = measure_scales(sound_problem(Recording(tone, 8000)))
    assert scales.wavenumber["t"] == pytest.approx(2 * np.pi * pitch, rel=0.05)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (None, "There is no sound"),
        (TONE[:1], "at least 16 samples, got 1"),
        (TONE * 0, "silent"),
        (np.where(TIMES[5] == TIMES, np.nan, TONE), "NaN or infinite, first number 5"),
        ("text", "cannot be read as .wav"),
    ],
)
def test_a_wrong_sound_is_one_message_and_exit_code_2(tmp_path, capsys, samples, message):
    path = tmp_path / "a.wav"
    if isinstance(samples, str):
        path.write_text(samples)
    elif samples is not None:
        wavfile.write(path, 4000, np.asarray(samples, dtype=np.float32))
    assert main(["solve", str(FILE), "--input", str(path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said


def test_a_part_that_is_not_there_is_refused(tmp_path):
    write_sound(tmp_path / "a.wav", TONE, 4000)
    with pytest.raises(ProblemError, match=r"lasts 0.2 s"):
        read_sound(tmp_path / "a.wav", start=3)


def test_steps_of_a_high_first_frequency_are_slowed_down():
    calm, fast = (Siren(1, 1, width=8, depth=2, omega=[omega, 30.0]).paces() for omega in (30.0, 20_000.0))
    assert [pace for pace, _ in calm] == [1.0, 1.0, 1.0]
    other = 0.01**0.25
    assert [pace for pace, _ in fast] == [0.01 * other, other, other]
    assert len([w for _, layer in fast for w in layer]) == 6


def test_a_short_solve_plays_the_melody(tmp_path):
    problem = gallery(seconds=0.5)
    network = Siren(1, 1, width=64, depth=3, omega=[600.0, 30.0, 30.0], generator=torch.Generator().manual_seed(0))
    trainer = Trainer(problem, network, points=1000, device="cpu", dtype=torch.float32, progress=False)
    trainer.run(Adam(steps=300, lr=2e-3))
    solution = trainer.solution()
    found = solution.report.metrics
    assert 1e-6 <= found["MSE at amplitude 1"] <= 1e-3
    solution.save(tmp_path)
    played, told = read_sound(tmp_path / "reconstruction.wav"), read_sound(tmp_path / "recording.wav")
    assert played.rate == told.rate == 8000
    signal, noise = (told.samples**2).mean(), ((played.samples - told.samples) ** 2).mean()
    assert 10 * np.log10(signal / noise) == pytest.approx(found["SNR (dB)"], abs=0.3)
    assert (tmp_path / "sound.png").stat().st_size > 10_000
