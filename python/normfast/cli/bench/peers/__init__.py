"""How normfast and each peer do an operation, with the settings that are best for it.

A peer is a module with ``load(stack)``: it imports its library and returns a ``Peer``; the stack
undoes its settings.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Final, NamedTuple

from normfast.cli.bench.peers.peer import Peer


class Library(NamedTuple):
    """Where a peer is: its module here, the name it is imported by, and the one pip knows."""

    module: str
    imported: str
    distribution: str


LIBRARIES: Final = {
    "numpy": Library("with_numpy", "numpy", "numpy"),
    "torch": Library("with_torch", "torch", "torch"),
    "onnxruntime": Library("with_onnxruntime", "onnxruntime", "onnxruntime"),
    "jax": Library("with_jax", "jax", "jax"),
    "scikit-learn": Library("with_sklearn", "sklearn", "scikit-learn"),
    "opencv": Library("with_opencv", "cv2", "opencv-python-headless"),
}


def check(names: Sequence[str] | None) -> None:
    """ValueError where a named peer is unknown or missing."""
    unknown = [name for name in names or () if name not in LIBRARIES]
    if unknown:
        raise ValueError(f"no peer is called {unknown[0]!r}; there are {', '.join(LIBRARIES)}")
    found = versions()
    missing = [name for name in names or () if found[name] is None]
    if missing:
        distribution = LIBRARIES[missing[0]].distribution
        raise ValueError(f"{missing[0]} is not installed: pip install {distribution}")


def load(names: Sequence[str] | None, stack: ExitStack) -> list[Peer]:
    """The named peers, or all that are installed; ``stack`` undoes their settings."""
    check(names)
    found = versions()
    chosen = [
        library.module
        for name, library in LIBRARIES.items()
        if (found[name] if names is None else name in names)
    ]
    return [import_module(f"{__name__}.{module}").load(stack) for module in chosen]


def versions() -> dict[str, str | None]:
    """The version of every peer, None where it is missing; imports none of them."""
    return {
        name: version_of(library) if find_spec(library.imported) else None
        for name, library in LIBRARIES.items()
    }


def version_of(library: Library) -> str:
    """The version of an installed library, whose distribution may have another name."""
    try:
        return metadata.version(library.distribution)
    except metadata.PackageNotFoundError:
        others = metadata.packages_distributions().get(library.imported)
        return metadata.version(others[0]) if others else "of unknown version"
