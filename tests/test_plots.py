from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import imread

from pinn_siren import plots
from pinn_siren._panels import colour_map, differences, error_limits, limits, parts, slices
from pinn_siren.errors import StorageError
from pinn_siren.plots import Labels, draw, draw_reference
from pinn_siren.reference.grid import GridSolution, Reference
from pinn_siren.storage import StoredSolution

CASES = {
    "1d": {"sizes": {"x": 17}},
    "1d complex": {"sizes": {"x": 17}, "is_complex": True},
    "2d": {"sizes": {"x": 17, "y": 9}},
    "2d complex": {"sizes": {"x": 17, "y": 9}, "is_complex": True},
    "two outputs": {"sizes": {"x": 9, "y": 9}, "outputs": ("u", "v")},
    "3d": {"sizes": {"x": 9, "y": 7, "z": 5}},
    "1+1": {"sizes": {"x": 17, "t": 9}},
    "2+1": {"sizes": {"x": 9, "y": 7, "t": 9}},
    "time alone": {"sizes": {"t": 9}},
}


@pytest.mark.parametrize("blank", [np.nan, complex(0, np.nan), complex(np.nan, np.nan)])
def test_masked_nodes_of_complex_fields_are_hidden_in_every_part(blank: complex) -> None:
    values = np.array([1 + 2j, blank, 3 - 1j])
    for _, part in parts("u", values):
        np.testing.assert_array_equal(np.isnan(part), [False, True, False])
    for part in differences(values, np.ones(3)):
        np.testing.assert_array_equal(np.isnan(part), [False, True, False])


def make(
    sizes: dict[str, int], is_complex: bool = False, outputs: tuple[str, ...] = ("u",), amplitude: float = 1.0
) -> StoredSolution:
    coordinates = {a: np.linspace(0.0, 1.0 + k, n) for k, (a, n) in enumerate(sizes.items())}
    total = sum(np.meshgrid(*coordinates.values(), indexing="ij"))
    truth = np.exp(3j * total) if is_complex else np.sin(3 * total)
    fields = {}
    for output in outputs:
        fields |= {output: amplitude * truth + 1e-4 * np.cos(9 * total), f"{output}_reference": truth}
    steps = np.arange(40)
    history = {"step": steps, "seconds": 0.1 * steps, "loss": 0.5**steps, "interior": 0.4 * 0.5**steps}
    attributes = {"problem": "wave", "method": "adam", "relative_l2": 1e-4, "verdict": "certified"}
    return StoredSolution(coordinates, fields, {}, "{}", history, attributes, "A title", {"x": "m"})  # type: ignore[arg-type]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    made: list[Figure] = []

    class Kept(Figure):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[arg-type]
            made.append(self)

    monkeypatch.setattr(plots, "Figure", Kept)
    return made


def check(path: Path, figure: Figure) -> None:
    picture = imread(path)
    height, width, _ = picture.shape
    assert figure.dpi >= 150 and 7 <= width / figure.dpi <= 14
    assert height >= 500 and picture[..., :3].std() > 0.02
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes]
    for k, box in enumerate(boxes):
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width + 1 and box.y1 <= height + 1
        assert not any(box.overlaps(other) for other in boxes[:k])


@pytest.mark.parametrize("name", CASES)
def test_picture_of_each_kind_is_readable(name: str, tmp_path: Path, figures: list[Figure]) -> None:
    draw(tmp_path / "figure.png", make(**CASES[name]))  # type: ignore[arg-type]
    check(tmp_path / "figure.png", figures[0])
    headline = figures[0].get_suptitle().replace("\u00a0", " ")
    assert all(word in headline for word in ("A title", "wave", "adam", "relative L2 1.00e-04", "verdict: certified"))
    assert os.listdir(tmp_path) == ["figure.png"]


def test_prediction_and_reference_share_one_scale(tmp_path: Path, figures: list[Figure]) -> None:
    stored = make({"x": 17, "y": 9}, amplitude=2.0)
    draw(tmp_path / "figure.png", stored)
    images = [axes.images[0] for axes in figures[0].axes if axes.images]
    prediction, reference, error = images
    shared = limits([stored.fields["u"], stored.fields["u_reference"]])
    assert prediction.get_clim() == reference.get_clim() == shared
    assert np.abs(stored.fields["u"]).max() == shared[1] == -shared[0]
    assert isinstance(error.norm, LogNorm)
    np.testing.assert_array_equal(prediction.get_array(), stored.fields["u"].T)
    assert prediction.origin == "lower" and prediction.get_extent()[1] > 1.0
    box = prediction.axes.get_position()
    width, height = figures[0].get_size_inches()
    left, right, bottom, top = prediction.get_extent()
    true_to_scale = (top - bottom) / (right - left)
    assert (box.height * height) / (box.width * width) == pytest.approx(true_to_scale, rel=0.1)


def test_curves_share_one_scale(tmp_path: Path, figures: list[Figure]) -> None:
    stored = make({"x": 17}, amplitude=2.0)
    draw(tmp_path / "figure.png", stored)
    curves, error, history = figures[0].axes
    np.testing.assert_array_equal(curves.lines[0].get_ydata(), stored.fields["u"])
    np.testing.assert_array_equal(curves.lines[1].get_ydata(), stored.fields["u_reference"])
    assert error.get_yscale() == history.get_yscale() == "log"
    assert [line.get_label() for line in history.lines] == ["loss", "interior"]
    assert curves.get_xlabel() == "x (m)"


def test_without_reference_the_exact_solution_and_without_both_only_the_prediction(
    tmp_path: Path, figures: list[Figure]
) -> None:
    stored = make({"x": 9, "y": 9})
    truth = stored.fields["u_reference"]
    draw(tmp_path / "a.png", replace(stored, fields={"u": stored.fields["u"], "u_exact": truth}))
    draw(tmp_path / "b.png", replace(stored, fields={"u": stored.fields["u"]}, history={}), title="Mine")
    titles = [[axes.get_title() for axes in figure.axes if axes.images] for figure in figures]
    assert titles == [["u: prediction", "u: exact", "u: |prediction − exact|"], ["u: prediction"]]
    assert figures[1].get_suptitle().startswith("Mine")


def test_odd_content_is_drawn(tmp_path: Path) -> None:
    stored = make({"x": 9, "y": 9})
    zero, nan = np.zeros((9, 9)), np.full((9, 9), np.nan)
    for prediction, truth in ((zero, zero), (nan, zero), (zero + 1, zero + 1), (zero + 1j, zero)):
        fields = {"u": prediction, "u_reference": truth}
        history = {"step": np.array([0]), "loss": np.array([0.0])}
        draw(tmp_path / "figure.png", replace(stored, fields=fields, history=history, attributes={}, title=""))
        assert imread(tmp_path / "figure.png").size


@pytest.mark.parametrize("name", ["1d", "2d complex", "1+1"])
def test_reference_alone(name: str, tmp_path: Path, figures: list[Figure]) -> None:
    levels = []
    for factor in (1, 2, 4):
        sizes = dict.fromkeys(CASES[name]["sizes"], 4 * factor + 1)  # type: ignore[attr-defined]
        stored = make(**{**CASES[name], "sizes": sizes})  # type: ignore[arg-type]
        levels.append(GridSolution(stored.coordinates, {"u": stored.fields["u"]}))
    reference = Reference("compact", tuple(levels), 4.0, 3.9, None, 0.5)  # type: ignore[arg-type]
    draw_reference(tmp_path / "reference.png", reference, "A reference")
    check(tmp_path / "reference.png", figures[0])
    headline = figures[0].get_suptitle().replace("\u00a0", " ")
    assert "observed order 3.90" in headline and "reference error none" in headline


def test_missing_folder_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no folder"):
        draw(tmp_path / "missing" / "figure.png", make({"x": 9}))


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ([[-1.0, 0.5], [2.0, 0.0]], (-2.0, 2.0)),
        ([[0.0, 1.0], [3.0, np.nan]], (0.0, 3.0)),
        ([[-1e-6, 1.0]], (-1e-6, 1.0)),
        ([[-4.0, -1.0]], (-4.0, -1.0)),
        ([[2.0, 2.0]], (1.0, 3.0)),
        ([[0.0, 0.0]], (-1.0, 1.0)),
        ([[np.nan, np.inf]], (0.0, 1.0)),
    ],
)
def test_limits(arrays: list[list[float]], expected: tuple[float, float]) -> None:
    assert limits([np.array(a) for a in arrays]) == expected
    assert (colour_map(*expected) == "RdBu_r") == (expected[0] == -expected[1])


def test_error_limits() -> None:
    assert error_limits([np.array([1e-9, 1.0, np.nan])]) == (1e-5, 1.0)
    assert error_limits([np.array([1e-3]), np.array([1.0, 0.0])]) == (1e-3, 1.0)
    assert error_limits([np.array([1.0, 0.9])]) == (0.01, 1.0)
    assert error_limits([np.zeros(3)]) == (1e-18, 1e-16)


def test_slices_say_where_they_lie() -> None:
    nodes = {"t": np.linspace(0, 1, 9), "x": np.linspace(-1, 1, 5), "y": np.linspace(0, 1, 3)}
    values = np.arange(9 * 5 * 3.0).reshape(9, 5, 3)
    found = slices(nodes, values)
    assert [part.where for part in found] == ["t = 0.25", "t = 0.5", "t = 1"]
    assert all(tuple(part.coordinates) == ("x", "y") for part in found)
    np.testing.assert_array_equal(found[1].values, values[4])
    (part,) = slices({"t": nodes["t"], "x": nodes["x"]}, values[..., 0])
    assert tuple(part.coordinates) == ("x", "t") and part.values.shape == (5, 9)
    space = {"x": nodes["x"], "y": nodes["y"], "z": nodes["t"]}
    assert [p.where for p in slices(space, np.zeros((5, 3, 9)))] == ["z = 0.5", "y = 0.5", "x = 0"]


def test_parts_of_a_complex_field() -> None:
    named = dict(parts("u", np.array([3 - 4j])))
    assert {name: float(value[0]) for name, value in named.items()} == {"Re u": 3.0, "Im u": -4.0, "|u|": 5.0}


def test_a_depth_grows_downward_and_axes_have_units(tmp_path: Path, figures: list[Figure]) -> None:
    nodes = {"x": np.linspace(0, 4, 9), "z": np.linspace(0, 2, 5)}
    level = GridSolution(nodes, {"u": np.hypot(*np.meshgrid(*nodes.values(), indexing="ij"))})
    labels = Labels({"x": "km", "z": "km", "u": "s"}, ["z"])
    draw_reference(tmp_path / "r.png", Reference("measured", (level,), 2.0, None, None, 0.1), "times", labels)
    axes = next(a for a in figures[0].axes if a.get_images())
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x (km)", "z (km)")
    assert axes.yaxis_inverted() and not axes.xaxis_inverted()
    # The image itself is turned with its axis: the first node of z lies at z = 0.
    left, right, low, high = axes.get_images()[0].get_extent()
    assert low < high and left < right and axes.get_images()[0].origin == "lower"
    assert "u (s)" in {a.get_ylabel() for a in figures[0].axes}
