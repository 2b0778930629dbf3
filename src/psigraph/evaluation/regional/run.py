"""Evaluate one run on molecules: predict the molecules of its split, rate the model beside its floors, draw plots."""

import logging
from typing import Any, cast

import numpy as np
import pandas as pd

from psigraph.evaluation.inference import predict_labels
from psigraph.evaluation.regional.floors import composition_floor, element_counts
from psigraph.evaluation.regional.pretraining import objective_metrics, objective_predictions, objective_values
from psigraph.evaluation.regional.run_figures import plot_run
from psigraph.evaluation.regional.tables import metric_table, prediction_columns
from psigraph.evaluation.run_files import UNUSED, RunFiles, identity_of, read_splits, read_trained_shards
from psigraph.evaluation.tables import SPLITS, RunIdentity, write_csv
from psigraph.graphs.loader import make_loader
from psigraph.graphs.molecule_dataset import MoleculeDataset
from psigraph.graphs.settings import settings_of
from psigraph.metrics import within_groups
from psigraph.models.regional.base import RegionalModel
from psigraph.training.checkpoint import LoadedModel

log = logging.getLogger(__name__)

BATCH_SIZE = 64  # molecules; changes nothing but speed and memory
_PAIRS = 200_000  # most pairs of atoms in a batch, roughly


def evaluate_molecules(loaded: LoadedModel, files: RunFiles) -> pd.DataFrame:
    """Do what `psigraph.evaluation.run.evaluate_run` says for a run of the family regional."""
    meta, model = loaded.meta, cast(RegionalModel, loaded.model)
    identity_keys = tuple(settings_of(meta["graphset"]).identity())
    shards = read_trained_shards(meta, files, identity_keys)
    targets = model.inputs.targets
    molecules = MoleculeDataset(
        shards, targets=[target.name for target in targets], dtype=next(p.dtype for p in model.parameters())
    )
    splits = read_splits(files.split_csv, molecules.ids, "regional")
    identity = identity_of(meta, shards)
    objective = str(meta["objective"])
    if objective == "properties":
        counts = element_counts(shards["z_atoms"], shards["offsets"])
        predictions = prediction_table(model, molecules, counts, splits, identity)
        table = metric_table(predictions, identity, targets)
    else:
        used = np.flatnonzero(splits != UNUSED)
        values = objective_values(model, batches_of(molecules.select(used)), objective)
        predictions = objective_predictions(first_columns(molecules, splits, used), values, identity)
        table = objective_metrics(splits[used], values, identity)
    history = pd.read_csv(files.history_csv)
    title = f"{identity.experiment}, {identity.architecture}, seed {identity.seed}"
    units = {target.name: target.unit for target in targets}
    plot_run(predictions, history, files.plots, title=title, units=units, best_epoch=meta.get("best_epoch"))
    _log_headline(table, identity)
    write_csv(predictions, files.predictions_csv)
    write_csv(table, files.metrics_csv)
    return table


def prediction_table(
    model: Any, molecules: MoleculeDataset, counts: np.ndarray, splits: np.ndarray, identity: RunIdentity
) -> pd.DataFrame:
    """Return one row per molecule of the split, in the order of the shards, as `prediction_columns` lists them.

    counts: (n, E) atoms of each element. Labels and floors are in double precision. Molecules that no split took have
    no row. Relative targets and what predicts them are from the mean over their group's known ones.
    """
    targets = molecules.targets
    used = np.flatnonzero(splits != UNUSED)
    chosen = molecules.select(used)
    frame = first_columns(molecules, splits, used)
    predicted = predict_labels(model, batches_of(chosen), len(targets))
    train, validation = (splits[used] == split for split in ("train", "validation"))
    labels = np.asarray(molecules.y, dtype=float)[used]
    for number, target in enumerate(targets):
        columns = {
            target.name: labels[:, number],
            f"{target.name}_predicted": predicted[:, number],
            f"{target.name}_composition": composition_floor(
                counts[used], labels[:, number], train, validation, extensive=target.extensive
            ),
        }
        if target.relative:
            known, groups = np.isfinite(labels[:, number]), frame["group"].to_numpy()
            columns = {name: within_groups(values, groups, known) for name, values in columns.items()}
        frame = frame.assign(**columns)
    frame = frame.assign(experiment=identity.experiment, architecture=identity.architecture, seed=identity.seed)
    return frame[prediction_columns([target.name for target in targets])]


def first_columns(molecules: MoleculeDataset, splits: np.ndarray, used: np.ndarray) -> pd.DataFrame:
    """Return what tables of molecules begin with, for the rows `used`."""
    columns = {
        "id": molecules.ids,
        "group": molecules.groups,
        "system": molecules.systems,
        "source": molecules.sources,
        "split": splits,
        "n_atoms": molecules.n_atoms,
        "n_heavy": molecules.n_heavy,
    }
    return pd.DataFrame({"index": used, **{name: np.asarray(values)[used] for name, values in columns.items()}})


def batches_of(molecules: MoleculeDataset) -> Any:
    """Return batches of molecules in their order, smaller ones where molecules are large."""
    largest = int(np.max(molecules.n_atoms)) if len(molecules) else 1
    return make_loader(molecules, int(np.clip(_PAIRS // largest**2, 1, BATCH_SIZE)))


def _log_headline(table: pd.DataFrame, identity: RunIdentity) -> None:
    shown = table[table["metric"].isin(["mae", "loss"]) & (table["split"] == "test")]
    for row in shown.itertuples():
        log.info(
            "%s test: %s of %s %.4g %s (n = %d)", row.architecture, row.metric, row.target, row.value, row.unit, row.n
        )
    for split in SPLITS:
        if split not in set(table["split"]):
            log.warning(
                "%s seed %d: the %s split is empty, no metrics for it", identity.experiment, identity.seed, split
            )
