"""normfast.nn: the operations as objects with state, that PyTorch's state loads into and back."""

import copy
import doctest
import inspect
import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import assert_same_bits
from numpy.typing import NDArray

import normfast as nf
from normfast import nn

Array = NDArray[Any]

# Of every class: how it is made, and the shape of an x it takes (WeightNorm takes none).
MAKE: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    "BatchNorm": (lambda **k: nn.BatchNorm(6, **k), (4, 6, 2, 3)),
    "BatchNorm1d": (lambda **k: nn.BatchNorm1d(6, **k), (4, 6)),
    "BatchNorm1d of sequences": (lambda **k: nn.BatchNorm1d(6, **k), (4, 6, 5)),
    "BatchNorm2d": (lambda **k: nn.BatchNorm2d(6, **k), (4, 6, 5, 3)),
    "BatchNorm3d": (lambda **k: nn.BatchNorm3d(6, **k), (4, 6, 2, 5, 3)),
    "InstanceNorm": (lambda **k: nn.InstanceNorm(6, **k), (4, 6, 5)),
    "InstanceNorm1d": (lambda **k: nn.InstanceNorm1d(6, **tracked(k)), (4, 6, 5)),
    "InstanceNorm2d": (lambda **k: nn.InstanceNorm2d(6, **tracked(k)), (4, 6, 5, 3)),
    "InstanceNorm3d": (lambda **k: nn.InstanceNorm3d(6, **tracked(k)), (4, 6, 2, 5, 3)),
    "GroupNorm": (lambda **k: nn.GroupNorm(3, 6, **k), (4, 6, 5)),
    "LayerNorm": (lambda **k: nn.LayerNorm((5, 3), **k), (4, 6, 5, 3)),
    "RMSNorm": (lambda **k: nn.RMSNorm((5, 3), **k), (4, 6, 5, 3)),
    "WeightNorm": (lambda **k: nn.WeightNorm((6, 5), **k), ()),
    "CosineLinear": (lambda **k: nn.CosineLinear(5, 6, bias=True, **k), (4, 5)),
}
each_class = pytest.mark.parametrize("name", MAKE)
# CosineLinear is NumPy's matrix product: no out=, and its own rounding of half types.
each_norm = pytest.mark.parametrize("name", [name for name in MAKE if name != "CosineLinear"])


def tracked(options: Mapping[str, Any]) -> dict[str, Any]:
    return {"affine": True, "track_running_stats": True, **options}


def filled(module: nn.Module, rng: np.random.Generator) -> nn.Module:
    """The module with a state that no other has."""
    state = {
        name: np.array(7) if value.dtype.kind == "i" else rng.uniform(0.5, 2, value.shape)
        for name, value in module.state_dict().items()
    }
    module.load_state_dict(state)
    return module


def called(module: Any, x: Array, **options: Any) -> Array:
    return module(x, **options) if x.ndim else module(**options)


def assert_same_state(actual: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    assert list(actual) == list(expected)
    for name, value in expected.items():
        assert_same_bits(actual[name], value)


# --- what a call computes


def test_batch_norm_learns_in_training_and_applies_in_evaluation() -> None:
    norm = nn.BatchNorm1d(2, eps=0.0, momentum=0.5, dtype=np.float64)
    y = norm(np.array([[1.0, 10.0], [3.0, 30.0]]))
    np.testing.assert_array_equal(y, [[-1, -1], [1, 1]])
    np.testing.assert_array_equal(norm.running_mean, [1, 10])  # half of 2, 20
    np.testing.assert_array_equal(norm.running_var, [1.5, 100.5])  # half of 1, plus of 2, 200
    assert norm.num_batches_tracked == 1
    before = norm.state_dict()
    y = norm.eval()(np.array([[1.0, 10.0], [2.5, 10.0]]))
    np.testing.assert_allclose(y, [[0, 0], [1.5 / np.sqrt(1.5), 0]], rtol=1e-15)
    assert_same_state(norm.state_dict(), before)


def test_weight_and_bias_are_applied() -> None:
    norm = nn.LayerNorm(2, eps=0.0)
    norm.weight[...] = [10, 20]
    norm.bias[...] = [1, 2]
    np.testing.assert_array_equal(norm(np.array([[1.0, 3.0]])), [[-9, 22]])


def test_momentum_none_averages_all_batches(rng: np.random.Generator) -> None:
    x = rng.standard_normal((5, 8, 3, 4))
    norms = [nn.BatchNorm(3, momentum=None, dtype=np.float64)]
    norms += [nn.InstanceNorm(3, momentum=None, track_running_stats=True, dtype=np.float64)]
    for norm, axes in zip(norms, [(1, 3), 3], strict=True):
        for batch in x:
            norm(batch)
        assert norm.num_batches_tracked == 5
        samples = x.mean(axes).reshape(-1, 3), x.var(axes, ddof=1).reshape(-1, 3)
        np.testing.assert_allclose(norm.running_mean, samples[0].mean(0), rtol=1e-12)
        np.testing.assert_allclose(norm.running_var, samples[1].mean(0), rtol=1e-12)


def test_reset_running_stats_forgets_and_keeps_the_affine(rng: np.random.Generator) -> None:
    norm = filled(nn.BatchNorm2d(6), rng)
    affine = norm.weight.copy(), norm.bias.copy()
    norm.reset_running_stats()
    np.testing.assert_array_equal(norm.running_mean, np.zeros(6))
    np.testing.assert_array_equal(norm.running_var, np.ones(6))
    assert norm.num_batches_tracked == 0
    assert_same_bits(norm.weight, affine[0])
    assert_same_bits(norm.bias, affine[1])
    assert nn.InstanceNorm2d(6).reset_running_stats() is None  # nothing to forget


def test_running_variance_of_the_population() -> None:
    norm = nn.BatchNorm(1, momentum=1.0, running_var_correction=0)
    norm(np.array([[1.0], [3.0]]))
    assert norm.running_var == 1


def test_without_running_statistics_evaluation_is_as_training(rng: np.random.Generator) -> None:
    x = rng.standard_normal((4, 6, 5))
    for norm in (nn.BatchNorm1d(6, track_running_stats=False, momentum=None), nn.InstanceNorm1d(6)):
        assert_same_bits(norm.eval()(x), norm.train()(x))
        assert norm.running_mean is None


def test_tracking_may_be_turned_off_later(rng: np.random.Generator) -> None:
    """As a frozen torch module: training no longer updates, evaluation uses what was learned."""
    norm = filled(nn.BatchNorm1d(6), rng)
    norm.track_running_stats = False
    before = norm.state_dict()
    x = rng.standard_normal((4, 6))
    assert_same_bits(norm(x), nf.batch_norm(x, None, None, norm.weight, norm.bias, True))
    assert_same_state(norm.state_dict(), before)
    running = norm.running_mean, norm.running_var
    assert_same_bits(norm.eval()(x), nf.batch_norm(x, *running, norm.weight, norm.bias))


def test_channels_anywhere(rng: np.random.Generator) -> None:
    x = rng.standard_normal((4, 6, 5, 3))
    last = x.transpose(0, 2, 3, 1)
    for make in (
        lambda **k: nn.BatchNorm2d(6, **k),
        lambda **k: nn.InstanceNorm2d(6, **tracked(k)),
        lambda **k: nn.GroupNorm(2, 6, **k),
    ):
        one, other = make(), make(channel_axis=-1)
        np.testing.assert_allclose(other(last).transpose(0, 3, 1, 2), one(x), atol=1e-12)
        for name, value in one.state_dict().items():
            np.testing.assert_allclose(other.state_dict()[name], value, rtol=1e-6)
    norm = nn.BatchNorm((4, 3), channel_axis=(3, 0))
    np.testing.assert_allclose(norm(x).mean((1, 2)), np.zeros((4, 3)), atol=1e-12)
    assert norm.running_var.shape == (4, 3)


def test_layer_norm_of_any_axes(rng: np.random.Generator) -> None:
    x = rng.standard_normal((4, 6, 5, 3))
    norm = filled(nn.LayerNorm((6, 3), axis=(-1, 1)), rng)
    expected = nf.layer_norm(x, weight=norm.weight, bias=norm.bias, axis=(1, 3))
    assert_same_bits(norm(x), expected)
    norm = nn.RMSNorm(6, axis=1, elementwise_affine=False, weight_offset=1.0)
    assert_same_bits(norm(x), nf.rms_norm(x, axis=1))


@pytest.mark.parametrize("channel_axis", [1, -1, 0])
@pytest.mark.parametrize("training", [True, False])
def test_one_sample_is_a_batch_of_one(
    training: bool, channel_axis: int, rng: np.random.Generator
) -> None:
    batch = rng.standard_normal((6, 6, 6))[:1] if channel_axis else rng.standard_normal((6, 1, 5))
    sample = batch[:, 0] if channel_axis == 0 else batch[0]
    options: dict[str, Any] = tracked({"channel_axis": channel_axis, "dtype": np.float64})
    one, other = nn.InstanceNorm1d(6, **options), nn.InstanceNorm1d(6, **options)
    y = one.train(training)(sample, activation="relu")
    expected = other.train(training)(batch, activation="relu").reshape(sample.shape)
    np.testing.assert_allclose(y, expected, rtol=1e-14, atol=1e-14)
    for name, value in other.state_dict().items():
        np.testing.assert_allclose(one.state_dict()[name], value, rtol=1e-14)


def test_gemmas_weight_starts_as_one() -> None:
    norm = nn.RMSNorm(4, eps=0.0, weight_offset=1.0)
    assert not norm.weight.any()
    y = norm(np.array([[1.0, -1.0, 7.0, 7.0]]))
    np.testing.assert_allclose(y, [[0.2, -0.2, 1.4, 1.4]], rtol=1e-12)


def test_every_keyword_of_the_function_is_passed_on(rng: np.random.Generator) -> None:
    x, other = rng.standard_normal((2, 4, 6, 5))
    where = rng.random((4, 6, 5)) < 0.7
    options: dict[str, Any] = {
        "where": where,
        "sample_weight": rng.uniform(0.5, 2, (4, 6, 5)),
        "activation": "relu",
        "dtype": np.float32,
        "return_stats": True,
        "num_threads": 1,
    }
    add, residual = {**options, "add": other}, {**options, "residual": other}
    batch = filled(nn.BatchNorm1d(6), rng)
    instance = filled(nn.InstanceNorm1d(6, affine=True), rng)
    group = filled(nn.GroupNorm(2, 6), rng)
    layer = filled(nn.LayerNorm(5), rng)
    rms = filled(nn.RMSNorm(5), rng)
    running = batch.running_mean.copy(), batch.running_var.copy()
    affine = [{"weight": m.weight, "bias": m.bias} for m in (batch, instance, group, layer)]
    for actual, expected in (
        (batch(x, **add), nf.batch_norm(x, *running, training=True, **affine[0], **add)),
        (instance(x, **add), nf.instance_norm(x, **affine[1], **add)),
        (group(x, **add), nf.group_norm(x, 2, **affine[2], **add)),
        (layer(x, **residual), nf.layer_norm(x, **affine[3], **residual)),
        (rms(x, **residual), nf.rms_norm(x, weight=rms.weight, **residual)),
    ):
        for one, same in zip(actual, expected, strict=True):
            assert_same_bits(one, same)
    assert_same_bits(batch.running_mean, running[0])
    assert_same_bits(batch.running_var, running[1])


@each_norm
def test_the_result_goes_to_out(name: str, rng: np.random.Generator) -> None:
    make, shape = MAKE[name]
    x = rng.standard_normal(shape)
    one, other = filled(make(), rng), filled(make(), rng)
    other.load_state_dict(one.state_dict())
    out = np.empty(shape or (6, 5), np.float64 if shape else np.float32)
    assert called(one, x, out=out) is out
    assert_same_bits(out, called(other, x))


@pytest.mark.parametrize("make", [nn.BatchNorm1d, lambda n: nn.InstanceNorm1d(n, **tracked({}))])
def test_a_refused_call_changes_nothing(
    make: Callable[[int], Any], rng: np.random.Generator
) -> None:
    norm = filled(make(6), rng)
    before = norm.state_dict()
    for x, options in (
        (rng.standard_normal((4, 5, 3)), {}),
        (rng.standard_normal((4, 6, 3)), {"out": np.empty((4, 6))}),
        (rng.standard_normal((1, 6, 1)), {}),
    ):
        with pytest.raises(ValueError):  # noqa: PT011
            norm(x, **options)
    with pytest.raises(TypeError):
        norm(rng.standard_normal((4, 6, 3)), wehre=True)
    assert_same_state(norm.state_dict(), before)


def test_an_empty_batch_changes_nothing(rng: np.random.Generator) -> None:
    for norm in (nn.BatchNorm1d(6), nn.InstanceNorm1d(6, **tracked({}))):
        before = filled(norm, rng).state_dict()
        assert norm(np.empty((0, 6, 5))).shape == (0, 6, 5)
        assert_same_state(norm.state_dict(), before)


def test_weight_norm_splits_weights_into_direction_and_length() -> None:
    norm = nn.WeightNorm((2, 2), dtype=np.float64)
    np.testing.assert_allclose(norm(), np.ones((2, 2)), rtol=1e-15)
    norm.weight = [[6.0, 8.0], [0.0, 2.0]]
    np.testing.assert_array_equal(norm.weight_g, [[10], [2]])
    norm.weight_v *= 3  # its length is of no account
    np.testing.assert_allclose(norm.weight, [[6, 8], [0, 2]], rtol=1e-15)
    norm = nn.WeightNorm((2, 2), channel_axis=None)
    norm.weight = [[1.0, 1.0], [5.0, 3.0]]
    assert norm.weight_g.shape == ()
    assert norm.weight_g == 6
    norm.weight = np.zeros((2, 2))
    np.testing.assert_array_equal(norm(), np.zeros((2, 2)))


def test_cosine_linear_knows_the_cosines() -> None:
    head = nn.CosineLinear(2, 3, bias=True, scale=10.0)
    head.weight[...] = [[1, 0], [0, 2], [-3, 0]]
    head.bias[...] = [0, 0, 1]
    np.testing.assert_allclose(head(np.array([[3.0, 4.0]])), [[6, 8, -5]], rtol=1e-6)


def test_cosine_linear_starts_at_random_as_its_rng_says() -> None:
    one, other = (nn.CosineLinear(16, 3, rng=np.random.default_rng(1)) for _ in range(2))
    assert_same_bits(one.weight, other.weight)
    assert 0.1 < np.abs(one.weight).max() <= 0.25
    assert (nn.CosineLinear(16, 3).weight != one.weight).any()


# --- state


@each_class
def test_parameters_start_as_torchs(name: str) -> None:
    module = MAKE[name][0](dtype=np.float64)
    start = {"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1, "num_batches_tracked": 0}
    for key, value in module.state_dict().items():
        integer = key == "num_batches_tracked"
        assert value.dtype == (np.int64 if integer else np.float64)
        if key in start and (name, key) != ("CosineLinear", "weight"):
            np.testing.assert_array_equal(
                value, np.full(() if integer else value.shape, start[key])
            )
    assert module.training


def test_state_has_torchs_names_and_shapes() -> None:
    def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
        return {name: value.shape for name, value in module.state_dict().items()}

    affine = {"weight": (6,), "bias": (6,)}
    running = {"running_mean": (6,), "running_var": (6,), "num_batches_tracked": ()}
    assert shapes(nn.BatchNorm2d(6)) == affine | running
    assert shapes(nn.BatchNorm2d(6, affine=False)) == running
    assert shapes(nn.BatchNorm2d(6, bias=False)) == {"weight": (6,)} | running
    assert shapes(nn.InstanceNorm2d(6)) == {}
    assert shapes(nn.InstanceNorm2d(6, track_running_stats=True)) == running
    assert shapes(nn.GroupNorm(2, 6)) == affine
    assert shapes(nn.LayerNorm((5, 3))) == {"weight": (5, 3), "bias": (5, 3)}
    assert shapes(nn.LayerNorm(5, bias=False)) == {"weight": (5,)}
    assert shapes(nn.LayerNorm(5, elementwise_affine=False)) == {}
    assert shapes(nn.RMSNorm(np.int64(5))) == {"weight": (5,)}
    assert shapes(nn.CosineLinear(5, 6)) == {"weight": (6, 5)}
    g, v = "parametrizations.weight.original0", "parametrizations.weight.original1"
    assert shapes(nn.WeightNorm((6, 5, 3))) == {g: (6, 1, 1), v: (6, 5, 3)}
    assert shapes(nn.WeightNorm((6, 5), None)) == {g: (), v: (6, 5)}
    renamed = shapes(nn.WeightNorm(6, name="w"))
    assert list(renamed) == [name.replace("weight", "w") for name in (g, v)]


@each_class
def test_state_moves_from_one_to_the_other(
    name: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    make, shape = MAKE[name]
    one, other = filled(make(), rng), make()
    np.savez(tmp_path / "one.npz", **one.state_dict())
    with np.load(tmp_path / "one.npz") as state:
        assert other.load_state_dict(state) == ([], [])
    assert_same_state(other.state_dict(), one.state_dict())
    x = rng.standard_normal(shape)
    assert_same_bits(called(other.eval(), x), called(one.eval(), x))


@each_class
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"]
)
def test_a_copy_is_the_same_and_shares_nothing(
    copied: Callable[[Any], Any], name: str, rng: np.random.Generator
) -> None:
    module = filled(MAKE[name][0](), rng).eval()
    before = module.state_dict()
    other = copied(module)
    assert repr(other) == repr(module)
    assert not other.training
    assert_same_state(other.state_dict(), before)
    for value in vars(other).values():
        if isinstance(value, np.ndarray):
            value[...] = 3
    assert_same_state(module.state_dict(), before)


def test_state_dict_is_a_snapshot(rng: np.random.Generator) -> None:
    norm = nn.BatchNorm1d(6)
    before = norm.state_dict()
    norm(rng.standard_normal((4, 6)))
    np.testing.assert_array_equal(before["running_mean"], np.zeros(6))
    norm.load_state_dict(before)
    assert norm.num_batches_tracked == 0


def test_loading_fills_the_arrays_that_are_there(rng: np.random.Generator) -> None:
    norm = nn.GroupNorm(2, 6)
    weight = norm.weight
    filled(norm, rng)
    assert norm.weight is weight
    assert (weight != 1).any()


def test_a_prefix_finds_one_layer_in_a_model(rng: np.random.Generator) -> None:
    norms = {f"layer1.{i}.bn1.": filled(nn.BatchNorm2d(6), rng) for i in range(2)}
    model = {"stem.weight": rng.standard_normal((6, 3)), "layer1.1.bn10.weight": np.ones(5)}
    for prefix, norm in norms.items():
        model |= norm.state_dict(prefix=prefix)
    for prefix, norm in norms.items():
        other = nn.BatchNorm2d(6)
        assert other.load_state_dict(model, prefix=prefix) == ([], [])
        assert_same_state(other.state_dict(), norm.state_dict())


def test_names_that_are_missing_or_unexpected_are_told() -> None:
    state = {"a.weight": np.ones(6), "a.gamma": np.ones(6), "b.bias": np.ones(6)}
    norm = nn.BatchNorm2d(6)
    text = re.escape(
        "BatchNorm2d.load_state_dict: missing 'a.bias', 'a.running_mean', 'a.running_var'; "
        "unexpected 'a.gamma'"
    )
    with pytest.raises(ValueError, match=f"^{text}$"):
        norm.load_state_dict(state, prefix="a.")
    keys = norm.load_state_dict({**state, "a.weight": np.full(6, 3.0)}, False, prefix="a.")
    assert keys.missing_keys == ["a.bias", "a.running_mean", "a.running_var"]
    assert keys.unexpected_keys == ["a.gamma"]
    np.testing.assert_array_equal(norm.weight, np.full(6, 3))
    many = {f"layers.{i}.weight": np.ones(6) for i in range(100)}
    with pytest.raises(ValueError, match=r"unexpected .*'layers.5.weight', and 94 more$"):
        nn.InstanceNorm1d(6).load_state_dict(many)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (np.ones(5), ValueError, r"has shape \(5,\), expected \(6,\)"),
        (np.ones((6, 1)), ValueError, r"has shape \(6, 1\), expected \(6,\)"),
        (np.ones(6, int), TypeError, "is of dtype int64, expected float32, .* or bfloat16"),
        (np.ones(6, complex), TypeError, "is of dtype complex128, expected float32"),
        (["a"] * 6, TypeError, "is of dtype <U1, expected float32"),
        ([[1.0], [1.0, 2.0]], TypeError, "is no NumPy array"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_loaded(
    value: Any, error: type[Exception], text: str, rng: np.random.Generator
) -> None:
    norm = filled(nn.BatchNorm2d(6), rng)
    before = norm.state_dict()
    state = {"bn." + name: array + 1 for name, array in before.items()}
    state["bn.running_var"] = value
    for strict in (True, False):
        with pytest.raises(error, match=f"^BatchNorm2d.load_state_dict: 'bn.running_var' {text}"):
            norm.load_state_dict(state, strict, prefix="bn.")
    assert_same_state(norm.state_dict(), before)


def test_the_count_of_batches_is_an_integer_and_may_be_missing(rng: np.random.Generator) -> None:
    norm = filled(nn.BatchNorm2d(6), rng)
    state = norm.state_dict()
    with pytest.raises(TypeError, match="'num_batches_tracked' is of dtype float64"):
        norm.load_state_dict(state | {"num_batches_tracked": np.array(3.0)})
    norm.load_state_dict(state | {"num_batches_tracked": np.array(3, np.int32)})
    assert norm.num_batches_tracked == 3
    del state["num_batches_tracked"]
    assert norm.load_state_dict(state) == ([], [])
    assert norm.num_batches_tracked == 3
    assert norm.num_batches_tracked.dtype == np.int64


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_floats_load_into_the_dtype_of_the_module(dtype: str) -> None:
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    state = {"weight": np.array([0.5, 1.5]).astype(dtype), "bias": np.ones(2, dtype)}
    norm = nn.LayerNorm(2)
    norm.load_state_dict(state)
    assert norm.weight.dtype == np.float32
    np.testing.assert_array_equal(norm.weight, [0.5, 1.5])
    norm = nn.LayerNorm(2, dtype=dtype)
    norm.load_state_dict(state)
    assert_same_state(
        {k: v.astype(float) for k, v in norm.state_dict().items()},
        {k: v.astype(float) for k, v in state.items()},
    )
    assert norm.weight.dtype == np.dtype(dtype)


@each_norm
def test_half_parameters_work(name: str, rng: np.random.Generator) -> None:
    """Running statistics move too, each value rounded to its dtype."""
    make, shape = MAKE[name]
    x = rng.standard_normal(shape)
    half, wide = make(dtype=np.float16), make(dtype=np.float64)
    np.testing.assert_allclose(called(half, x), called(wide, x), atol=2e-3)
    for key, value in wide.state_dict().items():
        np.testing.assert_allclose(half.state_dict()[key], value, atol=2e-3)


def test_safetensors_load_as_they_are(tmp_path: Path, rng: np.random.Generator) -> None:
    safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    norm, other = filled(nn.BatchNorm2d(6), rng), nn.BatchNorm2d(6)
    safetensors.save_file(norm.state_dict(prefix="bn1."), tmp_path / "model.safetensors")
    other.load_state_dict(safetensors.load_file(tmp_path / "model.safetensors"), prefix="bn1.")
    assert_same_state(other.state_dict(), norm.state_dict())


@pytest.mark.parametrize("names", ["parametrizations.weight.original{}", "weight_{}"])
def test_weight_norm_loads_both_of_torchs_names(names: str) -> None:
    g, v = (names.format(end) for end in ("01" if names.endswith("l{}") else "gv"))
    conv = {f"conv.{g}": np.array([[5.0]]), f"conv.{v}": np.array([[6.0, 8.0]])}
    norm = nn.WeightNorm((1, 2))
    others = {"conv.bias": np.ones(1), "conv.weight_hh_g": np.ones(1), "fc.weight": np.ones(2)}
    assert norm.load_state_dict(conv | others, prefix="conv.") == ([], [])
    np.testing.assert_array_equal(norm(), [[3, 4]])
    missing = "'conv.parametrizations.weight.original1'"
    with pytest.raises(ValueError, match=f"WeightNorm.load_state_dict: missing {missing}$"):
        norm.load_state_dict({f"conv.{g}": np.array([[5.0]])}, prefix="conv.")
    with pytest.raises(
        ValueError, match=re.escape(f"'conv.{v}' has shape (2, 1), expected (1, 2)")
    ):
        norm.load_state_dict(conv | {f"conv.{v}": np.ones((2, 1))}, prefix="conv.")


# --- refusals


@pytest.mark.parametrize(
    ("module", "shape", "text"),
    [
        (nn.BatchNorm(6), (6,), "BatchNorm: x has shape (6,), expected 2 or more axes"),
        (nn.BatchNorm1d(6), (4, 6, 5, 3), "x has shape (4, 6, 5, 3), expected 2 or 3 axes"),
        (nn.BatchNorm2d(6), (4, 6, 5), "BatchNorm2d: x has shape (4, 6, 5), expected 4 axes"),
        (nn.BatchNorm3d(6), (4, 6), "BatchNorm3d: x has shape (4, 6), expected 5 axes"),
        (nn.InstanceNorm1d(6), (6,), "InstanceNorm1d: x has shape (6,), expected 2 or 3 axes"),
        (nn.InstanceNorm2d(6), (4, 6), "InstanceNorm2d: x has shape (4, 6), expected 3 or 4 axes"),
        (nn.InstanceNorm3d(6), (6, 4, 5), "expected 4 or 5 axes"),
        (nn.BatchNorm1d(6), (4, 5), "BatchNorm1d: x has shape (4, 5), expected 6 on axis=1"),
        (nn.InstanceNorm2d(6), (4, 5, 8, 8), "has shape (4, 5, 8, 8), expected 6 on axis=1"),
        (nn.InstanceNorm2d(6), (5, 8, 8), "has shape (5, 8, 8), expected 6 on axis=0"),
        (nn.GroupNorm(2, 6, affine=False), (4, 8), "has shape (4, 8), expected 6 on axis=1"),
        (nn.BatchNorm((4, 6), channel_axis=(0, 1)), (4, 5, 3), "expected 4, 6 on axis=(0, 1)"),
        (nn.LayerNorm(6, axis=1, elementwise_affine=False), (4, 5), "expected 6 on axis=1"),
        (nn.LayerNorm(6, axis=1), (), "x has shape (), expected 6 on axis=1"),
        (nn.LayerNorm(6, axis=2), (4, 6), "axis"),
        (nn.LayerNorm(6), (4, 5), "normalized_shape"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(module: Any, shape: tuple[int, ...], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        module(np.ones(shape))


def test_arguments_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="num_groups is 4, which does not divide the 6 channels"):
        nn.GroupNorm(4, 6)
    with pytest.raises(TypeError, match="LayerNorm: dtype is int64, expected float32, float64"):
        nn.LayerNorm(6, dtype=int)
    with pytest.raises(ValueError, match=re.escape("weight has shape (5,), expected (6, 5)")):
        nn.WeightNorm((6, 5)).weight = np.ones(5)
    with pytest.raises(TypeError, match="float"):
        nn.BatchNorm1d(6.0)


# --- what is shown


def test_train_and_eval_return_the_module() -> None:
    norm = nn.BatchNorm1d(6)
    assert norm.eval() is norm
    assert not norm.training
    assert norm.train() is norm
    assert norm.training
    assert not norm.train(False).training


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (
            nn.BatchNorm2d(6),
            "BatchNorm2d(6, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)",
        ),
        (
            nn.GroupNorm(2, 6, channel_axis=-1, dtype=np.float64),
            "GroupNorm(2, 6, eps=1e-05, affine=True, channel_axis=-1)",
        ),
        (nn.GroupNorm(2, 6, affine=False), "GroupNorm(2, 6, eps=1e-05, affine=False)"),
        (nn.GroupNorm(2, 6, bias=False), "GroupNorm(2, 6, eps=1e-05, affine=True, bias=False)"),
        (nn.LayerNorm(5), "LayerNorm((5,), eps=1e-05, elementwise_affine=True, bias=True)"),
        (nn.RMSNorm([5, 3]), "RMSNorm((5, 3), eps=None, elementwise_affine=True)"),
        (nn.WeightNorm((6, 5), None), "WeightNorm((6, 5), channel_axis=None)"),
        (nn.CosineLinear(5, 6), "CosineLinear(5, 6, bias=False, scale=1.0, eps=1e-12)"),
    ],
)
def test_repr_is_like_torchs(module: nn.Module, text: str) -> None:
    assert repr(module) == text


CLASSES = [getattr(nn, name) for name in nn.__all__ if name not in ("IncompatibleKeys", "Module")]


@pytest.mark.parametrize("documented", [nn, *CLASSES], ids=lambda d: d.__name__)
def test_documented_examples_hold(documented: Any) -> None:
    finder = doctest.DocTestFinder(recurse=False)
    report: list[str] = []
    for example in finder.find(documented, globs={"np": np, "nn": nn}):
        doctest.DocTestRunner().run(example, out=report.append)
    assert not report, "".join(report)


@pytest.mark.parametrize("documented", CLASSES, ids=lambda d: d.__name__)
def test_every_argument_is_documented(documented: type) -> None:
    # The 1d, 2d and 3d classes take the arguments of their base, whose documentation has them.
    texts = [inspect.getdoc(c) or "" for c in documented.__mro__[:2]]
    text = next(text for text in texts if "Parameters\n" in text)
    section = re.split(r"\n\w+\n-+\n", text.partition("Parameters\n")[2])[0]
    named = re.findall(r"^(\w+) : ", section, re.MULTILINE)
    assert named == list(inspect.signature(documented).parameters)


# --- against torch


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason="torch is not installed")


# A class's name, its arguments, and the shape of x: PyTorch's class has the same of each.
SAME: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    ("BatchNorm1d", (6,), {}, (4, 6)),
    ("BatchNorm1d", (6, 1e-3, 0.3), {}, (4, 6, 5)),
    ("BatchNorm1d", (6, 1e-5, None), {}, (4, 6, 5)),
    ("BatchNorm2d", (6,), {"affine": False}, (4, 6, 5, 3)),
    ("BatchNorm2d", (6,), {"track_running_stats": False}, (4, 6, 5, 3)),
    ("BatchNorm3d", (6,), {}, (4, 6, 2, 5, 3)),
    ("InstanceNorm1d", (6,), {}, (4, 6, 5)),
    ("InstanceNorm1d", (6, 1e-3, 0.3, True, True), {}, (4, 6, 5)),
    ("InstanceNorm1d", (6,), tracked({}), (6, 5)),
    ("InstanceNorm2d", (6,), {"affine": True}, (4, 6, 5, 3)),
    ("InstanceNorm2d", (6,), {"track_running_stats": True}, (6, 5, 3)),
    ("InstanceNorm3d", (6,), tracked({}), (4, 6, 2, 5, 3)),
    ("GroupNorm", (3, 6), {}, (4, 6, 5)),
    ("GroupNorm", (3, 6, 1e-3), {"affine": False}, (4, 6, 5)),
    ("LayerNorm", ((5, 3),), {}, (4, 5, 3)),
    ("LayerNorm", (3, 1e-3, True, False), {}, (4, 5, 3)),
    ("LayerNorm", (3,), {"elementwise_affine": False}, (4, 5, 3)),
    ("RMSNorm", (3,), {}, (4, 5, 3)),
    ("RMSNorm", ((5, 3), 1e-3), {}, (4, 5, 3)),
    ("RMSNorm", (3,), {"elementwise_affine": False}, (4, 5, 3)),
]
each_same = pytest.mark.parametrize(
    ("name", "args", "options", "shape"), SAME, ids=[f"{n}{a}{o}{s}" for n, a, o, s in SAME]
)


def as_torch(torch: Any, state: Mapping[str, Array]) -> dict[str, Any]:
    return {name: torch.from_numpy(np.asarray(value)) for name, value in state.items()}


def as_numpy(module: Any) -> dict[str, Array]:
    return {name: value.numpy().copy() for name, value in module.state_dict().items()}


def assert_close_state(actual: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    assert list(actual) == list(expected)
    for name, value in expected.items():
        assert (actual[name].dtype, actual[name].shape) == (value.dtype, value.shape)
        np.testing.assert_allclose(actual[name], value, rtol=1e-12, err_msg=name)


@each_same
@pytest.mark.parametrize("direction", ["from torch", "to torch"])
def test_same_state_same_results(
    direction: str,
    name: str,
    args: tuple[Any, ...],
    options: dict[str, Any],
    shape: tuple[int, ...],
    torch: Any,
    rng: np.random.Generator,
) -> None:
    theirs = getattr(torch.nn, name)(*args, **options, dtype=torch.float64)
    ours = getattr(nn, name)(*args, **options, dtype=np.float64)
    assert_close_state(ours.state_dict(), as_numpy(theirs))
    if direction == "to torch":
        theirs.load_state_dict(as_torch(torch, filled(ours, rng).state_dict()))
    else:
        copied = filled(copy.deepcopy(ours), rng).state_dict()
        theirs.load_state_dict(as_torch(torch, copied))
        ours.load_state_dict(theirs.state_dict())
    for training in (True, True, False, True, False):
        x = rng.normal(1.0, 2.0, shape)
        y = ours.train(training)(x)
        expected = theirs.train(training)(torch.from_numpy(x)).detach().numpy()
        np.testing.assert_allclose(y, expected, rtol=1e-11, atol=1e-12)
        state, their_state = ours.state_dict(), as_numpy(theirs)
        if name.startswith("InstanceNorm"):  # torch's does not count
            for either in (state, their_state):
                either.pop("num_batches_tracked", None)
        assert_close_state(state, their_state)


@each_same
def test_shown_as_torch_shows_it(
    name: str,
    args: tuple[Any, ...],
    options: dict[str, Any],
    shape: tuple[int, ...],  # noqa: ARG001
    torch: Any,
) -> None:
    """But for bias, which some versions of torch show and others do not."""
    theirs = repr(getattr(torch.nn, name)(*args, **options))
    ours = repr(getattr(nn, name)(*args, **options))
    assert re.sub(", bias=(True|False)", "", ours) == re.sub(", bias=(True|False)", "", theirs)


def test_a_layer_of_a_torch_model_loads_by_its_prefix(torch: Any, rng: np.random.Generator) -> None:
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3), torch.nn.Sequential(torch.nn.BatchNorm2d(6), torch.nn.ReLU())
    )
    model(torch.from_numpy(rng.standard_normal((4, 3, 8, 8), dtype=np.float32)))
    x = rng.standard_normal((4, 6, 8, 8), dtype=np.float32)
    norm = nn.BatchNorm2d(6).eval()
    norm.load_state_dict(model.state_dict(), prefix="1.0.")
    expected = model.eval()[1](torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(norm(x, activation="relu"), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, None])
def test_weight_norm_is_torchs_parametrization(
    axis: int | None, torch: Any, rng: np.random.Generator
) -> None:
    layer = torch.nn.Conv1d(4, 6, 3, dtype=torch.float64)
    layer = torch.nn.utils.parametrizations.weight_norm(layer, dim=axis)
    norm = nn.WeightNorm((6, 4, 3), axis, dtype=np.float64)
    norm.load_state_dict(layer.state_dict())
    np.testing.assert_allclose(norm.weight, layer.weight.detach().numpy(), rtol=1e-12)
    weight = rng.standard_normal((6, 4, 3))
    norm.weight = weight
    layer.load_state_dict(as_torch(torch, norm.state_dict()), strict=False)
    np.testing.assert_allclose(layer.weight.detach().numpy(), weight, rtol=1e-12)
    layer.weight = torch.from_numpy(weight)
    assert_close_state(norm.state_dict(), {k: v for k, v in as_numpy(layer).items() if k != "bias"})


def test_cosine_linear_is_torchs_cosine_similarity(torch: Any, rng: np.random.Generator) -> None:
    head = filled(nn.CosineLinear(5, 6, bias=True, dtype=np.float64), rng)
    x = rng.standard_normal((2, 4, 5))
    cosines = torch.nn.functional.cosine_similarity(
        torch.from_numpy(x)[..., None, :], torch.from_numpy(head.weight), dim=-1
    )
    np.testing.assert_allclose(head(x), cosines.numpy() + head.bias, rtol=1e-11, atol=1e-12)


def test_a_torch_tensor_is_normalised_in_place(torch: Any, rng: np.random.Generator) -> None:
    x = torch.from_numpy(rng.standard_normal((4, 6, 5), dtype=np.float32))
    expected = torch.nn.BatchNorm1d(6)(x).detach().numpy()
    nn.BatchNorm1d(6)(x, out=x)
    np.testing.assert_allclose(x.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_a_tensor_that_requires_grad_is_named(torch: Any) -> None:
    state = {"weight": torch.ones(6, requires_grad=True), "bias": torch.zeros(6)}
    with pytest.raises(TypeError, match=r"LayerNorm.load_state_dict: 'weight' .*grad"):
        nn.LayerNorm(6).load_state_dict(state)
