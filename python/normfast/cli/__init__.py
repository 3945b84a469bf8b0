"""The command line: ``normfast info`` and ``normfast bench``.

Its own needs are the extra ``cli``; importing normfast never imports this package.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from normfast import __version__

MISSING = "normfast: the command line needs {name}: pip install 'normfast[cli]'"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = parser().parse_args(argv)
    try:
        return run(options)
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name != "rich":
            raise
        print(MISSING.format(name=name), file=sys.stderr)
        return 1


def run(options: argparse.Namespace) -> int:
    """Run the chosen command; each is imported only when it is the one."""
    if options.command == "info":
        from normfast.cli import info

        return info.run()

    from normfast.cli import bench

    return bench.run(
        bench.Settings(
            quick=options.quick,
            filter=options.filter,
            threads=options.threads,
            rounds=options.rounds,
            json=options.json,
            peers=options.peers,
        )
    )


def parser() -> argparse.ArgumentParser:
    """The options of every command."""
    top = argparse.ArgumentParser(prog="normfast", description="Fast, exact normalisation.")
    top.add_argument("--version", action="version", version=f"normfast {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    commands.add_parser("info", help="what was built, and what was chosen on this machine")

    bench = commands.add_parser(
        "bench",
        help="every operation against NumPy, PyTorch, ONNX Runtime and a plain copy",
        description="Check, then time, every operation on shapes from real models. Exits with 1 "
        "if a result of normfast is less exact than promised.",
    )
    bench.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    bench.add_argument(
        "--filter", default="", metavar="TEXT", help="only cases whose name has all these words"
    )
    bench.add_argument("--threads", type=positive, metavar="N", help="threads for everyone")
    bench.add_argument("--rounds", type=positive, metavar="N", help="interleaved rounds a case")
    bench.add_argument(
        "--json", type=Path, metavar="FILE", help="write machine, versions and all numbers"
    )
    bench.add_argument(
        "--peers",
        type=names,
        metavar="A,B",
        help="compare with these only: numpy, torch, onnxruntime (default: what is installed)",
    )
    return top


def positive(text: str) -> int:
    """A whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def names(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
