"""The study of a search: its trials in a journal that several jobs share and that a killed one leaves usable."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import TrialState

from psigraph.config.searches import Search
from psigraph.search.space import Values, draw, make_sampler

log = logging.getLogger(__name__)

#: After so many failed trials and no other one a search ends.
MOST_FAILURES = 5


class SearchError(RuntimeError):
    """A search cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class Drawn:
    """A trial to run: its values, and whether it was begun before and then killed."""

    trial: optuna.trial.Trial
    values: Values
    begun: bool

    @property
    def number(self) -> int:
        """Trials are numbered from 0."""
        return self.trial.number


class Study:
    """Trials of a search, drawn by workers 0, 1, …, whose journal is in `folder`.

    A trial that was running when its worker was killed belongs to that worker's next life. Drawing is done by one
    worker at a time, so that a trial's values follow from its number and from the trials finished before it.
    """

    def __init__(self, folder: Path, search: Search) -> None:
        self.search, self.folder = search, folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        journal = self.folder / "study.journal"
        with self._alone():
            mend(journal)
            storage = JournalStorage(JournalFileBackend(str(journal)))
            self.study = optuna.create_study(study_name="search", storage=storage, load_if_exists=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep the other workers from drawing for a while."""
        place = self.folder / "drawing"  # a lock left behind is released by its age, which is that of this file
        place.touch()
        lock = JournalFileSymlinkLock(str(place))
        lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def draw(self, worker: int) -> Drawn | None:
        """Return the next trial of a worker, None where all are drawn. Raises SearchError where all have failed."""
        with self._alone():
            trials = self.study.get_trials(deepcopy=False)
            self._check(trials)
            left = [trial for trial in trials if not trial.state.is_finished() and self._owns(worker, trial)]
            if not left and len(trials) >= self.search.total:
                return None
            number = left[0].number if left else len(trials)
            self.study.sampler = make_sampler(self.search, number)
            trial = optuna.trial.Trial(self.study, left[0]._trial_id) if left else self.study.ask()
            values = draw(trial, self.search)
            trial.set_user_attr("worker", worker)
            self.study.sampler = optuna.samplers.RandomSampler()  # GridSampler cannot be told what ask() drew
            return Drawn(trial, values, begun=bool(left))

    def _owns(self, worker: int, trial: optuna.trial.FrozenTrial) -> bool:
        """A trial without a worker was left by one that was killed while it drew."""
        return trial.user_attrs.get("worker", worker) % self.search.workers == worker

    def finish(self, drawn: Drawn, cost: float, facts: Mapping[str, Any]) -> None:
        """Record a trial with its cost, of which less is better, and what is to be known of it, as JSON values."""
        drawn.trial.set_user_attr("facts", dict(facts))
        self.study.tell(drawn.trial, cost)

    def fail(self, drawn: Drawn, reason: str) -> None:
        """Record a trial that came to nothing. It counts as a bad one: of a failed one the sampler learns nothing."""
        drawn.trial.set_user_attr("reason", reason)
        self.study.tell(drawn.trial, state=TrialState.PRUNED)

    def _check(self, trials: list[optuna.trial.FrozenTrial]) -> None:
        over = [trial for trial in trials if trial.state.is_finished()]
        failed = [trial for trial in over if trial.state == TrialState.PRUNED]
        if failed and len(failed) == len(over) and len(failed) >= min(MOST_FAILURES, self.search.total):
            raise SearchError(
                f"{len(failed)} trials have failed and none has not; the last one: {failed[-1].user_attrs['reason']}. "
                "Change the space of the search or the experiment that it is of"
            )

    def rows(self, worker: int) -> list[dict[str, Any]]:
        """Return the finished trials of a worker, each with all that is known of it, as JSON values."""
        trials = self.study.get_trials(deepcopy=False)
        return [_row(trial) for trial in trials if trial.state.is_finished() and self._owns(worker, trial)]

    def best(self) -> int | None:
        """Return the number of the best trial so far."""
        found = [(t.value, t.number) for t in self.study.get_trials(deepcopy=False) if t.value is not None]
        return min(found)[1] if found else None


def _row(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    return {
        "number": trial.number,
        "state": "failed" if trial.state == TrialState.PRUNED else "complete",
        "worker": trial.user_attrs["worker"],
        "cost": trial.value,
        "values": dict(trial.params),
        "reason": trial.user_attrs.get("reason", ""),
        **trial.user_attrs.get("facts", {}),
    }


def mend(journal: Path) -> None:
    """Cut off a last line that a crash cut short; the next one would be appended to it and both be lost."""
    if not journal.exists():
        return
    lock = JournalFileSymlinkLock(str(journal))
    lock.acquire()
    try:
        content = journal.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            log.warning("%s: its last line was cut short and is dropped", journal)
            with open(journal, "r+b") as file:
                file.truncate(whole)
    finally:
        lock.release()
