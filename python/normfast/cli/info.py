"""``normfast info``: what was built, and what was chosen on this machine."""

import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from normfast import _core
from normfast.cli.bench import peers


def run() -> int:
    """Print a line for each fact."""
    console = Console(highlight=False)
    for name, value in facts():
        console.print(Text.assemble((f"{name:<15}", "bold"), value), soft_wrap=True)
    return 0


def facts() -> list[tuple[str, str]]:
    """Name and value of each line."""
    core: dict[str, Any] = dict(_core.info())
    forced = os.environ.get("NORMFAST_ISA")
    return [
        ("normfast", core["version"]),
        ("installed in", str(Path(_core.__file__).parent)),
        ("Python", f"{platform.python_version()}, NumPy {np.__version__}"),
        ("CPU", core["cpu"]),
        ("ISA", core["isa"] + (f" (NORMFAST_ISA={forced})" if forced else "")),
        ("ISA available", ", ".join(core["isas_available"])),
        ("ISA built", ", ".join(core["isas_built"])),
        ("caches", ", ".join(f"{name} {size(n)}" for name, n in core["caches"].items())),
        ("threads", f"{core['threads']} ({core['threads_why']})"),
        ("OpenMP", "yes" if core["openmp"] else "not built"),
        ("CUDA", cuda()),
        ("peers", ", ".join(f"{name} {v or 'missing'}" for name, v in peers.versions().items())),
    ]


def cuda() -> str:
    """For which GPUs it was built, and those there are."""
    try:
        from normfast import _cuda
    except ImportError:
        return "not built"
    found = _cuda.info()
    devices = [f"{one['name']} ({one['architecture']})" for one in found["devices"]]
    here = ", ".join(devices) or f"no GPU: {found['why']}"
    return f"{found['runtime']} for {', '.join(found['architectures'])}; {here}"


def size(count: int) -> str:
    """A cache size as people write it."""
    if count == 0:
        return "unknown"
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"
