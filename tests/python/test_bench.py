"""The parts of the benchmark: that it measures what it says, on known inputs."""

import dataclasses
import json
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rich", reason="the command line needs rich")

from rich.console import Console

from normfast.cli import bench, main
from normfast.cli.bench import compare, report, yardstick
from normfast.cli.bench.cases import CASES, LAYOUTS, OPERATIONS, Case, Options, load
from normfast.cli.bench.contender import Contender
from normfast.cli.bench.measure import WARM, Timing, calls_in, measure, wait_until_idle
from normfast.cli.bench.neighbours import busy_seconds
from normfast.cli.bench.peers import with_normfast, with_numpy
from normfast.cli.bench.peers.onnx_model import one_node_model
from normfast.cli.bench.problem import Problem, geometry, prepare, touched
from normfast.cli.bench.reference import PROMISE, reference
from normfast.cli.bench.result import Entry, Result, Run, describe, from_json, to_json
from normfast.cli.bench.summary import geometric_mean, promises, scaling, summarize

# ---- cases ----


def test_filter_wants_all_words_in_any_case() -> None:
    chosen = bench.select(CASES, "LAST batch_norm Training")
    assert chosen
    assert all(c.layout == "channels last" and c.options.training for c in chosen)
    assert len({case.title for case in CASES}) == len(CASES)


def test_cases_cover_every_operation_layout_and_float() -> None:
    assert {case.op for case in CASES} == set(OPERATIONS)
    assert {case.layout for case in CASES} == set(LAYOUTS)
    assert {case.dtype for case in CASES} >= {"float32", "float64", "float16", "bfloat16", "uint8"}
    # A large case of halves is compared with the same case of float32.
    halves = [case for case in CASES if case.dtype == "bfloat16" and math.prod(case.shape) > 1e7]
    twins = {dataclasses.replace(case, dtype="float32") for case in halves}
    assert halves
    assert twins <= set(CASES)


ENTRY = """
model = "mine"
[[cases]]
op = "layer_norm"
name = "stage"
shape = [2, 6, 4, 5]
"""


def test_an_entry_is_the_product_of_its_layouts_dtypes_and_variants() -> None:
    more = """
    layouts = ["channels first", "channels last"]
    dtypes = ["float32", "float16"]
    variants = [{ axis = 1 }, { axis = [1, 3], residual = true }]
    """
    cases = load(ENTRY + more, "mine.toml")
    assert len(cases) == 8
    first, last = (
        next(c for c in cases if c.layout == layout and c.options.residual)
        for layout in ("channels first", "channels last")
    )
    assert (first.shape, first.options.axis) == ((2, 6, 4, 5), (1, 3))
    assert (last.shape, last.options.axis) == ((2, 4, 5, 6), (-1, 2))
    assert last.options.channel_axis == -1
    assert last.title == "layer_norm mine stage, residual, channels last"
    assert cases[-1].title.endswith("channels last, float16")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model = ", "mine.toml: "),
        ('model = "mine"', "expected a model and at least one case"),
        (ENTRY + 'layout = "sliced"', "case 1: unknown key 'layout'"),
        (ENTRY + 'layouts = ["NCHW"]', "case 1: 'NCHW' is none of contiguous, channels first"),
        (ENTRY + 'dtypes = ["float"]', "case 1: 'float' is none of float32"),
        (ENTRY + "variants = [{ axes = 1 }]", "case 1: unknown option 'axes'"),
        (ENTRY + "variants = [{ activation = 'mish' }]", "case 1: activation is 'mish', expected"),
        (ENTRY.replace("layer_norm", "norm"), "case 1: 'norm' is none of mean_var"),
        (ENTRY.replace("[2,", "[0,"), r"case 1: shape is \[0, 6, 4, 5\], expected"),
        (ENTRY.replace("name", "title"), "unknown key 'title'"),
        (ENTRY + "variants = [{ eps = 0.1 }, {}]", "two cases are called 'layer_norm mine stage'"),
        (ENTRY.replace('op = "layer_norm"', ""), "no 'op'"),
    ],
)
def test_a_wrong_file_of_shapes_is_told_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        load(text, "mine.toml")
    assert str(error.value).startswith("mine.toml: ")
    assert "\n" not in str(error.value)


def test_a_quick_run_has_every_operation_and_layout_and_few_cases() -> None:
    chosen = bench.one_of_each_kind(CASES)
    assert len(chosen) < len(CASES) * 2 / 3
    assert {case.op for case in chosen} == set(OPERATIONS)
    assert {case.layout for case in chosen} == set(LAYOUTS)


@pytest.mark.parametrize(
    ("layout", "strides", "bytes_"),
    [("contiguous", (40, 4), 240), ("sliced", (80, 4), 240), ("stepped", (80, 8), 480)],
)
def test_strided_arrays_have_the_same_values_elsewhere(
    layout: str, strides: tuple[int, ...], bytes_: int
) -> None:
    problem = prepare(Case("layer_norm", "", (6, 10), layout=layout))
    assert problem.x.strides == strides
    assert problem.y.flags.c_contiguous
    assert touched(problem.x) == bytes_
    assert problem.traffic(1 << 20) == bytes_ + 240 + 2 * 40


# ---- every statement does its operation ----


def small(case: Case) -> Case:
    """The same case on few elements: up to 64 channels in up to 16 groups, other axes up to 5."""
    channel = case.options.channel_axis % len(case.shape)
    limits = (64 if axis == channel else 5 for axis in range(len(case.shape)))
    options = dataclasses.replace(case.options, num_groups=min(case.options.num_groups, 16))
    return dataclasses.replace(case, shape=tuple(map(min, case.shape, limits)), options=options)


# What others may differ by: torch rounds the sum with a residual before it is normalised.
TOLERANCE = {"float32": 1e-5, "float64": 1e-13, "float16": 3e-3, "bfloat16": 3e-2}


def prepared(case: Case) -> Problem:
    """The arrays of a case, where its type is installed."""
    if case.dtype == "bfloat16":
        pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes")
    return prepare(case)


@pytest.mark.parametrize("case", [small(case) for case in CASES], ids=lambda case: case.title)
def test_every_contender_computes_the_operation(case: Case) -> None:
    problem = prepared(case)
    exact = reference(problem)
    for contender in with_normfast.prepare(problem, threads=2).values():
        for result in problem.results:
            result.fill(0)
        assert exact.error(contender.run()) <= PROMISE[case.result_dtype]
    numpy = with_numpy.prepare(problem)
    assert numpy is not None
    results = numpy.run()
    assert exact.error(results) <= TOLERANCE[case.result_dtype]
    assert all(result.dtype == problem.y.dtype for result in results) or case.op == "mean_var"


@pytest.mark.parametrize(
    ("name", "imported"),
    [
        ("torch", "torch"),
        ("onnxruntime", "onnxruntime"),
        ("jax", "jax"),
        ("scikit-learn", "sklearn"),
        ("opencv", "cv2"),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_every_peer_computes_the_operation(name: str, imported: str, dtype: str) -> None:
    pytest.importorskip(imported, reason=f"{name} is not installed")
    with ExitStack() as stack:
        (peer,) = bench.peers.load([name], stack)
        # Many cases of one kind are the same once they are small.
        kinds = {
            (case.op, case.layout, case.options, case.dtype, len(case.shape)): small(case)
            for case in CASES
            if case.result_dtype == dtype
        }
        for case in kinds.values():
            problem = prepared(case)
            if (contender := peer.prepare(problem, 1)) is not None:
                error = reference(problem).error(contender.run())
                assert error <= TOLERANCE[dtype], case.title


def test_no_peer_leaves_out_what_a_case_asks_for() -> None:
    """A case that a library cannot do is none of its cases: it must not do less and look fast."""
    extended = [
        Case("layer_norm", "residual", (4, 8), Options(axis=(-1,), residual=True)),
        Case("layer_norm", "missing", (4, 8), Options(axis=(-1,), where="missing")),
        Case("batch_norm", "add", (4, 8, 3), Options(add=True)),
        Case("batch_norm", "relu", (4, 8, 3), Options(activation="relu")),
        Case("group_norm", "silu", (4, 8, 3), Options(activation="silu", num_groups=2)),
        Case("layer_norm", "eps", (4, 8), Options(eps=0.1)),
        Case("rms_norm", "two axes", (2, 3, 8), Options(axis=(0, 2), residual=True)),
        Case("layer_norm", "two axes", (2, 3, 8), Options(axis=(1, 2))),
        Case("rms_norm", "the first axis", (6, 8), Options(axis=(0,))),
        Case("layer_norm", "gelu", (4, 8), Options(activation="gelu")),
        Case("batch_norm", "gelu", (4, 8, 3), Options(activation="gelu_tanh")),
        Case("standardize", "pixels", (40, 8), Options(axis=None), dtype="uint8"),
        Case("standardize", "counts", (40, 8), Options(axis=(0,)), dtype="int32"),
        Case("instance_norm", "eps", (4, 8, 3), Options(eps=0.1)),
        Case("layer_norm", "stepped", (4, 8), layout="stepped"),
        Case("rms_norm", "residual", (2, 4, 8), Options(residual=True), dtype="float16"),
        Case("normalize_image", "", (4, 5, 3), Options(channel_axis=-1), dtype="uint8",
             out_dtype="float16"),
    ]  # fmt: skip
    with ExitStack() as stack:
        for peer in bench.peers.load(None, stack):
            for case in extended:
                problem = prepare(case)
                contender = peer.prepare(problem, 2)
                if contender is not None:
                    results = contender.run()
                    error = reference(problem).error(results)
                    assert error <= TOLERANCE[case.result_dtype], (peer.name, case.title)


def test_what_peers_change_is_put_back() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    before = torch.get_num_threads(), os.sched_getaffinity(0)
    problem = prepare(Case("layer_norm", "", (4, 8)))
    with ExitStack() as stack:
        for peer in bench.peers.load(None, stack):
            peer.prepare(problem, before[0] + 1 if peer.name == "torch" else 1)
    assert (torch.get_num_threads(), os.sched_getaffinity(0)) == before


def test_cases_of_bfloat16_are_left_out_where_that_type_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "find_spec", lambda _: None)
    results: list[Result] = []
    monkeypatch.setattr(report, "print_run", lambda _, run: results.extend(run.results))
    words = "rms residual Llama 8 tokens"
    quick = ["--quick", "--rounds", "1", "--threads", "2,1", "--peers", "numpy"]
    assert main(["bench", *quick, "--filter", words]) == 0
    assert {result.case.dtype for result in results} == {"float32", "float16"}
    assert [result.threads for result in results] == [2, 1, 2, 1]
    assert "no cases of bfloat16 without ml_dtypes" in capsys.readouterr().err


def test_reference_and_its_scales() -> None:
    x = np.array([[1, 3], [10, 30]], np.float32)

    def exact(op: str, eps: float = 0.0) -> tuple[np.ndarray, ...]:
        case = Case(op, "by hand", x.shape, Options(axis=(-1,), eps=eps))
        return reference(Problem(case, x, x, *geometry(case))).expected

    np.testing.assert_array_equal(exact("layer_norm")[0], [[-1, 1], [-1, 1]])
    np.testing.assert_array_equal(exact("standardize")[0], [[-1, 1], [-1, 1]])
    np.testing.assert_array_equal(exact("mean_var"), [[2, 20], [1, 100]])
    np.testing.assert_allclose(exact("normalize")[0], x / np.sqrt([[10], [1000]]), rtol=1e-15)
    np.testing.assert_allclose(exact("rms_norm")[0], x / np.sqrt([[5], [500]]), rtol=1e-15)


def test_reference_of_what_stands_around_an_operation() -> None:
    x = np.array([[1, 3, 99], [10, 30, -99]], np.float32)
    companions = {
        "residual": np.array([[0, 2, 0], [0, 20, 0]], np.float32),
        "where": np.array([[True, True, False]] * 2),
    }
    case = Case(
        "layer_norm", "by hand", x.shape, Options(axis=(-1,), eps=0.0, residual=True, where="")
    )
    problem = Problem(case, x, x, *geometry(case), companions=companions, sum=x)
    y, total = reference(problem).expected
    np.testing.assert_array_equal(total, [[1, 5, 99], [10, 50, -99]])
    np.testing.assert_array_equal(y, [[-1, 1, 48], [-1, 1, -6.45]])

    case = Case("batch_norm", "", (1, 3), Options(eps=0.0, add=True, activation="relu"))
    params = {"running_mean": np.zeros(3), "running_var": np.array([1.0, 4.0, 9.0])}
    add = np.array([[-5.0, 0.5, 1.0]])
    problem = Problem(case, x[:1], x[:1], *geometry(case), params, {"add": add})
    np.testing.assert_array_equal(reference(problem).expected, [[[0, 2, 34]]])


def test_reference_of_an_image() -> None:
    case = Case("normalize_image", "", (1, 2, 3), Options(channel_axis=-1), dtype="uint8")
    x = np.array([[[0, 51, 255], [255, 0, 102]]], np.uint8)
    params = {"mean": np.array([0.5, 0.0, 0.2]), "std": np.array([0.5, 1.0, 0.1])}
    problem = Problem(case, x, np.zeros((3, 1, 2)), *geometry(case), params)
    (y,) = reference(problem).expected
    np.testing.assert_allclose(y, [[[-1, 1]], [[0.2, 0]], [[8, 2]]], atol=1e-15)


def test_reference_of_a_mask_counts_what_is_selected() -> None:
    x = np.array([[3.0, 4.0, 100.0]])
    mask = {"where": np.array([[True, True, False]])}
    for op, exact in (("normalize", x / 5), ("rms_norm", x / np.sqrt(12.5))):
        case = Case(op, "", (1, 3), Options(eps=0.0, where="missing"))
        problem = Problem(case, x, x, *geometry(case), companions=mask)
        np.testing.assert_allclose(reference(problem).expected[0], exact.astype(float), rtol=1e-15)


def test_masks_leave_something_to_count() -> None:
    padded = prepare(Case("mean_var", "", (20, 9, 2), Options(axis=(0, 1), where="padding")))
    mask = padded.companions["where"]
    assert mask.shape == (20, 9, 1)
    lengths = mask.sum((1, 2))
    assert (lengths.min(), lengths.max()) == (5, 9)
    assert not np.diff(mask.astype(int), axis=1).max() > 0  # first the steps, then the padding
    missing = prepare(Case("layer_norm", "", (500, 40), Options(axis=(-1,), where="missing")))
    share = missing.companions["where"].mean()
    assert 0.75 < share < 0.85


def test_error_is_the_largest_and_sees_what_is_not_finite() -> None:
    case = Case("layer_norm", "one row", (1, 64), Options(axis=(-1,)))
    exact = reference(prepare(case))
    y = exact.expected[0].copy()
    y[0, 7] += 1e-3
    y[0, 9] -= 3e-3
    assert exact.error((y,)) == pytest.approx(3e-3 / max(1, abs(exact.expected[0][0, 9])))
    y[0, 9] = np.nan
    assert math.isnan(exact.error((y,)))
    with pytest.raises(ValueError, match="shape"):
        exact.error((y[0],))


def test_onnx_model_runs() -> None:
    ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    x = np.arange(300, dtype=np.float32).reshape(150, 2)
    model = one_node_model("LpNormalization", x, {}, {"axis": -1, "p": 1}, opset=17, version=8)
    (y,) = ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"x": x})
    np.testing.assert_allclose(y, x / x.sum(-1, keepdims=True), rtol=1e-6)


def test_a_peer_that_fails_or_is_wrong_becomes_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no kernel\nfor this")

    def other(problem: Problem, _: int) -> Contender:
        return Contender("x", {"x": problem.x})

    libraries = [
        SimpleNamespace(name="broken", prepare=fail),
        SimpleNamespace(name="wrong", prepare=other),
    ]
    monkeypatch.setattr(bench.peers, "load", lambda *_: libraries)
    results: list[Result] = []
    monkeypatch.setattr(report, "print_run", lambda _, run: results.extend(run.results))
    assert main(["bench", "--quick", "--filter", "rms single"]) == 0
    notes = results[0].notes
    assert notes["broken"] == "no kernel"
    assert notes["wrong"].startswith("not timed, as its result is wrong by ")
    assert results[0].entries.keys() == {"normfast"}


# ---- what has to be moved ----


@pytest.mark.parametrize(
    ("op", "shape", "options", "view", "axes", "param_shape"),
    [
        ("batch_norm", (2, 6, 4, 5), {}, (2, 6, 4, 5), (0, 2, 3), (1, 6, 1, 1)),
        ("batch_norm", (2, 6), {}, (2, 6), (0,), (1, 6)),
        ("instance_norm", (2, 4, 5, 6), {"channel_axis": -1}, (2, 4, 5, 6), (1, 2), (1, 1, 1, 6)),
        ("group_norm", (2, 6, 4), {"num_groups": 3}, (2, 3, 2, 4), (2, 3), (1, 3, 2, 1)),
        (
            "group_norm",
            (2, 4, 6),
            {"num_groups": 3, "channel_axis": -1},
            (2, 4, 3, 2),
            (1, 3),
            (1, 1, 3, 2),
        ),
        ("layer_norm", (2, 6, 4), {"axis": (1,)}, (2, 6, 4), (1,), (1, 6, 1)),
        ("weight_norm", (8, 6, 3), {"channel_axis": 0}, (8, 6, 3), (1, 2), (8, 1, 1)),
    ],
)
def test_geometry(
    op: str,
    shape: tuple[int, ...],
    options: dict[str, int],
    view: tuple[int, ...],
    axes: tuple[int, ...],
    param_shape: tuple[int, ...],
) -> None:
    assert geometry(Case(op, "", shape, Options(**options))) == (view, axes, param_shape)


@pytest.mark.parametrize(
    ("case", "l2", "reads"),
    [
        # Four planes of 1024 bytes lie under one statistic.
        (Case("batch_norm", "", (4, 8, 16, 16), Options(training=True)), 4096, 1),
        (Case("batch_norm", "", (4, 8, 16, 16), Options(training=True)), 4095, 2),
        (Case("batch_norm", "", (4, 8, 16, 16)), 0, 1),
        # A column touches a cache line in each of 100 rows.
        (Case("standardize", "", (100, 32), Options(axis=(0,))), 6400, 1),
        (Case("standardize", "", (100, 32), Options(axis=(0,))), 6399, 2),
        # A group of two channels at 9 pixels: 8 bytes of a line each.
        (Case("group_norm", "", (1, 3, 3, 8), Options(num_groups=4, channel_axis=-1)), 576, 1),
        (Case("group_norm", "", (1, 3, 3, 8), Options(num_groups=4, channel_axis=-1)), 575, 2),
        (Case("mean_var", "", (100, 32), Options(axis=(0,))), 0, 1),
    ],
)
def test_traffic_reads_twice_only_what_l2_cannot_keep(case: Case, l2: int, reads: int) -> None:
    problem = prepare(case)
    params = sum(param.nbytes for param in problem.params.values())
    written = 0 if case.op == "mean_var" else problem.x.nbytes
    assert problem.traffic(l2) == reads * problem.x.nbytes + params + written


def test_what_is_read_and_written_beside_x_counts() -> None:
    problem = prepare(Case("rms_norm", "", (8, 64), Options(axis=(-1,), residual=True)))
    assert problem.traffic(1 << 20) == 4 * 8 * 64 * 4 + 64 * 4  # x, residual, y, sum; weight
    assert problem.traffic(0) == problem.traffic(1 << 20) + 8 * 64 * 4  # the sum again
    image = Case(
        "normalize_image", "", (6, 5, 3), Options(channel_axis=-1), dtype="uint8",
        out_dtype="float16",
    )  # fmt: skip
    problem = prepare(image)
    assert problem.y.shape == (3, 6, 5)
    assert problem.traffic(0) == 90 + 180 + 2 * 3 * 8


@pytest.mark.parametrize(
    ("case", "moved"),
    [
        (Case("layer_norm", "", (8, 64), Options(axis=(-1,))), 2 * 8 * 64 * 4),
        (Case("mean_var", "", (8, 64), Options(axis=(-1,))), 2 * 8 * 64 * 4),
        (
            Case("layer_norm", "", (8, 64), Options(axis=(-1,), residual=True)),
            4 * 8 * 64 * 4 + 2 * 64 * 4,
        ),
        (
            Case("normalize_image", "", (8, 8, 3), Options(channel_axis=-1), dtype="uint8",
                 out_dtype="float32"),
            192 * 5 + 2 * 3 * 8,
        ),
    ],
)  # fmt: skip
def test_the_copy_moves_as_many_bytes_as_the_case(case: Case, moved: int) -> None:
    problem = prepare(case)
    assert yardstick.bytes_of_a_copy(problem) == moved
    with ThreadPoolExecutor(2) as pool:
        copies = yardstick.copies(problem, 2, pool)
        assert copies.keys() >= {"np.copyto", "vector copy", "non-temporal copy"}
        for copy in copies.values():
            copy.names["y"].fill(0)
            copy.run()
            np.testing.assert_array_equal(copy.names["y"], copy.names["x"])
            assert copy.names["x"].nbytes + copy.names["y"].nbytes == copy.moved == moved


def test_large_copies_and_reads_are_split_among_the_threads() -> None:
    problem = prepare(Case("mean_var", "", (600, 1000)))
    with ThreadPoolExecutor(2) as pool:
        ways = yardstick.prepare(problem, 2, pool)
        problem.y.fill(0)
        ways["np.copyto in threads"].run()
        np.testing.assert_array_equal(problem.y, problem.x)
        assert ways["sum"].statement == "split_sum(x)"
        assert {way.moved for way in ways.values()} == {problem.x.nbytes}
        ways["max"].run()
        called: list[int] = []
        yardstick.in_threads(lambda part: called.append(part.size), 2, pool)(problem.x)
    assert called == [300000, 300000]
    with ThreadPoolExecutor(1) as pool:
        assert yardstick.reads(problem, 1, pool)["sum"].statement == "np.add.reduce(x)"


# ---- measuring ----


class Clockwork:
    """A timer of known speed that keeps a diary."""

    def __init__(self, name: str, seconds: float, diary: list[tuple[str, int]]) -> None:
        self.name, self.seconds, self.diary = name, seconds, diary

    def timeit(self, number: int) -> float:
        self.diary.append((self.name, number))
        return number * self.seconds


def test_measure_interleaves_and_divides_by_the_calls() -> None:
    diary: list[tuple[str, int]] = []
    timers = {name: Clockwork(name, s, diary) for name, s in [("fast", 1e-5), ("slow", 0.5)]}
    timings = measure(timers, rounds=4, sample_seconds=1e-2)
    assert timings["fast"].calls == 1000
    assert timings["slow"].calls == 1
    assert timings["fast"].seconds == pytest.approx([1e-5] * 4)
    assert timings["slow"].seconds == pytest.approx([0.5] * 4)
    # In each round both are timed; only the fast one is called before.
    rounds = diary[-12:]
    for start in range(0, 12, 3):
        assert sorted(rounds[start : start + 3]) == [("fast", WARM), ("fast", 1000), ("slow", 1)]


def test_the_slow_take_part_in_fewer_rounds() -> None:
    timers = {name: Clockwork(name, s, []) for name, s in [("fast", 1e-5), ("slow", 0.5)]}
    timings = measure(timers, rounds=9, sample_seconds=1e-2, patience=1.0)
    assert len(timings["fast"].seconds) == 9
    assert len(timings["slow"].seconds) == 3


def test_every_sample_waits_until_the_threads_of_the_last_are_idle() -> None:
    diary: list[tuple[str, int]] = []
    timers = {name: Clockwork(name, 1e-2, diary) for name in "ab"}
    measure(timers, rounds=2, sample_seconds=1e-2, settle=lambda: diary.append(("settle", 0)))
    assert diary.count(("settle", 0)) == 2 + 2 * 2
    assert all(diary[i - 1][0] == "settle" for i in range(-1, -9, -2))

    stop = time.perf_counter() + 0.05

    def spin() -> None:
        while time.perf_counter() < stop:
            sum(range(2000))

    with ThreadPoolExecutor(1) as pool:
        pool.submit(spin)
        wait_until_idle(5.0)
    assert time.perf_counter() >= stop


def test_calls_fill_a_sample() -> None:
    assert calls_in(1e-2, Clockwork("", 1e-7, [])) == 100_000
    assert calls_in(1e-2, Clockwork("", 4e-3, [])) == 2
    assert calls_in(1e-2, Clockwork("", 1.0, [])) == 1


def test_timing_is_not_moved_by_one_bad_round() -> None:
    timing = Timing((3.0, 1.0, 90.0, 2.0, 4.0), calls=1)
    assert (timing.median, timing.minimum) == (3.0, 1.0)


def test_neighbours_count_what_is_neither_idle_nor_ours() -> None:
    stat = "cpu  1000 20 300 4000 500 6 70 8000 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n"
    assert busy_seconds(stat, ticks=100) == pytest.approx((1000 + 20 + 300 + 6 + 70) / 100)


@pytest.mark.parametrize(("others", "warned"), [(None, False), (0.02, False), (0.93, True)])
def test_a_busy_machine_is_told(others: float | None, warned: bool) -> None:
    headline = report.headline(describe(CORE, [1, 2], 3, others))
    assert headline.startswith("abacus, beads, L2 1 MiB, threads: 1 and 2, median of 3 rounds")
    assert ("Other processes used 0.9 CPUs" in headline) is warned


# ---- reporting ----

CORE = {"cpu": "abacus", "isa": "beads", "caches": {"L1d": 0, "L2": 1 << 20}, "openmp": False,
        "version": "0"}  # fmt: skip


def entry(
    median: float, *, fresh: bool = False, error: float | None = 1e-7, moved: int = 3000
) -> Entry:
    return Entry("f(x)", fresh, Timing((median / 2, median, 9 * median), calls=3), error, moved)


def result(
    *, call: bool = False, threads: int = 1, level: str = "L3", case: Case | None = None,
    **entries: Entry,
) -> Result:  # fmt: skip
    return Result(
        case=case or Case("layer_norm", "known", (8, 4), call=call),
        threads=threads,
        level=level,
        working_set=2000,
        promise=1e-6,
        entries={name.replace("_", " "): value for name, value in entries.items()},
        yardsticks={
            "copy": entry(5e-6, error=None, moved=2000),
            "slower copy": entry(8e-6, error=None, moved=2000),
            "slower, but of more bytes": entry(6e-6, error=None, moved=2300),
        },
    )


def run_of(*results: Result, threads: tuple[int, ...] = (1,)) -> Run:
    return Run(describe(CORE, threads, 3, None), results)


def test_share_is_of_the_bandwidth_of_the_best_yardstick() -> None:
    measured = result(normfast=entry(1e-5))
    assert measured.share == pytest.approx((3000 / 1e-5) / (2000 / 5e-6))
    assert measured.yardstick[0] == "copy"
    assert measured.adds is None


def test_a_small_call_is_counted_in_adds() -> None:
    measured = result(call=True, normfast=entry(1e-5))
    assert measured.adds == pytest.approx(2.0)
    assert measured.share is None


def test_peers_are_compared_like_for_like() -> None:
    measured = result(
        normfast=entry(1.0),
        normfast_fresh=entry(2.0, fresh=True),
        numpy=entry(8.0),
        torch=entry(6.0, fresh=True),
    )
    assert measured.speedup("numpy") == 8.0
    assert measured.speedup("torch") == 3.0
    assert measured.speedup("onnxruntime") is None
    assert measured.best_peer(["numpy", "torch", "onnxruntime"]) == ("torch", 3.0)
    assert measured.best_peer(["onnxruntime"]) is None


@pytest.mark.parametrize(
    ("error", "kept"), [(1e-6, True), (1.1e-6, False), (math.nan, False), (math.inf, False)]
)
def test_both_of_our_calls_must_keep_the_promise(error: float, kept: bool) -> None:
    assert result(normfast=entry(1.0, error=error)).kept is kept
    assert result(normfast=entry(1.0), normfast_fresh=entry(1.0, error=error)).kept is kept


def test_json_holds_every_number_and_no_nan(tmp_path: Path) -> None:
    measured = result(normfast=entry(1e-5), numpy=entry(4e-5, error=math.nan))
    run = run_of(measured)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = to_json(run)
    written = json.loads(text, parse_constant=refuse)
    assert written["conditions"]["cpu"] == "abacus"
    (case,) = written["cases"]
    assert (case["op"], case["shape"], case["threads"]) == ("layer_norm", [8, 4], 1)
    assert case["speedup"] == {"numpy": pytest.approx(4.0)}
    assert case["contenders"]["numpy"]["error"] == "nan"
    assert case["contenders"]["normfast"]["seconds"] == [5e-6, 1e-5, 9e-5]
    assert case["yardsticks"]["slower copy"]["median"] == 8e-6
    file = tmp_path / "run.json"
    file.write_text(text)
    again = from_json(file)
    assert again.results[0].case == measured.case
    assert to_json(again) == text


def test_a_file_that_is_no_run_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "old.json"
    for text in ("{}", "[", '{"schema": 1}', None):
        if text is None:
            file.unlink()
        else:
            file.write_text(text)
        for option in ("--load", "--compare"):
            assert main(["bench", option, str(file)]) == 2
            told = capsys.readouterr().err
            assert "old.json: " in told
            assert told.count("\n") == 1


def test_summary_uses_the_geometric_mean_and_the_median() -> None:
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    run = run_of(
        *(result(normfast=entry(1e-5 * slow), numpy=entry(t)) for slow, t in
          [(1, 2e-5), (1, 8e-5), (3, 1.2e-4)]),
    )  # fmt: skip
    found = summarize(run, run.results)
    assert found.count == 3
    assert found.speedup_mean == pytest.approx(4.0)
    assert (found.speedup_least, found.share_median) == pytest.approx((2.0, 0.75))
    assert found.share_least == pytest.approx(0.25)


def test_scaling_is_against_one_thread_of_the_same_case() -> None:
    one = result(normfast=entry(3e-5))
    two = result(normfast=entry(2e-5), threads=2)
    run = run_of(one, two, threads=(1, 2))
    assert scaling(run, one) is None
    assert scaling(run, two) == pytest.approx(1.5)


def test_promises_are_measured_on_the_cases_they_are_about() -> None:
    row = Case("rms_norm", "row", (8, 1024))
    half = dataclasses.replace(row, dtype="bfloat16")
    image = Case("batch_norm", "image", (2, 3, 4, 5), layout="sliced")
    run = run_of(
        result(level="memory", case=row, normfast=entry(1e-5), torch=entry(5e-5)),
        result(level="memory", case=half, normfast=entry(0.5e-5)),
        result(level="memory", case=image, normfast=entry(9e-5)),  # strided: not promised
        result(level="L2", case=dataclasses.replace(row, name="other"), normfast=entry(2e-5)),
        result(call=True, normfast=entry(1e-5)),
    )
    found = {promise.text.split(":")[0]: promise for promise in promises(run, 1)}
    shares = [p.measured for text, p in found.items() if text.startswith("beyond cache")]
    assert shares == [pytest.approx(0.75)]  # the least stands for both, of the same name
    assert found["float32 rows of 768 and more in L2"].measured == pytest.approx(0.375)
    assert found["float32 rows of 768 and more in L2"].kept is False
    assert found["bfloat16 beyond cache"].measured == pytest.approx(2.0)
    assert found["bfloat16 beyond cache"].kept is True
    assert found["one row of 768"].kept is False
    assert "float32 rows of 768 and more in L1" not in found
    assert promises(run, 2) == []


def test_many_cases_are_told_by_group(capsys: pytest.CaptureFixture[str]) -> None:
    slow = Case("batch_norm", "slow one", (2, 3, 4, 5), layout="channels last")
    run = run_of(
        *(result(normfast=entry(1e-5), torch=entry(4e-5)) for _ in range(30)),
        result(case=slow, level="memory", normfast=entry(1e-5), torch=entry(0.5e-5)),
    )
    report.print_run(Console(width=140), run)
    told = capsys.readouterr().out
    assert len(told.splitlines()) < 45
    assert max(map(len, told.splitlines())) <= 120
    assert "0.50x torch: batch_norm slow one, channels last, threads: 1" in told
    assert told.count("known") <= 1


def test_markdown_has_conditions_promises_and_every_case(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text(to_json(run_of(result(normfast=entry(1e-5), numpy=entry(4e-5)))))
    page = tmp_path / "page.md"
    assert main(["bench", "--load", str(file), "--markdown", str(page)]) == 0
    text = page.read_text()
    assert "abacus, beads" in text
    assert "normfast bench" in text
    assert "| known | L3 | 1 | 10 us | 0.3 | 0.75 | 1e-7 | 4.00x |" in text
    assert "| against the best peer of each case: geometric mean | >= 4.0 | 4.00 kept |" in text
    tables = [
        line.count("|") for line in text.split("## Every case")[1].splitlines() if "|" in line
    ]
    assert len(tables) == 4
    assert str(tmp_path) not in text


def test_what_a_person_noted_on_the_page_outlives_its_numbers(tmp_path: Path) -> None:
    file, page = tmp_path / "run.json", tmp_path / "page.md"
    file.write_text(to_json(run_of(result(normfast=entry(1e-5)))))
    page.write_text(
        "# Old\n\n## Notes\n\nThe reason:\n\n- latency\n\n## Every case\n\nold numbers\n\n"
        "## GPU\n\nanother run\n"
    )
    for _ in range(2):
        assert main(["bench", "--load", str(file), "--markdown", str(page)]) == 0
        text = page.read_text()
        assert text.count("## Notes\n\nThe reason:\n\n- latency\n\n## ") == 1
        assert text.count("## GPU\n\nanother run\n") == 1
        assert "old numbers" not in text


def test_a_users_own_cases_are_run_and_their_mistakes_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results: list[Result] = []
    monkeypatch.setattr(report, "print_run", lambda _, run: results.extend(run.results))
    file = tmp_path / "mine.toml"
    file.write_text(
        ENTRY.replace("layer", "group")
        + "variants = [{num_groups = 3}, {num_groups = 4, add = true}]"
    )
    options = ["--shapes", str(file), "--quick", "--threads", "1", "--peers", "numpy"]
    assert main(["bench", *options]) == 2
    (measured,) = results
    assert measured.case.title == "group_norm mine stage"
    assert measured.kept
    told = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(told) == 1
    assert told[0].startswith("normfast bench: group_norm mine stage, add: ")


def test_plots_are_drawn_and_linked(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    file = tmp_path / "run.json"
    results = (result(normfast=entry(1e-5), numpy=entry(4e-5), threads=n) for n in (1, 2))
    file.write_text(to_json(run_of(*results, threads=(1, 2))))
    options = ["--plot", str(tmp_path / "plots"), "--markdown", str(tmp_path / "page.md")]
    assert main(["bench", "--load", str(file), *options]) == 0
    drawn = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert drawn == ["share.svg", "speedup-1.svg", "speedup-2.svg"]
    assert "](plots/share.svg)" in (tmp_path / "page.md").read_text()


# ---- comparing two runs ----


def timed(median: float, minimum: float) -> Result:
    """Of a run whose yardstick was never disturbed."""
    own = Entry("f(x)", False, Timing((minimum, median, 9 * median), calls=3), 1e-7, 3000)
    copy = Entry("copy", False, Timing((5e-6,) * 3, calls=3), None, 2000)
    return dataclasses.replace(result(normfast=own), yardsticks={"copy": copy})


@pytest.mark.parametrize(
    ("median", "minimum", "slower"),
    [
        (1.00e-5, 1.00e-5, False),
        (1.50e-5, 1.00e-5, False),  # a disturbance: the best round is as good as it was
        (1.08e-5, 1.08e-5, False),  # noise
        (1.30e-5, 1.29e-5, True),
        (1.50e-5, 1.20e-5, False),  # the rounds differ by more than the runs
        (0.50e-5, 0.49e-5, False),
    ],
)
def test_slower_is_what_is_slower_by_more_than_the_noise(
    median: float, minimum: float, slower: bool
) -> None:
    old = run_of(timed(1e-5, 1e-5))
    lines, found = compare.report(old, run_of(timed(median, minimum)))
    assert found is slower
    assert any(line.startswith("slower: ") for line in lines) is slower
    assert f"1 cases, {int(slower)} slower" in lines[-1]


def test_compare_is_by_the_yardstick_of_each_run() -> None:
    """A machine that runs at half its clock makes nothing slower."""
    half = result(normfast=entry(2e-5))
    yardsticks = {
        name: dataclasses.replace(
            old, timing=Timing(tuple(2 * t for t in old.timing.seconds), old.timing.calls)
        )
        for name, old in half.yardsticks.items()
    }
    new = run_of(dataclasses.replace(half, yardsticks=yardsticks))
    assert not compare.report(run_of(result(normfast=entry(1e-5))), new)[1]


def test_compare_exits_with_1_where_a_case_got_slower(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(to_json(run_of(timed(1e-5, 1e-5))))
    new.write_text(to_json(run_of(timed(2e-5, 2e-5))))
    assert main(["bench", "--load", str(new), "--compare", str(old)]) == 1
    told = capsys.readouterr().out.replace("\n", " ")
    assert "slower: 0.50 of its earlier share (minima: 0.50, noise: 10%): layer_norm known" in told
    assert main(["bench", "--load", str(old), "--compare", str(new)]) == 0


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (report.duration(3.2e-7), "320 ns"),
        (report.duration(9.999e-4), "1 ms"),
        (report.duration(0.0421), "42.1 ms"),
        (report.duration(1.5), "1.5 s"),
        (report.times(0.5), "0.50x"),
        (report.times(12.34), "12.3x"),
        (report.times(345.6), "346x"),
        (report.number(1.7e-7), "2e-7"),
        (report.number(0.0), "0e+0"),
        (report.number(math.nan), "nan"),
    ],
)
def test_numbers_are_short(shown: str, expected: str) -> None:
    assert shown == expected
