"""One job of a search: draws trials, trains them and records what they came to, until there are none left."""

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from psigraph.config.searches import Search
from psigraph.search.space import Values, in_words, short, trial_settings
from psigraph.search.study import Drawn, SearchError, Study
from psigraph.stores import canonical_json
from psigraph.training.device import DeviceError, choose_device
from psigraph.training.engine import train_run
from psigraph.training.families import family_of
from psigraph.training.record import write_json
from psigraph.training.settings import RunSettings, run_key
from psigraph.training.start import read_start
from psigraph.training.team import TeamError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """What every trial of a search shares: settings of the experiment's run, data, and what it computes on."""

    search: Search
    settings: Mapping[str, Any]
    shards: Sequence[str | Path]
    start_from: Path | None = None
    gpus: int = 0
    threads: int | None = None


def work(job: Job, worker: int, output: Path) -> None:
    """Take part in the search until all its trials are drawn; `output` then says what this worker ran.

    The study is in a folder beside `output`, named by the search's digest: a changed search is a new study. Raises
    SearchError where trials fail and none does not; ValueError (StoreError, CheckpointError) for settings, shards or a
    checkpoint to start from that do not fit, DeviceError where a cluster job sees no GPU: before any trial.
    """
    choose_device(job.gpus, cuda_available=torch.cuda.is_available(), environment=os.environ)
    digest = study_digest(job)
    folder = output.parent / digest
    study = Study(folder, job.search)
    log.info("study %s: %d trials in all, numbered from 0", folder, job.search.total)
    while (drawn := study.draw(worker)) is not None:
        _run(job, study, drawn, folder / "trials" / str(drawn.number))
    write_json(output, {"study": digest, "worker": worker, "trials": study.rows(worker)})


def study_digest(job: Job) -> str:
    """Return what names the study (12 hexadecimal digits): of all that its trials depend on but for their number.

    Raises ValueError (StoreError, CheckpointError) for settings, shards or a checkpoint that do not fit.
    """
    search = job.search
    settings = RunSettings.parse(search.architecture, job.settings)
    start = None if job.start_from is None else read_start(job.start_from, search.architecture, search.seed)
    data = family_of(settings.graphset.family).open(job.shards, settings, torch.float32)
    key = run_key(
        settings,
        architecture=search.architecture,
        seed=search.seed,
        digests=data.digests,
        precision=settings.training.precision,
        start=start.digest if start else None,
    )
    key["search"] = search.model_dump(mode="json", exclude={"trials", "workers"})
    return hashlib.sha256(canonical_json(key).encode()).hexdigest()[:12]


def _run(job: Job, study: Study, drawn: Drawn, folder: Path) -> None:
    """Train a trial, or go on with it, and record it."""
    log.info("trial %d %s: %s", drawn.number, "goes on" if drawn.begun else "begins", in_words(drawn.values))
    try:
        facts = train_trial(job, drawn.values, folder)
    except (TeamError, DeviceError):  # not the trial's doing
        raise
    except (ValueError, RuntimeError, ArithmeticError, MemoryError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        log.warning("trial %d failed: %s", drawn.number, reason)
        study.fail(drawn, reason)
        return
    study.finish(drawn, -facts["value"] if facts["higher_is_better"] else facts["value"], facts)
    (folder / "last.ckpt").unlink(missing_ok=True)
    best = study.best()
    log.info(
        "trial %d: %s %s in epoch %d; the best so far is trial %d",
        *(drawn.number, facts["monitor"], short(facts["value"]), facts["best_epoch"], best),
    )


def train_trial(job: Job, values: Values, folder: Path) -> dict[str, Any]:
    """Train with these values and return what is recorded: the validation's best value and how it came about.

    No test sample is looked at. Raises what train_run raises, and SearchError where no epoch had a finite value.
    """
    train_run(
        job.shards,
        folder,
        experiment=job.search.experiment,
        architecture=job.search.architecture,
        seed=job.search.seed,
        settings=trial_settings(job.settings, job.search, values),
        start_from=job.start_from,
        gpus=job.gpus,
        threads=job.threads,
    )
    record = json.loads((folder / "training.json").read_text())
    if record["best_value"] is None:
        raise SearchError("no epoch had a finite validation value")
    kept = ("monitor", "higher_is_better", "best_epoch", "epochs_run", "seconds", "parameters")
    return {"value": record["best_value"], **{name: record[name] for name in kept}}
