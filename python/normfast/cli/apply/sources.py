"""IN and the arrays that options name: .npy and .npz files."""

from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from normfast.cli import dtypes

Array = NDArray[Any]

ARRAY_FILES = (".npy", ".npz")
MAPPED_FROM = 1 << 24  # bytes of an .npy file; a smaller one is read, and may be written to


def read(path: Path, key: str | None = None, *, name: str | None = None) -> Array:
    """The array of an .npy file; of an .npz file ``key``, else the only one, else ``name``."""
    mapped = path.suffix == ".npy" and path.stat().st_size >= MAPPED_FROM
    with path.open("rb") as file:
        try:
            content = np.load(path, mmap_mode="r") if mapped else np.load(file)
        except (ValueError, EOFError, BadZipFile) as error:
            raise ValueError(f"{str(path)!r} is not an .npy or .npz file: {error}") from error
        if isinstance(content, np.ndarray):
            if key is not None:
                raise ValueError(f"--key is {key!r}, but {str(path)!r} is no .npz file")
            return dtypes.loaded(content.view(np.ndarray))
        names = list(content.files)
        wanted = key or (names[0] if len(names) == 1 else name)
        if wanted not in names:
            looked_for = f"none is called {wanted}" if wanted else "--key chooses one"
            raise ValueError(f"{str(path)!r} has the arrays {', '.join(names)}; {looked_for}")
        return dtypes.loaded(content[wanted])
