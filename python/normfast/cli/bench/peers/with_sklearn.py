"""scikit-learn: z-scores and unit vectors of tables, without its checks of what is in them."""

from contextlib import ExitStack
from importlib import import_module
from typing import Any

from normfast.cli.bench.contender import Contender
from normfast.cli.bench.peers.peer import Peer
from normfast.cli.bench.problem import Problem


def load(stack: ExitStack) -> Peer:
    """Import scikit-learn and switch its checks off; it has one thread here."""
    sklearn: Any = import_module("sklearn")
    preprocessing: Any = import_module("sklearn.preprocessing")
    stack.enter_context(sklearn.config_context(assume_finite=True, skip_parameter_validation=True))
    return Peer("scikit-learn", lambda problem, _: prepare(preprocessing, problem))


def prepare(preprocessing: Any, problem: Problem) -> Contender | None:
    """Two axes, and the floats that it does not widen."""
    case = problem.case
    table = problem.x.ndim == 2 and case.dtype in ("float32", "float64")
    if not table or problem.companions:
        return None
    names = {"preprocessing": preprocessing, "x": problem.x}
    match case.op, problem.axes:
        case "standardize", (0,):
            names["scaler"] = preprocessing.StandardScaler()
            return Contender("scaler.fit_transform(x)", names, fresh=True)
        case "normalize", (1,):
            return Contender("preprocessing.normalize(x)", names, fresh=True)
    return None
