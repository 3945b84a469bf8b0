"""Interleaved timing: every contender in every round, so that all see the same machine."""

import math
import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol


class Timer(Protocol):
    """What ``timeit.Timer`` offers."""

    def timeit(self, number: int) -> float:
        """Seconds for that many calls."""


@dataclass(frozen=True)
class Timing:
    """Seconds a call, one value a round, each the mean of ``calls`` calls."""

    seconds: tuple[float, ...]
    calls: int

    @property
    def median(self) -> float:
        """The middle round."""
        return statistics.median(self.seconds)

    @property
    def minimum(self) -> float:
        """The best round."""
        return min(self.seconds)


LEAST_ROUNDS = 3  # that the slowest takes part in
WARM = 3  # calls before those that are timed
GLANCE = 1e-3  # seconds in which a busy thread shows


def measure(
    timers: Mapping[str, Timer],
    rounds: int,
    sample_seconds: float,
    patience: float = math.inf,
    settle: Callable[[], None] = lambda: None,
) -> dict[str, Timing]:
    """Time all in turn, in a new order each round.

    A sample is as many calls as fill ``sample_seconds``. Calls shorter than that are preceded
    by some that are not timed and bring the data back into its cache, and threads, which may be
    left asleep for the first of them, back to work. Who has taken ``patience``
    seconds takes part in no further round. ``settle`` stands between any two samples.
    """
    calls = {}
    for name, timer in timers.items():
        settle()
        calls[name] = calls_in(sample_seconds, timer)
    seconds: dict[str, list[float]] = {name: [] for name in timers}
    order = list(timers)
    shuffle = random.Random(0).shuffle
    for _ in range(rounds):
        shuffle(order)
        for name in order:
            done = seconds[name]
            if len(done) >= LEAST_ROUNDS and sum(done) * calls[name] > patience:
                continue
            settle()
            if calls[name] > 1:
                timers[name].timeit(WARM)
            done.append(timers[name].timeit(calls[name]) / calls[name])
    return {name: Timing(tuple(values), calls[name]) for name, values in seconds.items()}


def wait_until_idle(seconds: float = 0.2) -> None:
    """Wait, at most so long, until no thread of this process is busy.

    Idle threads of a pool wait busily for more work, those of OpenMP for some 8 ms and those of
    ONNX Runtime for 50: on processors that the next one is to use.
    """
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        used = time.process_time()
        time.sleep(GLANCE)
        if time.process_time() - used < GLANCE / 5:
            return


def calls_in(sample_seconds: float, timer: Timer) -> int:
    """How many calls fill a sample; at least one."""
    timer.timeit(1)
    calls = 1
    while (seconds := timer.timeit(calls)) < sample_seconds / 10:
        calls *= 4
    return max(1, round(calls * sample_seconds / seconds))
