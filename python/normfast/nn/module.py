"""What every class has: training and evaluation, and a state that loads and saves by name."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from operator import index
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, TypeAlias, TypedDict

import numpy as np
from numpy.typing import DTypeLike, NDArray

from normfast.linear import FLOATS

if TYPE_CHECKING:
    from normfast.functional import _Activation, _Array

Array: TypeAlias = NDArray[Any]


class Options(TypedDict, total=False):
    """What a call passes on to its function, whatever the class."""

    activation: _Activation | None
    where: _Array | None
    sample_weight: _Array | None
    dtype: DTypeLike | None
    return_stats: bool
    num_threads: int | None


class IncompatibleKeys(NamedTuple):
    """Which names of a state were not found, and which were found and not expected."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """State with PyTorch's names, shapes and dtypes; the base of every class here.

    Parameters and running statistics are plain NumPy arrays, or None: read them, change them in
    place, or assign others.

    Attributes
    ----------
    training : bool
        Whether BatchNorm and InstanceNorm compute statistics and update the running ones. True at
        the start.
    """

    training: bool = True

    # Attributes that are the state, where they are not None.
    _names: ClassVar[tuple[str, ...]] = ("weight", "bias")
    # Those that older files lack.
    _optional: ClassVar[tuple[str, ...]] = ()

    def train(self, mode: bool = True) -> Self:
        """Set `training`, and return self."""
        self.training = mode
        return self

    def eval(self) -> Self:
        """Set `training` to False, and return self."""
        return self.train(False)

    def state_dict(self, *, prefix: str = "") -> dict[str, Array]:
        """Copies of all parameters and running statistics, by PyTorch's names.

        Parameters
        ----------
        prefix : str
            Stands before every name, as in "layer1.0.bn1.".

        Returns
        -------
        dict of ndarray
            In the order PyTorch has; `numpy.savez` and safetensors store it.
        """
        return {prefix + name: array.copy() for name, array in self._state().items()}

    def load_state_dict(
        self, state: Mapping[str, Any], strict: bool = True, *, prefix: str = ""
    ) -> IncompatibleKeys:
        """Copy a state into the arrays of this object.

        Parameters
        ----------
        state : mapping of str to array
            Of this object or of a whole model, PyTorch's too: what `numpy.load` of an .npz file
            and `safetensors.numpy.load_file` return. Floats are converted to the dtype kept here.
        strict : bool
            A name that is missing, or that this object has not, is an error.
        prefix : str
            Names that do not start with this are ignored, and it is cut from those that do.

        Returns
        -------
        missing_keys, unexpected_keys : list of str
            Empty where strict.

        Raises
        ------
        ValueError
            Names are missing or unexpected, or a shape is another. Nothing was loaded.
        TypeError
            A value is not an array of floats (num_batches_tracked: of integers).
        """
        own = self._state()
        keys: dict[str, str] = {}
        for key in state:
            if key.startswith(prefix):
                name = self._name_of(key.removeprefix(prefix))
                if name is not None:
                    keys[name] = key
        missing = [prefix + name for name in own if name not in {*keys, *self._optional}]
        unexpected = [key for name, key in keys.items() if name not in own]
        if strict and (missing or unexpected):
            parts = {"missing": missing, "unexpected": unexpected}
            text = "; ".join(f"{what} {listed(names)}" for what, names in parts.items() if names)
            raise ValueError(f"{self._title}.load_state_dict: {text}")
        loaded = {
            name: self._converted(keys[name], state[keys[name]], array)
            for name, array in own.items()
            if name in keys
        }
        for name, array in loaded.items():
            own[name][...] = array
        return IncompatibleKeys(missing, unexpected)

    def __repr__(self) -> str:
        shown = []
        for parameter in inspect.signature(type(self)).parameters.values():
            name = parameter.name
            if not hasattr(self, name):  # dtype, rng: used once, and not kept
                continue
            value = getattr(self, name)
            if name == "bias":  # whether there is one; where there is no affine, the default
                value = value is not None or getattr(self, "weight", None) is None
            if parameter.default is parameter.empty:
                shown.append(repr(value))
            elif parameter.kind is not parameter.KEYWORD_ONLY or value != parameter.default:
                shown.append(f"{name}={value!r}")
        return f"{self._title}({', '.join(shown)})"

    @property
    def _title(self) -> str:
        return type(self).__name__

    def _state(self) -> dict[str, Array]:
        """The arrays themselves, by the names of state_dict."""
        arrays = {name: getattr(self, name) for name in self._names}
        return {name: array for name, array in arrays.items() if array is not None}

    def _name_of(self, stored: str) -> str | None:
        """The name here of what a state stores as `stored`; None: it belongs to someone else."""
        return stored

    def _converted(self, key: str, value: Any, own: Array) -> Array:
        """`value` as the dtype of `own`, which it replaces; or the error that names its key."""
        what = f"{self._title}.load_state_dict: {key!r}"
        try:
            array = np.asarray(value)
        except (RuntimeError, TypeError, ValueError) as error:  # as of a torch tensor with grad
            raise TypeError(f"{what} is no NumPy array: {error}") from error
        if own.dtype.kind == "i":
            if array.dtype.kind not in "iu":
                raise TypeError(f"{what} is of dtype {array.dtype}, expected {own.dtype}")
        elif array.dtype.name not in FLOATS:
            raise TypeError(f"{what} is of dtype {array.dtype}, expected {either(FLOATS)}")
        if array.shape != own.shape:
            raise ValueError(f"{what} has shape {array.shape}, expected {own.shape}")
        return array.astype(own.dtype)

    def _constant(self, shape: int | Sequence[int], value: float, dtype: DTypeLike) -> Array:
        """What a parameter is at the start."""
        if np.dtype(dtype).name not in FLOATS:
            raise TypeError(f"{self._title}: dtype is {np.dtype(dtype)}, expected {either(FLOATS)}")
        return np.full(shape, value, dtype)

    def _check_sizes(
        self, shape: tuple[int, ...], axis: int | tuple[int, ...], sizes: tuple[int, ...]
    ) -> None:
        """That x has these sizes on these axes, also where no parameter would show it."""
        # An axis that is out of range is wrapped here: the function refuses it.
        axes = sorted([a % len(shape) for a in ints(axis)]) if shape else []
        if [shape[a] for a in axes] != list(sizes):
            expected = ", ".join(map(str, sizes))
            raise ValueError(f"{self._title}: x has shape {shape}, expected {expected} on {axis=}")


def ints(value: int | Sequence[int]) -> tuple[int, ...]:
    """One or several, as a tuple."""
    if isinstance(value, Sequence):
        return tuple(map(index, value))
    return (index(value),)


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of an array of any library."""
    return tuple(np.shape(x))


def either(names: Sequence[object]) -> str:
    """The names as in "a, b or c"."""
    *others, last = map(str, names)
    return f"{', '.join(others)} or {last}" if others else last


def listed(names: Iterable[str], limit: int = 6) -> str:
    """The names, quoted; of many only the first."""
    quoted = [repr(name) for name in names]
    more = [f"and {len(quoted) - limit} more"] if len(quoted) > limit else []
    return ", ".join(quoted[:limit] + more)
