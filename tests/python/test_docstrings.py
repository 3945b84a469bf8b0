"""The documentation that help() shows: every function has an example, and the examples hold."""

import doctest
import inspect

import numpy as np
import pytest

import normfast as nf
from normfast import cuda, functional, linear, memory, paths

NAMES = [*functional.__all__, *linear.__all__, *memory.__all__, *paths.__all__]
FUNCTIONS = [getattr(nf, name) for name in NAMES]
ON_A_GPU = [getattr(cuda, name) for name in cuda.__all__]


@pytest.mark.parametrize("documented", [nf, *FUNCTIONS], ids=lambda d: d.__name__)
def test_examples_hold(documented):
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = finder.find(documented, globs={"np": np, "nf": nf})
    assert example.examples
    report: list[str] = []
    doctest.DocTestRunner().run(example, out=report.append)
    assert not report, "".join(report)


@pytest.mark.parametrize(
    "function", FUNCTIONS + ON_A_GPU, ids=lambda f: f"{f.__module__}.{f.__name__}"
)
def test_every_parameter_is_documented(function):
    parameters = function.__doc__.partition("Parameters\n")[2].partition("Returns\n")[0]
    named = [
        name.strip()
        for line in inspect.cleandoc(parameters).splitlines()
        if " : " in line and not line.startswith(" ")
        for name in line.partition(" : ")[0].split(",")
    ]
    assert named == list(inspect.signature(function).parameters)


def test_the_package_exports_every_function():
    assert set(nf.__all__) == {*NAMES, "__version__"}
