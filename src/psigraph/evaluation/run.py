"""Evaluate one run: checkpoint, shards and split in; predictions, metrics and plots out."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from psigraph.evaluation.affinity.run import evaluate_complexes
from psigraph.evaluation.inference import predict_delta
from psigraph.evaluation.regional.run import evaluate_molecules
from psigraph.evaluation.run_figures import plot_run
from psigraph.evaluation.run_files import RunFiles, identity_of, read_splits, read_trained_shards
from psigraph.evaluation.tables import (
    PREDICTION_COLUMNS,
    SPLITS,
    EvaluationError,
    RunIdentity,
    metric_table,
    write_csv,
)
from psigraph.graphs.dataset import CachedDimerDataset
from psigraph.graphs.loader import make_loader
from psigraph.graphs.settings import IDENTITY
from psigraph.training.checkpoint import LoadedModel, load_model

log = logging.getLogger(__name__)

BATCH_SIZE = 64  # graphs; changes nothing but speed


def evaluate_run(
    checkpoint: str | Path,
    shards: Sequence[str | Path],
    split_csv: str | Path,
    history_csv: str | Path,
    *,
    predictions_csv: str | Path,
    metrics_csv: str | Path,
    plots: str | Path,
    expected: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Predict every sample of a run, rate the model and its floors, draw the plots; return the metric table.

    `expected` holds experiment, architecture and seed that the checkpoint must be of. Raises EvaluationError where
    checkpoint, shards and split do not fit together; then neither table is written.
    """
    loaded = load_model(checkpoint)
    for key, value in (expected or {}).items():
        if loaded.meta[key] != value:
            raise EvaluationError(
                f"{checkpoint}: is of {key} {loaded.meta[key]!r}, expected {value!r}; train this run again"
            )
    paths = (Path(path) for path in (split_csv, history_csv, predictions_csv, metrics_csv, plots))
    return EVALUATE[loaded.meta["graphset"]["family"]](loaded, RunFiles(Path(checkpoint), shards, *paths))


def evaluate_dimers(loaded: LoadedModel, files: RunFiles) -> pd.DataFrame:
    """Do what `evaluate_run` says for a run of the family delta."""
    meta = loaded.meta
    shard_set = read_trained_shards(meta, files, IDENTITY)
    graphs = CachedDimerDataset(shard_set, dtype=next(p.dtype for p in loaded.model.parameters()))
    splits = read_splits(files.split_csv, graphs.ids, "delta")
    identity = identity_of(meta, shard_set)
    predictions = prediction_table(loaded.model, graphs, splits, identity)
    epsilon = float(meta["training"]["mape_epsilon"])
    table = metric_table(predictions, identity, epsilon)
    title = f"{identity.experiment}, {identity.architecture}, seed {identity.seed}"
    history = pd.read_csv(files.history_csv)
    plot_run(
        predictions,
        history,
        files.plots,
        title=title,
        epsilon=epsilon,
        best_epoch=_optional_int(meta.get("best_epoch")),
    )
    _log_headline(table, identity)
    write_csv(predictions, files.predictions_csv)
    write_csv(table, files.metrics_csv)
    return table


#: What evaluates a run, by family.
EVALUATE: Mapping[str, Callable[[LoadedModel, RunFiles], pd.DataFrame]] = {
    "delta": evaluate_dimers,
    "regional": evaluate_molecules,
    "affinity": evaluate_complexes,
}


def prediction_table(model: Any, graphs: CachedDimerDataset, splits: np.ndarray, identity: RunIdentity) -> pd.DataFrame:
    """Return one row per sample of `graphs`, in their order, with the columns `PREDICTION_COLUMNS`.

    V_0 and V_ref are taken from the shards in double precision, so v_pred − delta_v is exactly V_0.
    """
    loader = make_loader(graphs, BATCH_SIZE)
    delta = predict_delta(model, loader)
    if len(delta) != len(graphs):
        raise EvaluationError(f"{len(delta)} predictions for {len(graphs)} samples")
    u, v_ref = np.asarray(graphs.u, dtype=float), np.asarray(graphs.y_true_vref, dtype=float)
    columns = {
        "index": np.arange(len(delta)),
        "id": graphs.ids,
        "group": graphs.groups,
        "system": graphs.systems,
        "source": graphs.sources,
        "split": splits,
        "R_angstrom": u[:, 0] / graphs.length_scale,
        "v_0": u[:, 2],
        "delta_v": delta,
        "v_pred": u[:, 2] + delta,
        "v_ref": v_ref,
        "unit": graphs.unit,
        "experiment": identity.experiment,
        "architecture": identity.architecture,
        "seed": identity.seed,
    }
    return pd.DataFrame(columns, columns=list(PREDICTION_COLUMNS))


def _optional_int(value: Any) -> int | None:
    return None if value is None else int(value)


def _log_headline(table: pd.DataFrame, identity: RunIdentity) -> None:
    rows = table[(table["target"] == "v_ref") & table["metric"].isin(["mae", "mape"])]
    for row in rows.itertuples():
        log.info(
            "%s %s: %s of V_ref %.4g %s (n = %d)", row.architecture, row.split, row.metric, row.value, row.unit, row.n
        )
    for split in SPLITS:
        if split not in set(table["split"]):
            log.warning(
                "%s seed %d: the %s split is empty, no metrics for it", identity.experiment, identity.seed, split
            )
