"""Shards in, trained model out: everything one training job of the workflow does.

Data, model and task are the family's (`families`). From here to the kernel of delta:
`module.TrainingModule` takes the steps, `models.delta_coupling.DeltaCoupling` is the model, `models.kernels.pair_sum`
calls its kernel.
"""

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from psigraph.config import Training
from psigraph.graphs.loader import make_loader
from psigraph.graphs.split import SPLITS
from psigraph.training.checkpoint import save_model
from psigraph.training.device import choose_device, choose_precision, keep_freed_memory
from psigraph.training.execution import Execution, choose_execution, has_kernel
from psigraph.training.families import family_of
from psigraph.training.length import repeated, settle_length
from psigraph.training.module import TrainingModule
from psigraph.training.record import Run, checkpoint_meta, training_record, write_json, write_split
from psigraph.training.recorder import Recorder, RunState, Stopping, write_history
from psigraph.training.resume import find_resumable
from psigraph.training.settings import RunSettings, run_key
from psigraph.training.start import Start, read_start, take_over
from psigraph.training.stream import Stream
from psigraph.training.task import Task
from psigraph.training.team import Team, run_team
from psigraph.training.trainer import Setting, begin_after, make_trainer, matmul_precision, notes_of, quiet, resumable

log = logging.getLogger(__name__)


def train_run(
    shards: Sequence[str | Path],
    output_dir: str | Path,
    *,
    experiment: str,
    architecture: str,
    seed: int,
    settings: Mapping[str, Any],
    start_from: str | Path | None = None,
    gpus: int = 0,
    threads: int | None = None,
    processes: int = 1,
) -> Path:
    """Train one architecture with one seed and return the checkpoint's path.

    `settings` as in psigraph.training.settings; `start_from`: a checkpoint of the same architecture and seed whose
    encoder the model begins with. The folder gets final_model_{experiment}_learning.pt, history.csv, split.csv,
    training.json, and last.ckpt, from which the same call resumes after it was killed. `gpus`: the GPUs to use, one
    process each; `processes`: processes where the CPU computes. They share `threads` and change no result, but that
    batch normalisation sees each process's share of a batch by itself.

    Raises ValueError (StoreError, SplitError, StartError) for settings, shards or a checkpoint to start from that do
    not fit or an empty training split, DeviceError where a cluster job sees no GPU, TrainingError where too many
    batches fail, TeamError where one of several processes ends before its time.
    """
    checked = RunSettings.parse(architecture, settings)
    device = choose_device(gpus, cuda_available=torch.cuda.is_available(), environment=os.environ)
    size = team_size(device, gpus=gpus, processes=processes)
    names = (experiment, architecture, seed)
    start = None if start_from is None else read_start(start_from, architecture, seed)
    arguments = (list(shards), Path(output_dir), names, checked, start, device, (threads or checked.training.threads))
    return run_team(_train, size, device, arguments)


def team_size(device: str, *, gpus: int, processes: int) -> int:
    """Return how many processes train: one per GPU asked for and there, or `processes` on the CPU."""
    if device != "cuda":
        return max(1, processes)
    visible = torch.cuda.device_count()
    if visible < gpus:
        log.warning("%d GPUs were asked for and %d are there: training on %d", gpus, visible, visible)
    return min(gpus, visible)


def _train(
    team: Team,
    shards: Sequence[str | Path],
    folder: Path,
    names: tuple[str, str, int],
    settings: RunSettings,
    start: Start | None,
    device: str,
    threads: int,
) -> Path:
    """Train as one of the team's processes; see train_run."""
    started = time.perf_counter()
    torch.set_num_threads(max(1, threads // team.size))
    keep_freed_memory()
    run = prepare_run(team, shards, settings, names, device)
    train = run.train
    statistics = run.family.statistics(train)
    model, start = new_model(run, statistics, start)
    run = replace(run, start=start)
    task = run.family.task(model, train, statistics, run.settings, start.learned if start else ())
    path = folder / f"final_model_{run.experiment}_learning.pt"
    if team.rank == 0:
        folder.mkdir(parents=True, exist_ok=True)
        write_split(folder / "split.csv", run)
    state, notes = _fit(run, model, task, folder)
    if team.rank:
        return path
    if not len(run.split["test"]):
        notes.append("test set empty: no test metrics")
        log.warning("the test set is empty: there will be no test metrics")
    write_history(folder / "history.csv", state.history)
    seconds = round(time.perf_counter() - started, 2)
    write_json(folder / "training.json", training_record(run, model, task, state, notes) | {"seconds": seconds})
    save_model(path, model, checkpoint_meta(run, task, statistics, state))
    log.info("wrote %s", path)
    return path


def prepare_run(
    team: Team, shards: Sequence[str | Path], settings: RunSettings, names: tuple[str, str, int], device: str
) -> Run:
    """Choose the precision, read and check the shards, split the samples."""
    experiment, architecture, seed = names
    capability = torch.cuda.get_device_capability() if device == "cuda" else None
    precision = choose_precision(settings.training.precision, device, capability)
    family = family_of(settings.graphset.family)
    data = family.open(shards, settings, _dtype(precision))
    draw = settings.split.draw
    split = family.split(data, settings, seed if draw is None else draw)
    training = settle_length(settings.training, len(split["train"]))
    settings = settings.model_copy(update={"training": training})
    if team.rank == 0:
        counts = ", ".join(f"{len(rows)} {name}" for name, rows in split.items() if name in SPLITS)
        where = device if team.size == 1 else f"{device} in {team.size} processes"
        log.info("%s, seed %d on %s in %s: %s samples", architecture, seed, where, precision, counts)
    return Run(experiment, architecture, seed, settings, device, precision, family, data, split, team)


def _dtype(precision: str) -> torch.dtype:
    return torch.float64 if precision == "float64" else torch.float32


def new_model(run: Run, statistics: Any, start: Start | None) -> tuple[nn.Module, Start | None]:
    """Return the untrained model, drawn from the seed, with the training set's normalisation, and what it starts from.

    The encoder of `start` comes with the normalisation of its own inputs.
    """
    torch.manual_seed(run.seed)
    inputs = run.family.inputs(run.data, run.settings)
    settings = run.settings
    model: Any = run.family.new_model(run.architecture, settings.hyperparameters, inputs, settings.objective)
    model = model.to(_dtype(run.precision))
    model.fit_normalisation(statistics)
    return model, None if start is None else take_over(start, model, inputs)


def _fit(run: Run, model: nn.Module, task: Task, folder: Path) -> tuple[RunState, list[str]]:
    """Train on the training samples; their order and augmentation depend on seed and epoch alone."""
    training, validation = run.settings.training, run.data.select(run.split["validation"])
    rows = repeated(run.split["train"], training)
    train = run.family.training_samples(run.data, rows, training, run.seed)
    batch: dict[str, Any] = {"batch_size": training.batch_size, "device_type": run.device}
    batch |= {"rank": run.team.rank, "world_size": run.team.size}
    key = run_key(
        run.settings,
        architecture=run.architecture,
        seed=run.seed,
        digests=run.data.digests,
        precision=run.precision,
        start=run.start.digest if run.start else None,
    )
    return fit(
        model,
        make_loader(train, shuffle=True, seed=run.seed, **batch),
        make_loader(validation, **batch) if len(validation) else None,
        training,
        task,
        folder,
        Setting(run.seed, key, run.device, run.precision, run.team),
    )


def fit(
    model: torch.nn.Module,
    train_loader: Any,
    validation_loader: Any | None,
    training: Training,
    task: Task,
    folder: Path,
    setting: Setting,
) -> tuple[RunState, list[str]]:
    """Train `model` in place and return the course of the run and notes for its record.

    Without a validation set early stopping watches the training loss. `folder` gets history.csv and last.ckpt; a
    last.ckpt with the same key is resumed from. Afterwards the model carries the best weights, or the last where there
    is no validation set (their average where `ema_decay` asks for one). Loaders give this process's share of every
    global batch. Raises TrainingError where too many batches of an epoch fail.
    """
    notes: list[str] = []
    if not validation_loader:
        notes.append("validation set empty: early stopping watched the training loss and the last weights were kept")
        log.warning("the validation set is empty: early stopping watches the training loss, the last weights are kept")
    path = choose_execution(training.execution, has_kernel=has_kernel(model, setting.device), device=setting.device)
    execution = Execution(model, path)
    train, validation = Stream(train_loader), Stream(validation_loader) if validation_loader else None
    module = TrainingModule(
        model, training, task, train, validation, seed=setting.seed, predict=execution, team=setting.team
    )
    key = {**setting.key, "execution": path}  # another path gives other bits
    recorder = Recorder(folder, training, key, keep_best=validation is not None)
    found = find_resumable(folder / "last.ckpt", key)
    stopping = Stopping(training.patience)
    if found is not None:
        recorder.state = RunState(**found["recorder"])
        module.restore(found["run"])
        stopping.load_state_dict(found["stopping"])
        train.start = found["batches"]
        where = f"epoch {found['epochs']}" + (f" and batch {train.start} of the next" if train.start else "")
        log.info("resuming from %s after %s, of %d epochs", folder / "last.ckpt", where, training.epochs)
    if recorder.state.stopped:
        log.info("training was over already: %s", recorder.state.stopped)
    else:
        with quiet(), matmul_precision("high"), resumable():
            trainer = make_trainer(training, [stopping, recorder], folder, setting)
            begin_after(trainer, found["epochs"] if found is not None else 0)
            trainer.fit(module, train, validation)
    recorder.state.execution = execution.path
    notes += notes_of(execution, module, recorder.state)
    model.to("cpu")
    weights = recorder.state.best_weights or recorder.state.last_weights
    assert weights is not None, "the run is over"
    model.load_state_dict(weights)
    return recorder.state, notes
