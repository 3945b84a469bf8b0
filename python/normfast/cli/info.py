"""``normfast info``: what was built, and what was chosen on this machine."""

import os
import platform
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from normfast import _core
from normfast.cli.bench import peers


def run() -> int:
    """Print the table."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows():
        table.add_row(name, value)
    Console(highlight=False).print(table)
    return 0


def rows() -> list[tuple[str, str]]:
    """Name and value of each line."""
    core: dict[str, Any] = dict(_core.info())
    forced = os.environ.get("NORMFAST_ISA")
    return [
        ("normfast", f"{core['version']} ({_core.__file__})"),
        ("Python", f"{platform.python_version()}, NumPy {np.__version__}"),
        ("CPU", core["cpu"]),
        ("ISA", core["isa"] + (f" (NORMFAST_ISA={forced})" if forced else "")),
        ("ISA available", ", ".join(core["isas_available"])),
        ("ISA built", ", ".join(core["isas_built"])),
        ("caches", ", ".join(f"{name} {size(n)}" for name, n in core["caches"].items())),
        ("threads", f"{core['threads']} ({core['threads_why']})"),
        ("OpenMP", "yes" if core["openmp"] else "not built"),
        ("CUDA", "yes" if core["cuda"] else "not built"),
        ("peers", ", ".join(f"{name} {v or 'missing'}" for name, v in peers.versions().items())),
    ]


def size(count: int) -> str:
    """A cache size as people write it."""
    if count == 0:
        return "unknown"
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"
