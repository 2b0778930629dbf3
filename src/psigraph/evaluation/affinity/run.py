"""Evaluate one run on complexes: predict and turn them, rate the model beside its floors, explain a few, draw plots."""

import logging
from typing import Any

import numpy as np
import pandas as pd

from psigraph.evaluation.affinity.floors import floor_predictions
from psigraph.evaluation.affinity.rotation import drift_of, rotated_labels
from psigraph.evaluation.affinity.run_figures import plot_run
from psigraph.evaluation.affinity.saliency import explain
from psigraph.evaluation.affinity.tables import PREDICTION_COLUMNS, metric_table
from psigraph.evaluation.inference import predict_labels
from psigraph.evaluation.run_files import UNUSED, RunFiles, identity_of, read_splits, read_trained_shards
from psigraph.evaluation.tables import SPLITS, EvaluationError, RunIdentity, write_csv
from psigraph.graphs.complex_dataset import ComplexDataset
from psigraph.graphs.loader import make_loader
from psigraph.graphs.settings import settings_of
from psigraph.graphs.shards import ShardSet
from psigraph.training.checkpoint import LoadedModel

log = logging.getLogger(__name__)

BATCH_SIZE = 16  # complexes; changes nothing but speed and memory


def evaluate_complexes(loaded: LoadedModel, files: RunFiles) -> pd.DataFrame:
    """Do what `psigraph.evaluation.run.evaluate_run` says for a run of the family affinity.

    Test complexes alone are turned at random (`rotation`), and explained (`saliency`).
    """
    meta, model = loaded.meta, loaded.model
    shards = read_trained_shards(meta, files, tuple(settings_of(meta["graphset"]).identity()))
    complexes = ComplexDataset(shards, targets=meta["targets"], dtype=next(p.dtype for p in model.parameters()))
    splits = read_splits(files.split_csv, complexes.ids, "affinity")
    identity = identity_of(meta, shards)
    predictions = prediction_table(model, complexes, shards, splits, identity)
    table = metric_table(predictions, identity)
    history = pd.read_csv(files.history_csv)
    title = f"{identity.experiment}, {identity.architecture}, seed {identity.seed}"
    explained = explain(model, complexes, predictions)
    plot_run(predictions, history, explained, files.plots, title=title, best_epoch=meta.get("best_epoch"))
    _log_headline(table, identity)
    write_csv(predictions, files.predictions_csv)
    write_csv(table, files.metrics_csv)
    return table


def prediction_table(
    model: Any, complexes: ComplexDataset, shards: ShardSet, splits: np.ndarray, identity: RunIdentity
) -> pd.DataFrame:
    """Return one row per complex of the split, in the order of the shards, with the columns `PREDICTION_COLUMNS`.

    Labels and floors are in double precision. Complexes that no split took have no row. Raises EvaluationError where
    none is trained on: floors are then unknown.
    """
    used = np.flatnonzero(splits != UNUSED)
    train, test = (splits[used] == side for side in ("train", "test"))
    if not train.any():
        raise EvaluationError("no complex of the split is trained on: the floors cannot be computed")
    y = np.asarray(complexes.y, dtype=float)[used, 0]
    columns = {
        "id": complexes.ids,
        "group": complexes.groups,
        "system": complexes.systems,
        "ligand": complexes.ligands,
        "measure": complexes.measures,
        "source": complexes.sources,
        "split": splits,
        "n_heavy": complexes.n_heavy,
    }
    frame = pd.DataFrame({"index": used, **{name: np.asarray(values)[used] for name, values in columns.items()}})
    target = complexes.targets[0]
    frame = frame.assign(
        reference=y,
        predicted=predict_labels(model, make_loader(complexes.select(used), BATCH_SIZE), 1)[:, 0],
        **_drift(model, complexes.select(used[test]), test),
        **floor_predictions(shards, used, y, train, identity.seed),
        target=target.name,
        unit=target.unit,
        experiment=identity.experiment,
        architecture=identity.architecture,
        seed=identity.seed,
    )
    return frame[list(PREDICTION_COLUMNS)]


def _drift(model: Any, complexes: ComplexDataset, test: np.ndarray) -> dict[str, np.ndarray]:
    """Return the columns on rotation (n,) of the test complexes, which are the rows `test` (n,) bool; NaN elsewhere."""
    found = drift_of(rotated_labels(model, complexes, BATCH_SIZE))
    columns = {name: np.full(len(test), np.nan) for name in ("pred_tta", "drift_sd", "drift_tta")}
    for values, own in zip(columns.values(), (found.mean, found.sd, found.sd_of_mean), strict=True):
        values[test] = own
    return columns


def _log_headline(table: pd.DataFrame, identity: RunIdentity) -> None:
    shown = table[table["metric"].isin(["r", "rmse", "rotation_sd"]) & (table["split"] == "test")]
    for row in shown.itertuples():
        log.info("%s test: %s %.4g (n = %d)", row.architecture, row.metric, row.value, row.n)
    for split in SPLITS:
        if split not in set(table["split"]):
            log.warning(
                "%s seed %d: the %s split is empty, no metrics for it", identity.experiment, identity.seed, split
            )
