"""OUT: written beside its place under another name, and renamed when it is whole."""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from normfast.cli.apply.sources import Array


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A name in the same folder that becomes ``path``, or disappears if anything fails."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def array_file(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], fortran_order: bool
) -> Iterator[Array]:
    """An .npy file as memory to write to."""
    with beside(path) as temporary:
        y: Array = np.lib.format.open_memmap(
            temporary, mode="w+", dtype=dtype, shape=shape, fortran_order=fortran_order
        )
        # On a full disk an error here, where a write to memory without a place would be a signal.
        with temporary.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:  # of the file system: then without
                    raise
        yield y.view(np.ndarray)


def write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """Arrays by name."""
    contents: dict[str, Any] = {name: np.asarray(value) for name, value in arrays.items()}
    with beside(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **contents)


def text(value: Array) -> str:
    """All digits; up to one axis as the options take it."""
    items = np.asarray(value).tolist()
    return ",".join(map(repr, items)) if np.ndim(value) == 1 else repr(items)
