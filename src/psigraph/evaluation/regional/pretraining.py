"""Evaluation of runs that pretrain: how well Psi4's features of new molecules are predicted, or regions told apart.

The objective `quantum` is rated feature by feature, in units of its SD over the training set, beside the floor that
always says the training mean; `contrast` by the share of regions that are matched to themselves, beside chance.
A molecule counts once, with the mean over its atoms, bonds or regions.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from psigraph.evaluation.inference import checked, inference
from psigraph.evaluation.tables import SPLITS, SUMMARY_COLUMNS, RunIdentity
from psigraph.models.regional.objectives import column_errors

#: Column of predictions.csv: (target, metric, architecture or None for the model's own).
Column = tuple[str, str, str | None]


def objective_values(model: Any, batches: Iterable[Any], objective: str) -> dict[Column, np.ndarray]:
    """Return what a model with an objective reaches on each molecule (n,), and its floor, by `Column`.

    Raises InferenceError where the loss is not finite. A molecule without a known value is NaN.
    """
    names = tuple(model.measures)
    losses, measures, floors = [], [], []
    with inference(model):
        for number, batch in enumerate(batches):
            output = model(batch)
            losses.append(checked(output.objective, (int(batch.num_graphs),), batch, number))
            measures.append(_numpy(output.measures))
            if objective == "quantum":
                floors.append(_numpy(_mean_errors(model, batch)))
    found: dict[Column, np.ndarray] = {(objective, "loss", None): np.concatenate(losses)}
    table = np.concatenate(measures)
    if objective == "contrast":
        values = dict(zip(names, table.T, strict=True))
        chance = ("contrast", "accuracy", "floor:chance")
        return found | {("contrast", "accuracy", None): values["accuracy"], chance: values["chance"]}
    floor = np.concatenate(floors)
    for number, name in enumerate(names):
        found[(name, "mae", None)], found[(name, "mae", "floor:mean")] = table[:, number], floor[:, number]
    found[("quantum", "loss", "floor:mean")] = _row_means(floor)
    return found


def objective_predictions(first: pd.DataFrame, values: Mapping[Column, np.ndarray], own: RunIdentity) -> pd.DataFrame:
    """Return a row per molecule: `first` columns, then `TARGET_METRIC` and `TARGET_METRIC_FLOOR`, then the run."""
    columns = {
        "_".join([target, metric, *([floor.removeprefix("floor:")] if floor else [])]): value
        for (target, metric, floor), value in values.items()
    }
    return first.assign(**columns, experiment=own.experiment, architecture=own.architecture, seed=own.seed)


def objective_metrics(splits: np.ndarray, values: Mapping[Column, np.ndarray], own: RunIdentity) -> pd.DataFrame:
    """Return the summary rows of a pretraining: means over the molecules of each split (n,) that have a value."""
    rows = []
    for split in SPLITS:
        for (target, metric, floor), value in values.items():
            known = (splits == split) & np.isfinite(value)
            if known.any():
                what = {"target": target, "metric": metric, "value": float(value[known].mean()), "unit": "1"}
                where = {"architecture": floor or own.architecture, "split": split, "n": int(known.sum())}
                rows.append({**own.__dict__, **what, **where})
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))


def _mean_errors(model: Any, batch: Any) -> Tensor:
    """Return each molecule's errors (B, QA + QB) where every feature is said to be its mean, 0 after normalising."""
    errors = []
    for name, molecule in (("atoms", batch.atoms_batch), ("bonds", batch.atoms_batch[batch.bonds[:, 0]])):
        wanted = model.quantum_targets(batch, name)
        errors.append(column_errors(torch.zeros_like(wanted), wanted, molecule, int(batch.num_graphs)))
    return torch.cat(errors, 1)


def _numpy(values: Tensor) -> np.ndarray:
    return values.detach().cpu().to(torch.float64).numpy()


def _row_means(values: np.ndarray) -> np.ndarray:
    """Return the means of known values by row (n,), 0 where none is, as the loss does."""
    known = np.isfinite(values)
    return np.where(known, values, 0.0).sum(1) / np.maximum(known.sum(1), 1)
