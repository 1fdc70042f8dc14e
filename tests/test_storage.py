from __future__ import annotations

import os
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from pinn_siren.errors import StorageError
from pinn_siren.reference.grid import GridSolution, Reference
from pinn_siren.storage import (
    StoredSolution,
    read_reference,
    read_solution,
    replacing,
    write_reference,
    write_solution,
    write_text,
)

ENGINES = ("netcdf4", "h5netcdf")
CASES = {
    "1d": {"sizes": {"x": 9}},
    "2d complex": {"sizes": {"x": 7, "y": 5}, "dtype": np.complex128},
    "2d complex64": {"sizes": {"x": 7, "y": 5}, "dtype": np.complex64},
    "2d float32": {"sizes": {"x": 7, "y": 5}, "dtype": np.float32},
    "masked": {"sizes": {"x": 9, "y": 8}, "masked": True},
    "masked complex": {"sizes": {"x": 9, "y": 8}, "masked": True, "dtype": np.complex128},
    "several outputs": {"sizes": {"x": 7, "y": 5}, "outputs": ("v", "u")},
    "3d": {"sizes": {"x": 5, "y": 4, "z": 3}},
    "time alone": {"sizes": {"t": 6}},
    "1+1": {"sizes": {"x": 6, "t": 4}},
    "2+1": {"sizes": {"x": 6, "y": 5, "t": 4}},
    "3+1": {"sizes": {"x": 5, "y": 4, "z": 3, "t": 2}},
}


def make(
    sizes: dict[str, int],
    dtype: type = np.float64,
    outputs: tuple[str, ...] = ("u",),
    masked: bool = False,
) -> StoredSolution:
    generator = np.random.default_rng(11)
    coordinates = {a: np.linspace(-1.0 + k, 0.5 + 2 * k, n) for k, (a, n) in enumerate(sizes.items())}
    shape = tuple(sizes.values())
    outside = np.zeros(shape, dtype=bool)
    outside[(slice(2, 4),) * len(shape)] = masked

    def field() -> np.ndarray:
        values = generator.standard_normal(shape) + 1j * generator.standard_normal(shape)
        values = values if np.issubdtype(dtype, np.complexfloating) else values.real
        return np.where(outside, np.nan, values).astype(dtype)

    fields = {name: field() for output in outputs for name in (output, f"{output}_reference", f"{output}_exact")}
    fields["error"] = np.abs(fields[outputs[0]] - fields[f"{outputs[0]}_reference"])
    return StoredSolution(
        coordinates=coordinates,
        fields=fields,
        network={
            "layers.0.weight": generator.standard_normal((6, 2)).astype(np.float32),
            "layers.1.weight": generator.standard_normal((6, 6)),
            "layers.1.bias": generator.standard_normal(6),
            "omega": np.array(30.0),
            "steps": np.array([3, -1], dtype=np.int64),
        },
        network_configuration='{"width": 6}',
        history={"step": np.arange(3), "seconds": np.array([0.1, 0.2, 0.4]), "loss": np.array([1.0, 1e-3, np.nan])},
        attributes={
            "problem": "Müller",
            "seed": 7,
            "seconds": 0.25,
            "reference_error": float("nan"),
            "configuration": "x" * 100_000,
        },
        title="A test",
        units={"x": "m"},
        long_names={"u": "pressure"},
    )


def make_reference(sizes: dict[str, int], **options: object) -> Reference:
    levels = []
    for factor in (1, 2, 4):
        stored = make({a: (n - 1) * factor + 1 for a, n in sizes.items()}, **options)  # type: ignore[arg-type]
        outputs = {name: values for name, values in stored.fields.items() if len(name) == 1}
        levels.append(GridSolution(stored.coordinates, outputs))
    return Reference("compact", tuple(levels), 4.0, 3.9, 1e-5, 0.5)  # type: ignore[arg-type]


def assert_equal(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> None:
    assert list(left) == list(right)
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], strict=True)


@pytest.mark.parametrize("name", CASES)
def test_solution_comes_back_equal(name: str, tmp_path: Path) -> None:
    stored = make(**CASES[name])  # type: ignore[arg-type]
    write_solution(tmp_path / "solution.h5", stored)
    found = read_solution(tmp_path / "solution.h5")
    for part in ("coordinates", "fields", "network", "history"):
        assert_equal(getattr(stored, part), getattr(found, part))
    np.testing.assert_equal(found.attributes, stored.attributes)
    assert all(type(value) in (str, int, float) for value in found.attributes.values())
    assert (found.title, found.network_configuration) == (stored.title, stored.network_configuration)
    names = [*stored.coordinates, *stored.fields]
    assert found.units == {name: stored.units.get(name, "1") for name in names}
    assert list(found.long_names) == names and found.long_names.get("u") in ("pressure", None)


def test_complex_values_keep_signs_of_zero_and_half_nan(tmp_path: Path) -> None:
    values = np.array([complex(-0.0, np.nan), complex(np.nan, -0.0), complex(np.inf, 1)])
    write_solution(tmp_path / "s.h5", replace(make({"x": 3}), fields={"u": values}))
    assert read_solution(tmp_path / "s.h5").fields["u"].tobytes() == values.tobytes()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_xarray_opens_the_root_and_the_groups(name: str, engine: str, tmp_path: Path) -> None:
    stored = make(**CASES[name])  # type: ignore[arg-type]
    path = tmp_path / "solution.h5"
    write_solution(path, stored)
    axes = tuple(stored.coordinates)
    dimensions = tuple(a for a in "tzyx" if a in axes)
    with xr.open_dataset(path, engine=engine) as root:  # type: ignore[arg-type]
        assert root.attrs["Conventions"] == "CF-1.11"
        assert all(isinstance(v, (str, np.number, int, float)) for v in root.attrs.values())
        for axis, nodes in stored.coordinates.items():
            np.testing.assert_array_equal(root[axis].values, nodes)
            assert root[axis].attrs["axis"] == axis.upper()
            assert root[axis].attrs["units"] == ("m" if axis == "x" else "1")
        for field, values in stored.fields.items():
            halves = {f"{field}_real": values.real, f"{field}_imag": values.imag}
            for part, expected in (halves if np.iscomplexobj(values) else {field: values}).items():
                assert root[part].dims == dimensions
                np.testing.assert_array_equal(root[part].transpose(*axes).values, expected)
        assert ("mask" in root) == name.startswith("masked")
        if "mask" in root:
            expected_mask = np.isnan(stored.fields["error"])
            np.testing.assert_array_equal(root["mask"].transpose(*axes).values == 1, expected_mask)
    with xr.open_dataset(path, engine=engine, group="history") as history:  # type: ignore[arg-type]
        assert dict(history.sizes) == {"record": 3} and not history.coords
        np.testing.assert_array_equal(history["loss"].values, stored.history["loss"])
    with xr.open_dataset(path, engine=engine, group="network") as network:  # type: ignore[arg-type]
        assert not any("phony" in str(dimension) for dimension in network.sizes)
        assert set(network.data_vars) == set(stored.network)
        np.testing.assert_array_equal(network["layers.1.weight"].values, stored.network["layers.1.weight"])


@pytest.mark.parametrize("engine", ENGINES)
def test_empty_history_and_network_open_too(engine: str, tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    for history in ({}, {"step": np.zeros(0, dtype=np.int64), "loss": np.zeros(0)}):
        write_solution(path, replace(make({"x": 3}), network={}, history=history))
        assert_equal(read_solution(path).history, history)
        for group in (None, "network", "history"):
            with xr.open_dataset(path, engine=engine, group=group) as found:  # type: ignore[arg-type]
                found.load()


@pytest.mark.parametrize("name", ["2d complex", "masked", "1+1", "2+1", "several outputs"])
def test_reference_comes_back_equal_and_opens(name: str, tmp_path: Path) -> None:
    reference, path = make_reference(**CASES[name]), tmp_path / "reference.h5"  # type: ignore[arg-type]
    write_reference(path, reference, {"problem": "p", "git_commit": None, "seconds": 99.0}, "Title")
    found, attributes = read_reference(path)
    assert attributes == {"problem": "p", "title": "Title"}
    for left, right in zip(reference.levels, found.levels, strict=True):
        assert_equal(left.coordinates, right.coordinates)
        assert_equal(left.values, right.values)
    for figure in ("method", "formal_order", "observed_order", "error", "seconds"):
        assert getattr(found, figure) == getattr(reference, figure)
    for engine in ENGINES:
        for group, level in ((None, 2), ("grid_0", 0), ("grid_1", 1)):
            with xr.open_dataset(path, engine=engine, group=group) as grid:  # type: ignore[arg-type]
                assert {a: grid.sizes[a] for a in reference.levels[level].coordinates} == dict(
                    zip(reference.levels[level].coordinates, reference.levels[level].shape, strict=True)
                )
    with h5py.File(path) as file:
        assert file.attrs["grid_sizes"].split()[-1] == "x".join(map(str, reference.finest.shape))


def test_reference_without_a_bar(tmp_path: Path) -> None:
    reference = replace(make_reference({"x": 3}), observed_order=None, error=None)
    write_reference(tmp_path / "r.h5", reference, {}, "")
    with h5py.File(tmp_path / "r.h5") as file:
        assert np.isnan(file.attrs["observed_order"]) and np.isnan(file.attrs["reference_error"])
    found, _ = read_reference(tmp_path / "r.h5")
    assert found.observed_order is None and found.error is None


@pytest.mark.parametrize("name", CASES)
def test_paraview_group_links_the_fields(name: str, tmp_path: Path) -> None:
    stored = make(**CASES[name])  # type: ignore[arg-type]
    write_solution(tmp_path / "s.h5", stored)
    axes = [a for a in "xyzt" if a in stored.coordinates]
    image = axes[:3]
    nodes = [stored.coordinates[a] for a in image]
    with h5py.File(tmp_path / "s.h5") as file:
        group = file["VTKHDF"]
        kind = group.attrs.get_id("Type").get_type()
        assert group.attrs["Type"] == b"ImageData" and not kind.is_variable_str()
        assert list(group.attrs["Version"]) == [2, 0]
        padding = 3 - len(image)
        assert list(group.attrs["WholeExtent"]) == [b for n in nodes for b in (0, len(n) - 1)] + [0, 0] * padding
        np.testing.assert_allclose(group.attrs["Origin"], [n[0] for n in nodes] + [0] * padding)
        np.testing.assert_allclose(group.attrs["Spacing"], [n[1] - n[0] for n in nodes] + [1] * padding)
        assert all(file[field] == dataset for field, dataset in group["PointData"].items())
        parts = 2 if np.iscomplexobj(stored.fields["error"]) else 1
        assert len(group["PointData"]) >= parts * len(stored.fields)
        assert ("Steps" in group) == (len(axes) == 4)
        if "Steps" in group:
            assert group["Steps/Values"] == file["t"] and group["Steps"].attrs["NSteps"] == 2


def test_grid_that_is_not_uniform_gets_no_paraview_group(tmp_path: Path) -> None:
    stored = make({"x": 4})
    write_solution(tmp_path / "s.h5", replace(stored, coordinates={"x": np.array([0.0, 1.0, 3.0, 4.0])}))
    with h5py.File(tmp_path / "s.h5") as file:
        assert "VTKHDF" not in file


def test_own_attributes_can_be_given_and_none_is_left_out(tmp_path: Path) -> None:
    given = {"history": "by hand", "none": None, "flag": np.True_, "number": np.float32(0.5), "n": np.int32(3)}
    write_solution(tmp_path / "s.h5", replace(make({"x": 3}), attributes=given))  # type: ignore[arg-type]
    assert read_solution(tmp_path / "s.h5").attributes == {"flag": 1, "number": 0.5, "n": 3}
    with h5py.File(tmp_path / "s.h5") as file:
        assert file.attrs["history"] == "by hand"
        assert file.attrs["source"].startswith("pinn_siren")
        assert "Sitzmann" in file.attrs["references"]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"attributes": {"sizes": [1, 2]}}, TypeError, "sizes.*JSON"),
        ({"attributes": {"options": {}}}, TypeError, "options.*JSON"),
        ({"history": {"step": np.arange(2), "loss": np.arange(3.0)}}, ValueError, "equal length"),
        ({"fields": {"u": np.zeros(3)}}, ValueError, "shape"),
        ({"fields": {"mask": np.zeros((7, 5))}}, ValueError, "mask"),
        ({"fields": {"a/b": np.zeros((7, 5))}}, ValueError, "a/b"),
        ({"fields": {"u": np.zeros((7, 5), dtype=complex), "u_real": np.zeros((7, 5))}}, ValueError, "u_real"),
        ({"fields": {"u": np.zeros((7, 5), dtype=int)}}, TypeError, "int64"),
        ({"network": {"w": np.array(["a"])}}, TypeError, "'w'"),
    ],
)
def test_wrong_content_leaves_the_old_file(
    changes: dict[str, object], error: type[Exception], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "s.h5"
    path.write_text("old")
    with pytest.raises(error, match=message):
        write_solution(path, replace(make({"x": 7, "y": 5}), **changes))  # type: ignore[arg-type]
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["s.h5"]


def test_writer_that_raises_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_text(path, "old ü\n")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half")
        assert temporary.parent == tmp_path and temporary.suffix == ".json"
        raise KeyboardInterrupt
    assert path.read_text(encoding="utf-8") == "old ü\n" and os.listdir(tmp_path) == ["report.json"]
    write_text(path, "new")
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["report.json"]


def test_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    path, large = tmp_path / "s.h5", make({"x": 101, "y": 101})
    path.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(StorageError, match="too large"):
            write_solution(path, large)
        with pytest.raises(StorageError, match="too large"):
            write_text(path, "x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["s.h5"]


def test_writing_to_no_folder_or_to_a_folder(tmp_path: Path) -> None:
    for write in (lambda p: write_text(p, ""), lambda p: write_solution(p, make({"x": 3}))):
        with pytest.raises(StorageError, match="no folder"):
            write(tmp_path / "missing" / "s.h5")
        with pytest.raises(StorageError, match="it is a folder"):
            write(tmp_path)
    with pytest.raises(StorageError, match="Cannot write"), replacing(tmp_path / "nothing.txt"):
        pass  # a writer that forgets to write
    assert os.listdir(tmp_path) == []


def _flip_a_byte(content: bytes, needle: bytes) -> bytes:
    k = content.index(needle)
    return content[:k] + bytes([content[k] ^ 0xFF]) + content[k + 1 :]


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "no HDF5 file"),
    "text": (lambda _: b"hello", "no HDF5 file"),
    "head only": (lambda content: content[:200], "cut short"),
    "one byte short": (lambda content: content[:-1], "cut short"),
    "a byte of a field": (lambda c: _flip_a_byte(c, make({"x": 9}).fields["u"].tobytes()), "damaged"),
    "a byte of a weight": (lambda c: _flip_a_byte(c, make({"x": 9}).network["layers.1.bias"].tobytes()), "damaged"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_file_is_one_clear_error(name: str, tmp_path: Path) -> None:
    path = tmp_path / "solution.h5"
    write_solution(path, make({"x": 9}))
    damage, message = DAMAGE[name]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StorageError, match=message) as caught:
        read_solution(path)
    assert str(path) in str(caught.value) and "pinn-siren solve" in str(caught.value)


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is none"):
        read_solution(tmp_path / "missing" / "solution.h5")
    with pytest.raises(StorageError, match="there is none"):
        read_reference(tmp_path)
    foreign = tmp_path / "foreign.h5"
    with h5py.File(foreign, "w") as file:
        file["u"] = 1.0
    with pytest.raises(StorageError, match="no such mark"):
        read_solution(foreign)
    write_solution(foreign, make({"x": 3}))
    with pytest.raises(StorageError, match=r"'pinn_siren reference 1'.*'pinn_siren solution 1'"):
        read_reference(foreign)
    with h5py.File(foreign, "r+") as file:
        del file["network"]
    with pytest.raises(StorageError, match="network"):
        read_solution(foreign)
