# The extension module.

from collections.abc import Callable
from typing import Any, Self, TypedDict, final

class _Caches(TypedDict):
    L1d: int
    L2: int
    L3: int

class _Info(TypedDict):
    version: str
    cpu: str
    isa: str
    isas_available: list[str]
    isas_built: list[str]
    openmp: bool
    cuda: bool
    threads: int
    threads_why: str
    caches: _Caches

__version__: str

def info() -> _Info: ...
def keep_buffers(limit: int, /) -> int: ...
def use_isa(name: str, /) -> str: ...
def copy(x: Any, y: Any, non_temporal: bool, num_threads: int, /) -> None: ...

@final
class operation:
    def __new__(cls, definition: Callable[..., None], /) -> Self: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __get__(self, instance: Any, owner: Any = None, /) -> Any: ...
