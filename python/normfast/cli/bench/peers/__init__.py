"""How normfast and each peer do an operation, with the settings that are best for it.

A peer is a module with ``load(threads, stack)``: it imports its library (ModuleNotFoundError
where it is missing), sets the threads, and returns a ``Peer``.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Final

from normfast.cli.bench.peers.peer import Peer

MODULES: Final = {"numpy": "with_numpy", "torch": "with_torch", "onnxruntime": "with_onnxruntime"}


def load(names: Sequence[str] | None, threads: int, stack: ExitStack) -> list[Peer]:
    """The named peers, or all that are installed; ``stack`` undoes their settings."""
    unknown = [name for name in names or () if name not in MODULES]
    if unknown:
        raise ValueError(f"no peer is called {unknown[0]!r}; there are {', '.join(MODULES)}")
    found = versions()
    missing = [name for name in names or () if found[name] is None]
    if missing:
        raise ValueError(f"{missing[0]} is not installed: pip install {missing[0]}")
    chosen = [name for name in MODULES if (found[name] if names is None else name in names)]
    return [import_module(f"{__name__}.{MODULES[name]}").load(threads, stack) for name in chosen]


def versions() -> dict[str, str | None]:
    """The version of every peer, None where it is missing; imports none of them."""
    return {name: version_of(name) if find_spec(name) else None for name in MODULES}


def version_of(name: str) -> str:
    """The version of an installed library, whose distribution may have another name."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "of unknown version"
