"""The command line of an operation, read off its signature and its docstring.

The signature has the names and defaults, the docstring's sections say of what type each value is
and what comes back. So an operation that learns a keyword has its option.
"""

import inspect
from argparse import SUPPRESS, ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from normfast import functional
from normfast.cli import dtypes
from normfast.cli.apply import sources
from normfast.cli.apply.sources import Array

NAMES: tuple[str, ...] = tuple(functional.__all__)
ABSENT = inspect.Parameter.empty


class Entry(NamedTuple):
    """What a docstring's section says of one name."""

    type: str
    text: str


def section(doc: str, title: str) -> dict[str, Entry]:
    """The entries of a numpydoc section; ``weight, bias : array`` gives two."""
    lines = inspect.cleandoc(doc).splitlines()
    start = lines.index(title) + 2  # below the underline
    entries: dict[str, Entry] = {}
    names: list[str] = []
    for line, below in zip(lines[start:], [*lines[start + 1 :], ""], strict=True):
        if below and set(below) == {"-"}:
            break
        if line and not line.startswith(" "):
            listed, _, kind = line.partition(" : ")
            names = [name.strip() for name in listed.split(",")]
            entries |= dict.fromkeys(names, Entry(kind, ""))
        else:
            for name in names:
                kind, text = entries[name]
                entries[name] = Entry(kind, f"{text} {line.strip()}".strip())
    return entries


class Operation:
    """A public function as the command line sees it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.function: Callable[..., Any] = getattr(functional, name)
        self.doc = inspect.getdoc(self.function) or ""
        self.input, *rest = inspect.signature(self.function).parameters.values()
        self.options = {p.name: p for p in rest if p.name != "out"}

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """What the docstring says of the parameters."""
        return section(self.doc, "Parameters")

    def __call__(self, x: Array, **arguments: Any) -> Any:
        """Compute; ``x`` goes by position, as its name differs."""
        return self.function(x, **arguments)

    # ---- the command line ----

    def add_to(self, add_argument: Callable[..., Any]) -> None:
        """An option for every parameter, left out of the namespace where it is not given."""
        for name, parameter in self.options.items():
            kind, text = self.entries[name]
            flag = "--" + name.replace("_", "-")
            help_text = f"{kind}. {text}".replace("`", "").replace("%", "%%")
            if kind == "bool":
                add_argument(flag, action=BooleanOptionalAction, default=SUPPRESS, help=help_text)
                continue
            if parameter.default not in (None, ABSENT):
                help_text += f" Default: {default_text(parameter.default)}."
            add_argument(
                flag,
                default=SUPPRESS,
                required=parameter.default is ABSENT and "None" not in kind,
                metavar=metavar(kind),
                help=help_text,
            )

    def arguments(self, given: Namespace) -> dict[str, Any]:
        """The keywords of the call."""
        parsed: dict[str, Any] = {}
        for name, parameter in self.options.items():
            if name in given:
                kind = self.entries[name].type
                parsed[name] = value_of(name, kind, getattr(given, name))
            elif parameter.default is ABSENT:
                parsed[name] = None
        return parsed

    # ---- what comes back ----

    def results(self, arguments: dict[str, Any]) -> tuple[str, ...]:
        """The names of what a call with these arguments returns, in order."""
        first, *others = section(self.doc, "Returns")
        has_sum = arguments.get("residual") is not None
        has_stats = arguments.get("return_stats", "return_stats" not in self.options)
        return (first, *(name for name in others if (has_sum if name == "sum" else has_stats)))

    def named(self, returned: Any, arguments: dict[str, Any]) -> dict[str, Array]:
        """What a call returned, by name."""
        values = returned if isinstance(returned, tuple) else (returned,)
        return dict(zip(self.results(arguments), values, strict=True))

    def output_of(self, x: Array, arguments: dict[str, Any]) -> tuple[tuple[int, ...], Any, bool]:
        """Shape, dtype and whether Fortran's order is the better one, of the first result."""
        dtype = self.value("dtype", arguments)
        if dtype is None:
            wide = np.float64 if x.dtype == np.int32 else np.float32
            dtype = wide if x.dtype.kind in "iu" else x.dtype
        shape = x.shape
        if "out_channel_axis" in self.options:
            axes = (self.value(name, arguments) for name in ("channel_axis", "out_channel_axis"))
            shape = np.moveaxis(np.broadcast_to(0, shape), *axes).shape
        return shape, np.dtype(dtype), x.flags.fnc and shape == x.shape

    def value(self, name: str, arguments: dict[str, Any]) -> Any:
        """What the function will see: given, or its default."""
        return arguments.get(name, self.options[name].default)


def value_of(name: str, kind: str, given: str | bool) -> Any:
    """The value of an option from its text; a name of a file is an array, whatever is expected."""
    if isinstance(given, bool):
        return given
    if given.endswith(sources.ARRAY_FILES):
        return sources.read(Path(given), name=name)
    value = literal(given)
    if "dtype" in kind:
        return dtypes.named(given)
    if kind.startswith("array") and value is not None:
        if any(isinstance(part, str) for part in np.atleast_1d(np.array(value, object))):
            raise ValueError(f"--{name} is {given!r}, expected an .npy or .npz file, or numbers")
        array = np.atleast_1d(np.array(value, array_type(kind)))
        return array.reshape(()) if "shape ()" in kind else array
    return value


def array_type(kind: str) -> type[np.generic]:
    """Of an array whose elements are listed on the command line."""
    for word, dtype in (("bool", np.bool_), ("int64", np.int64)):
        if word in kind:
            return dtype
    return np.float64


def literal(text: str) -> Any:
    """A number, None, a word, or with a comma a tuple of them: ``1``, ``1,``, ``0.5,1e-3``."""
    if "," in text:
        return tuple(literal(part.strip()) for part in text.removesuffix(",").split(","))
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            pass
    return {"none": None, "true": True, "false": False}.get(text.lower(), text)


def default_text(default: Any) -> str:
    """A default as it is typed on the command line."""
    return default.__name__ if isinstance(default, type) else f"{default:g}"


def metavar(kind: str) -> str:
    """A word for the value."""
    if kind.startswith("array"):
        return "ARRAY"
    if "tuple" in kind:
        return "N,N"
    if "dtype" in kind or kind.startswith("{"):
        return "NAME"
    return "N" if kind.startswith("int") else "X"


# ---- all of them ----


def add_operations(parser: ArgumentParser) -> None:
    """A parser for each operation: IN, OUT, how to read and write, and its own options."""
    commands = parser.add_subparsers(dest="operation", required=True, metavar="OPERATION")
    for name in NAMES:
        operation = Operation(name)
        summary = operation.doc.partition("\n")[0]
        command = commands.add_parser(
            name, help=summary, description=summary, epilog=ARRAYS, allow_abbrev=False
        )
        add_files(command, optional=name == "mean_var")
        group = command.add_argument_group(f"arguments of normfast.{name}")
        operation.add_to(group.add_argument)


ARRAYS = """\
ARRAY is an .npy file, an .npz file (of several arrays the one that has the option's name), or
numbers: 0.485,0.456,0.406."""


def add_files(command: ArgumentParser, *, optional: bool) -> None:
    """What all operations share."""
    command.add_argument(
        "input", type=Path, metavar="IN", help=".npy, .npz, an image, or a folder of images"
    )
    command.add_argument(
        "output",
        type=Path,
        metavar="OUT",
        nargs="?" if optional else None,
        help=".npz for every result by name"
        + (" (default: printed)" if optional else ", running statistics among them; .npy for one"),
    )
    command.add_argument("--key", metavar="NAME", help="which array of IN, an .npz")
    command.add_argument("--force", action="store_true", help="replace OUT if it exists")
    command.add_argument(
        "--each", action="store_true", help="a file for each image of IN, in the folder OUT"
    )
    command.add_argument(
        "--mode",
        default="RGB",
        metavar="MODE",
        help="Pillow's mode to which images are converted: RGB (default), RGBA, L, I;16, F, ...",
    )
