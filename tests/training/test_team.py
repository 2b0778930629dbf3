"""Training in several processes: the result of one process, and one clear error where a process ends."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import dying_script, run_settings

from psigraph.training.checkpoint import load_model
from psigraph.training.engine import team_size, train_run
from psigraph.training.team import Team, TeamError, run_team

NAMES: dict[str, Any] = {"experiment": "delta", "architecture": "delta_coupling", "seed": 0}


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_model(path).model.state_dict()


def largest_difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Relative to the largest weight of each tensor."""
    assert set(one) == set(other)
    names = [name for name, value in one.items() if value.numel()]
    return max(float((one[k] - other[k]).abs().max() / one[k].abs().max().clamp_min(1e-12)) for k in names)


@pytest.mark.parametrize(
    "options",
    [{"batch_size": 5}, {"batch_size": 3, "clip_norm": 0.1, "ema_decay": 0.9}],
    ids=["last batch of one: a process without a share", "uneven shares, clipped and averaged"],
)
def test_two_processes_equal_one(shards: list[Path], tmp_path: Path, options: dict[str, Any]) -> None:
    """In float64 what is left is the order of sums; 16 samples."""
    settings = run_settings(epochs=3, precision="float64", **options)
    one = train_run(shards, tmp_path / "one", settings=settings, **NAMES)
    two = train_run(shards, tmp_path / "two", settings=settings, processes=2, **NAMES)
    assert largest_difference(weights(one), weights(two)) < 1e-9
    first, second = (json.loads((path.parent / "training.json").read_text()) for path in (one, two))
    assert (first["processes"], second["processes"]) == (1, 2)
    assert second["best_epoch"] == first["best_epoch"] and second["best_value"] == pytest.approx(first["best_value"])
    history = [(path.parent / "history.csv").read_text().splitlines() for path in (one, two)]
    for left, right in zip(*history, strict=True):
        if not left.startswith("epoch"):
            a, b = ([float(x) for x in line.split(",")[:5]] for line in (left, right))
            assert a == pytest.approx(b, rel=1e-9)


def test_in_single_precision_too(shards: list[Path], tmp_path: Path) -> None:
    settings = run_settings(epochs=3, batch_size=5, rotate=False, jitter=0.0)
    one, two = (train_run(shards, tmp_path / str(n), settings=settings, processes=n, **NAMES) for n in (1, 2))
    assert largest_difference(weights(one), weights(two)) < 1e-5


def poisoned(team: Team, shards: list[Path], folder: Path) -> Path:
    """Train where the second process cannot digest some of its shares."""
    from psigraph.models.delta_coupling import DeltaCoupling
    from psigraph.training.engine import _train
    from psigraph.training.settings import RunSettings

    torch.set_num_threads(1)
    original = DeltaCoupling.forward

    def forward(self: DeltaCoupling, data: Any) -> torch.Tensor:
        if self.training and 0 in data.index.tolist():
            raise ValueError("cannot digest 0")
        return original(self, data)

    DeltaCoupling.forward = forward  # type: ignore[method-assign]
    try:
        settings = RunSettings.parse("delta_coupling", run_settings(epochs=2, max_bad_batches=0.5, batch_size=4))
        return _train(team, shards, folder, ("delta", "delta_coupling", 1), settings, None, "cpu", 1)
    finally:
        DeltaCoupling.forward = original  # type: ignore[method-assign]


def test_bad_share_of_one_process_skips_the_batch_in_all(shards: list[Path], tmp_path: Path) -> None:
    one = run_team(poisoned, 1, "cpu", (shards, tmp_path / "one"))
    two = run_team(poisoned, 2, "cpu", (shards, tmp_path / "two"))
    records = [json.loads((path.parent / "training.json").read_text()) for path in (one, two)]
    assert [record["bad_batches"] for record in records] == [2, 2], "one in each of two epochs"
    assert largest_difference(weights(one), weights(two)) < 1e-5


def rank_of(team: Team, fails: int | None) -> list[int]:
    if team.rank == fails:
        raise ValueError(f"rank {team.rank} cannot go on")
    total = torch.tensor([float(team.rank)])
    team.add_up(total)
    return [*team.gather(team.rank), int(total)]


def test_team_adds_up_and_gathers() -> None:
    assert run_team(rank_of, 1, "cpu", (None,)) == [0, 0]
    assert run_team(rank_of, 3, "cpu", (None,)) == [0, 1, 2, 3]


def test_error_of_the_first_process_comes_as_it_is() -> None:
    with pytest.raises(ValueError, match="rank 0 cannot go on"):
        run_team(rank_of, 2, "cpu", (0,))


def test_error_of_another_process_is_named() -> None:
    with pytest.raises(TeamError, match="process 2 of 3 ended first: ValueError: rank 1 cannot go on"):
        run_team(rank_of, 3, "cpu", (1,))


class Unreadable:
    """Comes apart where another process unpickles it, before that process can meet the others."""

    def __reduce__(self) -> Any:
        return int, ("not a number",)


def test_process_that_cannot_begin_is_no_endless_wait() -> None:
    with pytest.raises(TeamError, match="process 2 of 2 ended first: .*exit code 1"):
        run_team(rank_of, 2, "cpu", (Unreadable(),))


def killed(team: Team) -> None:
    if team.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    team.gather(team.rank)


def test_killed_process_is_named() -> None:
    with pytest.raises(TeamError, match="process 2 of 2 ended first: SIGKILL"):
        run_team(killed, 2, "cpu", ())


def test_processes_of_a_device() -> None:
    assert team_size("cpu", gpus=0, processes=3) == 3
    assert team_size("cpu", gpus=1, processes=1) == 1


def test_killed_team_leaves_no_process_and_resumes(repository: Path, shards: list[Path], tmp_path: Path) -> None:
    """The first process is killed in the middle of epoch 3 and the second ends with it; one process goes on."""
    settings = run_settings(epochs=5, batch_size=3, checkpoint_minutes=1e-9, precision="float64", ema_decay=0.9)
    arguments = [
        *("--experiment", "delta", "--seed", "0", "--architecture", "delta_coupling", "--processes", "2"),
        *("--settings", json.dumps(settings), "--output-dir", str(tmp_path / "killed"), "--shards", *map(str, shards)),
    ]
    marker = f"PSIGRAPH_TEST_MARKER={tmp_path}"
    environment = {**os.environ, "PYTHONPATH": str(repository / "src"), "OMP_NUM_THREADS": "1"}
    environment |= dict([marker.split("=", 1)])
    dying = dying_script(tmp_path / "dying.py", repository, 2 * 6 + 4, signal.SIGKILL)
    first = subprocess.run([sys.executable, dying, *arguments], stderr=subprocess.PIPE, text=True, env=environment)
    assert first.returncode == -signal.SIGKILL and "on cpu in 2 processes" in first.stderr
    deadline = time.monotonic() + 60
    while (left := running_with(marker)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left
    last = torch.load(tmp_path / "killed/last.ckpt", weights_only=True)
    assert (last["epochs"], last["batches"]) == (2, 3)
    resumed = train_run(shards, tmp_path / "killed", settings=settings, **NAMES)
    whole = train_run(shards, tmp_path / "whole", settings=settings, **NAMES)
    assert largest_difference(weights(resumed), weights(whole)) < 1e-9


def running_with(marker: str) -> list[int]:
    """Processes that have a variable in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if marker.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found
