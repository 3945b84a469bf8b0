"""Make a right call wrong in one argument: it must be refused, and nothing may be written."""

from typing import Any

import numpy as np
from draw import TAKES_INTEGERS, Call, Drawer
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

Array = NDArray[Any]

NOT_ARRAYS = ["abc", {}, 1.0, [1.0, 2.0], np.ndarray, object()]
DTYPES = ["int64", "uint32", "bool", "complex64", "complex128", "U3", "S3", "object"]
DTYPES += ["datetime64[s]", "V4", ">f4", ">f8", ">f2", "f4,f4", "longdouble"]
NOT_AXES = [2**31, 2**80, -(2**63), 99, -99, (0, 0), tuple(range(100)), (0, 99)]
NOT_AXES += [1.0, "1", {}, (0, None), (0, 1.5), True]
# Scalars that are wrong wherever the operation takes an argument of that name.
SCALARS: dict[str, list[Any]] = {
    "axis": NOT_AXES,
    "channel_axis": NOT_AXES,
    "out_channel_axis": NOT_AXES,
    "scale": [0.0, float("nan"), float("inf"), "1", 1j, [1.0, 2.0]],
    "swap_rb": [2, "yes", 0.5, None],
    "eps": [float("nan"), float("inf"), -1e-5, "1e-5", 1j, [1e-5], np.ones(2)],
    "num_threads": [0, -1, 2.0, "2", 2**80, (1,)],
    "p": [0, 3, -1, float("nan"), -np.inf, "2", None, 1j],
    "num_groups": [0, -1, 2**80, 3.0, "3", None, 99991],
    "correction": [float("nan"), 1e308, float("inf"), "1", None],
    "momentum": [float("nan"), float("inf"), "0.1", [0.1]],
    "running_var_correction": [1e308, "1", None],
    "weight_offset": ["1", None, 1j, [0.0]],
    "activation": ["tanh", "", "RELU", 1, b"relu", ["relu"]],
    "dtype": [np.int32, "complex64", object, "nonsense", 3, np.longdouble, np.bool, "U3", []],
    "keepdims": [2, "yes", 0.5, None],
    "return_stats": [2, "yes", 0.5, None],
    "training": [2, "yes", 0.5, None],
    "use_input_stats": [2, "yes", 0.5, None],
    "normalized_shape": [(), -5, 2**80, "5", 5.0, (2.0,), {}, np.ones(5), (1,) * 99],
}
TAKES: dict[str, set[str]] = {
    "mean_var": {"axis", "correction", "keepdims"},
    "layer_norm": {"axis", "eps", "activation", "normalized_shape"},
    "rms_norm": {"axis", "eps", "activation", "normalized_shape", "weight_offset"},
    "batch_norm": {"channel_axis", "eps", "momentum", "running_var_correction", "activation"},
    "instance_norm": {"channel_axis", "eps", "momentum", "use_input_stats", "activation"},
    "group_norm": {"channel_axis", "eps", "num_groups", "activation"},
    "normalize": {"axis", "eps", "p"},
    "weight_norm": {"channel_axis"},
    "standardize": {"axis", "correction"},
    "normalize_image": {"channel_axis", "out_channel_axis", "scale", "swap_rb"},
}
TAKES["batch_norm"] |= {"training"}
# Read only in training, or only where the statistics are of x.
SOMETIMES = {"momentum", "running_var_correction", "correction"}


class Spoiler:
    def __init__(self, drawer: Drawer, call: Call) -> None:
        self.draw = drawer
        self.rng = drawer.rng
        self.call = call
        self.arguments = call.arguments

    def spoil(self) -> None:
        """Change one argument to something that is always wrong."""
        ways = [self.a_scalar, self.a_scalar, self.the_array, self.a_parameter, self.a_parameter]
        if self.call.operation != "mean_var":
            ways += [self.the_output, self.the_output]
        if self.call.operation not in ("weight_norm", "normalize", "normalize_image"):
            ways += [self.the_selection]
        self.draw.pick(ways)()

    def refuse(self, what: str, name: str, value: Any) -> None:
        self.arguments[name] = value
        self.call.wrapped.pop(name, None)
        self.call.verdict, self.call.spoiled = "refused", f"{name}: {what}"

    def a_scalar(self) -> None:
        operation = self.call.operation
        names = sorted(TAKES[operation] | {"num_threads"})
        if operation != "mean_var":
            names += ["dtype"]
        if operation not in ("mean_var", "normalize_image"):
            names += ["return_stats"]
        name = self.draw.pick(names)
        wrong = self.draw.pick(SCALARS[name])
        if name == "normalized_shape":
            self.arguments.pop("axis", None)
        if name == "axis":
            self.arguments.pop("normalized_shape", None)
        self.refuse("wrong value", name, wrong)
        if self.unread(name):
            self.call.verdict = "either"

    def unread(self, name: str) -> bool:
        """Whether the operation need not look at this argument, as the others are."""
        given, nothing = self.arguments, self.call.x.size == 0
        if name == "num_groups":
            return nothing  # every number divides no channels
        if name == "running_var_correction" and given.get("running_mean") is None:
            return True
        others = {"where", "sample_weight", "std"} & set(given)
        evaluation = given.get("training") is False or given.get("use_input_stats") is False
        return name in SOMETIMES and bool(nothing or others or evaluation)

    def array(self, shape: Any, dtype: Any) -> Array:
        a = np.zeros(shape, dtype)
        if a.dtype.kind == "f":
            a[...] = 1
        return a

    def wrong_array(self, shape: tuple[int, ...], integers: bool = False) -> tuple[str, Any]:
        kind = self.rng.random()
        if kind < 0.4:
            return "not an array", self.draw.pick(NOT_ARRAYS)
        if kind < 0.5:
            return "masked", np.ma.ones(shape, np.float32)
        wrong = DTYPES + ([] if integers else ["uint8", "int32"])
        dtype = self.draw.pick(wrong)
        return f"of {dtype}", self.array(shape, dtype)

    def the_array(self) -> None:
        what, wrong = self.wrong_array(self.call.x.shape, self.call.operation in TAKES_INTEGERS)
        if self.draw.chance(0.1):
            what, wrong = "None", None
        elif self.draw.chance(0.1) and self.call.operation != "mean_var":
            what, wrong = "0-d", np.array(1, np.float32)
        elif self.draw.chance(0.1) and self.call.operation in ("instance_norm", "group_norm"):
            what, wrong = "1-d", np.ones(5, np.float32)
        elif self.draw.chance(0.1):
            what, wrong = "of 40 axes", np.ones((1,) * 40, np.float32)
        self.arguments.pop("out", None)
        self.call.wrapped.pop("out", None)
        self.refuse(what, self.call.array_name, wrong)

    def a_parameter(self) -> None:
        known = ["weight", "bias", "g", "residual", "add", "mean", "std"]
        known += ["running_mean", "running_var", "num_batches_tracked"]
        present = [k for k in known if isinstance(self.arguments.get(k), np.ndarray)]
        if not present:
            return self.a_scalar()
        name = self.draw.pick(present)
        old = self.arguments[name]
        if self.call.operation == "normalize_image":
            wrong = self.draw.pick(["abc", None, {}, [], [np.nan], [np.inf], 1j, np.ones((2, 2))])
            return self.refuse("not of numbers", name, wrong)
        kind = self.rng.random()
        if name in ("running_mean", "running_var", "mean", "std") and kind < 0.15:
            return self.refuse("missing", name, None)
        if name == "num_batches_tracked":
            wrong = self.draw.pick([3, np.zeros(1, np.int64), np.zeros((), np.float64), [0]])
            return self.refuse("not a counter", name, wrong)
        if kind < 0.5:
            shape = self.wrong_shape(old.shape)
            return self.refuse(f"shape {shape}", name, self.array(shape, old.dtype))
        what, wrong = self.wrong_array(old.shape)
        return self.refuse(what, name, wrong)

    def wrong_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """One that neither equals any axis of x nor broadcasts."""
        if not shape:
            return (3, 2)
        axis = self.draw.pick(range(len(shape)))
        other = next(n for n in range(shape[axis] + 1, 10**6) if n not in (1, *self.call.x.shape))
        if self.draw.chance(0.3):
            return (*shape, other)
        return tuple(other if a == axis else n for a, n in enumerate(shape))

    def the_selection(self) -> None:
        x = self.call.x
        if self.draw.chance(0.5):
            if self.draw.chance(0.3):
                return self.refuse("not bool", "where", np.ones(x.shape, np.uint8))
            if self.draw.chance(0.3):
                return self.refuse("no array", "where", self.draw.pick([[True], "x", {}, 2.5]))
            return self.refuse("wrong shape", "where", np.ones((2, *x.shape), bool))
        if not x.size or self.draw.chance(0.4):
            wrong = np.ones((2, *x.shape), np.float32)
            return self.refuse("wrong shape", "sample_weight", wrong)
        self.arguments.pop("where", None)
        weights = np.ones(x.shape, np.float32)
        bad = self.draw.pick([-1.0, np.nan, np.inf, -np.inf, -1e-30])
        weights.reshape(-1)[int(self.rng.integers(x.size))] = bad
        self.refuse(f"holds {bad}", "sample_weight", weights)
        if self.arguments.get("training") is False or (
            self.arguments.get("use_input_stats") is False or "std" in self.arguments
        ):
            self.call.verdict = "either"
        return None

    def the_output(self) -> None:
        x = self.call.x
        old = self.arguments.get("out")
        image = self.call.operation == "normalize_image"
        dtype = old.dtype if isinstance(old, np.ndarray) else x.dtype
        if isinstance(old, tuple) or "residual" in self.arguments:
            return self.refuse(
                "not a pair", "out", self.draw.pick([(), (None,), "ab", 1.0, (1, 2), (None,) * 3])
            )
        kind = self.rng.random()
        if kind < 0.25 or image:
            return self.refuse("not an array", "out", self.draw.pick(NOT_ARRAYS))
        if kind < 0.5:
            shape = self.wrong_shape(x.shape)
            return self.refuse(f"shape {shape}", "out", np.ones(shape, dtype))
        if kind < 0.65:
            return self.refuse("of another dtype", "out", np.ones(x.shape, np.int64))
        if kind < 0.8:
            out = np.ones(x.shape, dtype)
            out.flags.writeable = False
            return self.refuse("read-only", "out", out)
        if max(x.shape, default=0) > 1 and x.size:
            base = np.ones(x.size, dtype)
            strides = [0 if n == max(x.shape) else dtype.itemsize for n in x.shape]
            return self.refuse("overlaps itself", "out", as_strided(base, x.shape, strides))
        return self.refuse("a dict", "out", {})
