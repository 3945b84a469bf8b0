"""One case from arrays to numbers: check everyone, then time everyone in turn."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from normfast.cli.bench import yardstick
from normfast.cli.bench.cases import Case
from normfast.cli.bench.contender import Contender
from normfast.cli.bench.measure import measure, wait_until_idle
from normfast.cli.bench.peers import with_normfast
from normfast.cli.bench.peers.peer import Peer
from normfast.cli.bench.problem import Problem, prepare
from normfast.cli.bench.reference import PROMISE, SAME, Reference, reference
from normfast.cli.bench.result import Entry, Result

CACHES = {"L1": "L1d", "L2": "L2", "L3": "L3"}  # levels, and what the extension calls them
TYPICAL = {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}  # where a machine does not say


@dataclass(frozen=True)
class Runner:
    """The settings that all cases share."""

    libraries: Sequence[Peer]
    pool: ThreadPoolExecutor
    caches: Mapping[str, int]
    threads: Sequence[int]
    rounds: int
    sample_seconds: float
    patience: float

    def run(self, case: Case) -> Iterator[Result]:
        """Check, then time, for each number of threads; a small call leaves it to the library."""
        problem = prepare(case)
        exact = reference(problem)
        for threads in self.threads[:1] if case.call else self.threads:
            yield self.run_threads(problem, exact, threads)

    def run_threads(self, problem: Problem, exact: Reference, threads: int) -> Result:
        """One result."""
        case = problem.case
        contenders = with_normfast.prepare(problem, threads)
        errors = {name: exact.error(own.run()) for name, own in contenders.items()}
        notes: dict[str, str] = {}
        for peer in self.libraries:
            try:
                contender = peer.prepare(problem, threads)
                if contender is None:
                    continue
                error = exact.error(contender.run())
                if not error <= SAME[case.result_dtype]:
                    raise ValueError(f"not timed, as its result is wrong by {error:.0e}")
                errors[peer.name] = error
                contenders[peer.name] = contender
            except Exception as failure:  # a peer that fails must not end the run
                notes[peer.name] = str(failure).partition("\n")[0]
        yardsticks = yardstick.prepare(problem, threads, self.pool)
        timings = measure(
            {name: way.timer() for name, way in (contenders | yardsticks).items()},
            self.rounds,
            self.sample_seconds,
            self.patience,
            wait_until_idle,
        )
        moved = problem.traffic(self.cache("L2"))

        def entry(name: str, way: Contender) -> Entry:
            bytes_ = way.moved or moved
            return Entry(way.statement, way.fresh, timings[name], errors.get(name), bytes_)

        return Result(
            case=case,
            threads=threads,
            level=self.level(problem.working_set),
            working_set=problem.working_set,
            promise=PROMISE[case.result_dtype],
            entries={name: entry(name, way) for name, way in contenders.items()},
            yardsticks={name: entry(name, way) for name, way in yardsticks.items()},
            notes=notes,
        )

    def level(self, working_set: int) -> str:
        """The smallest cache of one core that holds all the data."""
        return next((name for name in CACHES if working_set <= self.cache(name)), "memory")

    def cache(self, level: str) -> int:
        """Bytes of a cache; a typical size where the machine does not say."""
        return self.caches.get(CACHES[level]) or TYPICAL[level]
