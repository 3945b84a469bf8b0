"""Build and run projects in C and C++ against an installed normfast.

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

EXE = ".exe" if os.name == "nt" else ""
SOURCE = Path(__file__).resolve().parent
ROOT = SOURCE.parents[1]
PROJECTS = {
    SOURCE: ("consumer_cpp", "consumer_c"),
    ROOT / "docs" / "howto" / "cpp": ("main",),
    ROOT / "docs" / "howto" / "c": ("main",),
    ROOT / "examples" / "pipeline": ("pipeline",),
}


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


def with_cmake(config: str, source: Path, build: Path) -> None:
    """As any project that says ``find_package(normfast)``."""
    options = (f"-Dnormfast_DIR={config}", "-DCMAKE_BUILD_TYPE=Release")
    run("cmake", "-S", source, "-B", build, *options)
    run("cmake", "--build", build, "--config", "Release")
    for name in PROJECTS[source]:
        (program,) = (p for p in build.rglob(name + EXE) if p.is_file())
        print(run(program))


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
        for number, source in enumerate(PROJECTS):
            with_cmake(config, source, Path(folder, str(number)))
        if os.name == "posix" and shutil.which("pkg-config") and shutil.which("cc"):
            with_pkg_config(description, Path(folder))
    print("all of them work")


if __name__ == "__main__":
    main()
