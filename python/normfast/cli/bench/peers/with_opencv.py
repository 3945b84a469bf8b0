"""OpenCV: its preparation of images for a network, one pass that subtracts, scales and unpacks."""

from contextlib import ExitStack
from importlib import import_module
from typing import Any

import numpy as np

from normfast.cli.bench.contender import Contender
from normfast.cli.bench.peers.peer import Peer
from normfast.cli.bench.problem import Array, Problem


def load(stack: ExitStack) -> Peer:
    """Import cv2."""
    cv2: Any = import_module("cv2")
    stack.callback(cv2.setNumThreads, cv2.getNumThreads())
    return Peer("opencv", lambda problem, threads: prepare(cv2, problem, threads))


def prepare(cv2: Any, problem: Problem, threads: int) -> Contender | None:
    """float32 results only: a blob has no other type of float."""
    if problem.case.op != "normalize_image" or problem.case.result_dtype != "float32":
        return None
    cv2.setNumThreads(threads)
    to_planes = cv2.dnn.Image2BlobParams()
    mean, std = (np.asarray(problem.params[name], np.float64) for name in ("mean", "std"))
    # Four channels, as every Scalar of OpenCV has.
    to_planes.mean = (*(255 * mean), 0.0)
    to_planes.scalefactor = (*(1 / (255 * std)), 0.0)

    def arrays(blob: Array) -> tuple[Array, ...]:
        return (blob.reshape(problem.y.shape),)

    images = list(problem.x) if problem.x.ndim == 4 else [problem.x]
    names = {"blob": cv2.dnn.blobFromImagesWithParams, "images": images, "params": to_planes}
    return Contender("blob(images, None, params)", names, fresh=True, arrays=arrays)
