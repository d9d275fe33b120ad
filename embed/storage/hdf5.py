"""The only module that knows HDF5: it lays out a file of plain columns.

Every column is contiguous, so that it lies in one piece whose place is known,
and HDF5 is done with a file before the first row is written: a full disk or a
kill finds no library in the middle of something. Rows are then written and
read at these places. Nothing here ever parses a file, since a damaged one can
crash libhdf5 or make it spin for minutes.

A column that lies in other files is a virtual dataset: whoever opens the file
with HDF5 finds it as any other.
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import pydantic

# Columns as long as one start on one: they can be mapped into memory.
PAGE_BYTES = 4096
ROOT = "/"  # The group of a file's datasets that are in no other.


class Column(pydantic.BaseModel, frozen=True, extra="forbid"):
    """Where a column lies in a file.

    Args:
        dtype: NumPy's name for the values, e.g. `"<f4"`; `"|S12"` is UTF-8
            of fixed length.
        shape: `(num_rows, ...)`.
        offset: First byte, from the start of the file.
    """

    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def row_bytes(self) -> int:
        """Length of a row in bytes."""
        return count_row_bytes(self.dtype, self.shape)

    @property
    def num_bytes(self) -> int:
        """Length of all of it in bytes."""
        return self.row_bytes * self.shape[0]


@dataclasses.dataclass(frozen=True)
class VirtualColumn:
    """A column whose rows lie in other files.

    Args:
        dtype: NumPy's name for the values.
        shape: `(num_rows, ...)`.
        sources: File, as it is found from the folder of this one, and number
            of rows, in order. Each holds them as a dataset of the same name.
    """

    dtype: str
    shape: tuple[int, ...]
    sources: tuple[tuple[str, int], ...]


def create_file(
    path: Path,
    columns: Mapping[str, Mapping[str, tuple[str, tuple[int, ...]]]],
    *,
    virtual: Mapping[str, Mapping[str, VirtualColumn]] | None = None,
    attributes: Mapping[str, bytes],
    reserved_bytes: int,
) -> dict[str, dict[str, Column]]:
    """Creates a file whose columns are there but not yet written.

    Args:
        path: What is there is replaced.
        columns: By group and name the dtype and shape of each column.
        virtual: By group and name the columns that lie elsewhere.
        attributes: Of the file, bytes by name.
        reserved_bytes: Left free at the start of the file (HDF5's "user
            block"): none, or a power of two, `PAGE_BYTES` at least.

    Returns:
        By group and name where each column lies.
    """
    with h5py.File(
        path,
        "w",
        libver="latest",  # Its metadata carries checksums.
        locking=False,  # Some network file systems have no locks.
        userblock_size=reserved_bytes,
        alignment_threshold=PAGE_BYTES,
        alignment_interval=PAGE_BYTES,
    ) as file:
        for name, value in attributes.items():
            file.attrs[name] = np.bytes_(value)
        # The smallest first: a file that is cut short loses rows at its end
        # alone, and not what all others are known by.
        names = [(group, name) for group in columns for name in columns[group]]
        names.sort(key=lambda name: count_row_bytes(*columns[name[0]][name[1]]))
        created: dict[str, dict[str, Column]] = {group: {} for group in columns}
        for group, name in names:
            created[group][name] = _create_column(
                file.require_group(group), name, *columns[group][name]
            )
        for group, of_group in (virtual or {}).items():
            for name, column in of_group.items():
                _create_virtual(file.require_group(group), name, column)
        return created


def count_row_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    """Returns the length of a row of a column `(num_rows, ...)`."""
    return np.dtype(dtype).itemsize * math.prod(shape[1:])


def _create_column(
    group: h5py.Group, name: str, dtype: str, shape: tuple[int, ...]
) -> Column:
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_layout(h5py.h5d.CONTIGUOUS)
    layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    dataset = h5py.h5d.create(
        group.id,
        name.encode(),
        h5py.h5t.py_create(_stored_type(np.dtype(dtype)), logical=True),
        h5py.h5s.create_simple(shape),
        dcpl=layout,
    )
    return Column(dtype=dtype, shape=shape, offset=dataset.get_offset())


def _create_virtual(
    group: h5py.Group, name: str, column: VirtualColumn
) -> None:
    layout = h5py.VirtualLayout(column.shape, column.dtype)
    start = 0
    for file_name, num_rows in column.sources:
        layout[start : start + num_rows] = h5py.VirtualSource(
            file_name.replace("%", "%%"),  # HDF5 puts numbers in place of %b.
            name,
            shape=(num_rows, *column.shape[1:]),
            dtype=column.dtype,
        )
        start += num_rows
    # Of a file that is missing HDF5 answers this, and says nothing.
    group.create_virtual_dataset(name, layout, fillvalue=math.nan)


def _stored_type(
    dtype: "np.dtype[np.generic]",
) -> "np.dtype[np.generic] | Literal['str']":
    if dtype.kind == "S":
        stored: np.dtype[np.generic] = h5py.string_dtype(
            "utf-8", dtype.itemsize
        )
        return stored
    return dtype
