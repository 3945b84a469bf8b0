"""The cases: what real models feed to each operation, read from the files in ``shapes``.

A file is a model. An entry is written channels first and stands for the product of its layouts,
dtypes and variants::

    model = "ResNet-50"

    [[cases]]
    op = "batch_norm"
    name = "conv1, batch 16"
    shape = [16, 64, 112, 112]
    layouts = ["channels first", "channels last"]  # default: ["contiguous"]
    dtypes = ["float32", "bfloat16"]               # default: ["float32"]
    variants = [{ training = true }, { add = true, activation = "relu" }]  # default: [{}]

A variant has the fields of `Options` but ``channel_axis``. ``call = true`` marks an entry so small
that the cost of the call is what counts, ``out_dtypes`` gives results of another dtype.
"""

import itertools
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

OPERATIONS: Final = (
    "mean_var",
    "batch_norm",
    "instance_norm",
    "group_norm",
    "layer_norm",
    "rms_norm",
    "normalize",
    "weight_norm",
    "standardize",
    "normalize_image",
)
COMPUTED: Final = dict.fromkeys(("uint8", "int8", "int16", "uint16"), "float32")
COMPUTED["int32"] = "float64"
DTYPES: Final = ("float32", "float64", "float16", "bfloat16", *COMPUTED)
# Sliced: the first half of rows twice as long. Stepped: every other element of the last axis.
LAYOUTS: Final = ("contiguous", "channels first", "channels last", "sliced", "stepped")
STRIDED: Final = LAYOUTS[3:]
KNOWN: Final = {
    "activation": ("relu", "gelu", "gelu_tanh", "silu"),
    "where": ("padding", "missing"),
}
CHANNEL_AXES: Final = {"weight_norm": 0, "normalize_image": -1}  # whatever the layout


@dataclass(frozen=True, kw_only=True)
class Options:
    """What an operation is told besides its arrays; each reads those it has.

    ``axis`` None: all. ``where``: what counts in the statistics. "padding": of every sample its
    first steps, as in a batch of sequences; "missing": four of five elements.
    """

    axis: tuple[int, ...] | None = (-1,)
    channel_axis: int = 1
    training: bool = False
    num_groups: int = 1
    eps: float = 1e-5
    residual: bool = False
    add: bool = False
    activation: str | None = None
    where: str | None = None

    @property
    def words(self) -> list[str]:
        """What a name says of them."""
        said = [name for name in ("training", "residual", "add") if getattr(self, name)]
        return said + [word for word in (self.activation, self.where) if word]


@dataclass(frozen=True)
class Case:
    """One operation on one array.

    ``call`` marks the arrays so small that the cost of the call is what counts: they are
    compared with ``np.add`` of the same array instead of a copy. ``out_dtype``: where the result
    has another dtype.
    """

    op: str
    name: str
    shape: tuple[int, ...]
    options: Options = Options()
    call: bool = False
    dtype: str = "float32"
    out_dtype: str | None = None
    layout: str = "contiguous"

    @property
    def result_dtype(self) -> str:
        """The name of the result's dtype; of integers it is the type they are computed in."""
        return self.out_dtype or COMPUTED.get(self.dtype, self.dtype)

    @property
    def label(self) -> str:
        """The name, and what is not the usual."""
        parts = [self.name, *self.options.words]
        if self.layout != "contiguous":
            parts.append(self.layout)
        parts += [name for name in (self.dtype, self.out_dtype) if name not in ("float32", None)]
        return ", ".join(parts)

    @property
    def title(self) -> str:
        """What ``--filter`` looks at, and what tells a case from all others."""
        return f"{self.op} {self.label}"


def load(text: str, source: str) -> list[Case]:
    """The cases of a file; ValueError in one line where it is not one."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{source}: {error}") from None
    cases: list[Case] = []
    model = str(content.get("model", ""))
    for number, entry in enumerate(content.get("cases", []), 1):
        try:
            cases += expand(model, entry)
        except (KeyError, TypeError, ValueError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else error
            raise ValueError(f"{source}: case {number}: {reason}") from None
    titles = [case.title for case in cases]
    twice = next((title for title in titles if titles.count(title) > 1), None)
    if twice is not None:
        raise ValueError(f"{source}: two cases are called {twice!r}")
    if not model or not cases:
        raise ValueError(f"{source}: expected a model and at least one case")
    return cases


def expand(model: str, entry: Mapping[str, Any]) -> Iterator[Case]:
    """Every layout, dtype and variant of an entry."""
    unknown = entry.keys() - {
        *("op", "name", "shape", "call", "layouts", "dtypes", "out_dtypes", "variants"),
    }
    if unknown:
        raise ValueError(f"unknown key {min(unknown)!r}")
    axes = [
        [entry["op"]],
        entry.get("layouts", ["contiguous"]),
        entry.get("dtypes", ["float32"]),
        entry.get("out_dtypes", [None]),
    ]
    for names, known in zip(axes, (OPERATIONS, LAYOUTS, DTYPES, (*DTYPES, None)), strict=True):
        for name in names:
            if name not in known:
                raise ValueError(f"{name!r} is none of {', '.join(filter(None, known))}")
    shape = tuple(entry["shape"])
    if not shape or not all(isinstance(length, int) and length > 0 for length in shape):
        raise ValueError(f"shape is {list(shape)}, expected whole numbers of at least 1")
    for variant, (op, layout, dtype, out_dtype) in itertools.product(
        entry.get("variants", [{}]), itertools.product(*axes)
    ):
        last = layout == "channels last"
        placed = (shape[0], *shape[2:], shape[1]) if last else shape
        channel_axis = CHANNEL_AXES.get(op, -1 if last else 1)
        options = options_of(variant, len(shape), channel_axis, last=last)
        name = f"{model} {entry['name']}"
        call = entry.get("call", False)
        yield Case(op, name, placed, options, call, dtype, out_dtype, layout)


def options_of(variant: Mapping[str, Any], ndim: int, channel_axis: int, *, last: bool) -> Options:
    """A variant, its axes moved with the channels where those are last."""
    unknown = variant.keys() - {field.name for field in fields(Options)} | (
        variant.keys() & {"channel_axis"}
    )
    if unknown:
        raise ValueError(f"unknown option {min(unknown)!r}")
    for name, known in KNOWN.items():
        if variant.get(name) not in (None, *known):
            raise ValueError(f"{name} is {variant[name]!r}, expected one of {', '.join(known)}")
    given = dict(variant)
    if "axis" in given:
        axis = given["axis"]
        if axis == "all":
            given["axis"] = None
        else:
            axes = [axis] if isinstance(axis, int) else axis
            given["axis"] = tuple(moved(one, ndim) if last else one for one in axes)
    return Options(**given, channel_axis=channel_axis)


def moved(axis: int, ndim: int) -> int:
    """Where an axis is once axis 1 is the last."""
    axis %= ndim
    return -1 if axis == 1 else axis - (axis > 1)


def load_all() -> tuple[Case, ...]:
    """Every file of the package, by operation."""
    files = sorted(Path(__file__).with_name("shapes").glob("*.toml"))
    cases = [case for file in files for case in load(file.read_text("utf-8"), file.name)]
    return tuple(sorted(cases, key=lambda case: OPERATIONS.index(case.op)))


def load_file(path: Path) -> tuple[Case, ...]:
    """The cases of a user's own file."""
    try:
        return tuple(load(path.read_text("utf-8"), path.name))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None


CASES: Final = load_all()
