"""Solutions and references in files: HDF5 that h5py, xarray (both netCDF engines) and ParaView open, written whole."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from io import FileIO
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from . import _netcdf as netcdf
from .errors import StorageError
from .reference.grid import GridSolution, Reference

Attributes = dict[str, str | int | float]
Kind = Literal["solution", "reference"]

_VERSION = 1
# Written by this module into every file, so that they do not come back as the caller's attributes.
_OWN = ("Conventions", "title", "source", "history", "references", "file_format", "axes")
_OWN_OF_REFERENCE = ("method", "formal_order", "observed_order", "reference_error", "seconds", "grid_sizes")
_EXTRAPOLATED = "extrapolated"
_TEMPORARY = re.compile(r"\.[^.]+\.[0-9a-f]{8}\.(h5|json|png|pt)")
_UNREADABLE = (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError)


@dataclass(frozen=True, eq=False)
class StoredSolution:
    """What ``solution.h5`` holds.

    ``coordinates``: axis name to its nodes, in the problem's order of axes.
    ``fields``: name (``u``, ``u_reference``, ``u_exact``, ``error``) to a real or complex array in that same order,
    NaN at masked nodes.
    ``network``: the state dict's arrays; ``network_configuration``: JSON text that rebuilds the network.
    ``history``: columns of equal length: ``step``, ``seconds``, ``loss``, and one a term of the loss.
    ``weights``: the nodes' quadrature weights, where the domain is no box.
    ``attributes``: plain values of the caller's; ``title``, and ``units`` ("1" is nondimensional) and ``long_names`` by
    the name of a coordinate or field: those left out are filled in on writing. ``positive``: ``"down"`` by the name of
    a coordinate that grows downward.
    """

    coordinates: dict[str, NDArray[Any]]
    fields: dict[str, NDArray[Any]]
    network: dict[str, NDArray[Any]]
    network_configuration: str
    history: dict[str, NDArray[Any]]
    attributes: Attributes
    title: str
    units: dict[str, str] = field(default_factory=dict)
    long_names: dict[str, str] = field(default_factory=dict)
    positive: dict[str, str] = field(default_factory=dict)
    weights: NDArray[Any] | None = None


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path in the same folder, which replaces ``path`` when the block ends well.

    The file is flushed to the disk before it is renamed, so a killed run leaves the old file or the new one. Where the
    block raises, the temporary is removed and the old file stays. OSErrors, such as a missing folder, a full disk or a
    missing permission, become :class:`StorageError`.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise StorageError(f"Cannot write {path}: there is no folder {path.parent}. Create it first.")
    if path.is_dir():
        raise StorageError(f"Cannot write {path}: it is a folder. Name a file, or move the folder away.")
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        _synchronize(temporary)
        os.replace(temporary, path)
        _synchronize(path.parent)
    except OSError as error:
        raise StorageError(f"Cannot write {path}: {_reason(error)}. Check the free space and permissions.") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def make_folder(folder: str | Path) -> Path:
    """Make a folder and those above it; raises :class:`StorageError` where that fails."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"Cannot make the folder {folder}: {_reason(error)}. Name another with --out.") from None
    return folder


@contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """Hold a folder, made if need be, against a second run; raises :class:`StorageError` where one holds it.

    The lock is the operating system's and ends with the process, however that ends. Half-written temporaries that a
    killed run left are removed.
    """
    folder = Path(folder)
    made = [f for f in (folder, *folder.parents) if not f.exists()]
    path = make_folder(folder) / ".lock"
    try:
        with open(path, "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The one before may have removed the file between opening and locking: then the lock is on nothing.
                if os.fstat(file.fileno()).st_ino != path.stat().st_ino:
                    raise BlockingIOError
            except OSError:
                raise StorageError(
                    f"Another run writes into {folder}: wait for it, or name another folder with --out."
                ) from None
            for left in [f for f in path.parent.iterdir() if _TEMPORARY.fullmatch(f.name)]:
                left.unlink(missing_ok=True)
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
    finally:
        # A run that ends before it wrote anything leaves nothing behind.
        with suppress(OSError):
            for each in made:
                each.rmdir()


def write_text(path: str | Path, text: str) -> None:
    """Writes text as UTF-8, whole or not at all; raises :class:`StorageError` where that fails."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_solution(path: str | Path, stored: StoredSolution) -> None:
    """Writes ``solution.h5``, whole or not at all.

    Attributes that are None are left out; ``source``, ``history`` and ``references`` are written unless given.
    Raises TypeError for other attributes than str, int and float, ValueError for shapes that do not fit and names that
    are taken, and :class:`StorageError` where the file cannot be written.
    """
    lengths = {name: np.shape(column) for name, column in stored.history.items()}
    if len(set(lengths.values())) > 1 or any(len(shape) != 1 for shape in lengths.values()):
        raise ValueError(f"The columns of the history must be one-dimensional and of equal length, not {lengths}.")
    _refuse_reserved(stored.coordinates, stored.fields)
    with _creating(path) as file:
        _write_root(file, "solution", tuple(stored.coordinates), stored.attributes, stored.title)
        netcdf.write_grid(
            file, stored.coordinates, stored.fields, stored.units, stored.long_names, stored.weights, stored.positive
        )
        network = file.create_group("network", track_order=True)
        netcdf.write_attributes(network, {"configuration": stored.network_configuration})
        netcdf.write_arrays(network, stored.network)
        netcdf.write_arrays(file.create_group("history", track_order=True), stored.history, dimension="record")
        netcdf.link_image(file, tuple(stored.coordinates), netcdf.field_names(file))


def read_solution(path: str | Path) -> StoredSolution:
    """Reads what :func:`write_solution` wrote; raises :class:`StorageError` for any other or damaged file."""
    with _opening(path, "solution") as file:
        coordinates, fields, weights = netcdf.read_grid(file, _axes(file))
        return StoredSolution(
            coordinates=coordinates,
            fields=fields,
            network=netcdf.read_arrays(file["network"]),
            network_configuration=str(file["network"].attrs["configuration"]),
            history=netcdf.read_arrays(file["history"]),
            attributes=_callers(file, _OWN),
            title=str(file.attrs["title"]),
            units=netcdf.read_labels(file, "units"),
            long_names=netcdf.read_labels(file, "long_name"),
            positive=netcdf.read_labels(file, "positive"),
            weights=weights,
        )


def write_reference(
    path: str | Path, reference: Reference, attributes: Mapping[str, str | int | float | None], title: str
) -> None:
    """Writes ``reference.h5``, whole or not at all: the finest grid at the root, coarser ones in groups, and what they
    extrapolate to in the group ``extrapolated``, with its bar as the attribute ``reference_error``.

    The reference's own figures become attributes too (``observed_order`` and ``reference_error`` are NaN where None),
    and win over ``attributes`` of the same name. Raises like :func:`write_solution`.
    """
    axes = tuple(reference.finest.coordinates)
    figures = {
        "method": reference.method,
        "formal_order": float(reference.formal_order),
        "observed_order": _number(reference.observed_order),
        "reference_error": _number(reference.error),
        "seconds": float(reference.seconds),
        "grid_sizes": " ".join("x".join(map(str, level.shape)) for level in reference.levels),
    }
    for level in reference.levels:
        _refuse_reserved(level.coordinates, level.values)
    with _creating(path) as file:
        _write_root(file, "reference", axes, {**attributes, **figures}, title)
        finest = reference.finest
        netcdf.write_grid(file, finest.coordinates, finest.values, {}, {}, finest.weights)
        for k, level in enumerate(reference.levels[:-1]):
            group = file.create_group(f"grid_{k}", track_order=True)
            netcdf.write_grid(group, level.coordinates, level.values, {}, {}, level.weights)
        if (own := reference.extrapolated) is not None:
            group = file.create_group(_EXTRAPOLATED, track_order=True)
            netcdf.write_grid(group, own.coordinates, own.values, {}, {}, own.weights)
            netcdf.write_attributes(group, {"reference_error": _number(reference.extrapolated_error)})
        netcdf.link_image(file, axes, netcdf.field_names(file))


def read_reference(path: str | Path) -> tuple[Reference, Attributes]:
    """Reads what :func:`write_reference` wrote: the reference, and the caller's attributes with the ``title``.

    Raises :class:`StorageError` for any other or damaged file.
    """
    with _opening(path, "reference") as file:
        axes = _axes(file)
        groups = [file["grid_0"], file["grid_1"]] if "grid_0" in file else []
        own = file.get(_EXTRAPOLATED)
        reference = Reference(
            method=str(file.attrs["method"]),
            levels=tuple(GridSolution(*netcdf.read_grid(g, axes)) for g in (*groups, file)),
            formal_order=float(file.attrs["formal_order"]),
            observed_order=_number_or_none(file.attrs["observed_order"]),
            error=_number_or_none(file.attrs["reference_error"]),
            seconds=float(file.attrs["seconds"]),
            extrapolated=None if own is None else GridSolution(*netcdf.read_grid(own, axes)),
            extrapolated_error=None if own is None else _number_or_none(own.attrs["reference_error"]),
        )
        title: Attributes = {"title": str(file.attrs["title"])}
        return reference, title | _callers(file, _OWN + _OWN_OF_REFERENCE)


def _write_root(file: h5py.File, kind: Kind, axes: tuple[str, ...], attributes: Mapping[str, Any], title: str) -> None:
    try:
        source = f"pinn_siren {metadata.version('pinn-siren')}"
    except metadata.PackageNotFoundError:
        source = "pinn_siren"
    defaults = {
        "source": source,
        "history": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}: written by {source}",
        "references": "Sitzmann et al. (2020), Implicit Neural Representations with Periodic Activation Functions, "
        "arXiv:2006.09661",
    }
    fixed = {
        "Conventions": "CF-1.11",
        "title": title,
        "file_format": f"pinn_siren {kind} {_VERSION}",
        "axes": " ".join(axes),
    }
    netcdf.write_attributes(file, fixed)
    given = {name: value for name, value in attributes.items() if name not in fixed}
    netcdf.write_attributes(file, {**defaults, **given})


def _refuse_reserved(coordinates: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    for name in (*coordinates, *fields):
        if name in (*netcdf.RESERVED, _EXTRAPOLATED) or name.startswith("grid_"):
            raise ValueError(f"The name {name!r} is used by the file itself. Give the field or axis another one.")


@contextmanager
def _creating(path: str | Path) -> Iterator[h5py.File]:
    with replacing(path) as temporary, _Sink(temporary, "w+") as sink:
        with h5py.File(sink, "w", track_order=True) as file:
            yield file
        if sink.error is not None:
            raise sink.error


class _Sink(FileIO):
    """A file for the HDF5 library, which crashes where writing fails: the first error is kept here, to raise later."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        """All of it, or nothing once there was an error."""
        left = memoryview(data).cast("B")
        try:
            while left and self.error is None:
                left = left[super().write(left) :]
        except OSError as error:
            self.error = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """The file's size, as far as the disk goes."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0

    def readinto(self, data: Any) -> int:
        """What was written, and zeros where that failed."""
        count = super().readinto(data) or 0
        data[count:] = bytes(len(data) - count)
        return len(data)


@contextmanager
def _opening(path: str | Path, kind: Kind) -> Iterator[h5py.File]:
    expected = f"pinn_siren {kind} {_VERSION}"
    remedy = f"Write it again with `pinn-siren {'solve' if kind == 'solution' else 'reference'}`."
    if not Path(path).is_file():
        raise StorageError(f"Expected a {kind} file at {path}, but there is none. {remedy}")
    try:
        with h5py.File(path, "r") as file:
            found = file.attrs.get("file_format")
            if found != expected:
                came = "its root has no such mark" if found is None else f"it says {found!r}"
                raise StorageError(f"Expected {path} to be a file of format {expected!r}, but {came}. {remedy}")
            yield file
    except _UNREADABLE as error:
        raise StorageError(
            f"Expected {path} to be a whole {kind} file, but it cannot be read ({_reason(error)}). It may be damaged, "
            f"cut short, or no HDF5 file at all. {remedy}"
        ) from error


def _reason(error: Exception) -> str:
    message = error.strerror if isinstance(error, OSError) else None
    return (message or str(error)).partition("\n")[0]


def _axes(file: h5py.File) -> tuple[str, ...]:
    return tuple(str(file.attrs["axes"]).split())


def _callers(file: h5py.File, own: tuple[str, ...]) -> Attributes:
    return {name: value for name, value in netcdf.read_attributes(file).items() if name not in own}


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _number_or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _synchronize(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
