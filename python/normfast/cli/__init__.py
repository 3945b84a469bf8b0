"""The command line: ``normfast info``, ``normfast bench`` and ``normfast apply``.

Its own needs are the extra ``cli``; importing normfast never imports this package.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from normfast import __version__, paths
from normfast.cli.apply.options import add_operations

MISSING: Final = "normfast: the command line needs {name}: pip install {requirement}"
REQUIREMENTS: Final = {
    "rich": "'normfast[cli]'",
    "PIL": "'normfast[cli]'",
    "ml_dtypes": "ml_dtypes",
    "matplotlib": "'normfast[plot]'",
}
INTERRUPTED: Final = 130  # as a shell reports it


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = parser().parse_args(with_negative_values(sys.argv[1:] if argv is None else argv))
    try:
        return run(options)
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in REQUIREMENTS:
            raise
        print(MISSING.format(name=name, requirement=REQUIREMENTS[name]), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def with_negative_values(argv: Sequence[str]) -> list[str]:
    """``--axis -1,-2`` as ``--axis=-1,-2``: argparse would take the value for an option."""
    joined: list[str] = []
    for word in argv:
        if joined and re.fullmatch(r"--[a-z-]+", joined[-1]) and re.match(r"-[\d.]", word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def run(options: argparse.Namespace) -> int:
    """Run the chosen command; each is imported only when it is the one."""
    if options.command == "info":
        from normfast.cli import info

        return info.run()

    if options.command == "apply":
        from normfast.cli import apply

        return apply.run(options)

    from normfast.cli import bench

    return bench.run(
        bench.Settings(
            quick=options.quick,
            filter=options.filter,
            threads=options.threads,
            rounds=options.rounds,
            peers=options.peers,
            shapes=options.shapes,
            load=options.load,
            json=options.json,
            markdown=options.markdown,
            plot=options.plot,
            compare=options.compare,
        )
    )


def parser() -> argparse.ArgumentParser:
    """The options of every command."""
    top = argparse.ArgumentParser(prog="normfast", description="Fast, exact normalisation.")
    top.add_argument("--version", action="version", version=f"normfast {__version__}")
    for option, text, what in (
        (
            "--includes",
            f"-I{paths.get_include()}",
            "print the option that finds the C and C++ headers",
        ),
        ("--cmakedir", paths.get_cmake_dir(), "print the directory of the CMake package"),
        ("--pkgconfigdir", paths.get_pkgconfig_dir(), "print the directory of normfast.pc"),
    ):
        top.add_argument(option, action=Print, text=text, help=what)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    commands.add_parser("info", help="what was built, and what was chosen on this machine")

    bench = commands.add_parser(
        "bench",
        help="every operation against NumPy, PyTorch, ONNX Runtime, JAX and a plain copy",
        description="Check, then time, every operation on arrays of real models. Exits with 1 "
        "if a result of normfast is less exact than promised, or a case slower than in --compare.",
    )
    bench.add_argument(
        "--quick",
        action="store_true",
        help="two minutes instead of fifteen: shorter rounds; without --filter and --shapes one "
        "case of each kind",
    )
    bench.add_argument(
        "--filter", default="", metavar="TEXT", help="only cases whose name has all these words"
    )
    bench.add_argument(
        "--threads",
        type=positives,
        metavar="N,M",
        help="numbers of threads for everyone (default: 1, and all)",
    )
    bench.add_argument("--rounds", type=positive, metavar="N", help="interleaved rounds a case")
    bench.add_argument(
        "--peers",
        type=names,
        metavar="A,B",
        help="compare with these only: numpy, torch, onnxruntime, jax, scikit-learn, opencv "
        "(default: those that are installed)",
    )
    bench.add_argument(
        "--shapes",
        type=Path,
        metavar="FILE.toml",
        help="cases of a model of your own, written as those in normfast/cli/bench/shapes",
    )
    bench.add_argument(
        "--load", type=Path, metavar="FILE.json", help="report an earlier run, time nothing"
    )
    bench.add_argument(
        "--json", type=Path, metavar="FILE", help="write machine, versions and all numbers"
    )
    bench.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="write a page with a table of every case; its section Notes, by a person, is kept",
    )
    bench.add_argument(
        "--plot",
        type=Path,
        metavar="DIR",
        help="draw shares of the copy and speed-ups (needs matplotlib)",
    )
    bench.add_argument(
        "--compare",
        type=Path,
        metavar="OLD.json",
        help="tell which cases got slower than in an earlier run, measured by the yardsticks of "
        "both, and exit with 1 if any did",
    )

    apply = commands.add_parser(
        "apply",
        help="one operation on an .npy file or on images",
        description="Normalise a file of arrays, an image or a folder of images. Large .npy files "
        "are mapped into memory, read and written there.",
    )
    add_operations(apply)
    return top


class Print(argparse.Action):
    """An option that prints a line and ends the program, as ``--version`` does."""

    def __init__(self, option_strings: list[str], text: str, **options: Any) -> None:
        super().__init__(option_strings, **options, nargs=0)
        self.text = text

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002
        values: object,  # noqa: ARG002
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        """Print and exit."""
        print(self.text)
        parser.exit()


def positive(text: str) -> int:
    """A whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def positives(text: str) -> tuple[int, ...]:
    """Whole numbers of at least 1, separated by commas."""
    return tuple(positive(word) for word in text.split(","))


def names(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
