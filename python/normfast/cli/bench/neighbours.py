"""How busy other processes kept the machine meanwhile: threads that wait for a CPU take far longer.

Linux tells it in /proc/stat; elsewhere it is not known.
"""

import os
import time
from pathlib import Path

STAT = Path("/proc/stat")


class Neighbours:
    """CPUs in use by others, on average since this object was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._others = self._seconds()

    def cpus(self) -> float | None:
        """1.0 is one CPU, all the time; None where it is not known."""
        now = self._seconds()
        if now is None or self._others is None:
            return None
        return max(0.0, (now - self._others) / (time.perf_counter() - self._start))

    @staticmethod
    def _seconds() -> float | None:
        if not STAT.exists():
            return None
        own = os.times()
        return busy_seconds(STAT.read_text(), os.sysconf("SC_CLK_TCK")) - own.user - own.system


def busy_seconds(stat: str, ticks: int) -> float:
    """CPU time of all processes: all of the first line but idle, waiting, and other machines'."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(
        int, stat.split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / ticks
