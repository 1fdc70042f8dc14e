"""Full-waveform inversion: the survey against exact series, its derivatives, and what is found on a small one."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from pinn_siren import UnknownField
from pinn_siren.errors import UsageError
from pinn_siren.reference.survey import Survey
from pinn_siren.waveform import GridMedium, NetworkMedium, invert

STATED = runpy.run_path(str(Path(__file__).parent.parent / "problems" / "inversion.py"))


def survey(cells=60, **options):
    return Survey(STATED["WAVENUMBER"], STATED["SOURCES"], STATED["RECEIVERS"], cells=cells, **options)


def disc(s, radius=0.1, speed=2.0):
    """The squared slowness of a disc, averaged over cells."""
    h, offsets = 2 * s.half / s.cells, (np.arange(6) + 0.5) / 6 - 0.5
    moved = [s.nodes + h * np.array([a, b]) - STATED["CENTER"] for a in offsets for b in offsets]
    share = np.mean([np.hypot(*m.T) < radius for m in moved], axis=0)
    return 1 + share * (speed**-2 - 1)


def test_waves_in_open_space_converge_to_the_exact_series_at_fourth_order():
    exact = STATED["disc_waves"](speed=1.0 + 1e-9)
    errors = []
    for cells in (60, 90):
        s = survey(cells)
        errors.append(np.linalg.norm(s.data(np.ones(len(s.nodes))) - exact) / np.linalg.norm(exact))
    assert 3.5 < np.log(errors[0] / errors[1]) / np.log(1.5) < 4.6
    assert errors[1] < 2e-3


def test_waves_around_a_disc_are_those_of_the_exact_series():
    s, exact = survey(80), STATED["disc_waves"]()
    assert np.linalg.norm(s.data(disc(s)) - exact) < 6e-3 * np.linalg.norm(exact)


def test_derivatives_by_the_medium_are_those_of_differences():
    s = survey(40)
    m, step = disc(s), np.random.default_rng(6).standard_normal(len(s.nodes))
    slopes = s.waves(m).slopes()
    difference = (s.data(m + 1e-5 * step) - s.data(m - 1e-5 * step)) / 2e-5
    assert slopes @ step == pytest.approx(difference, rel=1e-5, abs=1e-7 * np.abs(difference).max())


@pytest.mark.parametrize("kind", ["network", "bounded grid", "grid"])
def test_slopes_of_media_are_those_of_differences(kind):
    s = survey(40)
    medium = {
        "network": lambda: NetworkMedium(s, UnknownField(1.0, bounds=(0.9, 2.5), wavenumber=40, width=6), 5),
        "bounded grid": lambda: GridMedium(s, 0.05, (0.9, 2.5)),
        "grid": lambda: GridMedium(s, 0.05, None),
    }[kind]()
    random = np.random.default_rng(6)
    at, step = 0.1 * random.standard_normal(medium.size), random.standard_normal(medium.size)
    assert medium.speed(np.zeros(medium.size)) == pytest.approx(1)
    difference = (medium.speed(at + 1e-6 * step) - medium.speed(at - 1e-6 * step)) / 2e-6
    assert medium.slopes(at) @ step == pytest.approx(difference, rel=1e-5, abs=1e-6)


def test_a_network_finds_the_disc_better_than_the_grid():
    s, random = survey(60), np.random.default_rng(8)
    exact = STATED["disc_waves"]()
    size = np.sqrt(np.mean(np.abs(exact) ** 2) / 2)
    noise = 0.01 * size
    data = exact + noise * (random.standard_normal(exact.shape) + 1j * random.standard_normal(exact.shape))
    truth = np.where(np.hypot(*(s.nodes - STATED["CENTER"]).T) < STATED["RADIUS"], STATED["SPEED"], 1.0)
    field = UnknownField(1.0, bounds=STATED["BOUNDS"], wavenumber=40, width=48)
    media = {"network": NetworkMedium(s, field, 5), "grid": GridMedium(s, 0.03, None)}
    # The coarse solver's error, 1.5%, counts as noise.
    found = {name: invert(s, data, 0.018 * size, medium, 25) for name, medium in media.items()}
    errors = {name: np.mean((each.speed - truth) ** 2) for name, each in found.items()}
    assert errors["network"] < 1.2e-2 < np.mean((1 - truth) ** 2) / 3
    assert errors["network"] < errors["grid"]
    assert found["network"].misfits[-1] < 1.5 and found["network"].misfits[0] > 100


def test_wrong_use_is_said():
    with pytest.raises(UsageError, match="inside the layer"):
        survey(unknown=0.7)
    s = survey(40)
    with pytest.raises(UsageError, match=r"\(30, 5\) finite"):
        invert(s, np.zeros((5, 30), complex), 0.1, GridMedium(s, 0.05, None))
