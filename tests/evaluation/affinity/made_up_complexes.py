"""Predictions of made-up complexes with the columns of a run of the family affinity, without any model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from psigraph.evaluation.affinity.tables import FLOORS, PREDICTION_COLUMNS, metric_table
from psigraph.evaluation.tables import RunIdentity

#: What each floor adds to the label, as the SD of noise.
FLOOR_ERRORS = {"floor:forest": 0.8, "floor:ligand": 0.9, "floor:protein": 1.2}


def identity(architecture: str = "a", seed: int = 0, experiment: str = "target", by: str = "given") -> RunIdentity:
    return RunIdentity(experiment, "affinity", "open", architecture, seed, by)


def predictions(
    architecture: str = "a", seed: int = 0, experiment: str = "target", *, error: float = 0.3, n: int = 120
) -> pd.DataFrame:
    """Return a run's predictions: twelve targets, of which six train, two validate and four test."""
    world, own = np.random.default_rng(0), np.random.default_rng([seed, *architecture.encode()])
    group = np.arange(n) % 12
    reference = 7 + 0.5 * world.normal(size=12)[group] + world.normal(size=n)
    split = np.select([group < 6, group < 8], ["train", "validation"], "test").astype(object)
    test = split == "test"
    predicted = reference + error * own.normal(size=n)
    columns: dict[str, Any] = {
        "index": np.arange(n),
        "id": [f"c{i}" for i in range(n)],
        "group": [f"t{g}" for g in group],
        "system": [f"s{i % 40}" for i in range(n)],
        "ligand": [f"l{i}" for i in range(n)],
        "measure": "Ki",
        "source": "made up",
        "split": split,
        "n_heavy": 20 + group,
        "reference": reference,
        "predicted": predicted,
        "pred_tta": np.where(test, predicted, np.nan),
        "drift_sd": np.where(test, 0.2, np.nan),
        "drift_tta": np.where(test, 0.1, np.nan),
        "floor:mean": reference[split == "train"].mean(),
        **{floor: reference + scale * own.normal(size=n) for floor, scale in FLOOR_ERRORS.items()},
        "target": "pK",
        "unit": "1",
        "experiment": experiment,
        "architecture": architecture,
        "seed": seed,
    }
    assert set(FLOORS) <= set(columns)
    return pd.DataFrame(columns, columns=list(PREDICTION_COLUMNS))


def write_run(results: Path, frame: pd.DataFrame, by: str = "given") -> tuple[Path, Path]:
    """Write what a run leaves where the workflow has it; return predictions.csv and history.csv."""
    experiment, architecture, seed = (frame[name].iloc[0] for name in ("experiment", "architecture", "seed"))
    run = f"{experiment}/{architecture}/seed{seed}"
    evaluation, model = results / "evaluation" / run, results / "models" / run
    for made in (evaluation, model):
        made.mkdir(parents=True)
    frame.to_csv(evaluation / "predictions.csv", index=False)
    rated = metric_table(frame, identity(architecture, seed, experiment, by))
    rated.to_csv(evaluation / "metrics.csv", index=False)
    epochs = np.arange(1, 4)
    history = {"epoch": epochs, "train_loss": 2 / epochs, "val_loss": 3 / epochs, "val_r2": 1 - 1 / epochs}
    pd.DataFrame({**history, "seconds": 10.0 + seed}).to_csv(model / "history.csv", index=False)
    record = {
        "parameters": 1000,
        "epochs_run": 3 + int(seed),
        "graphs_per_s": 5.0,
        "peak_memory_mib": 300,
        "device": "cpu",
    }
    (model / "training.json").write_text(json.dumps(record))
    return evaluation / "predictions.csv", model / "history.csv"
