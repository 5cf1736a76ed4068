"""Run a plan here, one job after the other, as an iterator of Progress. A killed run goes on where it was."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from retinoscope.jobs import tasks
from retinoscope.jobs.job import Job, MergeScan, Relate, ScanShard, task_of
from retinoscope.jobs.outcome import Outcome
from retinoscope.jobs.tasks import Context
from retinoscope.store import files
from retinoscope.store.database import Store


@dataclass(frozen=True)
class Progress:
    """How far a plan is: the job at hand and its `share` done (0 to 1), `done` of `total` jobs finished.

    `seconds` since the start of this run, `left` an estimate of those to come. When the job ends, `share` is 1 and
    `outcome` is what it made.
    """

    job: Job
    share: float
    done: int
    total: int
    seconds: float
    left: float
    outcome: Outcome | None = None


def run_all(jobs: Sequence[Job], context: Context, store: Store) -> Iterator[Progress]:
    """Run every job whose results the store does not have, in order; each one's results are kept when it ends."""
    todo, context = pending(jobs, store), replace(context, examples=store.examples)
    _sweep(jobs, todo, store)
    clock = _Clock(todo)
    for place, job in enumerate(todo):
        done = len(jobs) - len(todo) + place
        steps = tasks.run(job, context)
        while True:
            try:
                share = next(steps)
            except StopIteration as end:
                outcome: Outcome = end.value
                break
            yield Progress(job, min(share, 1.0), done, len(jobs), *clock.times(place, share))
        keep(job, outcome, store)
        clock.finish(job)
        yield Progress(job, 1.0, done + 1, len(jobs), *clock.times(place + 1, 0.0), outcome)


def pending(jobs: Sequence[Job], store: Store) -> list[Job]:
    """The jobs still to do: those whose task is not done, and the shards that one of them has no file of."""
    open_jobs = [job for job in jobs if not isinstance(job, ScanShard) and not store.done(job.key)]
    missing = {shard.key for job in open_jobs for shard, file in _needs(job) if not (store.folder / file).exists()}
    wanted = {job.key for job in open_jobs} | missing
    return [job for job in jobs if job.key in wanted]


def _needs(job: Job) -> list[tuple[ScanShard, str]]:
    """The shards' files that a job reads."""
    match job:
        case MergeScan():
            return [(shard, shard.file) for shard in job.shards]
        case Relate():
            return [(shard, shard.answers) for shard in job.shards]
        case _:
            return []


def _sweep(jobs: Sequence[Job], todo: Sequence[Job], store: Store) -> None:
    """Remove shards' files whose reader is done: a kill may have come between its records and their removal."""
    for file in (file for job in jobs if job not in todo for _, file in _needs(job)):
        (store.folder / file).unlink(missing_ok=True)


def keep(job: Job, outcome: Outcome, store: Store) -> None:
    """Write a job's files, then its records in one transaction, then drop the files it has used up."""
    for name, data in outcome.files:
        files.save(store.folder, name, data)
    if not isinstance(job, ScanShard):
        store.write(outcome.records, task_of(job))
    for name in outcome.spent:
        (store.folder / name).unlink(missing_ok=True)


class _Clock:
    """Time left: each kind of job takes as many times its guess as it has so far, a kind not yet seen its guess."""

    def __init__(self, todo: Sequence[Job]) -> None:
        self.todo = todo
        self.start = self.last = time.monotonic()
        self.spent: dict[type[Job], tuple[float, float]] = {}

    def finish(self, job: Job) -> None:
        """Learn from a job that ended now."""
        now = time.monotonic()
        seconds, guess = self.spent.get(type(job), (0.0, 0.0))
        self.spent[type(job)] = (seconds + now - self.last, guess + job.guess)
        self.last = now

    def times(self, place: int, share: float) -> tuple[float, float]:
        """Seconds since the start, and seconds left, when `share` of the job at `place` is done."""
        now = time.monotonic()
        rest = sum(job.guess * self._ratio(job) for job in self.todo[place + 1 :])
        if place < len(self.todo):
            rest += self._rest_of(self.todo[place], share, now - self.last)
        return now - self.start, rest

    def _rest_of(self, job: Job, share: float, elapsed: float) -> float:
        if share > 0:
            return elapsed * (1 - share) / share
        return job.guess * self._ratio(job)

    def _ratio(self, job: Job) -> float:
        seconds, guess = self.spent.get(type(job), (0.0, 0.0))
        return seconds / guess if guess else 1.0
