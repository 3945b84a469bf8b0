"""A random call of a random operation, with arguments that are right.

What a drawn call may hold follows the docstrings of normfast.functional.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import memory
import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOATS = [np.dtype("float32"), np.dtype("float64"), np.dtype("float16"), BFLOAT16]
INTEGERS = [np.dtype(t) for t in ("uint8", "int8", "int16", "uint16", "int32")]
TAKES_INTEGERS = {"mean_var", "standardize", "normalize_image"}
CHANNELS = {"batch_norm", "instance_norm", "group_norm"}
OPERATIONS = [
    "mean_var",
    "layer_norm",
    "rms_norm",
    "batch_norm",
    "instance_norm",
    "group_norm",
    "normalize",
    "weight_norm",
    "standardize",
    "normalize_image",
]
# Sizes: nothing, one, primes, beside multiples of the vector, more lanes than a group has.
SIZES = [1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 11, 13, 16, 17, 31, 33, 49]
LONG = [16, 17, 33, 63, 64, 65, 97, 129, 512, 513, 521, 529, 1031, 2049, 4097, 16384, 16385, 40009]


class Foreign:
    """An array of another library, as far as DLPack shows it."""

    def __init__(self, array: Array) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()


@dataclass
class Call:
    """What is passed, in which memory, and whether it must be accepted.

    `arguments` are as NumPy sees them; those named in `wrapped` are passed as another library's.
    `verdict`: "accepted", "refused", or "either" where only the rules for both must hold.
    """

    operation: str
    arguments: dict[str, Any] = field(default_factory=dict)
    wrapped: dict[str, Callable[[Array], Any]] = field(default_factory=dict)
    memories: list[memory.Memory] = field(default_factory=list)
    verdict: str = "accepted"
    spoiled: str = ""

    @property
    def array_name(self) -> str:
        return {"weight_norm": "v", "normalize_image": "image"}.get(self.operation, "x")

    @property
    def x(self) -> Array:
        return self.arguments[self.array_name]

    def passed(self) -> dict[str, Any]:
        return {
            name: self.wrapped[name](value) if name in self.wrapped else value
            for name, value in self.arguments.items()
        }


def computing_type(dtype: np.dtype) -> np.dtype:
    wide = dtype in (np.dtype("float64"), np.dtype("int32"))
    return np.dtype("float64" if wide else "float32")


def result_type(dtype: np.dtype) -> np.dtype:
    return dtype if dtype in FLOATS else computing_type(dtype)


def sum_type(x: np.dtype, residual: np.dtype) -> np.dtype:
    """The wider of the two; float16 and bfloat16 meet in float32."""
    if x == residual:
        return x
    return np.dtype(f"float{8 * max(x.itemsize, residual.itemsize, 4)}")


class Drawer:
    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def pick(self, choices: Sequence[Any]) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def shape(self, min_dims: int) -> tuple[int, ...]:
        """At most 6 axes and a few thousand elements; once in a while far more."""
        ndim = max(min_dims, self.pick([0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6]))
        # Some are large enough for several chunks of a statistic, and a few for several threads.
        most = self.pick([300] * 6 + [3000] * 6 + [40_000] * 2 + [600_000] * self.chance(0.5))
        shape = [1] * ndim
        for axis in self.rng.permutation(ndim):
            room = most // math.prod(shape)
            sizes = LONG if self.chance(0.6 if most > 3000 else 0.35) else SIZES
            sizes = [n for n in sizes if n <= room]
            shape[axis] = self.pick(sizes or [1])
        if ndim and self.chance(0.04):
            shape[self.pick(range(ndim))] = 0
        return tuple(shape)

    def values(self, shape: Sequence[int], dtype: np.dtype) -> Array:
        """Data of one family, cast as NumPy casts."""
        if dtype in INTEGERS:
            limits = np.iinfo(dtype)
            low, high = self.pick([(limits.min, limits.max), (0, 7), (limits.max, limits.max)])
            return self.rng.integers(low, high, shape, dtype, endpoint=True)
        noise = self.rng.standard_normal(shape)
        tiny = float(ml_dtypes.finfo(dtype).smallest_normal)
        huge = float(ml_dtypes.finfo(dtype).max)
        family: Callable[[], Array] = self.pick(
            [
                lambda: noise,
                lambda: 3 + 2 * noise,
                lambda: 1e4 + noise,
                lambda: 1e6 + noise,
                lambda: noise * 1e30,
                lambda: noise * 1e-30,
                lambda: noise * tiny / 64,
                lambda: np.sign(noise) * huge,
                lambda: np.full(shape, self.pick([0.1, 1234.0, -1e6, 1e30, tiny / 4, 65504.0])),
                lambda: np.zeros(shape),
                lambda: self.spiked(noise, [1e6, -1e20, 1e30]),
                lambda: self.spiked(noise, [np.nan, np.inf, -np.inf]),
                lambda: np.round(noise) * 0.5,
            ]
        )
        with np.errstate(all="ignore"):
            return family().astype(dtype)

    def spiked(self, noise: Array, spikes: list[float]) -> Array:
        flat = noise.reshape(-1)
        for _ in range(self.pick([1, 2, 5])):
            if flat.size:
                flat[self.pick([0, flat.size - 1, int(self.rng.integers(flat.size))])] = self.pick(
                    spikes
                )
        return flat.reshape(noise.shape)

    def axes(self, ndim: int, least: int = 1, most: int = 99) -> tuple[int, ...]:
        number = int(self.rng.integers(min(least, ndim), min(most, ndim) + 1))
        chosen = self.rng.permutation(ndim)[:number]
        return tuple(int(a) - ndim * self.chance(0.3) for a in chosen)

    def axis_argument(self, axes: tuple[int, ...]) -> Any:
        if len(axes) == 1 and self.chance(0.7):
            return self.pick([axes[0], np.int64(axes[0])])
        return axes

    # --- arguments

    def add_array(
        self, call: Call, name: str, values: Array, *, repeats: bool = True, out: bool = False
    ) -> None:
        small = values.size <= 64
        mem, array = memory.place(
            self.rng, values, repeats=repeats and not out, plain=True if small else None
        )
        if out:
            mem.raw[...] = memory.FILL
        call.memories.append(mem)
        call.arguments[name] = array

    def parameter(self, call: Call, name: str, shape: Sequence[int], positive: bool) -> None:
        """A weight or bias: of any float type, whatever x is."""
        values = (
            self.rng.uniform(0.25, 2, shape) if positive else 2 * self.rng.standard_normal(shape)
        )
        if self.chance(0.1):
            values = values * 0
        self.add_array(call, name, np.asarray(values).astype(self.pick(FLOATS)))

    def affine(
        self, call: Call, names: Sequence[str], axes: Sequence[int], broadcast: bool
    ) -> None:
        shape = [call.x.shape[a] for a in sorted(a % call.x.ndim for a in axes)]
        for name in names:
            if self.chance(0.5):
                own = shape
                if broadcast and self.chance(0.2):
                    own = [n if self.chance(0.6) else 1 for n in call.x.shape]
                self.parameter(call, name, own, positive=name == "g")

    def selection(self, call: Call) -> None:
        """where= and sample_weight=, of shapes that broadcast to x."""
        shape = call.x.shape
        if self.chance(0.25):
            own = self.broadcastable(shape)
            self.add_array(call, "where", self.rng.random(own) < self.pick([0.0, 0.3, 0.8, 1.0]))
        if self.chance(0.15):
            own = self.broadcastable(shape)
            weights = self.rng.uniform(0, 3, own) * (self.rng.random(own) < 0.8)
            if self.chance(0.3):
                weights = np.round(weights)
            self.add_array(call, "sample_weight", weights.astype(self.pick(FLOATS)))

    def broadcastable(self, shape: Sequence[int]) -> tuple[int, ...]:
        own = [n if self.chance(0.7) else 1 for n in shape]
        if self.chance(0.2):
            del own[: int(self.rng.integers(len(own) + 1))]
        return tuple(own)

    def eps(self) -> float:
        return float(self.pick([1e-5, 1e-5, 1e-3, 0.0, 1e-12]))

    def outputs(self, call: Call, second: np.dtype | None) -> None:
        """dtype= and out=; `second` is the type of the sum that is returned too."""
        x = call.x
        result = result_type(x.dtype)
        if self.chance(0.25):
            result = self.pick(FLOATS)
            call.arguments["dtype"] = self.pick([result, result.type])
        kind = self.rng.random()
        if kind < 0.5:
            return
        inputs = [k for k in (call.array_name, "add", "residual") if k in call.arguments]
        if kind < 0.65:  # in place
            name = self.pick([call.array_name, *inputs])
            if self.writable(call, name, result):
                call.arguments["out"] = call.arguments[name]
        elif kind < 0.75:
            self.shared(call, self.pick([call.array_name, *inputs]), result)
        else:
            self.add_array(call, "out", np.empty(x.shape, result), out=True)
        if second is not None and "out" in call.arguments and self.chance(0.7):
            y = call.arguments["out"]
            names = [k for k in inputs if self.writable(call, k, second)]
            names = [k for k in names if call.arguments[k].ctypes.data != y.ctypes.data]
            if names and self.chance(0.5) and call.verdict == "accepted":
                total = call.arguments[self.pick(names)]
            else:
                self.add_array(call, "out", np.empty(x.shape, second), out=True)
                total = call.arguments["out"]
            call.arguments["out"] = (y, total)

    def writable(self, call: Call, name: str, dtype: np.dtype) -> bool:
        """Whether a result may be written over this argument."""
        a = call.arguments[name]
        return a.dtype == dtype and all(s or n < 2 for s, n in zip(a.strides, a.shape, strict=True))

    def shared(self, call: Call, name: str, result: np.dtype) -> None:
        """An out in the same buffer as an input: refused exactly if they share an element."""
        old = call.arguments[name]
        mem, x, out = memory.place_two(self.rng, old.copy(), result)
        call.memories = [m for m in call.memories if all(a is not old for a, _ in m.places)]
        call.memories.append(mem)
        call.arguments[name], call.arguments["out"] = x, out
        steps = [
            [step for step, n in zip(a.strides, a.shape, strict=True) if n > 1] for a in (x, out)
        ]
        same = x.dtype == out.dtype and steps[0] == steps[1] and x.ctypes.data == out.ctypes.data
        try:
            apart = same or not np.shares_memory(x, out, max_work=10**6)
        except np.exceptions.TooHardError:
            call.verdict = "either"
            return
        if not apart:
            call.verdict, call.spoiled = "refused", f"out overlaps {name}"

    # --- calls

    def call(self) -> Call:
        operation = self.pick(OPERATIONS)
        call = Call(operation)
        dtypes = FLOATS + (INTEGERS if operation in TAKES_INTEGERS else [])
        min_dims = {"mean_var": 0, "normalize_image": 3}.get(operation, 1 + (operation in CHANNELS))
        shape = self.shape(min_dims)
        self.add_array(call, call.array_name, self.values(shape, self.pick(dtypes)))
        getattr(self, operation)(call)
        if self.chance(0.4):
            call.arguments["num_threads"] = self.pick([None, 1, 2, 3, 7, 1000])
        if self.chance(0.4) and operation not in ("mean_var", "normalize_image"):
            call.arguments["return_stats"] = self.pick([True, True, False])
        if self.chance(0.15):
            self.wrap(call)
        return call

    def wrap(self, call: Call) -> None:
        """Some arrays in a memoryview, or as another library's."""
        for name, a in call.arguments.items():
            packed = isinstance(a, np.ndarray) and all(s % a.itemsize == 0 for s in a.strides)
            numbers = call.operation == "normalize_image" and name in ("mean", "std")
            if packed and not numbers and a.dtype != BFLOAT16 and self.chance(0.6):
                call.wrapped[name] = self.pick([memoryview, Foreign])

    def mean_var(self, call: Call) -> None:
        ndim = call.x.ndim
        axes = self.axes(ndim, 0)
        if self.chance(0.3):
            axes = tuple(range(ndim))
            call.arguments["axis"] = None
        else:
            call.arguments["axis"] = self.axis_argument(axes)
        if self.chance(0.4):
            call.arguments["keepdims"] = self.pick([True, False])
        self.correction(call)
        self.selection(call)

    def correction(self, call: Call) -> None:
        if self.chance(0.4):
            call.arguments["correction"] = self.pick([0, 1, 1.5])

    def layer_norm(self, call: Call, names: Sequence[str] = ("weight", "bias")) -> None:
        x = call.x
        kind = self.rng.random()
        axes = self.axes(x.ndim)
        if kind < 0.2:
            axes = (-1,)
        elif kind < 0.4:
            trailing = x.shape[-len(axes) :]
            axes = tuple(range(-len(axes), 0))
            call.arguments["normalized_shape"] = (
                trailing[0] if len(axes) == 1 else self.pick([trailing, list(trailing)])
            )
        else:
            call.arguments["axis"] = self.axis_argument(axes)
        self.affine(call, names, axes, broadcast=True)
        if self.chance(0.4):
            call.arguments["eps"] = self.eps()
        second = None
        if self.chance(0.3):
            self.add_array(call, "residual", self.values(x.shape, self.pick([x.dtype, *FLOATS])))
            second = sum_type(x.dtype, call.arguments["residual"].dtype)
        self.activation(call)
        self.selection(call)
        self.outputs(call, second)

    def rms_norm(self, call: Call) -> None:
        self.layer_norm(call, ("weight",))
        if self.chance(0.3):
            call.arguments["weight_offset"] = self.pick([0.0, 1.0, -0.5])

    def activation(self, call: Call) -> None:
        if self.chance(0.3):
            call.arguments["activation"] = self.pick([None, "relu", "gelu", "gelu_tanh", "silu"])

    def channels(self, call: Call, axes: tuple[int, ...]) -> None:
        """What batch, instance and group norm have in common."""
        self.affine(call, ("weight", "bias"), axes, broadcast=False)
        if self.chance(0.4):
            call.arguments["eps"] = self.eps()
        if self.chance(0.25):
            self.add_array(call, "add", self.values(call.x.shape, self.pick(FLOATS)))
        self.activation(call)
        self.selection(call)
        self.outputs(call, None)

    def running(self, call: Call, axes: tuple[int, ...], needed: bool) -> None:
        shape = [call.x.shape[a] for a in sorted(a % call.x.ndim for a in axes)]
        names = ("running_mean", "running_var")
        if not needed and self.chance(0.4):
            if call.operation == "batch_norm":
                call.arguments |= dict.fromkeys(names)
            return
        for name in names:
            values = (
                self.rng.uniform(0.1, 3, shape)
                if name == "running_var"
                else self.pick([1.0, 1e4]) * self.rng.standard_normal(shape)
            )
            if name == "running_var" and self.chance(0.1):
                values = values * 0
            self.add_array(
                call, name, np.asarray(values).astype(self.pick(FLOATS)), repeats=not needed
            )
            if 0 in call.arguments[name].strides:
                call.arguments[name] = call.arguments[name].copy()

    def batch_norm(self, call: Call) -> None:
        ndim = call.x.ndim
        axes = self.axes(ndim, 1, 1) if self.chance(0.8) else self.axes(ndim, 1, ndim - 1)
        call.arguments["channel_axis"] = self.axis_argument(axes)
        training = self.chance(0.6)
        call.arguments["training"] = training
        self.running(call, axes, needed=not training)
        if training and self.chance(0.4):
            self.add_array(call, "num_batches_tracked", np.array(self.pick([0, 41])), repeats=False)
            if self.chance(0.4):
                call.arguments["momentum"] = None
        if "momentum" not in call.arguments and self.chance(0.4):
            call.arguments["momentum"] = self.pick([0.0, 0.1, 0.7, 1.0])
        if self.chance(0.3):
            call.arguments["running_var_correction"] = self.pick([0, 1])
        self.channels(call, axes)

    def instance_norm(self, call: Call) -> None:
        axes = self.axes(call.x.ndim, 1, 1)
        call.arguments["channel_axis"] = axes[0]
        own = self.chance(0.7)
        call.arguments["use_input_stats"] = own
        self.running(call, axes, needed=not own)
        if self.chance(0.3):
            call.arguments["momentum"] = self.pick([0.0, 0.1, 1.0])
        self.channels(call, axes)

    def group_norm(self, call: Call) -> None:
        axes = self.axes(call.x.ndim, 1, 1)
        call.arguments["channel_axis"] = axes[0]
        size = call.x.shape[axes[0]]
        call.arguments["num_groups"] = self.pick(
            [g for g in range(1, size + 1) if size % g == 0] or [1, 3]
        )
        self.channels(call, axes)

    def normalize(self, call: Call) -> None:
        axes = self.axes(call.x.ndim)
        call.arguments["axis"] = self.axis_argument(axes) if self.chance(0.85) else None
        if self.chance(0.7):
            call.arguments["p"] = self.pick([1, 2, 2.0, np.inf])
        if self.chance(0.5):
            call.arguments["eps"] = self.eps()
        self.selection(call)
        call.arguments.pop("sample_weight", None)
        self.outputs(call, None)

    def weight_norm(self, call: Call) -> None:
        v = call.x
        axes = self.axes(v.ndim, 1, 1 if self.chance(0.7) else v.ndim)
        call.arguments["channel_axis"] = self.axis_argument(axes)
        shape = [v.shape[a] for a in sorted(a % v.ndim for a in axes)]
        if self.chance(0.2):
            call.arguments["channel_axis"], shape, axes = None, [], ()
        elif self.chance(0.3):
            kept = {a % v.ndim for a in axes}
            shape = [n if a in kept else 1 for a, n in enumerate(v.shape)]
        self.parameter(call, "g", shape, positive=False)
        self.outputs(call, None)

    def standardize(self, call: Call) -> None:
        ndim = call.x.ndim
        axes = self.axes(ndim)
        if self.chance(0.15):
            axes = tuple(range(ndim))
            call.arguments["axis"] = None
        else:
            call.arguments["axis"] = self.axis_argument(axes)
        if self.chance(0.3):
            reduced = {a % ndim for a in axes}
            shape = [1 if a in reduced else n for a, n in enumerate(call.x.shape)]
            if self.chance(0.5):
                shape = [n for a, n in enumerate(call.x.shape) if a not in reduced]
            self.parameter(call, "mean", shape, positive=False)
            self.parameter(call, "std", shape, positive=True)
        else:
            self.correction(call)
            self.selection(call)
        self.outputs(call, None)

    def normalize_image(self, call: Call) -> None:
        image = call.x
        axis = int(self.rng.integers(-image.ndim, image.ndim))
        channels = image.shape[axis]
        if axis != -1 or self.chance(0.3):
            call.arguments["channel_axis"] = axis
        to = -3
        if self.chance(0.5):
            to = call.arguments["out_channel_axis"] = int(
                self.rng.integers(-image.ndim, image.ndim)
            )
        for name, low in (("mean", -1.0), ("std", 0.1)):
            values = self.rng.uniform(low, 1, channels)
            whole = self.pick([values, values.tolist(), tuple(values), values.astype(np.float32)])
            call.arguments[name] = self.pick([0.5, 1, whole]) if channels else 0.5
        if self.chance(0.3):
            call.arguments["scale"] = self.pick([None, 1.0, 1 / 255, 2.0])
        if channels in (3, 4) and self.chance(0.5):
            call.arguments["swap_rb"] = True
        dtype = np.dtype("float32")
        if self.chance(0.4):
            dtype = call.arguments["dtype"] = self.pick(FLOATS)
        if self.chance(0.3):
            moved = np.moveaxis(np.empty(image.shape, dtype), axis, to)
            self.add_array(call, "out", moved, out=True)
