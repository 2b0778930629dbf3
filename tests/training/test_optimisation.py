"""A step on a global batch: split into parts, clipped, guarded; and a family that is not delta."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from psigraph.config import Training
from psigraph.training.ema import WeightAverage
from psigraph.training.engine import fit
from psigraph.training.optimisation import Accumulation, Optimisation, out_of_memory
from psigraph.training.task import Task
from psigraph.training.trainer import Setting


@dataclass
class Rows:
    """A batch of a family with two targets per row."""

    x: Tensor  # (B, 3)
    y: Tensor  # (B, 2)
    global_size: int = 0

    @property
    def index(self) -> Tensor:
        return torch.arange(len(self.x))

    @property
    def num_graphs(self) -> int:
        return len(self.x)

    def part(self, first: int, last: int) -> "Rows":
        return Rows(self.x[first:last], self.y[first:last], self.global_size)


class TwoTargets(Task):
    """Mean square error of two targets; validation watches the first."""

    unit, monitor = "eV²", "mae"
    metrics = {"mae": "eV", "mae_second": "K"}

    def loss(self, output: Tensor, batch: Rows, size: int) -> Tensor:
        return (output - batch.y).square().sum() / size

    def outcome(self, output: Tensor, batch: Rows) -> tuple[Tensor, Tensor]:
        return output, batch.y

    def evaluate(self, predicted: np.ndarray, reference: np.ndarray, rows: np.ndarray) -> dict[str, float]:
        first, second = np.abs(predicted - reference).mean(0)
        return {"mae": float(first), "mae_second": float(second)}

    def meta(self) -> dict[str, Any]:
        return {}


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))

    def forward(self, batch: Rows) -> Tensor:
        return self.net(batch.x)


class RowLoader:
    """Batches of 8 of 20 rows; the last has 4."""

    def __init__(self) -> None:
        rng = torch.Generator().manual_seed(1)
        self.x = torch.randn(20, 3, generator=rng)
        self.y = torch.stack([self.x.sum(1), self.x[:, 0] * 2], 1)

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[Rows]:
        for a in range(0, 20, 8):
            yield Rows(self.x[a : a + 8], self.y[a : a + 8], len(self.x[a : a + 8]))


def train(folder: Path, **training: Any) -> tuple[Network, Any, list[str]]:
    model = Network()
    settings = Training(**{"epochs": 5, "batch_size": 8, "lr": 0.02, "monitor": "mae", **training})
    state, notes = fit(model, RowLoader(), RowLoader(), settings, TwoTargets(), folder, Setting(0, {"run": "rows"}))
    return model, state, notes


def difference(one: nn.Module, other: nn.Module) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((a - b).detach().abs().max() / a.detach().abs().max()) for a, b in pairs)


def test_another_family_needs_no_other_loop(tmp_path: Path) -> None:
    _, state, _ = train(tmp_path)
    first, last = state.history[0], state.history[-1]
    assert list(first) == ["epoch", "train_loss", "val_mae", "val_mae_second", "lr", "seconds", "graphs_per_s"]
    assert last["val_mae"] < first["val_mae"] and last["val_mae_second"] < first["val_mae_second"]
    assert state.best_value == min(row["val_mae"] for row in state.history)


@pytest.mark.parametrize("parts", [2, 3, 5, 8, 20])
def test_accumulation_changes_nothing(tmp_path: Path, parts: int) -> None:
    """Also where the parts are uneven, or there are more of them than graphs."""
    whole, expected, _ = train(tmp_path / "whole", clip_norm=0.5)
    split, state, _ = train(tmp_path / "split", clip_norm=0.5, accumulate=parts)
    assert difference(whole, split) < 1e-5
    assert state.history[-1]["train_loss"] == pytest.approx(expected.history[-1]["train_loss"], rel=1e-5)


@pytest.mark.parametrize(("parts", "n", "sizes"), [(1, 5, [5]), (2, 5, [2, 3]), (4, 3, [1, 1, 1]), (3, 9, [3, 3, 3])])
def test_parts_are_nearly_equal_and_never_empty(parts: int, n: int, sizes: list[int]) -> None:
    batch = Rows(torch.arange(3 * n).view(n, 3), torch.zeros(n, 2), n)
    found = Accumulation(parts, n).split(batch)
    assert [part.num_graphs for part in found] == sizes
    assert torch.equal(torch.cat([part.x for part in found]), batch.x) and {part.global_size for part in found} == {n}


def loss_of(model: nn.Module) -> Callable[[Any, int], Tensor]:
    """Return what Optimisation descends: the two targets' loss of a part of a global batch."""
    return lambda part, size: TwoTargets().loss(model(part), part, size)


def one_step(clip_norm: float | None, scale: float = 1.0) -> tuple[Network, Tensor]:
    """The model after a step of plain gradient descent at rate 1, and its gradient norm without clipping."""
    model, batch = Network(), next(iter(RowLoader()))
    batch.y = batch.y * scale
    (model(batch) - batch.y).square().sum().div(8).backward()
    norm = torch.linalg.vector_norm(torch.cat([p.grad.flatten() for p in model.parameters()]))  # type: ignore[union-attr]
    settings = Training(clip_norm=clip_norm)
    descent = torch.optim.SGD(model.parameters(), lr=1.0)
    made = Optimisation(model, loss_of(model), settings, descent, accumulation=Accumulation(1, 8))
    assert bool(made.step(batch).taken)
    return model, norm


def test_clipping_by_norm() -> None:
    start = nn.utils.parameters_to_vector(Network().parameters())
    for clip_norm in (None, 1e-3, 0.1, 1e6):
        model, norm = one_step(clip_norm)
        step = float((nn.utils.parameters_to_vector(model.parameters()) - start).detach().norm())
        assert step == pytest.approx(min(float(norm), clip_norm or 1e9), rel=1e-3)


class Broken(nn.Module):
    """Loss 0 whose gradient is not finite: the square root at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(2))

    def forward(self, batch: Rows) -> Tensor:
        return batch.y + self.w.abs().sqrt()


def test_gradient_that_is_not_finite_skips_the_batch() -> None:
    model = Broken()
    optimizer = torch.optim.Adam(model.parameters())
    made = Optimisation(model, loss_of(model), Training(), optimizer, accumulation=Accumulation(1, 8))
    step = made.step(next(iter(RowLoader())))
    assert float(step.loss) == 0 and not bool(step.taken) and model.w.tolist() == [0, 0]


def steps_of(waits: bool, scaler: Any = None, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, list[bool], Any]:
    """Train on good and bad batches; `waits` false is the way of a GPU, which the fused Adam has on the CPU too."""
    model = Network().to(dtype)
    average = WeightAverage(list(model.parameters()), 0.9)
    made = Optimisation(
        model,
        loss_of(model),
        Training(clip_norm=0.5),
        torch.optim.Adam(model.parameters(), lr=0.02, fused=True),
        accumulation=Accumulation(2, 8),
        scaler=scaler,
        average=average,
    )
    made.waits = waits
    taken = []
    for epoch in range(3):
        for number, batch in enumerate(RowLoader()):
            factor = {(1, 0): torch.nan, (1, 2): torch.inf}.get((epoch, number), 1.0)
            step = made.step(Rows(batch.x.to(dtype), (batch.y * factor).to(dtype), batch.global_size))
            taken.append(bool(step.taken))
    return model, taken, average


def test_guard_on_the_device_equals_the_one_that_waits() -> None:
    """NaN and Inf among good batches, the first step included in the good ones: same weights, averages, verdicts."""
    model, taken, average = steps_of(True)
    other, told, other_average = steps_of(False)
    assert taken == told == [True] * 3 + [False, True, False] + [True] * 3
    assert difference(model, other) < 1e-6
    for a, b in zip(average.values, other_average.values, strict=True):
        assert torch.allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("waits", [True, False])
def test_gradient_scaling_changes_nothing_but_the_scale(waits: bool) -> None:
    model, taken, _ = steps_of(True)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=1000)
    scaled, told, _ = steps_of(waits, scaler)
    assert difference(model, scaled) < 1e-5 and taken == told
    assert scaler.get_scale() == (1024.0 if waits else 256.0), "where nothing waits the scaler sees the bad gradients"


def test_overflow_of_a_scaled_gradient_is_no_bad_batch() -> None:
    """The scaler skips the step and scales down until it fits."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    model = Network()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    made = Optimisation(model, loss_of(model), Training(), optimizer, accumulation=Accumulation(1, 8), scaler=scaler)
    before = nn.utils.parameters_to_vector(model.parameters()).detach().clone()
    batch = next(iter(RowLoader()))
    batch.y = batch.y * 100
    assert bool(made.step(batch).taken) and scaler.get_scale() == 2.0**126
    assert torch.equal(nn.utils.parameters_to_vector(model.parameters()).detach(), before)
    for _ in range(30):
        made.step(batch)
    assert not torch.equal(nn.utils.parameters_to_vector(model.parameters()).detach(), before)


def test_what_counts_as_out_of_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert out_of_memory(caught.value)
    assert out_of_memory(MemoryError()) and out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not out_of_memory(RuntimeError("size mismatch")) and not out_of_memory(ValueError("memory"))


class Hungry(Network):
    """Allocates beyond all bounds above `limit` rows: the allocator itself refuses."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit, self.sizes = limit, []  # type: ignore[var-annotated]

    def forward(self, batch: Rows) -> Tensor:
        self.sizes.append(batch.num_graphs)
        if batch.num_graphs > self.limit:
            torch.empty(2**60)
        return super().forward(batch)


def fit_hungry(folder: Path, limit: int, **training: Any) -> tuple[Hungry, Any, list[str]]:
    model = Hungry(limit)
    settings = Training(**{"epochs": 5, "batch_size": 8, "lr": 0.02, "monitor": "mae", "clip_norm": 0.5, **training})
    state, notes = fit(model, RowLoader(), RowLoader(), settings, TwoTargets(), folder, Setting(0, {"run": "rows"}))
    return model, state, notes


def test_batch_that_does_not_fit_is_halved_once_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole, _, _ = train(tmp_path / "whole", clip_norm=0.5)
    model, state, notes = fit_hungry(tmp_path / "halved", 4)
    assert difference(whole, model) < 1e-6 and state.bad_batches == 0
    assert model.sizes[:5] == [8, 4, 4, 4, 4] and max(model.sizes[1:]) == 4
    assert notes == [
        "memory did not suffice for batches of 8 in 1 part: computed in 2 from there on, as training.accumulate: 2 "
        "does from the start"
    ]
    assert caplog.text.count("memory did not suffice") == 1 and "can't allocate memory" in caplog.text


def test_accumulation_that_was_asked_for_is_doubled(tmp_path: Path) -> None:
    whole, _, _ = train(tmp_path / "whole", clip_norm=0.5)
    model, _, notes = fit_hungry(tmp_path / "halved", 2, accumulate=2)
    assert difference(whole, model) < 1e-6 and model.sizes[:5] == [4, 2, 2, 2, 2] and "in 2 parts" in notes[0]


def test_what_does_not_fit_after_halving_is_a_bad_batch(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="1 of 3 training batches failed.*can't allocate memory"):
        fit_hungry(tmp_path, 3)


def test_halved_run_stays_halved_when_resumed(tmp_path: Path) -> None:
    fit_hungry(tmp_path, 4, epochs=2)
    last = torch.load(tmp_path / "last.ckpt", weights_only=True)
    last["epochs"], last["recorder"]["stopped"] = 1, None
    torch.save(last, tmp_path / "last.ckpt")
    model, _, notes = fit_hungry(tmp_path, 4, epochs=2)
    assert max(model.sizes) == 4 and "memory did not suffice" in notes[0]


LIMITED = """
import resource, sys, json
from pathlib import Path
import torch
from psigraph.models.delta_coupling import DeltaCoupling
from psigraph.training.engine import train_run

folder, settings, shards = Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:]
torch.set_num_threads(1)
original, sizes = DeltaCoupling.forward, []

def forward(self, data):
    sizes.append(data.num_graphs)
    kept = torch.empty(data.num_graphs, 2**26)  # 256 MiB a graph, of address space alone
    return original(self, data) + 0 * kept[:, 0].detach().fill_(0)

DeltaCoupling.forward = forward
names = {"experiment": "e", "architecture": "delta_coupling", "seed": 0, "settings": settings, "shards": shards}
train_run(output_dir=folder / "whole", **names)
assert max(sizes) == 4, sizes
sizes.clear()
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 800 * 2**20, resource.RLIM_INFINITY))
train_run(output_dir=folder / "limited", **names)
assert sizes[:3] == [4, 2, 2] and max(sizes[1:]) == 2, sizes
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space by /proc")
def test_memory_that_really_runs_out(repository: Path, shards: list[Path], tmp_path: Path) -> None:
    """The process may have 800 MiB more; a batch of 4 asks for 1 GiB, half of it for 512 MiB."""
    from runs import run_settings

    from psigraph.training.checkpoint import load_model

    settings = run_settings(epochs=2, precision="float64", execution="torch")
    result = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path), json.dumps(settings), *map(str, shards)],
        env={**os.environ, "PYTHONPATH": str(repository / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    models = [load_model(tmp_path / name / "final_model_e_learning.pt").model for name in ("whole", "limited")]
    assert difference(*models) < 1e-6
    notes = [json.loads((tmp_path / name / "training.json").read_text())["notes"] for name in ("whole", "limited")]
    assert notes[0] == [] and "memory did not suffice for batches of 4" in notes[1][0]
