"""The family affinity: its losses and metrics, its splits, and whole training jobs."""

import csv
import logging
import math
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from affinity_runs import SMALL, affinity_settings, write_complex_shards
from complex_maker import complexes, complexes_file

from psigraph.graphs.build import build_shard
from psigraph.graphs.complex_dataset import ComplexDataset
from psigraph.graphs.complex_settings import ComplexSettings
from psigraph.graphs.loader import make_loader
from psigraph.graphs.split import SplitError
from psigraph.training.affinity import AffinityLoss, AffinityTask, verdict
from psigraph.training.checkpoint import load_model
from psigraph.training.engine import train_run

NOTE = {"mse": 1.0, "mae": 0.5, "huber": 0.3}


@pytest.fixture(scope="module")
def complex_shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_complex_shards(tmp_path_factory.mktemp("complexes"))


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def loss(kind: str = "combined", weights: dict[str, float] = NOTE, scale: float = 1.3) -> AffinityLoss:
    return AffinityLoss(kind, weights, alpha=1.0, gamma=2.0, scale=scale)


def huber(error: float) -> float:
    return 0.5 * error**2 if abs(error) <= 1 else abs(error) - 0.5


ERRORS = [-3.0, -1.0, -0.2, 0.0, 0.4, 2.5]


def test_the_combined_loss_is_the_notes() -> None:
    found = loss()(torch.tensor(ERRORS, dtype=torch.float64))
    expected = [e**2 + 0.5 * abs(e) + 0.3 * huber(e) for e in ERRORS]
    assert found.tolist() == pytest.approx(expected, abs=1e-12)


def test_the_focal_loss_is_that_of_the_decisions() -> None:
    found = loss("focal")(torch.tensor(ERRORS, dtype=torch.float64))
    expected = [(1 - math.exp(-abs(e) / 1.3)) ** 2 * e**2 for e in ERRORS]
    assert found.tolist() == pytest.approx(expected, abs=1e-12)


def test_parts_of_a_batch_add_up_to_its_loss() -> None:
    task = AffinityTask(loss(), "pK", "1")
    y = torch.randn(6, 1, dtype=torch.float64)
    guess = SimpleNamespace(labels=torch.randn(6, 1, dtype=torch.float64))
    whole = task.loss(guess, SimpleNamespace(y=y), 6)
    parts = [
        task.loss(SimpleNamespace(labels=guess.labels[rows]), SimpleNamespace(y=y[rows]), 6)
        for rows in (slice(0, 2), slice(2, 6))
    ]
    assert float(sum(parts)) == pytest.approx(float(whole), abs=1e-12)
    assert float(whole) == pytest.approx(float(loss()(guess.labels - y).mean()), abs=1e-12)


def test_validation_metrics() -> None:
    rng = np.random.default_rng(0)
    reference = rng.normal(7, 1, size=(50, 1))
    predicted = reference + rng.normal(0, 0.5, size=(50, 1))
    found = AffinityTask(loss(), "pK", "1").evaluate(predicted, reference, np.arange(50))
    errors = predicted - reference
    assert found["mae"] == pytest.approx(np.abs(errors).mean())
    assert found["rmse"] == pytest.approx(np.sqrt((errors**2).mean()))
    assert found["r2"] == pytest.approx(1 - (errors**2).sum() / ((reference - reference.mean()) ** 2).sum(), abs=1e-6)
    assert found["r"] == pytest.approx(np.corrcoef(predicted[:, 0], reference[:, 0])[0, 1], abs=1e-6)
    constant = AffinityTask(loss(), "pK", "1").evaluate(np.full((50, 1), 7.0), reference, np.arange(50))
    assert "r" not in constant and constant["r2"] <= 0


@pytest.mark.parametrize(
    "r2, word", [(0.7, "EXCELLENT"), (0.69, "GREAT"), (0.3, "GOOD"), (0.0, "OK"), (-0.01, "POOR"), (1.0, "EXCELLENT")]
)
def test_the_notes_words(r2: float, word: str) -> None:
    assert verdict(r2) == word


@pytest.mark.parametrize("by, label", [("random", "ligands"), ("group", "groups"), ("scaffold", "systems")])
def test_no_label_stands_on_two_sides(complex_shards: list[Path], tmp_path: Path, by: str, label: str) -> None:
    train_run(complex_shards, tmp_path, experiment="e", architecture="transformer_cnn", seed=1,
              settings=affinity_settings(by=by, epochs=1))  # fmt: skip
    labels = getattr(ComplexDataset(complex_shards), label)
    sides: dict[str, set[str]] = defaultdict(set)
    for row in rows(tmp_path / "split.csv"):
        sides[labels[int(row["index"])]].add(row["split"])
    assert all(len(found) == 1 for found in sides.values())
    assert set().union(*sides.values()) == {"train", "validation", "test"}


def test_seeds_share_a_split_that_is_drawn_by_a_number(complex_shards: list[Path], tmp_path: Path) -> None:
    for seed in (0, 1):
        train_run(complex_shards, tmp_path / str(seed), experiment="e", architecture="transformer_cnn", seed=seed,
                  settings=affinity_settings(epochs=1))  # fmt: skip
    first, second = (rows(tmp_path / str(seed) / "split.csv") for seed in (0, 1))
    assert first == second
    own = affinity_settings(epochs=1)
    own["split"]["draw"] = None
    train_run(complex_shards, tmp_path / "own", experiment="e", architecture="transformer_cnn", seed=1, settings=own)
    assert rows(tmp_path / "own/split.csv") != first


def test_the_sources_own_sides(complex_shards: list[Path], tmp_path: Path) -> None:
    train_run(complex_shards, tmp_path, experiment="e", architecture="transformer_cnn", seed=0,
              settings=affinity_settings(by="given", epochs=1))  # fmt: skip
    sides = ComplexDataset(complex_shards).sides
    assert [row["split"] for row in rows(tmp_path / "split.csv")] == sides.tolist()


def test_sides_that_tear_a_target_apart_are_an_error(tmp_path: Path) -> None:
    structures = complexes(6, 2)
    structures[0] = complexes(6, 3)[2]  # of another protein
    torn = [*structures[1:], structures[0]]
    object.__setattr__(torn[-1].binding, "side", "train")
    torn[-1].group = torn[0].group
    torn[-1].id = "torn"
    store = complexes_file(tmp_path / "s.h5", torn)
    build_shard({"made_up": store}, {}, tmp_path / "0.h5", tmp_path / "0.csv", ComplexSettings())
    with pytest.raises(SplitError, match="on two sides"):
        train_run([tmp_path / "0.h5"], tmp_path, experiment="e", architecture="transformer_cnn", seed=0,
                  settings=affinity_settings(by="given"))  # fmt: skip


@pytest.mark.parametrize("architecture", SMALL)
def test_a_run_trains_logs_resumes_and_loads(
    architecture: str, complex_shards: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = {"experiment": "e", "architecture": architecture, "seed": 0}
    recipe = {"schedule": "warm_restarts", "warmup_epochs": 1, "restart_epochs": 2, "weight_decay": 1e-4,
              "lr_factors": {"cnn": 0.5, "transformer": 1.5, "head": 1.0}, "translate": 1.0, "noise": 0.01}  # fmt: skip
    settings = affinity_settings(architecture, epochs=4, **recipe)
    with caplog.at_level(logging.INFO, logger="psigraph"):
        path = train_run(complex_shards, tmp_path / "whole", settings=settings, **names)
    assert any(word in caplog.text for word in ("POOR", "OK", "GOOD", "GREAT", "EXCELLENT"))
    history = rows(tmp_path / "whole/history.csv")
    assert list(history[0])[:7] == ["epoch", "train_loss", "val_loss", "val_mae", "val_rmse", "val_r2", "val_r"]

    short = affinity_settings(architecture, epochs=4, **recipe)
    from psigraph.training import recorder

    class Killed(RuntimeError):
        pass

    written = recorder.Recorder.on_train_epoch_end

    def die(self, trainer, module):  # type: ignore[no-untyped-def]
        written(self, trainer, module)
        if trainer.current_epoch == 1:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder.Recorder, "on_train_epoch_end", die)
        with pytest.raises(Killed):
            train_run(complex_shards, tmp_path / "killed", settings=short, **names)
    again = train_run(complex_shards, tmp_path / "killed", settings=short, **names)
    columns = ("epoch", "train_loss", "val_loss", "lr")
    cut = [[row[name] for name in columns] for row in rows(tmp_path / "killed/history.csv")]
    assert cut == [[row[name] for name in columns] for row in history]
    a, b = load_model(path).model.state_dict(), load_model(again).model.state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)

    model, data = load_model(path).model.eval(), ComplexDataset(complex_shards)
    (batch,) = make_loader(data, len(data))
    with torch.no_grad():
        assert torch.isfinite(model(batch).labels).all()


def test_augmentation_is_for_training_alone(complex_shards: list[Path], tmp_path: Path) -> None:
    settings = affinity_settings(translate=2.0, noise=0.5, epochs=1)
    path = train_run(complex_shards, tmp_path, experiment="e", architecture="transformer_cnn", seed=0,
                     settings=settings)  # fmt: skip
    model, data = load_model(path).model.eval(), ComplexDataset(complex_shards)
    first, second = (model(data.batch([0, 1])).labels for _ in range(2))
    assert torch.equal(first, second)
