"""``normfast apply``: one operation on a file of arrays or on images.

- ``options``  the command line of an operation, read off its signature and docstring
- ``sources``  IN: an array from .npy or .npz, memory-mapped where it is large
- ``images``   IN: an image or a folder of them
- ``results``  OUT: written beside its place and renamed when it is whole
"""

import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from normfast.cli.apply import images, results, sources
from normfast.cli.apply.options import Operation
from normfast.cli.apply.sources import ARRAY_FILES, Array

UPDATED = ("running_mean", "running_var", "num_batches_tracked")  # in place, in training


def run(given: Namespace) -> int:
    """Read, compute, write. Whatever is wrong becomes one line on stderr and status 2."""
    try:
        operation = Operation(given.operation)
        arguments = operation.arguments(given)
        (apply_each if given.each else apply_once)(operation, arguments, given)
    except (OSError, ValueError, TypeError) as error:
        print(f"normfast apply: {one_line(error)}", file=sys.stderr)
        return 2
    return 0


def one_line(error: Exception) -> str:
    """What is wrong, without the numbers that operating systems give to errors."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename!r}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def apply_once(operation: Operation, arguments: dict[str, Any], given: Namespace) -> None:
    """IN as one array to one OUT, or to stdout where there is none."""
    if given.output is not None:
        check_output(operation.results(arguments), given.output, given)
        if not given.output.parent.is_dir():
            raise ValueError(f"there is no folder {str(given.output.parent)!r} for OUT")
    if given.input.suffix in ARRAY_FILES:
        x = sources.read(given.input, given.key)
    else:
        x = images.read(given.input, given.mode)
    compute(operation, x, arguments, given.output)


def apply_each(operation: Operation, arguments: dict[str, Any], given: Namespace) -> None:
    """Every image of the folder IN to a file of the same stem in the folder OUT."""
    if given.output is None:
        raise ValueError("--each needs OUT, the folder to write to")
    if not given.input.is_dir():
        raise ValueError(f"--each: IN is {str(given.input)!r}, expected a folder of images")
    names = operation.results(arguments)
    suffix = ".npy" if len(names) == 1 else ".npz"
    files = images.files(given.input)
    outputs = {file: given.output / (file.stem + suffix) for file in files}
    first: dict[Path, Path] = {}
    for file, output in outputs.items():
        other = first.setdefault(output, file)
        if other is not file:
            raise ValueError(f"--each: {other.name} and {file.name} would both be {output.name}")
        check_output(names, output, given)
    given.output.mkdir(exist_ok=True)
    for file in images.progress(files):
        # Running statistics are per call: no image sees those that another has updated.
        own = arguments | {name: np.copy(value) for name, value in updated(arguments).items()}
        try:
            compute(operation, images.read(file, given.mode), own, outputs[file])
        except (ValueError, TypeError) as error:
            raise ValueError(f"{file.name}: {error}") from error


def compute(operation: Operation, x: Array, arguments: dict[str, Any], output: Path | None) -> None:
    """One call. A .npy file is the memory that the operation writes to."""
    if output is not None and output.suffix == ".npy":
        with results.array_file(output, *operation.output_of(x, arguments)) as y:
            operation(x, out=y, **arguments)
        return
    named = operation.named(operation(x, **arguments), arguments)
    if output is None:
        for name, value in named.items():
            print(name, results.text(value))
        return
    results.write_npz(output, named | updated(arguments))


def updated(arguments: dict[str, Any]) -> dict[str, Array]:
    """The arrays among the arguments that training updates in place."""
    return {name: arguments[name] for name in UPDATED if arguments.get(name) is not None}


def check_output(names: tuple[str, ...], output: Path, given: Namespace) -> None:
    """Everything that can be wrong with OUT before anything is read."""
    if output.suffix not in ARRAY_FILES:
        raise ValueError(f"OUT is {str(output)!r}, expected a name that ends in .npy or .npz")
    if len(names) > 1 and output.suffix == ".npy":
        raise ValueError(
            f"OUT is {str(output)!r}, expected an .npz: {given.operation} gives {', '.join(names)}"
        )
    if not output.exists():
        return
    if any(file.exists() and output.samefile(file) for file in input_files(given)):
        raise ValueError(f"OUT is {str(output)!r}, which is also read")
    if not given.force:
        raise ValueError(f"{str(output)!r} exists; --force replaces it")


def input_files(given: Namespace) -> Iterator[Path]:
    """IN, and every array that an option names."""
    yield given.input
    for value in vars(given).values():
        if isinstance(value, str) and value.endswith(ARRAY_FILES):
            yield Path(value)
