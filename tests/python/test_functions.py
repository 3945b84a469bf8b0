"""The operations are C++, and behave as functions of Python."""

import copy
import inspect
import pickle

import numpy as np
import pytest

import normfast as nf
from normfast import functional

FUNCTIONS = [getattr(nf, name) for name in functional.__all__]
X = np.arange(6, dtype=np.float32).reshape(2, 3)


def plain(x, axis=None, *, correction=0, keepdims=False):
    """Take some of the arguments of mean_var."""


WRONG = {
    "none": ((), {}),
    "too many": ((X, 0, 1), {}),
    "twice": ((X,), {"x": X}),
    "unknown": ((X,), {"axes": 0}),
    "unknown, and none": ((), {"axes": 0}),
}


@pytest.mark.parametrize(("given", "named"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_refused_as_python_does(given, named):
    with pytest.raises(TypeError) as expected:
        plain(*given, **named)
    with pytest.raises(TypeError) as refused:
        nf.mean_var(*given, **named)
    assert str(refused.value) == str(expected.value).replace("plain", "mean_var")


def test_arguments_may_be_named_in_any_order_and_by_names_made_at_run_time():
    named = {"".join(letters): value for letters, value in {tuple("axis"): 1, "x": X}.items()}
    for given in (nf.mean_var(X, 1), nf.mean_var(axis=1, x=X), nf.mean_var(**named)):
        mean, var = given
        assert mean.tolist() == [1, 4]
        assert var.tolist() == [2 / 3, 2 / 3]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_a_function_is_found_by_its_name(function):
    assert inspect.isroutine(function)
    assert function.__module__ == "normfast.functional"
    assert pickle.loads(pickle.dumps(function)) is function
    assert copy.deepcopy(function) is function
    assert f"function {function.__name__}" in repr(function)


def test_in_a_class_it_is_a_method():
    class Array(np.ndarray):
        unit = nf.normalize

    assert X.view(Array).unit(np.inf)[1].tolist() == [0.6000000238418579, 0.800000011920929, 1]
