"""Promise 3: the library changes nothing in the process; and it survives forks and threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from cases import CASES, Case, with_spikes
from helpers import LARGEST_SIZE, STATUS, assert_all_same_bits, run_python

import normfast as nf
from normfast import _core

CALL = """
import numpy as np, normfast as nf
x = np.random.default_rng(0).standard_normal((4096, 1024), np.float32)
y = nf.layer_norm(x, num_threads=2)
"""


def test_import_and_calls_leave_the_floating_point_mode_alone() -> None:
    run_python(f"""
import ctypes
import numpy as np

def mode():
    tiny, one = np.array([1e-40, 3e-310]), np.ones(2)
    with np.errstate(all="ignore"):
        single = tiny.astype(np.float32) * np.float32(1)
        products = [(tiny * one).tobytes(), single.tobytes(), (one / 3).tobytes()]
    return products, ctypes.CDLL(None).fegetround(), np.geterr()

before = mode()
assert np.frombuffer(before[0][1], np.float32)[0] > 0, "subnormals are flushed already"
import normfast
assert mode() == before, "the import changed it"
{CALL}
nf.layer_norm(x, num_threads=1)
nf.layer_norm(x * np.float32(1e25))
assert mode() == before, "a call changed it"
""")


def test_import_and_calls_leave_thread_counts_alone() -> None:
    pytest.importorskip("torch", reason="torch shows OpenMP's thread count")
    run_python(f"""
import torch
torch.set_num_threads(2)
{CALL}
nf.layer_norm(x, num_threads=3)
assert torch.get_num_threads() == 2
""")


@pytest.mark.parametrize("order", ["import torch, normfast", "import normfast, torch"])
def test_torch_and_normfast_work_in_one_process(order: str) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    run_python(f"""
{order}
{CALL}
def both():
    expected = torch.nn.functional.layer_norm(torch.from_numpy(x), (1024,)).numpy()
    assert np.allclose(y, expected, atol=1e-5)
    assert np.array_equal(nf.layer_norm(x, num_threads=2), y)
both()
both()
""")


@pytest.mark.parametrize("order", ["import torch, normfast", "import normfast, torch"])
def test_a_forked_child_can_use_torch_and_normfast(order: str) -> None:
    """A data loader's worker: both have used their threads in the parent."""
    pytest.importorskip("torch", reason="torch is not installed")
    run_python(f"""
import os, signal, warnings
warnings.simplefilter("ignore")  # newer Pythons warn of any fork beside threads
{order}
{CALL}
images = torch.from_numpy(x)
expected = torch.nn.functional.layer_norm(images, (1024,))
child = os.fork()
if child == 0:
    signal.alarm(30)
    torch.set_num_threads(1)  # as torch's own data loader does in a worker
    same = np.array_equal(nf.layer_norm(x, num_threads=2), y)
    close = torch.allclose(torch.nn.functional.layer_norm(images, (1024,)), expected, atol=1e-6)
    os._exit(0 if same and close else 1)
_, status = os.waitpid(child, 0)
assert status == 0, f"the child ended with {{status}}"
assert np.array_equal(nf.layer_norm(x, num_threads=2), y)
""")


@pytest.mark.parametrize("order", ["import torch, normfast", "import normfast, torch"])
def test_a_forked_child_may_be_the_first_to_call(order: str) -> None:
    """The parent's OpenMP threads need not be normfast's for its child to wait for them."""
    pytest.importorskip("torch", reason="torch is not installed")
    run_python(f"""
import os, signal, warnings
warnings.simplefilter("ignore")  # newer Pythons warn of any fork beside threads
{order}
import numpy as np, normfast as nf
x = np.random.default_rng(0).standard_normal((4096, 1024), np.float32)
torch.set_num_threads(2)
torch.nn.functional.layer_norm(torch.from_numpy(x), (1024,))
child = os.fork()
if child == 0:
    signal.alarm(30)
    nf.layer_norm(x, num_threads=2)
    os._exit(0)
_, status = os.waitpid(child, 0)
assert status == 0, f"the child ended with {{status}}"
""")


def test_a_forked_child_can_call_after_its_parent_did() -> None:
    """OpenMP's threads do not survive a fork: a child that waits for them would hang."""
    run_python(f"""
import os, signal, warnings
warnings.simplefilter("ignore")  # newer Pythons warn of any fork beside threads
{CALL}
child = os.fork()
if child == 0:
    signal.alarm(30)
    os._exit(0 if np.array_equal(nf.layer_norm(x, num_threads=2), y) else 1)
_, status = os.waitpid(child, 0)
assert status == 0, f"the child ended with {{status}}"
assert np.array_equal(nf.layer_norm(x, num_threads=2), y), "the parent lost its threads"
""")


@pytest.mark.parametrize("start", ["fork", "spawn", "forkserver"])
def test_a_pool_of_workers_does_not_freeze(start: str) -> None:
    """Parallel calls in the parent, before and while its workers make their own."""
    run_python(f"""
import functools, multiprocessing, warnings
warnings.simplefilter("ignore")  # newer Pythons warn of any fork beside threads
{CALL}
parts = np.split(x, 8)
work = functools.partial(nf.layer_norm, num_threads=2)
context = multiprocessing.get_context("{start}")
if "{start}" == "forkserver":
    context.set_forkserver_preload(["normfast"])
with context.Pool(2) as pool:
    coming = pool.map_async(work, parts)
    assert np.array_equal(nf.layer_norm(x, num_threads=2), y)
    assert np.array_equal(np.concatenate(coming.get(timeout=45)), y)
    assert np.array_equal(np.concatenate(pool.map_async(work, parts).get(timeout=45)), y)
""")


def test_a_pool_of_pools_of_threads_does_not_freeze() -> None:
    """A forked worker that calls from several threads, its parent having done so too."""
    run_python(f"""
import multiprocessing, warnings
from concurrent.futures import ThreadPoolExecutor
warnings.simplefilter("ignore")  # newer Pythons warn of any fork beside threads
{CALL}
def at_once(i):
    with ThreadPoolExecutor(3) as threads:
        results = threads.map(lambda n: nf.layer_norm(x, num_threads=n), [1, 2, 3])
        return all(np.array_equal(result, y) for result in results)
assert at_once(0)
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map_async(at_once, range(4)).get(timeout=45) == [True] * 4
assert at_once(0)
""")


@pytest.mark.parametrize("case", CASES[::3], ids=str)
def test_calls_from_many_threads_at_once_give_the_same_bits(case: Case, dtype: np.dtype) -> None:
    x = with_spikes(case.shape, dtype)
    alone = case.call(x, num_threads=1)
    with ThreadPoolExecutor(4) as pool:
        for together in pool.map(lambda i: case.call(x, num_threads=1 + i % 3), range(8)):
            assert_all_same_bits(together, alone)


def test_more_threads_than_a_machine_can_start_are_not_started() -> None:
    run_python(f"{CALL}\nassert np.array_equal(nf.layer_norm(x, num_threads=1_000_000), y)")


INFO = "from normfast import _core; info = _core.info(); "
ISAS = ["scalar", "neon", "avx2", "avx512", "avx512_bf16"]


@pytest.mark.parametrize("isa", _core.info()["isas_available"])
def test_the_environment_chooses_the_instruction_set(isa: str) -> None:
    assert run_python(INFO + "print(info['isa'])", NORMFAST_ISA=isa) == isa


@pytest.mark.parametrize(
    "isa", ["sse9", "AVX2 ", *sorted(set(ISAS) - set(_core.info()["isas_available"]))]
)
def test_forcing_what_the_cpu_lacks_is_a_clear_import_error(isa: str) -> None:
    message = run_python(
        """
try:
    import normfast
except ImportError as error:
    print(error)
else:
    raise SystemExit("imported")
""",
        NORMFAST_ISA=isa,
    )
    assert "NORMFAST_ISA" in message
    assert isa in message
    assert all(available in message for available in _core.info()["isas_available"])
    assert len(message.splitlines()) <= 2


def test_the_best_instruction_set_is_the_default() -> None:
    available = _core.info()["isas_available"]
    best = max(available, key=ISAS.index)
    assert (
        run_python("import os; os.environ.pop('NORMFAST_ISA', None);" + INFO + "print(info['isa'])")
        == best
    )


@pytest.mark.parametrize("threads", [1, 3])
def test_omp_num_threads_is_honoured(threads: int) -> None:
    if not _core.info()["openmp"]:
        pytest.skip("built without OpenMP")
    count, why = run_python(
        INFO + "print(info['threads']); print(info['threads_why'])", OMP_NUM_THREADS=str(threads)
    ).splitlines()
    assert int(count) == threads
    assert "OMP_NUM_THREADS" in why


def test_switching_to_an_unknown_instruction_set_is_refused() -> None:
    chosen = _core.info()["isa"]
    with pytest.raises(ValueError, match="sse9"):
        _core.use_isa("sse9")
    assert _core.info()["isa"] == chosen


@pytest.mark.skipif(not STATUS.exists(), reason="needs Linux's account of the process")
def test_the_result_does_not_hold_on_to_memory() -> None:
    """Two hundred results of 16 MB do not fit in the memory they may use."""
    run_python(f"""
{LARGEST_SIZE}
{CALL}
del y
before = largest_size()
for _ in range(200):
    nf.layer_norm(x)
assert largest_size() < before + 100
""")


def test_normfast_reports_its_version() -> None:
    assert nf.__version__ == _core.info()["version"]
