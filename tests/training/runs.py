"""Small runs: the settings the workflow hands over, and a stub model that misbehaves on demand."""

import signal
from pathlib import Path
from typing import Any

import torch
from synthetic import random_graphs, sample
from torch import nn
from torch_geometric.loader import DataLoader

from psigraph.config import Training
from psigraph.models.base import DeltaModel
from psigraph.training.delta import DeltaTask
from psigraph.training.engine import fit
from psigraph.training.losses import DistanceWeight
from psigraph.training.recorder import RunState
from psigraph.training.trainer import Setting


def run_settings(**training: Any) -> dict[str, Any]:
    """Return the JSON of one run; keywords change keys of `training`."""
    return {
        "graphset": {"family": "delta", "datasets": ["d"], "level": None, "v0": "column", "shards": 2},
        "level": None,
        "hyperparameters": {"num_conv_layers": 2, "num_rbf": 4, "hidden": 8},
        "split": {"validation": 0.2, "test": 0.2},
        "training": {"epochs": 4, "batch_size": 4, "lr": 5e-3, "log_every": 1, **training},
    }


DYING = """
import os, runpy, signal, sys

from psigraph.training.module import TrainingModule

original, calls = TrainingModule.training_step, 0


def training_step(self, batch, batch_idx):
    global calls
    calls += 1
    if calls == {call} and self.team.rank == 0:
        os.kill(os.getpid(), signal.{signal})
    return original(self, batch, batch_idx)


if __name__ == "__main__":
    TrainingModule.training_step = training_step
    runpy.run_path({script!r}, run_name="__main__")
"""


def dying_script(path: Path, repository: Path, call: int, number: signal.Signals) -> Path:
    """Write a scripts/train.py that sends itself a signal at the beginning of its `call`-th batch."""
    script = str(repository / "scripts/train.py")
    path.write_text(DYING.format(call=call, signal=number.name, script=script))
    return path


class Stub(DeltaModel):
    """ΔV = a + b·R. A batch that holds the dimer `poison` raises, or gives what `poison_value` says."""

    def __init__(self, poison: str | None = None, poison_value: float | None = None) -> None:
        super().__init__()
        self.hyperparameters = {}
        self.a, self.b = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))
        self.poison, self.poison_value = poison, poison_value

    def forward(self, data: Any) -> torch.Tensor:
        out = self.a + self.b * data.u.view(-1, 4)[:, 0]
        if self.poison is not None and self.poison in data.graph_id:
            if self.poison_value is None:
                raise ValueError(f"cannot digest {self.poison}")
            out = out * self.poison_value
        return out


def samples(n: int, seed: int = 0) -> list[Any]:
    return [sample(graph) for graph in random_graphs(n, seed)]


def fit_stub(
    folder: Path, model: Stub, train: list[Any], validation: list[Any] | None = None, **training: Any
) -> tuple[RunState, list[str]]:
    """Train a stub on lists of samples, one sample a batch unless told otherwise, in their order."""
    values = {"epochs": 3, "batch_size": 1, "log_every": 1, "max_bad_batches": 0.0, **training}
    settings = Training(**values)
    loaders = [DataLoader(s, settings.batch_size, follow_batch=["z_atoms"]) if s else None for s in (train, validation)]
    return fit(model, *loaders, settings, task(settings), folder, Setting(seed=0, key={"run": "test"}))


def task(settings: Training) -> DeltaTask:
    """Return the task with all dimers weighted alike."""
    return DeltaTask(DistanceWeight(0.0, 1.0, 1.0), settings.mape_epsilon, "kcal/mol")
