"""Code compiled for one CPU must not be visible where a linker could share it."""

import shutil
import subprocess

import pytest

from normfast import _core


@pytest.mark.skipif(shutil.which("nm") is None, reason="nm is not installed")
def test_the_extension_exports_its_init_function_and_nothing_else() -> None:
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", "--format=posix", _core.__file__],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line.split()[0] for line in listing.stdout.splitlines()] == ["PyInit__core"]
