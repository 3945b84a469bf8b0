"""One case from arrays to numbers: check everyone, then time everyone in turn."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from normfast.cli.bench import yardstick
from normfast.cli.bench.cases import Case
from normfast.cli.bench.contender import Contender
from normfast.cli.bench.measure import measure
from normfast.cli.bench.peers import with_normfast
from normfast.cli.bench.peers.peer import Peer
from normfast.cli.bench.problem import Problem, prepare
from normfast.cli.bench.reference import PROMISE, reference
from normfast.cli.bench.report import Entry, Result

SPIN_SECONDS = 2e-3  # for about as long the threads of OpenMP and of a runtime wait busily
TYPICAL = {"L1d": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}  # caches that did not tell their size


@dataclass(frozen=True)
class Runner:
    """The settings that all cases share."""

    libraries: Sequence[Peer]
    pool: ThreadPoolExecutor
    caches: Mapping[str, int]
    threads: int
    rounds: int
    sample_seconds: float

    def run(self, case: Case) -> Result:
        """Check, then time."""
        problem = prepare(case)
        exact = reference(problem)
        contenders = with_normfast.prepare(problem, self.threads)
        errors = {name: exact.error(own.run()) for name, own in contenders.items()}
        notes: dict[str, str] = {}
        for peer in self.libraries:
            try:
                contender = peer.prepare(problem)
                if contender is not None:
                    errors[peer.name] = exact.error(contender.run())
                    contenders[peer.name] = contender
            except Exception as failure:  # a peer that fails must not end the run
                notes[peer.name] = str(failure).partition("\n")[0]
        entries = self.time(contenders | self.yardsticks(problem), errors)
        return Result(
            case=case,
            level=self.level(problem.working_set),
            moved=problem.traffic(self.cache("L2")),
            copied=yardstick.bytes_of_a_copy(problem),
            promise=PROMISE[case.result_dtype],
            entries={name: entries[name] for name in contenders},
            yardsticks={name: entry for name, entry in entries.items() if name not in contenders},
            notes=notes,
        )

    def time(
        self, contenders: Mapping[str, Contender], errors: Mapping[str, float]
    ) -> dict[str, Entry]:
        """Time all of them together."""
        timings = measure(
            {name: contender.timer() for name, contender in contenders.items()},
            self.rounds,
            self.sample_seconds,
            SPIN_SECONDS if self.threads > 1 else 0.0,
        )
        return {
            name: Entry(contender.statement, contender.fresh, timings[name], errors.get(name))
            for name, contender in contenders.items()
        }

    def yardsticks(self, problem: Problem) -> dict[str, Contender]:
        """What this case is compared with."""
        if problem.case.call:
            return yardstick.small_call(problem)
        return yardstick.copies(problem, self.threads, self.pool)

    def level(self, working_set: int) -> str:
        """The smallest cache that holds all the data."""
        for name in ("L1d", "L2", "L3"):
            if working_set <= self.cache(name):
                return name
        return "memory"

    def cache(self, name: str) -> int:
        """Bytes of a cache; a typical size where the machine does not say."""
        return self.caches.get(name) or TYPICAL[name]
