"""The extension module, which the first call imports."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from normfast._cuda import *  # noqa: F403
else:

    def __getattr__(name: str) -> Any:
        """What the extension has under this name; ImportError where it was not built."""
        try:
            module = import_module("normfast._cuda")
        except ModuleNotFoundError:
            raise ImportError(
                "normfast.cuda: this normfast was built without CUDA; build it where nvcc is: "
                "pip install -Ccmake.define.NORMFAST_CUDA=ON ."
            ) from None
        globals()[name] = value = getattr(module, name)
        return value
