"""Predictions of made-up molecules with the columns of a regional run, without any model."""

from pathlib import Path

import numpy as np
import pandas as pd

from psigraph.evaluation.regional.floors import composition_floor
from psigraph.evaluation.regional.tables import metric_table, prediction_columns
from psigraph.evaluation.tables import RunIdentity
from psigraph.models.regional.inputs import Target

TARGETS = (Target("u0", "eV", True), Target("gap", "eV", False))


def identity(architecture: str = "pamnet", seed: int = 0, experiment: str = "random") -> RunIdentity:
    return RunIdentity(experiment, "regional", "qm9", architecture, seed, "group")


def predictions(
    architecture: str = "pamnet", seed: int = 0, experiment: str = "random", *, error: float = 0.1, n: int = 120
) -> pd.DataFrame:
    """Return a run's predictions: molecules of 1 to 9 heavy atoms, two samples of each, some without a gap."""
    world, own = np.random.default_rng(0), np.random.default_rng([seed, *architecture.encode()])
    counts = world.integers(0, 5, size=(n // 2, 2)).repeat(2, axis=0) + [1, 2]  # heavy atoms and hydrogens
    heavy = counts[:, 0]
    labels = {"u0": -4.0 * heavy - 2.0 * counts[:, 1] + world.normal(size=n), "gap": 8 + world.normal(size=n)}
    labels["gap"][::15] = np.nan
    order = np.random.default_rng(seed).permutation(n // 2).repeat(2)
    split = np.select([order < 30, order < 40], ["train", "validation"], "test").astype(object)
    frame = pd.DataFrame(
        {
            "index": np.arange(n),
            "id": [f"m{i}" for i in range(n)],
            "group": [f"g{i // 2}" for i in range(n)],
            "system": [f"g{i // 2}" for i in range(n)],
            "source": "qm9",
            "split": split,
            "n_atoms": counts.sum(1),
            "n_heavy": heavy,
        }
    )
    for target in TARGETS:
        y = labels[target.name]
        frame[target.name] = y
        frame[f"{target.name}_predicted"] = np.nan_to_num(y) + error * own.normal(size=n)
        sides = (split == "train", split == "validation")
        frame[f"{target.name}_composition"] = composition_floor(
            counts.astype(float), y, *sides, extensive=target.extensive
        )
    frame = frame.assign(experiment=experiment, architecture=architecture, seed=seed)
    return frame[prediction_columns([target.name for target in TARGETS])]


def history(seed: int) -> pd.DataFrame:
    epochs = np.arange(1, 6)
    return pd.DataFrame({"epoch": epochs, "train_loss": 1 / epochs, "val_mae": (1 + 0.1 * seed) / epochs})


def write_run(results: Path, frame: pd.DataFrame) -> tuple[Path, Path]:
    """Write predictions.csv, metrics.csv and history.csv of a run where the workflow has them; return the first and
    the last."""
    experiment, architecture, seed = (frame[name].iloc[0] for name in ("experiment", "architecture", "seed"))
    folder = results / "evaluation" / experiment / architecture / f"seed{seed}"
    model = results / "models" / experiment / architecture / f"seed{seed}"
    for made in (folder, model):
        made.mkdir(parents=True)
    frame.to_csv(folder / "predictions.csv", index=False)
    metric_table(frame, identity(architecture, seed, experiment), TARGETS).to_csv(folder / "metrics.csv", index=False)
    history(seed).to_csv(model / "history.csv", index=False)
    return folder / "predictions.csv", model / "history.csv"
