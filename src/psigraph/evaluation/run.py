"""Evaluate one run: checkpoint, shards and split in; predictions, metrics and plots out."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from psigraph.evaluation.inference import predict_delta
from psigraph.evaluation.run_figures import plot_run
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
from psigraph.graphs.shards import ShardSet, read_shards
from psigraph.training.checkpoint import load_model

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
    meta = loaded.meta
    for key, value in (expected or {}).items():
        if meta[key] != value:
            raise EvaluationError(f"{checkpoint}: is of {key} {meta[key]!r}, expected {value!r}; train this run again")
    shard_set = read_trained_shards(meta, shards, Path(checkpoint))
    graphs = CachedDimerDataset(shard_set, dtype=next(p.dtype for p in loaded.model.parameters()))
    splits = read_splits(split_csv, graphs)
    identity = identity_of(meta, shard_set)
    predictions = prediction_table(loaded.model, graphs, splits, identity)
    epsilon = float(meta["training"]["mape_epsilon"])
    table = metric_table(predictions, identity, epsilon)
    title = f"{identity.experiment}, {identity.architecture}, seed {identity.seed}"
    history = pd.read_csv(history_csv)
    plot_run(
        predictions,
        history,
        Path(plots),
        title=title,
        epsilon=epsilon,
        best_epoch=_optional_int(meta.get("best_epoch")),
    )
    _log_headline(table, identity)
    write_csv(predictions, predictions_csv)
    write_csv(table, metrics_csv)
    return table


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


def read_splits(path: str | Path, graphs: CachedDimerDataset) -> np.ndarray:
    """Return the split (n,) of every sample of `graphs` as split.csv has it.

    Raises EvaluationError where the file does not list exactly the samples of the shards, each once and in a known
    split.
    """
    frame = pd.read_csv(path, dtype={"id": str, "split": str}, keep_default_na=False).sort_values("index")
    ids = [str(i) for i in graphs.ids]
    if frame["index"].tolist() != list(range(len(ids))) or frame["id"].tolist() != ids:
        raise EvaluationError(
            f"{path}: lists {len(frame)} samples that are not the {len(ids)} samples of the shards in their order; "
            "the shards were rebuilt since this run: train it again (snakemake --cores 1 train_delta)"
        )
    unknown = sorted(set(frame["split"]) - set(SPLITS))
    if unknown:
        raise EvaluationError(f"{path}: unknown split {unknown[0]!r}; known: {', '.join(SPLITS)}")
    return frame["split"].to_numpy(dtype=object)


def identity_of(meta: Mapping[str, Any], shards: ShardSet) -> RunIdentity:
    """Return which run a checkpoint is; cross-validation shows in the split kind: `group, 5 folds`."""
    split = meta["split"]
    datasets = [name.removeprefix("structures/") for name in shards.inputs if name.startswith("structures/")]
    folds = split.get("folds")
    return RunIdentity(
        experiment=str(meta["experiment"]),
        family=str(meta["graphset"]["family"]),
        dataset="+".join(datasets),
        architecture=str(meta["architecture"]),
        seed=int(meta["seed"]),
        split_kind=f"{split['by']}, {folds} folds" if folds else str(split["by"]),
    )


def read_trained_shards(meta: Mapping[str, Any], paths: Sequence[str | Path], checkpoint: Path) -> ShardSet:
    """Return the shards of a run.

    Raises StoreError where they were built with other settings than the checkpoint's, EvaluationError where their
    content is not what it was trained on.
    """
    shards = read_shards(paths, {key: meta["graphset"][key] for key in IDENTITY})
    trained, found = dict(meta["shard_digests"]), dict(shards.digests)
    if found != trained:
        differing = sorted(name for name in {*found, *trained} if found.get(name) != trained.get(name))
        raise EvaluationError(
            f"{checkpoint}: was trained on other graphs: the content of {', '.join(differing)} has changed since; "
            "train it again with: snakemake --cores 1 train_delta"
        )
    return shards


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
