"""Where the installed package keeps the C and C++ library, for the builds of others."""

from pathlib import Path

from normfast import _core

__all__ = ["get_include"]

# The extension stands where everything was installed, also where the Python files are a clone's.
_ROOT = Path(_core.__file__).parent


def get_include() -> str:
    """Directory of the C and C++ headers, ``normfast/normfast.h`` and ``normfast/normfast.hpp``.

    ``python -m normfast --cmakedir`` and ``--pkgconfigdir`` print where CMake and pkg-config find
    the library that comes with them.

    Returns
    -------
    str

    Examples
    --------
    >>> from pathlib import Path
    >>> nf.get_include() == str(Path(nf._core.__file__).with_name("include"))
    True
    """
    return str(_ROOT / "include")


def get_cmake_dir() -> str:
    """Directory of the CMake package: ``-Dnormfast_DIR=`` of a build that uses the library."""
    return str(_ROOT / "lib" / "cmake" / "normfast")


def get_pkgconfig_dir() -> str:
    """Directory of ``normfast.pc``, to be added to ``PKG_CONFIG_PATH``."""
    return str(_ROOT / "lib" / "pkgconfig")
