"""The parts of the benchmark: that it measures what it says, on known inputs."""

import dataclasses
import json
import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rich", reason="the command line needs rich")

from normfast.cli import bench, main
from normfast.cli.bench import report, yardstick
from normfast.cli.bench.cases import CASES, Case, Options
from normfast.cli.bench.measure import Timing, calls_in, measure
from normfast.cli.bench.neighbours import busy_seconds
from normfast.cli.bench.peers import with_normfast, with_numpy
from normfast.cli.bench.peers.onnx_model import one_node_model
from normfast.cli.bench.problem import Problem, geometry, prepare
from normfast.cli.bench.reference import PROMISE, reference
from normfast.cli.bench.report import Entry, Result


def test_filter_wants_all_words_in_any_case() -> None:
    chosen = bench.select(CASES, "NHWC batch_norm Training")
    assert chosen
    assert all("NHWC" in c.name and "training" in c.name for c in chosen)
    assert len({case.title for case in CASES}) == len(CASES)


# ---- every statement does its operation ----


def small(case: Case) -> Case:
    """The same case on few elements: channels as they are, up to 64, other axes up to 5."""
    channel = case.options.channel_axis % len(case.shape)
    limits = (64 if axis == channel else 5 for axis in range(len(case.shape)))
    return dataclasses.replace(case, shape=tuple(map(min, case.shape, limits)))


# What others may differ by: torch rounds the sum with a residual before it is normalised.
TOLERANCE = {"float32": 1e-5, "float16": 3e-3, "bfloat16": 3e-2}


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
    numpy = with_numpy.prepare(problem).run()
    assert exact.error(numpy) <= TOLERANCE[case.result_dtype]
    assert all(result.dtype == problem.y.dtype for result in numpy) or case.op == "mean_var"


@pytest.mark.parametrize(
    ("name", "imported"),
    [("torch", "torch"), ("onnxruntime", "onnxruntime"), ("opencv", "cv2")],
)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_every_peer_computes_the_operation(name: str, imported: str, dtype: str) -> None:
    pytest.importorskip(imported, reason=f"{name} is not installed")
    with ExitStack() as stack:
        (peer,) = bench.peers.load([name], 1, stack)
        for case in (small(case) for case in CASES if case.result_dtype == dtype):
            problem = prepared(case)
            if (contender := peer.prepare(problem)) is not None:
                error = reference(problem).error(contender.run())
                assert error <= TOLERANCE[dtype], case.title


def test_no_peer_leaves_out_what_a_case_asks_for() -> None:
    """A case that a library cannot do is none of its cases: it must not do less and look fast."""
    extended = [
        Case("layer_norm", "residual", (4, 8), Options(axis=(-1,), residual=True)),
        Case("layer_norm", "missing", (4, 8), Options(axis=(-1,), where="missing")),
        Case("batch_norm", "add", (4, 8, 3), Options(add=True)),
        Case("batch_norm", "relu", (4, 8, 3), Options(activation="relu")),
        Case("normalize_image", "", (4, 5, 3), Options(channel_axis=-1), dtype="uint8",
             out_dtype="float16"),
    ]  # fmt: skip
    with ExitStack() as stack:
        for peer in bench.peers.load(None, 1, stack):
            for case in extended:
                problem = prepare(case)
                contender = peer.prepare(problem)
                if contender is not None:
                    results = contender.run()
                    error = reference(problem).error(results)
                    assert error <= TOLERANCE[case.result_dtype], (peer.name, case.title)


def test_cases_of_bfloat16_are_left_out_where_that_type_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "find_spec", lambda _: None)
    results: list[Result] = []
    monkeypatch.setattr(report, "print_results", lambda *args: results.extend(args[3]))
    words = "rms residual Llama 8 tokens"
    assert main(["bench", "--quick", "--rounds", "1", "--filter", words, "--peers", "numpy"]) == 0
    assert {result.case.dtype for result in results} == {"float32", "float16"}
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


def test_a_peer_that_fails_becomes_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Problem) -> None:
        raise RuntimeError("no kernel\nfor this")

    peer = SimpleNamespace(name="broken", prepare=fail)
    monkeypatch.setattr(bench.peers, "load", lambda *_: [peer])
    results: list[Result] = []
    monkeypatch.setattr(report, "print_results", lambda *args: results.extend(args[3]))
    assert main(["bench", "--quick", "--filter", "rms single"]) == 0
    assert results[0].notes == {"broken": "no kernel"}
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
    with ThreadPoolExecutor(1) as pool:
        (copy,) = yardstick.copies(problem, 1, pool).values()
    copy.run()
    np.testing.assert_array_equal(copy.names["y"], copy.names["x"])
    assert copy.names["x"].nbytes + copy.names["y"].nbytes == moved


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
    # In each round both are timed; only the fast one is called once before.
    rounds = diary[-12:]
    for start in range(0, 12, 3):
        assert sorted(rounds[start : start + 3]) == [("fast", 1), ("fast", 1000), ("slow", 1)]


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
    core = {"cpu": "abacus", "isa": "beads", "caches": {}, "openmp": False, "version": "0"}
    headline = report.headline(report.describe(core, 1, 3, others))
    assert headline.startswith("abacus, beads, threads: 1, median of 3 rounds")
    assert ("Other processes used 0.9 CPUs" in headline) is warned


# ---- reporting ----


def entry(median: float, *, fresh: bool = False, error: float | None = 1e-7) -> Entry:
    return Entry("f(x)", fresh, Timing((median / 2, median, 9 * median), calls=3), error)


def result(*, call: bool = False, **entries: Entry) -> Result:
    entries = {name.replace("_", " "): value for name, value in entries.items()}
    return Result(
        case=Case("layer_norm", "known", (8, 4), call=call),
        level="L3",
        moved=3000,
        copied=2000,
        promise=1e-6,
        entries=entries,
        yardsticks={"copy": entry(5e-6, error=None), "bad copy": entry(8e-6, error=None)},
    )


def test_share_is_of_the_bandwidth_of_the_best_copy() -> None:
    measured = result(normfast=entry(1e-5))
    assert measured.share == pytest.approx((3000 / 1e-5) / (2000 / 5e-6))
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


def test_json_holds_every_number_and_no_nan() -> None:
    measured = result(normfast=entry(1e-5), numpy=entry(4e-5, error=math.nan))

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = report.to_json({"cpu": "abacus"}, ["numpy"], [measured])
    written = json.loads(text, parse_constant=refuse)
    assert written["conditions"] == {"cpu": "abacus"}
    (case,) = written["cases"]
    assert (case["op"], case["shape"], case["bytes"]) == ("layer_norm", [8, 4], 3000)
    assert case["speedup"] == {"numpy": pytest.approx(4.0)}
    assert case["contenders"]["numpy"]["error"] == "nan"
    assert case["contenders"]["normfast"]["seconds"] == [5e-6, 1e-5, 9e-5]
    assert case["yardsticks"]["bad copy"]["median"] == 8e-6


def test_summary_uses_the_geometric_mean() -> None:
    assert report.geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    results = [
        result(normfast=entry(1e-5), numpy=entry(2e-5)),
        result(normfast=entry(1e-5), numpy=entry(8e-5)),
    ]
    means, shares = report.summary(["numpy", "torch"], results)
    assert means.endswith("numpy 4.00x, best peer 4.00x")
    assert shares == "share of copy: median 0.75, least 0.75"


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
