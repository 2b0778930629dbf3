"""Running statistics of batch normalisation: equal over processes, untouched by batches that are skipped."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from test_optimisation import RowLoader, Rows, TwoTargets, loss_of
from torch import Tensor, nn

from psigraph.config import Training
from psigraph.training.buffers import RunningStatistics
from psigraph.training.engine import fit
from psigraph.training.optimisation import Accumulation, Optimisation
from psigraph.training.team import Team, run_team
from psigraph.training.trainer import Setting


class Normalised(nn.Module):
    """Batch normalisation before and inside of a small network."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.BatchNorm1d(3), nn.Linear(3, 8), nn.ReLU(), nn.BatchNorm1d(8, momentum=0.3), nn.Linear(8, 2)
        )
        self.register_buffer("scale", torch.tensor([1.0, 2.0]))  # no running statistics

    def forward(self, batch: Rows) -> Tensor:
        return self.net(batch.x) * self.scale


class Shares(RowLoader):
    """A process's part of every batch, the first and the second half of two."""

    def __init__(self, team: Team) -> None:
        super().__init__()
        self.team = team

    def __iter__(self) -> Any:
        for batch in super().__iter__():
            first, last = (batch.num_graphs * k // self.team.size for k in (self.team.rank, self.team.rank + 1))
            yield batch.part(first, last)


def statistics(model: nn.Module) -> list[Tensor]:
    return [value.clone() for name, value in model.state_dict().items() if "running" in name]


def train(team: Team, folder: Path) -> list[tuple[list[Tensor], Any]]:
    """Statistics and history of every process."""
    torch.set_num_threads(1)
    model = Normalised()
    settings = Training(epochs=2, batch_size=8, lr=1e-8, monitor="mae")  # the weights stay as they were drawn
    setting = Setting(0, {"run": "normalised"}, team=team)
    state, _ = fit(model, Shares(team), Shares(team), settings, TwoTargets(), folder / str(team.rank), setting)
    assert state.last_weights is not None
    history = [[row["train_loss"], row["val_mae"]] for row in state.history]
    return team.gather(([v for k, v in state.last_weights.items() if "running" in k], history))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[list[Tensor], Any]]:
    return run_team(train, 2, "cpu", (tmp_path_factory.mktemp("two"),))


def test_processes_share_the_mean_of_their_statistics(two: list[tuple[list[Tensor], Any]]) -> None:
    """The first layer sees the inputs themselves, so its statistics follow from the rows alone, written out here."""
    (first, history), (second, other_history) = two
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True)) and history == other_history
    mean, variance = torch.zeros(3), torch.ones(3)
    for _ in range(2):
        for batch in RowLoader():
            parts = batch.x.chunk(2)
            mean = 0.9 * mean + 0.1 * torch.stack([part.mean(0) for part in parts]).mean(0)
            variance = 0.9 * variance + 0.1 * torch.stack([part.var(0) for part in parts]).mean(0)
    assert torch.allclose(first[0], mean, atol=1e-6) and torch.allclose(first[1], variance, atol=1e-6)


def test_what_is_kept_is_what_was_validated(two: list[tuple[list[Tensor], Any]]) -> None:
    """The kept weights of rank 0 give the validation error that all processes together found."""
    (kept, history), _ = two
    model = Normalised().eval()
    names = [name for name in model.state_dict() if "running" in name]
    model.load_state_dict({**model.state_dict(), **dict(zip(names, kept, strict=True))})
    with torch.no_grad():
        errors = torch.cat([(model(batch) - batch.y)[:, 0].abs() for batch in RowLoader()])
    assert history[-1][1] == pytest.approx(errors.mean().item(), rel=1e-5)


def one_process(folder: Path, model: nn.Module, **training: Any) -> None:
    settings = Training(**{"epochs": 2, "batch_size": 8, "lr": 1e-3, "monitor": "mae", **training})
    fit(model, RowLoader(), RowLoader(), settings, TwoTargets(), folder, Setting(0, {"run": "one"}))


def test_one_process_has_those_of_plain_torch(tmp_path: Path) -> None:
    model, plain = Normalised(), Normalised()
    one_process(tmp_path, model, epochs=1, lr=1e-3)
    optimizer = torch.optim.Adam(plain.parameters(), fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=20)
    for batch in RowLoader():
        optimizer.zero_grad()
        TwoTargets().loss(plain(batch), batch, batch.num_graphs).backward()
        optimizer.step()
        schedule.step()
    for name, value in plain.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name


def stepper(model: nn.Module, parts: int = 1) -> Optimisation:
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    return Optimisation(model, loss_of(model), Training(), optimizer, accumulation=Accumulation(parts, 8))


@pytest.mark.parametrize("waits", [True, False], ids=["CPU", "the way of a GPU"])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_bad_batch_leaves_them_alone(waits: bool, bad: float) -> None:
    model = Normalised()
    made = stepper(model)
    made.waits = waits
    good, *_ = RowLoader()
    assert bool(made.step(good).taken)
    before = statistics(model)
    assert not bool(made.step(Rows(good.x * bad, good.y, 8)).taken)
    assert all(torch.equal(a, b) for a, b in zip(before, statistics(model), strict=True))
    assert bool(made.step(good).taken)
    assert not any(torch.equal(a, b) for a, b in zip(before, statistics(model), strict=True))


def test_average_of_the_weights_has_its_own_average_of_them(tmp_path: Path) -> None:
    """The first layer's follow from the rows: the running mean of each step, averaged as the weights are."""
    model = Normalised()
    one_process(tmp_path, model, epochs=2, ema_decay=0.4)
    mean, average, n = torch.zeros(3), torch.zeros(3), 0
    for _ in range(2):
        for batch in RowLoader():
            mean = 0.9 * mean + 0.1 * batch.x.mean(0)
            decay = min(0.4, (1 + n) / (10 + n))
            average, n = decay * average + (1 - decay) * mean, n + 1
    last = torch.load(tmp_path / "last.ckpt", weights_only=True)["run"]["model"]["net.0.running_mean"]
    kept = model.state_dict()["net.0.running_mean"]
    assert torch.allclose(last, mean, atol=1e-6), "training goes on with those of the last step"
    assert torch.allclose(kept, average, atol=1e-6) and not torch.allclose(last, kept, atol=1e-3)


class TooLarge(Normalised):
    """Memory fails for more than 4 rows at once, after batch normalisation has seen them."""

    def forward(self, batch: Rows) -> Tensor:
        out = super().forward(batch)
        if batch.num_graphs > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return out


def test_attempt_that_ran_out_of_memory_does_not_count() -> None:
    halved, asked = TooLarge(), Normalised()
    batch, *_ = RowLoader()
    assert bool(stepper(halved).step(batch).taken) and bool(stepper(asked, parts=2).step(copy.copy(batch)).taken)
    assert all(torch.equal(a, b) for a, b in zip(statistics(halved), statistics(asked), strict=True))


def test_model_without_any() -> None:
    running = RunningStatistics(nn.Linear(2, 2))
    running.remember()
    running.settle(torch.tensor(False))
    assert running.buffers == [] and running.values().numel() == 0
    assert len(RunningStatistics(Normalised()).buffers) == 4
    assert RunningStatistics(nn.BatchNorm1d(2, track_running_stats=False)).buffers == []
