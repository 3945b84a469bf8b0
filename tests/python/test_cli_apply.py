"""``normfast apply`` as a user runs it: files in, files out, one line where something is wrong."""

import inspect
import os
import pty
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import assert_same_bits
from numpy.typing import NDArray

import normfast as nf
from normfast import functional
from normfast.cli import main

OPERATIONS = (
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
)


def apply(*arguments: object) -> int:
    return main(["apply", *map(str, arguments)])


def python(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def names(folder: str = ".") -> list[str]:
    return sorted(file.name for file in Path(folder).iterdir())


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def x(rng: np.random.Generator) -> NDArray[np.float32]:
    """(N, C, L), also in x.npy."""
    values = rng.standard_normal((4, 6, 5), np.float32)
    np.save("x.npy", values)
    return values


# ---- every operation and its options ----


def test_every_operation_has_a_command() -> None:
    assert set(OPERATIONS) == set(functional.__all__)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_keyword_has_an_option_with_its_documentation(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit, match="0"):
        apply(name, "--help")
    text = capsys.readouterr().out
    _, *keywords = inspect.signature(getattr(nf, name)).parameters
    for keyword in keywords:
        assert (f"--{keyword.replace('_', '-')} " in text) is (keyword != "out"), keyword
    assert "changes no bit of the result" in " ".join(text.split()).lower()


@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("layer_norm", nf.layer_norm),
        ("layer_norm --axis -2,-1 --eps 1e-3", lambda x: nf.layer_norm(x, axis=(1, 2), eps=1e-3)),
        (
            "layer_norm --normalized-shape 6,5 --num-threads 1",
            lambda x: nf.layer_norm(x, (6, 5)),
        ),
        ("layer_norm --axis -1 --bias -1,0,1,2,-3e-1", lambda x: nf.layer_norm(x, bias=BIAS)),
        ("layer_norm --weight w.npy", lambda x: nf.layer_norm(x, weight=WEIGHT)),
        ("layer_norm --activation gelu", lambda x: nf.layer_norm(x, activation="gelu")),
        (
            "layer_norm --dtype float16 --axis 1",
            lambda x: nf.layer_norm(x, axis=1, dtype=np.float16),
        ),
        ("rms_norm --weight-offset 1", lambda x: nf.rms_norm(x, weight_offset=1.0)),
        (
            "batch_norm --running-mean 0,0,0,0,0,1 --running-var 1,1,1,1,1,4",
            lambda x: nf.batch_norm(x, np.eye(6)[5], 1 + 3 * np.eye(6)[5]),
        ),
        ("batch_norm --training", lambda x: nf.batch_norm(x, None, None, training=True)),
        ("instance_norm", nf.instance_norm),
        (
            "instance_norm --no-use-input-stats --running-mean r.npz --running-var r.npz",
            lambda x: nf.instance_norm(x, np.arange(6.0), np.ones(6), use_input_stats=False),
        ),
        ("group_norm --num-groups 3", lambda x: nf.group_norm(x, 3)),
        (
            "group_norm --num-groups 5 --channel-axis -1",
            lambda x: nf.group_norm(x, 5, channel_axis=-1),
        ),
        ("normalize --p inf --axis none", lambda x: nf.normalize(x, np.inf, None)),
        ("weight_norm --g 1,2,3,4", lambda x: nf.weight_norm(x, np.arange(1.0, 5.0))),
        ("standardize --axis 0,1", lambda x: nf.standardize(x, (0, 1))),
        (
            "standardize --axis 0,2 --mean 0,0,0,0,0,0 --std 2,2,2,2,2,2",
            lambda x: nf.standardize(x, (0, 2), mean=np.zeros(6), std=np.full(6, 2.0)),
        ),
        (
            "standardize --axis 2 --where 1,0,1,true,false",
            lambda x: nf.standardize(x, 2, where=np.array([True, False, True, True, False])),
        ),
        (
            "normalize_image --channel-axis 1 --out-channel-axis -1 --mean s.npz --std s.npz",
            lambda x: nf.normalize_image(
                x, np.eye(6)[5], 1 + np.eye(6)[5], channel_axis=1, out_channel_axis=-1
            ),
        ),
    ],
    ids=str,
)
def test_the_file_holds_what_the_function_returns(
    line: str, call: Any, x: NDArray[np.float32]
) -> None:
    np.save("w.npy", WEIGHT)
    np.savez("r.npz", running_mean=np.arange(6.0), running_var=np.ones(6))
    np.savez("s.npz", mean=np.eye(6)[5], std=1 + np.eye(6)[5])
    operation, *options = line.split()
    assert apply(operation, "x.npy", "y.npy", *options) == 0
    assert_same_bits(np.load("y.npy"), call(x))
    assert names() == ["r.npz", "s.npz", "w.npy", "x.npy", "y.npy"]


BIAS = np.array([-1, 0, 1, 2, -3e-1])
WEIGHT = np.array([1.0, 2.0, 3.0, 4.0, 5.0], np.float32)


def test_integers_become_the_floats_of_the_function() -> None:
    for dtype, expected in (("uint8", "float32"), ("int16", "float32"), ("int32", "float64")):
        np.save("x.npy", np.array([[1, 10], [3, 30]], dtype))
        assert apply("standardize", "x.npy", "y.npy", "--force") == 0
        y = np.load("y.npy")
        assert y.dtype == expected
        np.testing.assert_array_equal(y, [[-1, -1], [1, 1]])


def test_bfloat16_comes_back_from_files() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes")
    x = np.array([[1.0, 3.0], [10.0, 30.0]], ml_dtypes.bfloat16)
    np.save("x.npy", x)
    np.savez("w.npz", weight=np.array([2.0, 4.0], ml_dtypes.bfloat16))
    assert apply("layer_norm", "x.npy", "y.npy", "--eps", "0", "--weight", "w.npz") == 0
    y = np.load("y.npy").view(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(y.astype(float), [[-2, 4], [-2, 4]])
    assert apply("layer_norm", "y.npy", "z.npy", "--eps", "0", "--dtype", "float32") == 0
    np.testing.assert_array_equal(np.load("z.npy"), np.float32([[-1, 1], [-1, 1]]))
    assert apply("layer_norm", "z.npy", "b.npy", "--dtype", "bfloat16") == 0
    assert np.load("b.npy").view(ml_dtypes.bfloat16)[0, 1] == 1


def test_memory_order_is_kept(rng: np.random.Generator) -> None:
    x = np.asfortranarray(rng.standard_normal((7, 5)))
    np.save("x.npy", x)
    assert apply("standardize", "x.npy", "y.npy") == 0
    y = np.load("y.npy")
    assert y.flags.f_contiguous
    assert_same_bits(y, nf.standardize(x))


def test_large_files_are_not_read_into_memory(rng: np.random.Generator) -> None:
    x = rng.standard_normal((1 << 13, 1 << 9), np.float32)
    np.save("x.npy", x)
    before = Path("x.npy").read_bytes()
    apply("layer_norm", "x.npy", "y.npy")  # imports are not what is measured
    tracemalloc.start()
    try:
        assert apply("layer_norm", "x.npy", "y.npy", "--force") == 0
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < x.nbytes / 8
    assert_same_bits(np.load("y.npy"), nf.layer_norm(x))
    assert Path("x.npy").read_bytes() == before


# ---- statistics ----


def test_mean_var_is_printed_as_the_options_take_it(capsys: pytest.CaptureFixture[str]) -> None:
    x = np.array([[0.1, 2.0], [0.3, 4.0]])
    np.save("x.npy", x)
    assert apply("mean_var", "x.npy", "--axis", "0") == 0
    mean, var = nf.mean_var(x, 0)
    lines = dict(line.split(" ") for line in capsys.readouterr().out.splitlines())
    assert lines.keys() == {"mean", "var"}
    assert_same_bits(np.array(lines["mean"].split(","), float), mean)
    assert_same_bits(np.array(lines["var"].split(","), float), var)
    std = ",".join(map(repr, np.sqrt(var).tolist()))
    assert apply("standardize", "x.npy", "y.npy", "--mean", lines["mean"], "--std", std) == 0
    np.testing.assert_allclose(np.load("y.npy"), [[-1, -1], [1, 1]], rtol=1e-12)


def test_mean_var_of_everything_is_two_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("x.npy", np.array([[40000, 40001], [40002, 40003]], np.float32))
    assert apply("mean_var", "x.npy") == 0
    assert capsys.readouterr().out == "mean 40001.5\nvar 1.25\n"
    assert apply("mean_var", "x.npy", "stats.npz", "--keepdims") == 0
    assert capsys.readouterr().out == ""
    with np.load("stats.npz") as stats:
        assert {name: stats[name].tolist() for name in stats.files} == {
            "mean": [[40001.5]],
            "var": [[1.25]],
        }


def test_an_npz_holds_every_result_by_name(x: NDArray[np.float32]) -> None:
    np.save("r.npy", x[::-1])
    options = ("--residual", "r.npy", "--return-stats")
    assert apply("layer_norm", "x.npy", "y.npz", *options) == 0
    y, total, mean, rstd = nf.layer_norm(x, residual=x[::-1].copy(), return_stats=True)
    with np.load("y.npz") as written:
        assert written.files == ["y", "sum", "mean", "rstd"]
        for name, expected in zip(written.files, (y, total, mean, rstd), strict=True):
            assert_same_bits(written[name], expected)


def test_statistics_of_training_data_are_used_again(x: NDArray[np.float32]) -> None:
    assert apply("standardize", "x.npy", "train.npz", "--return-stats") == 0
    assert apply("standardize", "x.npy", "y.npy", "--mean", "train.npz", "--std", "train.npz") == 0
    _, mean, std = nf.standardize(x, return_stats=True)
    assert_same_bits(np.load("y.npy"), nf.standardize(x, mean=mean, std=std))


def test_training_writes_the_running_statistics() -> None:
    np.save("x.npy", np.array([[1.0, 10.0], [3.0, 10.0]]))
    np.savez("state.npz", running_mean=np.zeros(2), running_var=np.ones(2))
    state = Path("state.npz").read_bytes()
    running = ("--running-mean", "state.npz", "--running-var", "state.npz")
    options = ("--training", "--num-batches-tracked", "5", "--eps", "0", *running)
    assert apply("batch_norm", "x.npy", "y.npz", *options) == 0
    assert Path("state.npz").read_bytes() == state
    with np.load("y.npz") as written:
        assert written["y"].tolist() == [[-1, 0], [1, 0]]
        np.testing.assert_allclose(written["running_mean"], [0.2, 1.0])
        np.testing.assert_allclose(written["running_var"], [1.1, 0.9])
        assert written["num_batches_tracked"] == 6


# ---- which array ----


def test_one_array_of_an_npz_needs_no_key(x: NDArray[np.float32]) -> None:
    np.savez("one.npz", anything=x)
    np.savez("two.npz", a=x, b=x[:2])
    assert apply("layer_norm", "one.npz", "y.npy") == 0
    assert np.load("y.npy").shape == x.shape
    assert apply("layer_norm", "two.npz", "y.npy", "--key", "b", "--force") == 0
    assert np.load("y.npy").shape == (2, 6, 5)


def test_parameters_share_an_npz(x: NDArray[np.float32]) -> None:
    np.savez("layer.npz", weight=WEIGHT, bias=BIAS, other=x)
    assert apply("layer_norm", "x.npy", "y.npy", "--weight", "layer.npz", "--bias=layer.npz") == 0
    assert_same_bits(np.load("y.npy"), nf.layer_norm(x, None, WEIGHT, BIAS))


# ---- what is refused ----


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("layer_norm x.npy x.npy --force", "OUT is 'x.npy', which is also read"),
        ("layer_norm x.npy ./sub/../x.npy --force", "which is also read"),
        ("layer_norm x.npy old.npy --residual old.npy --force", "expected an .npz"),
        ("layer_norm x.npy w.npy --weight w.npy --force", "OUT is 'w.npy', which is also read"),
        ("layer_norm x.npy old.npy", "'old.npy' exists; --force replaces it"),
        ("layer_norm x.npy y.txt", "OUT is 'y.txt', expected a name that ends in .npy or .npz"),
        ("layer_norm x.npy no/y.npy", "there is no folder 'no' for OUT"),
        ("layer_norm x.npy y.npy --return-stats", "layer_norm gives y, mean, rstd"),
        ("mean_var x.npy y.npy", "mean_var gives mean, var"),
        ("layer_norm no.npy y.npy", "'no.npy': No such file or directory"),
        ("layer_norm broken.npy y.npy", "'broken.npy' is not an .npy or .npz file"),
        ("layer_norm broken.npz y.npy", "'broken.npz' is not an .npy or .npz file"),
        ("layer_norm two.npz y.npy", "'two.npz' has the arrays a, b; --key chooses one"),
        ("layer_norm two.npz y.npy --key c", "none is called c"),
        ("layer_norm x.npy y.npy --key c", "--key is 'c', but 'x.npy' is no .npz file"),
        ("layer_norm x.npy y.npy --weight two.npz", "none is called weight"),
        ("layer_norm x.npy y.npy --weight relu", "--weight is 'relu', expected an .npy"),
        ("layer_norm x.npy y.npy --dtype float12", "dtype is 'float12'"),
        ("layer_norm x.npy y.npy --each", "expected a folder of images"),
        # Refused by the operation itself, and so by its name.
        ("layer_norm x.npy y.npy --eps -1", "layer_norm: eps"),
        ("layer_norm x.npy old.npy --eps -1 --force", "layer_norm: eps"),
        ("layer_norm x.npy y.npz --axis 7 --return-stats", "layer_norm: axis"),
        ("layer_norm x.npy y.npy --weight 1,2", "layer_norm: weight"),
        ("layer_norm x.npy y.npy --activation tanh", "activation"),
        ("layer_norm words.npy y.npy", "layer_norm: x"),
        ("group_norm x.npy y.npy --num-groups 4", "group_norm: num_groups"),
        ("standardize x.npy y.npy --mean 0,0", "standardize: "),
    ],
)
def test_a_wrong_line_is_one_line_and_writes_nothing(
    line: str, message: str, x: NDArray[np.float32], capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("old.npy", x)
    np.save("w.npy", WEIGHT)
    np.save("words.npy", np.array([["a", "b"]]))
    np.savez("two.npz", a=x, b=x)
    Path("broken.npy").write_bytes(Path("x.npy").read_bytes()[:150])
    Path("broken.npz").write_bytes(Path("two.npz").read_bytes()[:150])
    Path("sub").mkdir()
    before = {file: file.read_bytes() for file in Path().iterdir() if file.is_file()}
    assert apply(*line.split()) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("normfast apply: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert {file: file.read_bytes() for file in Path().iterdir() if file.is_file()} == before


@pytest.mark.usefixtures("x")
def test_an_interrupted_run_leaves_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(x: Any, *, out: Any = None, dtype: Any = None) -> None:
        """Stop.

        Parameters
        ----------
        dtype : dtype

        Returns
        -------
        y : ndarray
        """
        out[0] = x[0] if dtype is None else 0
        raise KeyboardInterrupt

    monkeypatch.setattr(functional, "layer_norm", interrupted)
    assert apply("layer_norm", "x.npy", "y.npy") == 130
    assert names() == ["x.npy"]


@pytest.mark.usefixtures("x")
def test_arrays_need_numpy_only() -> None:
    program = (
        "import sys; sys.modules.update(rich=None, PIL=None)\n"
        "from normfast.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = python(program, "apply", "layer_norm", "x.npy", "y.npy")
    assert (done.returncode, done.stderr) == (0, "")
    done = python(program, "apply", "layer_norm", "x.png", "z.npy")
    assert done.returncode == 1
    assert done.stderr == "normfast: the command line needs PIL: pip install 'normfast[cli]'\n"


# ---- images ----

MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])
IMAGENET = ("--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225")


def save_image(path: str, values: NDArray[Any], mode: str | None = None) -> None:
    Image = pytest.importorskip("PIL.Image", reason="images need Pillow")
    image = Image.fromarray(values)
    (image if mode is None else image.convert(mode)).save(path)


@pytest.fixture
def photos(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Three images of one size in photos/, and a text."""
    values = rng.integers(0, 256, (3, 4, 5, 3), np.uint8)
    Path("photos").mkdir()
    for name, image in zip(("a.png", "b.PNG", "c.bmp"), values, strict=True):
        save_image(f"photos/{name}", image)
    Path("photos/labels.txt").write_text("a b c")
    return values


def test_one_image_becomes_planes(photos: NDArray[np.uint8]) -> None:
    assert apply("normalize_image", "photos/a.png", "y.npy", *IMAGENET) == 0
    y = np.load("y.npy")
    assert y.dtype == np.float32
    exact = ((photos[0] / 255 - MEAN) / STD).transpose(2, 0, 1)
    np.testing.assert_allclose(y, exact, atol=1e-6)
    assert_same_bits(y, nf.normalize_image(photos[0], MEAN, STD))


def test_a_folder_is_a_batch_in_the_order_of_names(photos: NDArray[np.uint8]) -> None:
    options = (*IMAGENET, "--dtype", "float16", "--swap-rb")
    assert apply("normalize_image", "photos", "y.npy", *options) == 0
    expected = nf.normalize_image(photos, MEAN, STD, dtype=np.float16, swap_rb=True)
    assert_same_bits(np.load("y.npy"), expected)


def test_statistics_of_a_folder_are_exact(
    photos: NDArray[np.uint8], capsys: pytest.CaptureFixture[str]
) -> None:
    assert apply("mean_var", "photos", "--axis", "0,1,2") == 0
    lines = dict(line.split(" ") for line in capsys.readouterr().out.splitlines())
    flat = photos.reshape(-1, 3).astype(np.int64)
    n = len(flat)
    total, squares = flat.sum(0), np.square(flat).sum(0)
    mean = [float(s) for s in lines["mean"].split(",")]
    var = [float(s) for s in lines["var"].split(",")]
    np.testing.assert_allclose(mean, total / n, rtol=1e-15)
    np.testing.assert_allclose(var, (n * squares - total**2) / n**2, rtol=1e-14)


def test_the_first_image_of_another_size_is_named(
    photos: NDArray[np.uint8], capsys: pytest.CaptureFixture[str]
) -> None:
    save_image("photos/b.PNG", photos[1, :2])
    assert apply("normalize_image", "photos", "y.npy", *IMAGENET) == 2
    error = capsys.readouterr().err
    assert "b.PNG' is 5 x 2, but a.png is 5 x 4; --each" in error
    assert names() == ["photos"]


def test_each_image_to_its_own_file(photos: NDArray[np.uint8]) -> None:
    save_image("photos/b.PNG", photos[1, :2])
    assert apply("normalize_image", "photos", "out", "--each", *IMAGENET) == 0
    assert names("out") == ["a.npy", "b.npy", "c.npy"]
    for name, image in (("a", photos[0]), ("b", photos[1, :2]), ("c", photos[2])):
        assert_same_bits(np.load(f"out/{name}.npy"), nf.normalize_image(image, MEAN, STD))


def test_each_image_is_a_call_of_its_own(photos: NDArray[np.uint8]) -> None:
    options = ("--channel-axis", "-1", "--training", "--mode", "F")
    for image in Path("photos").glob("*.*"):
        image.unlink()
    for name, image in zip(("a.tiff", "b.tiff"), photos[..., 0], strict=False):
        save_image(f"photos/{name}", image.astype(np.float32))
    assert apply("batch_norm", "photos", "out", "--each", *options) == 0
    assert names("out") == ["a.npy", "b.npy"]
    running = ("--running-mean", "0", "--running-var", "1")
    assert apply("batch_norm", "photos", "out", "--each", *options, *running, "--return-stats") == 0
    for name, image in (("a", photos[0, ..., 0]), ("b", photos[1, ..., 0])):
        with np.load(f"out/{name}.npz") as written:
            np.testing.assert_allclose(written["running_mean"], [image.mean() / 10], rtol=1e-12)


def test_each_refuses_before_it_writes(
    photos: NDArray[np.uint8], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out").mkdir()
    np.save("out/c.npy", photos[2])
    each = ("normalize_image", "photos", "out", "--each", *IMAGENET)
    assert apply(*each) == 2
    assert "c.npy' exists; --force" in capsys.readouterr().err
    assert names("out") == ["c.npy"]
    assert apply(*each, "--force") == 0
    save_image("photos/a.bmp", photos[0])
    assert apply(*each, "--force") == 2
    assert "a.bmp and a.png would both be a.npy" in capsys.readouterr().err
    assert apply("mean_var", "photos", "--each") == 2
    assert "--each needs OUT" in capsys.readouterr().err


def test_images_are_read_as_rgb_unless_told(photos: NDArray[np.uint8]) -> None:
    save_image("gray.png", photos[0, ..., 0])
    save_image("palette.png", photos[0], "P")
    for name, mode, channels in (
        ("gray.png", (), 3),
        ("palette.png", (), 3),
        ("photos/a.png", ("--mode", "RGBA"), 4),
        ("gray.png", ("--mode", "L"), 1),
    ):
        assert apply("standardize", name, "y.npy", "--axis", "0,1", "--force", *mode) == 0
        assert np.load("y.npy").shape == (4, 5, channels)
    options = ("--mode", "L", "--mean", "0.5", "--std", "0.5", "--force")
    assert apply("normalize_image", "gray.png", "y.npy", *options) == 0
    np.testing.assert_allclose(np.load("y.npy")[0], photos[0, ..., 0] / 127.5 - 1, atol=1e-6)


def test_sixteen_bits_are_not_clipped_to_eight(capsys: pytest.CaptureFixture[str]) -> None:
    values = np.array([[0, 1000], [30000, 65535]], np.uint16)
    save_image("deep.png", values)
    assert apply("mean_var", "deep.png") == 2
    assert "more than 8 bits a channel" in capsys.readouterr().err
    assert apply("mean_var", "deep.png", "--mode", "I;16") == 0
    assert capsys.readouterr().out.startswith(f"mean {values.mean().item()!r}\n")


@pytest.mark.usefixtures("photos")
@pytest.mark.parametrize(
    ("source", "message"),
    [("empty", "there is no image in 'empty'"), ("text.png", "cannot identify image file")],
)
def test_what_is_no_image_is_one_line(
    source: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    Path("text.png").write_text("no image")
    assert apply("normalize_image", source, "y.npy", *IMAGENET) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.usefixtures("photos")
def test_a_terminal_sees_a_bar_and_a_pipe_nothing() -> None:
    pytest.importorskip("rich", reason="the bar needs rich")
    command = [sys.executable, "-m", "normfast", "apply", "mean_var", "photos"]
    terminal, end = pty.openpty()
    try:
        done = subprocess.run(
            command,
            stderr=end,
            stdout=subprocess.PIPE,
            check=True,
            env=os.environ | {"TERM": "xterm"},
        )
        assert b"images" in os.read(terminal, 10_000)
    finally:
        os.close(terminal)
        os.close(end)
    piped = subprocess.run(command, capture_output=True, check=True)
    assert piped.stderr == b""
    assert piped.stdout == done.stdout
