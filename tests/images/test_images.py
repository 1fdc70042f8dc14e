"""Images: reading, derivatives against closed forms, the discrete solve, quality, and short fits."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.sparse.linalg import lsqr

from pinn_siren import Adam, Siren, Trainer, solve
from pinn_siren.cli import main
from pinn_siren.errors import ProblemError
from pinn_siren.files import load_problem
from pinn_siren.images import (
    NAMES,
    box_of,
    columns,
    discrete_poisson,
    divergence,
    finer,
    gradient,
    laplacian,
    mixed,
    on_pixels,
    pixels,
    psnr,
    read_image,
    ssim,
)
from pinn_siren.images.read import upright
from pinn_siren.verify import verify

skimage = pytest.importorskip("skimage")
FOLDER = Path(__file__).parent.parent.parent / "problems"


def made(name, **options):
    return load_problem(FOLDER / f"{name}.py")(**options)


def waves(nx=17, ny=24):
    """A sum of cosines that the mirrored grid holds, with its exact gradient and Laplacian."""
    x, y = np.meshgrid(np.arange(nx), np.arange(ny), indexing="ij")
    k, m = 3 * np.pi / (nx - 1), 5 * np.pi / (ny - 1)
    u = np.cos(k * x) * np.cos(m * y) + 0.3
    slopes = np.stack([-k * np.sin(k * x) * np.cos(m * y), -m * np.cos(k * x) * np.sin(m * y)], -1)
    return u[..., None], slopes[..., None, :], (-(k**2 + m**2) * (u - 0.3))[..., None]


def test_spectral_derivatives_are_those_of_the_cosines():
    u, slopes, curvature = waves()
    assert np.abs(gradient(u) - slopes).max() < 1e-12
    assert np.abs(laplacian(u) - curvature).max() < 1e-12


def test_a_finer_grid_has_the_same_cosines():
    x, y = np.meshgrid(np.arange(49) / 3, np.arange(70) / 3, indexing="ij")
    k, m = 3 * np.pi / 16, 5 * np.pi / 23
    assert np.abs(finer(waves()[0], 3)[..., 0] - np.cos(k * x) * np.cos(m * y) - 0.3).max() < 1e-12
    image = read_image("camera", 20)
    assert np.abs(finer(image, 2)[::2, ::2] - image).max() < 1e-12
    assert np.array_equal(finer(image, 1).shape, image.shape) and np.abs(finer(image, 1) - image).max() < 1e-12


def test_compact_derivatives_have_the_scale_of_a_ramp_and_of_a_parabola():
    x, y = np.meshgrid(np.arange(12.0), np.arange(9.0), indexing="ij")
    inner = gradient((3 * x - 2 * y)[..., None], "compact")[1:-1, 1:-1, 0]
    assert np.allclose(inner, [3, -2])
    assert np.allclose(laplacian((x**2 + 2 * y**2)[..., None], "compact")[1:-1, 1:-1], 6)
    with pytest.raises(ProblemError, match=r"spectral, compact; got 'sobel'"):
        gradient(x[..., None], "sobel")


def test_the_discrete_solve_inverts_the_five_point_laplacian_and_agrees_with_a_sparse_solve():
    image = read_image("coins", 24, gray=True)
    found = discrete_poisson(laplacian(image, "compact"))
    assert np.ptp(found - image) < 1e-12
    weights = np.multiply.outer(*(np.r_[0.5, np.ones(n - 2), 0.5] for n in image.shape[:2]))
    assert abs(float((found[..., 0] * weights).sum())) < 1e-9
    source = divergence(gradient(image))

    def second(n):
        table = sparse.diags([1.0, -2.0, 1.0], [-1, 0, 1], shape=(n, n)).tolil()
        table[0, 1] = table[n - 1, n - 2] = 2
        return table

    nx, ny = image.shape[:2]
    operator = sparse.kron(second(nx), sparse.eye(ny)) + sparse.kron(sparse.eye(nx), second(ny))
    other = lsqr(operator.tocsr(), source.ravel(), atol=1e-13, btol=1e-13, iter_lim=5000)[0].reshape(nx, ny, 1)
    assert np.ptp(discrete_poisson(source) - other) < 1e-6
    assert psnr(discrete_poisson(source) + image.mean(), image) > 30


def test_mixed_gradients_are_the_longer_ones_of_all_channels():
    one, other = np.zeros((2, 2, 3, 2)), np.full((2, 2, 3, 2), 0.1)
    one[0, 0, 1] = [0, 5]
    both = mixed(one, other)
    assert np.array_equal(both[0, 0], one[0, 0]) and np.array_equal(both[1, 1], other[1, 1])


def test_an_image_is_upright_and_its_pixels_have_their_places(tmp_path):
    table = (np.random.default_rng(3).random((9, 13, 3)) * 255).astype(np.uint8)
    skimage.io.imsave(tmp_path / "a.png", table, check_contrast=False)
    image = read_image(str(tmp_path / "a.png"))
    assert image.shape == (13, 9, 3) and np.array_equal(np.round(upright(image) * 255), table)
    flat, at = image.reshape(-1, 3), pixels(image)
    number = int(np.flatnonzero((at == [4, 8]).all(1))[0])
    assert np.array_equal(np.round(flat[number] * 255), table[0, 4])
    assert columns(image).shape == (117, 3) and columns(image[..., :1]).shape == (117,)
    assert set(on_pixels(image).values) == {"red", "green", "blue"} and box_of(image).bounds["x"] == (0, 12)


@pytest.mark.parametrize("name", NAMES)
def test_the_named_images_come_with_the_package(name):
    image = read_image(name, 16)
    assert max(image.shape[:2]) == 16 and 0 <= image.min() < image.max() <= 1


def test_quality_is_that_of_its_definition():
    image = read_image("camera", 32)
    assert psnr(image + 0.1, image) == pytest.approx(20)
    assert psnr(image, image) == math.inf and ssim(image, image) == pytest.approx(1)
    assert ssim(image, image[::-1]) < 0.5


def png(folder, shape):
    path = folder / "own.png"
    skimage.io.imsave(path, np.full(shape, 128, np.uint8), check_contrast=False)
    return path


def text(path):
    path.write_text("text")
    return path


WRONG = {
    "missing": (lambda folder: folder / "none.png", "does not exist: name a PNG"),
    "misspelt": (lambda folder: "camra", "Did you mean 'camera'"),
    "a folder": (lambda folder: folder, "is a folder"),
    "no image": (lambda folder: text(folder / "t.png"), "cannot be read as an image"),
    "one pixel": (lambda folder: png(folder, (1, 1)), "has 1 x 1 pixels"),
    "a line": (lambda folder: png(folder, (40, 3)), "has 3 x 40 pixels"),
}  # fmt: skip


@pytest.mark.parametrize("file", ["image", "image_poisson", "inpainting"])
@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_one_message(name, file, tmp_path, capsys):
    make, says = WRONG[name]
    assert main(["check", str(FOLDER / f"{file}.py"), "--input", str(make(tmp_path))]) == 2
    said = capsys.readouterr().err.strip()
    assert says in said and "\n" not in said and "Traceback" not in said


def test_a_short_fit_has_its_figures_and_pictures(tmp_path):
    problem = made("image", size=48, resolution=90, crop=(4, 2, 34, 22))
    assert problem.is_signal
    solution = solve(problem, steps=150, seed=7, device="cpu", progress=False)
    report = solution.report
    assert report.dtype == "float32" and report.method == "Adam 150" and report.verdict == "unverified"
    assert 28 < report.metrics["PSNR (dB)"] < 42
    # The figure is that of an evaluation of its own, pixel by pixel.
    found = solution(pixels(problem.image)).reshape(problem.image.shape)
    assert report.metrics["PSNR (dB)"] == pytest.approx(psnr(found, problem.image), abs=1e-3)
    solution.save(tmp_path)
    sizes = {name: skimage.io.imread(tmp_path / f"{name}.png").shape[:2] for name in ("image", "render")}
    assert sizes == {"image": (48, 48), "render": (60, 90)}
    assert (tmp_path / "pictures.png").stat().st_size > 10_000
    shown = skimage.io.imread(tmp_path / "image.png")[..., 0] / 255
    assert psnr(shown, upright(problem.image)[..., 0]) > 28


def test_derivatives_of_the_network_are_a_pixel():
    from pinn_siren.images.picture import network_views

    problem = made("image", size=48, input="astronaut")
    network = Siren(2, 3, width=32, depth=2, omega=20.0)
    solution = Trainer(problem, network, device="cpu", progress=False).solution()
    found, h = network_views(solution, problem.image), 1e-4
    at = pixels(problem.image)[1000:1010] * 0.9 + 1
    jets = solution.jet(at, ["x", "y", "laplacian"])
    step = np.array([h, 0])
    for k in range(3):
        quotient = (solution(at + step)[:, k] - solution(at - step)[:, k]) / (2 * h)
        assert np.abs(jets[k].x.numpy() - quotient).max() < 1e-6
    assert found.gradient.shape == (48, 48, 3, 2) and found.laplacian.shape == (48, 48, 3)
    one = solution.jet(pixels(problem.image)[77:78], ["x", "y", "laplacian"])
    assert found.gradient.reshape(-1, 3, 2)[77, 1, 0] == pytest.approx(float(one[1].x), rel=1e-9)


@pytest.mark.filterwarnings("ignore:The conditions leave a constant free")
@pytest.mark.parametrize("options, aim", [({}, (32, 42)), ({"stencil": "compact"}, (18, 32))])
def test_an_image_comes_back_from_its_gradient(options, aim, tmp_path):
    problem = made("image_poisson", size=32, **options)
    assert problem.free_constant and problem.of_derivatives
    network = Siren(2, 1, width=64, depth=3, omega=[12.0, 30, 30], generator=torch.Generator().manual_seed(5))
    trainer = Trainer(problem, network, points=1000, seed=7, progress=False, device="cpu", dtype=torch.float32)
    trainer.run(Adam(steps=300, lr=1e-3))
    solution = trainer.solution()
    report = solution.report
    assert aim[0] < report.metrics["PSNR (dB)"] < aim[1], report
    assert report.metrics["constant added, by least squares"] == pytest.approx(problem.image.mean(), abs=0.02)
    assert report.metrics["discrete solve, PSNR (dB)"] > 28
    assert report.reference_method == "five-point Poisson solve by cosine transform"
    solution.save(tmp_path)
    assert verify(tmp_path)[1] == []


@pytest.mark.filterwarnings("ignore:The conditions leave a constant free")
def test_what_is_known_of_an_image_is_true_of_its_cosine_series():
    """The residual of the image itself vanishes, in the units of a pixel, whatever is known."""
    for options in ({}, {"of": "laplacian"}):
        problem = made("image_poisson", size=32, **options)
        data = problem.conditions[0]
        known = data.measured.numpy().reshape(63, 63, -1)[::2, ::2]
        expected = laplacian(problem.image) if options else gradient(problem.image)[..., 0, :]
        assert np.abs(known - expected).max() < 1e-12
        assert data.coordinates.max() == 31
    blended = made("image_poisson", size=32, blend="moon")
    assert blended.named == "discrete solve" and blended.free_constant


def test_a_prior_fills_in_what_is_not_given():
    found = {}
    for prior in ("none", "tv", "hessian"):
        problem = made("inpainting", size=40, known=0.25, prior=prior)
        assert int((problem.given > 0).sum()) <= 400 == len(problem.conditions[0].coordinates)
        network = Siren(2, 1, width=48, depth=3, omega=[20.0, 30, 30], generator=torch.Generator().manual_seed(5))
        trainer = Trainer(problem, network, seed=7, points=400, progress=False, device="cpu", dtype=torch.float32)
        trainer.run(Adam(steps=200))
        found[prior] = problem.metrics(trainer.solution())["PSNR (dB)"]
    assert 16 < found["none"] < 28
    assert min(found["tv"], found["hessian"]) > found["none"] + 0.3, found
    with pytest.raises(ProblemError, match="share of the pixels"):
        made("inpainting", known=0.0)


@pytest.mark.parametrize("crop, says", [((0, 0, 99, 5), "crop must be"), ((5, 0, 5, 9), "crop must be")])
def test_a_crop_lies_inside(crop, says):
    with pytest.raises(ProblemError, match=says):
        made("image", size=48, crop=crop)
