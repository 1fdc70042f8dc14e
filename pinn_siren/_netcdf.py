"""Grids and arrays in HDF5 groups, shaped so that netCDF-4 readers and ParaView understand them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from .spill import CHUNKS, Rows, blocks, chunk_rows, held_bytes, in_file

Arrays = dict[str, NDArray[Any]]

# The netCDF-4 library's mark of a dimension that has no coordinate of its own.
_BARE_DIMENSION = "This is a netCDF dimension but not a netCDF variable."
_AXIS = {"x": "X", "y": "Y", "z": "Z", "t": "T"}
_PARTS = ("real", "imag")
RESERVED = ("mask", "weights", "network", "history", "VTKHDF")
_BESIDE = ("mask", "weights")


def disk_order(axes: Sequence[str]) -> tuple[str, ...]:
    """The order of dimensions on disk: time first, then the space axes reversed, ``(t, z, y, x)``."""
    return tuple(a for a in axes if a == "t") + tuple(a for a in reversed(axes) if a != "t")


def plain(name: str, value: object) -> str | int | float:
    """The value as a plain str, int or float; TypeError for anything else, which some readers cannot open."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (str, int, float)):
        return value
    raise TypeError(
        f"Attribute {name!r} must be a str, int or float, but is a {type(value).__name__}. "
        "Write a list or a dict as one JSON string."
    )


def write_attributes(group: h5py.Group, attributes: Mapping[str, object]) -> None:
    """Writes plain attributes; those that are None are left out."""
    for name, value in attributes.items():
        if value is not None:
            group.attrs[name] = plain(name, value)


def read_attributes(group: h5py.Group) -> dict[str, str | int | float]:
    """All attributes of a group, as plain values."""
    return {name: plain(name, value) for name, value in group.attrs.items()}


def write_grid(
    group: h5py.Group,
    coordinates: Mapping[str, NDArray[Any]],
    fields: Mapping[str, NDArray[Any]],
    units: Mapping[str, str],
    long_names: Mapping[str, str],
    weights: NDArray[Any] | None = None,
    positive: Mapping[str, str] | None = None,
) -> None:
    """Writes dimension scales, the fields on them in disk order, a mask where a field is NaN, and weights if given."""
    axes = tuple(coordinates)
    order = disk_order(axes)
    shape = tuple(len(coordinates[a]) for a in axes)
    for axis, nodes in coordinates.items():
        default = "time" if axis == "t" else f"{axis} coordinate"
        (scale,) = _write_array(group, axis, _floating(axis, nodes), ())
        scale.make_scale(axis)
        ways = {"axis": _AXIS.get(axis), "positive": (positive or {}).get(axis)}
        write_attributes(scale, _labels(axis, default, units, long_names) | ways)
    masked = np.zeros(shape, dtype=bool)
    for name, values in fields.items():
        if np.shape(values) != shape:
            raise ValueError(f"Field {name!r} must have shape {shape}, one dimension an axis, not {np.shape(values)}.")
        masked |= np.isnan(_floating(name, values))
    scales = [group[a] for a in order]
    transposition = [axes.index(a) for a in order]
    for name, values in fields.items():
        for dataset in _write_array(group, name, _floating(name, values).transpose(transposition), scales):
            write_attributes(dataset, _labels(name, name, units, long_names))
            if masked.any():
                dataset.attrs["_FillValue"] = dataset.dtype.type(np.nan)
    if masked.any():
        (mask,) = _write_array(group, "mask", masked.astype(np.int8).transpose(transposition), scales)
        write_attributes(mask, {"long_name": "1 at nodes that are left out (NaN in a field), else 0", "units": "1"})
    if weights is not None:
        (dataset,) = _write_array(group, "weights", _floating("weights", weights).transpose(transposition), scales)
        write_attributes(dataset, {"long_name": "part of each node's cell in the domain, for norms", "units": "1"})


def read_grid(group: h5py.Group, axes: Sequence[str]) -> tuple[Arrays, Arrays, NDArray[Any] | None]:
    """The coordinates, the fields and the weights of :func:`write_grid`, in the problem's order of axes."""
    order = disk_order(axes)
    transposition = [order.index(a) for a in axes]
    coordinates = {axis: group[axis][()] for axis in axes}
    shape = tuple(len(nodes) for nodes in coordinates.values())
    fields = {}
    for name, values in read_arrays(group).items():
        if name not in axes and name != "mask":
            fields[name] = np.ascontiguousarray(values.transpose(transposition))
            if fields[name].shape != shape:
                raise ValueError(f"field {name!r} has shape {fields[name].shape}, its axes {shape}")
    return coordinates, fields, fields.pop("weights", None)


def read_labels(group: h5py.Group, attribute: str) -> dict[str, str]:
    """``units``, ``long_name`` or ``positive`` by the names of coordinates and fields, a complex one under its own."""
    labels = {}
    for name, dataset in _variables(group).items():
        if name not in _BESIDE and attribute in dataset.attrs:
            labels[str(dataset.attrs.get("complex_field", name))] = str(dataset.attrs[attribute])
    return labels


def write_arrays(group: h5py.Group, arrays: Mapping[str, NDArray[Any]], dimension: str | None = None) -> None:
    """Writes arrays of any shape.

    Each dimension is attached to a named one without coordinate, since readers would invent names otherwise. The names
    tell sizes and positions, because xarray allows no dimension twice in an array; ``dimension`` names the first one.
    """
    for name, values in arrays.items():
        array = np.asarray(values)
        names = [f"{'rows' if k == 0 else 'columns' if k == 1 else f'axis{k}'}_{n}" for k, n in enumerate(array.shape)]
        if dimension is not None:
            names[0] = dimension
        scales = [_bare_dimension(group, n, size) for n, size in zip(names, array.shape, strict=True)]
        _write_array(group, name, array, scales)


def read_arrays(group: h5py.Group) -> Arrays:
    """The arrays of a group in their order of writing, real and imaginary parts put together."""
    arrays: Arrays = {}
    for name, dataset in _variables(group).items():
        if "complex_field" not in dataset.attrs:
            arrays[name] = _read(dataset)
            continue
        whole = str(dataset.attrs["complex_field"])
        real, imag = (np.asarray(group[f"{whole}_{part}"][()]) for part in _PARTS)
        # Not real + 1j * imag, which would spread a NaN and lose the sign of a zero.
        arrays[whole] = np.empty(real.shape, dtype=np.result_type(real.dtype, np.complex64))
        arrays[whole].real, arrays[whole].imag = real, imag
    return arrays


def _read(dataset: h5py.Dataset) -> NDArray[Any]:
    """A dataset's values, in a file where memory may not hold them."""
    if dataset.nbytes <= held_bytes() or not dataset.ndim:
        values: NDArray[Any] = dataset[()]
        return values
    rows, step = (
        Rows(dataset.shape[1:], dataset.dtype, most=0),
        CHUNKS * chunk_rows(dataset.shape, dataset.dtype.itemsize),
    )
    for start in range(0, len(dataset), step):
        rows.append(dataset[start : start + step])
    return rows.array()


def link_image(file: h5py.File, axes: Sequence[str], names: Iterable[str]) -> None:
    """Hard-links the named datasets of the root into a ``/VTKHDF`` ImageData group, so that ParaView opens the file.

    The image's axes are those of the disk, reversed, so time is the last of them; with three space axes time becomes
    VTK's own. VTK's image has one spacing an axis: grids that are not uniform, or have more axes, get no group.
    """
    order = disk_order(axes)
    steps = "t" if len(order) == 4 and order[0] == "t" else None
    image = [a for a in reversed(order) if a != steps]
    nodes = {a: np.asarray(file[a][()], dtype=float) for a in image}
    if len(image) > 3 or not all(_is_uniform(n) for n in nodes.values()):
        return
    padding = 3 - len(image)
    group = file.create_group("VTKHDF", track_order=True)
    group.attrs["Version"] = np.array([2, 0], dtype=np.int64)
    group.attrs.create("Type", b"ImageData", dtype=h5py.string_dtype("ascii", len("ImageData")))
    group.attrs["WholeExtent"] = np.array([b for a in image for b in (0, len(nodes[a]) - 1)] + [0, 0] * padding)
    group.attrs["Origin"] = np.array([nodes[a][0] for a in image] + [0.0] * padding)
    group.attrs["Spacing"] = np.array([_spacing(nodes[a]) for a in image] + [1.0] * padding)
    group.attrs["Direction"] = np.eye(3).ravel()
    data = group.create_group("PointData", track_order=True)
    for name in names:
        data[name] = file[name]
    if steps is not None:
        times = group.create_group("Steps")
        times.attrs["NSteps"] = len(file[steps])
        times["Values"] = file[steps]


def field_names(group: h5py.Group) -> list[str]:
    """Names of the datasets that lie on the grid: the fields and the mask."""
    return [name for name, dataset in _variables(group).items() if not dataset.is_scale]


def _variables(group: h5py.Group) -> dict[str, h5py.Dataset]:
    found = {name: item for name, item in group.items() if isinstance(item, h5py.Dataset)}
    return {name: item for name, item in found.items() if not _is_bare(item)}


def _is_bare(dataset: h5py.Dataset) -> bool:
    name = dataset.attrs.get("NAME", b"")
    return (name.decode() if isinstance(name, bytes) else str(name)).startswith(_BARE_DIMENSION)


def _bare_dimension(group: h5py.Group, name: str, size: int) -> h5py.Dataset:
    if name not in group:
        scale = group.create_dataset(name, shape=(size,), dtype=">f4")
        scale.make_scale(f"{_BARE_DIMENSION}{size:10d}")
    return group[name]


def _write_array(
    group: h5py.Group, name: str, array: NDArray[Any], scales: Sequence[h5py.Dataset]
) -> list[h5py.Dataset]:
    if not name or "/" in name or name in group:
        raise ValueError(f"An array needs a name of its own without '/', but {name!r} is taken or not allowed.")
    if np.iscomplexobj(array):
        datasets = []
        for part in _PARTS:
            (dataset,) = _write_array(group, f"{name}_{part}", getattr(array, part), scales)
            dataset.attrs["complex_field"] = name
            datasets.append(dataset)
        return datasets
    if array.dtype.kind not in "fi":
        raise TypeError(f"{name!r} must hold real or complex numbers or integers, but its type is {array.dtype}.")
    # The checksum turns a damaged byte into an error on reading.
    filters: dict[str, Any] = {"chunks": True, "fletcher32": True} if array.size and array.ndim else {}
    if in_file(array):
        filters["chunks"] = (min(len(array), chunk_rows(array.shape, array.dtype.itemsize)), *array.shape[1:])
        dataset = group.create_dataset(name, array.shape, array.dtype, **filters)
        for start, block in blocks(array):
            dataset[start : start + len(block)] = block
    else:
        dataset = group.create_dataset(name, data=array, **filters)
    for k, scale in enumerate(scales):
        dataset.dims[k].attach_scale(scale)
    return [dataset]


def _floating(name: str, values: NDArray[Any]) -> NDArray[Any]:
    array = np.asarray(values)
    if array.dtype.kind not in "fc":
        raise TypeError(f"{name!r} must hold real or complex floating-point numbers, but its type is {array.dtype}.")
    return array


def _labels(name: str, default: str, units: Mapping[str, str], long_names: Mapping[str, str]) -> dict[str, str | None]:
    return {"units": units.get(name, "1"), "long_name": long_names.get(name, default)}


def _spacing(nodes: NDArray[np.float64]) -> float:
    return float((nodes[-1] - nodes[0]) / (len(nodes) - 1)) if len(nodes) > 1 else 1.0


def _is_uniform(nodes: NDArray[np.float64]) -> bool:
    return bool(np.allclose(np.diff(nodes), _spacing(nodes), rtol=1e-6, atol=0))
