"""Build and run the consumers in C and C++ against an installed normfast.

    python tests/consumer/build.py            # what the Python package carries
    python tests/consumer/build.py PREFIX     # what `cmake --install` put there

Needs CMake and compilers, nothing else; pkg-config is tried where there is one.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parent


def run(*command: str | Path, **environment: str) -> str:
    """Run a command, and return what it printed."""
    print("+", *command, flush=True)
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | environment
    )
    return done.stdout.strip()


def directories(prefix: Path | None) -> tuple[str, str]:
    """Where CMake and pkg-config find the library."""
    if prefix is None:
        ask = (sys.executable, "-m", "normfast")
        return run(*ask, "--cmakedir"), run(*ask, "--pkgconfigdir")
    (config,) = prefix.glob("lib*/**/normfast-config.cmake")
    (description,) = prefix.glob("lib*/**/normfast.pc")
    return str(config.parent), str(description.parent)


def with_cmake(config: str, build: Path) -> None:
    """As any project that says ``find_package(normfast)``."""
    run("cmake", "-S", SOURCE, "-B", build, f"-Dnormfast_DIR={config}", "-DCMAKE_BUILD_TYPE=Release")
    run("cmake", "--build", build, "--config", "Release")
    run("ctest", "--test-dir", build, "-C", "Release", "--output-on-failure", "--no-tests=error")


def with_pkg_config(description: str, build: Path) -> None:
    """As a makefile does."""
    ask = ("pkg-config", "--cflags", "--libs", "normfast")
    flags = run(*ask, PKG_CONFIG_PATH=description).split()
    for compiler, source in (("cc", "consumer.c"), ("c++", "consumer.cpp")):
        program = build / f"{source}.out"
        run(compiler, SOURCE / source, "-o", program, *flags, "-lm")
        run(program, LD_LIBRARY_PATH=str(Path(description).parent))


def main() -> None:
    """Do both."""
    prefix = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else None
    config, description = directories(prefix)
    with tempfile.TemporaryDirectory() as folder:
        build = Path(folder)
        with_cmake(config, build)
        if os.name == "posix" and shutil.which("pkg-config") and shutil.which("cc"):
            with_pkg_config(description, build)
    print("both consumers work")


if __name__ == "__main__":
    main()
