"""Memory of large results is used again, and every array is its own as long as it lives."""

import gc
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import assert_same_bits, run_python
from numpy.typing import NDArray

import normfast as nf

LARGE = np.resize(np.arange(4099, dtype=np.float32), (1024, 1024))  # 4 MiB


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    before = nf.keep_buffers(2**26)
    yield
    nf.keep_buffers(before)


def address(a: NDArray[np.float32]) -> int:
    return a.__array_interface__["data"][0]


def test_the_memory_of_a_freed_result_is_used_again() -> None:
    y = nf.layer_norm(LARGE)
    first = address(y)
    expected = y.copy()
    del y
    y = nf.layer_norm(LARGE)
    assert address(y) == first
    assert_same_bits(y, expected)


def test_living_results_share_nothing() -> None:
    results = [nf.layer_norm(LARGE + i) for i in range(5)]
    copies = [y.copy() for y in results]
    for _ in range(3):
        nf.layer_norm(LARGE * 7)
    for y, copy in zip(results, copies, strict=True):
        assert_same_bits(y, copy)
    assert len({address(y) for y in results}) == 5


def test_a_view_keeps_its_memory() -> None:
    view = nf.layer_norm(LARGE)[::2, 5:]
    copy = view.copy()
    for i in range(3):
        nf.layer_norm(LARGE + i)
    assert_same_bits(view, copy)


def test_results_are_arrays_like_any_other() -> None:
    y = nf.layer_norm(LARGE)
    assert y.base is None
    assert y.flags.owndata
    assert y.flags.aligned
    assert_same_bits(pickle.loads(pickle.dumps(y)), y)
    copy = y.copy()
    y.resize((2048, 1024), refcheck=False)
    assert_same_bits(y[:1024], copy)
    assert not y[1024:].any()
    y.resize((3, 1024), refcheck=False)
    assert_same_bits(y, copy[:3])


def test_no_more_is_kept_than_the_limit() -> None:
    run_python("""
import numpy as np, normfast as nf, resource

def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * resource.getpagesize()

x = np.ones((4096, 4096), np.float32)  # 64 MiB
nf.layer_norm(x[:8])
nf.keep_buffers(2**27)
before = resident()
results = [nf.layer_norm(x) for _ in range(4)]
assert resident() - before > 200 * 2**20
del results
assert resident() - before < 140 * 2**20, "more than the limit is kept"
nf.keep_buffers(0)
assert resident() - before < 20 * 2**20, "keep_buffers(0) keeps memory"
nf.layer_norm(x)
assert resident() - before < 20 * 2**20, "memory is kept though the limit is 0"
""")


def test_threads_may_call_and_free_at_once() -> None:
    expected = nf.layer_norm(LARGE)

    def work(seed: int) -> bool:
        held = []
        for i in range(12):
            held.append(nf.layer_norm(LARGE, num_threads=1))
            if (i * seed) % 3:
                held.pop(0)
        return all(np.array_equal(y, expected) for y in held)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(1, 9)))


def test_results_may_outlive_the_module() -> None:
    run_python("""
import gc, sys
import numpy as np
import normfast as nf
y = nf.layer_norm(np.ones((1024, 1024), np.float32))
for name in [n for n in sys.modules if n.startswith("normfast")]:
    del sys.modules[name]
del nf
gc.collect()
y += 1
keep = y  # until the interpreter ends
del y
""")


@pytest.mark.parametrize("wrong", [-1, -(2**40)])
def test_a_negative_limit_is_refused(wrong: int) -> None:
    with pytest.raises(ValueError, match=r"^keep_buffers: limit "):
        nf.keep_buffers(wrong)


@pytest.mark.parametrize("wrong", [None, 1.5, "1", True])
def test_a_limit_is_an_int(wrong: object) -> None:
    with pytest.raises(TypeError, match=r"^keep_buffers: limit "):
        nf.keep_buffers(wrong)  # type: ignore[arg-type]


def test_memory_comes_back_through_garbage_cycles() -> None:
    y = nf.layer_norm(LARGE)
    cycle: list[object] = [y]
    cycle.append(cycle)
    first = address(y)
    del y, cycle
    gc.collect()
    assert address(nf.layer_norm(LARGE)) == first
