"""Any fields, attributes and history come back bit for bit and open elsewhere; any changed value or byte is found."""

import json
import shutil

import h5py
import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pinn_siren import Box, Dirichlet, Helmholtz, solve
from pinn_siren.errors import StorageError
from pinn_siren.storage import StoredSolution, read_solution, write_solution
from pinn_siren.verify import verify

few = settings(max_examples=30, derandomize=True, deadline=None, database=None)
EXTREMES = [0.0, -0.0, 1e-300, -1e300, 5e-324, 1.7976931348623157e308, np.inf, -np.inf, np.nan, 1 + 2**-52]
TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
NAMES = ["u", "v", "E_x", "ψ", "pressure", "error", "u_reference"]
COLUMNS = ["step", "loss", "Dirichlet on the left", "Größe"]


def numbers(dtype, shape):
    width = np.dtype(dtype).itemsize * 8
    if np.issubdtype(dtype, np.complexfloating):
        parts = numbers(np.float32 if width == 64 else np.float64, (*shape, 2))
        return parts.map(lambda a: np.ascontiguousarray(a).view(dtype)[..., 0])
    some = st.floats(width=width) | st.sampled_from([float(dtype(e)) for e in EXTREMES if abs(e) < 1e38 or e != e])
    extreme = st.sampled_from(EXTREMES) if width == 64 else some
    return arrays.arrays(dtype, shape, elements=some | extreme)


@st.composite
def stored_solutions(draw):
    axes = draw(st.lists(st.sampled_from("xyztq"), min_size=1, max_size=3, unique=True))
    shape = tuple(draw(st.integers(1, 4)) for _ in axes)
    dtype = draw(st.sampled_from([np.float64, np.float32, np.complex128, np.complex64]))
    coordinates = {}
    for axis, n in zip(axes, shape, strict=True):
        reach = st.floats(-1e150, 1e150) | st.sampled_from([1e-300, -1e-300, 0.0, 1.0])
        nodes = draw(st.lists(reach, min_size=n, max_size=n, unique=True).map(sorted))
        coordinates[axis] = np.array(nodes)
    fields = {
        name: draw(numbers(dtype, shape)) for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    }
    if draw(st.booleans()):
        outside = draw(arrays.arrays(bool, shape))
        fields = {name: np.where(outside, dtype(np.nan), values) for name, values in fields.items()}
    rows = draw(st.integers(0, 4))
    columns = draw(st.lists(st.sampled_from(COLUMNS), unique=True))
    plain = TEXT | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.booleans().map(int)
    weights = arrays.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=3).flatmap(
        lambda s: numbers(np.float64, s)
    )
    return StoredSolution(
        coordinates=coordinates,
        fields=fields,
        network={f"layers.{k}": w for k, w in enumerate(draw(st.lists(weights, max_size=3)))},
        network_configuration=json.dumps({"name": draw(TEXT)}),
        history={name: draw(numbers(np.float64, (rows,))) for name in columns},
        attributes=draw(st.dictionaries(TEXT.map(lambda text: f"a {text}"), plain, max_size=4)),
        title=draw(TEXT),
        units={axes[0]: draw(st.sampled_from(["m", "µm", "1"]))},
    )


def same_bits(left, right):
    assert list(left) == list(right)
    for name in left:
        one, other = np.asarray(left[name]), np.asarray(right[name])
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes(), name


@few
@given(stored=stored_solutions())
def test_anything_comes_back_bit_for_bit_and_opens_elsewhere(tmp_path_factory, stored):
    path = tmp_path_factory.mktemp("any") / "solution.h5"
    write_solution(path, stored)
    found = read_solution(path)
    for part in ("coordinates", "fields", "network", "history"):
        same_bits(getattr(stored, part), getattr(found, part))
    same_bits(
        {name: value for name, value in stored.attributes.items() if not isinstance(value, str)},
        {name: value for name, value in found.attributes.items() if not isinstance(value, str)},
    )
    assert {n: v for n, v in found.attributes.items() if isinstance(v, str)} == {
        n: v for n, v in stored.attributes.items() if isinstance(v, str)
    }
    assert (found.title, found.network_configuration) == (stored.title, stored.network_configuration)

    axes = tuple(stored.coordinates)
    parts = {}
    for name, values in stored.fields.items():
        halves = {f"{name}_real": values.real, f"{name}_imag": values.imag}
        parts |= halves if np.iscomplexobj(values) else {name: values}
    with h5py.File(path) as file:
        for name, values in parts.items():
            on_disk = [scale[0].name.removeprefix("/") for scale in file[name].dims]
            assert file[name][()].tobytes() == values.transpose([axes.index(a) for a in on_disk]).tobytes()
    for engine in ("netcdf4", "h5netcdf"):
        with xr.open_dataset(path, engine=engine) as root:
            for axis, nodes in stored.coordinates.items():
                np.testing.assert_array_equal(root[axis].values, nodes)
            for name, values in parts.items():
                np.testing.assert_array_equal(root[name].transpose(*axes).values, values)
            outside = np.any([np.isnan(values) for values in parts.values()], axis=0)
            assert ("mask" in root) == outside.any()
            if outside.any():
                np.testing.assert_array_equal(root["mask"].transpose(*axes).values == 1, outside)
        for group, content in (("network", stored.network), ("history", stored.history)):
            with xr.open_dataset(path, engine=engine, group=group) as opened:
                for name, values in content.items():
                    np.testing.assert_array_equal(opened[name].values, values)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A complex solution with its reference, as kept after a few steps."""
    torch.set_num_threads(1)
    problem = Helmholtz(
        domain=Box(x=(0, 1), y=(0, 0.5)),
        wavenumber=6.0,
        source=lambda p: torch.sin(3 * p.x) + p.y,
        conditions=[Dirichlet(0)],
    )
    folder = tmp_path_factory.mktemp("kept")
    solve(problem, steps=1, points=32, device="cpu", progress=False).save(folder)
    assert verify(folder)[1] == []
    return folder


def found(folder):
    """What verify says, a file that it cannot read included."""
    try:
        return verify(folder)[1]
    except StorageError as error:
        return [str(error)]


def datasets(path):
    """Names of the numbers in a file, each once: ParaView's group links those of the root."""
    with h5py.File(path) as file:
        names = []

        def visit(name, item):
            bare = "netCDF dimension but not" in str(item.attrs.get("NAME", ""))
            if isinstance(item, h5py.Dataset) and not name.startswith("VTKHDF") and not bare:
                names.append(name)

        file.visititems(visit)
        return names


@few
@given(data=st.data())
def test_a_changed_value_anywhere_is_found(tmp_path_factory, kept, data):
    folder = tmp_path_factory.mktemp("changed") / "kept"
    shutil.copytree(kept, folder)
    which = data.draw(st.sampled_from(["solution.h5", "reference.h5"]))
    name = data.draw(st.sampled_from(datasets(folder / which)))
    with h5py.File(folder / which, "r+") as file:
        values = file[name][()]
        place = tuple(data.draw(st.integers(0, n - 1)) for n in values.shape)
        before = values[place] if values.shape else values
        # The next number there is, another one, or none.
        after = data.draw(st.sampled_from([np.nextafter(before, np.inf), -before - 1, np.nan]))
        file[name][place] = after
    assert found(folder), f"{which}: {name}{place} from {before} to {after}"


@few
@given(data=st.data())
def test_a_changed_byte_of_a_field_is_found(tmp_path_factory, kept, data):
    folder = tmp_path_factory.mktemp("changed") / "kept"
    shutil.copytree(kept, folder)
    which = data.draw(st.sampled_from(["solution.h5", "reference.h5"]))
    name = data.draw(st.sampled_from(datasets(folder / which)))
    with h5py.File(folder / which) as file:
        if file[name].chunks is None:
            start, size = file[name].id.get_offset(), file[name].nbytes
        else:
            chunk = file[name].id.get_chunk_info(data.draw(st.integers(0, file[name].id.get_num_chunks() - 1)))
            start, size = chunk.byte_offset, chunk.size
    at, bit = start + data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, 7))
    content = bytearray((folder / which).read_bytes())
    content[at] ^= 1 << bit
    (folder / which).write_bytes(content)
    assert found(folder), f"{which}: bit {bit} of byte {at - start} of {name}"
