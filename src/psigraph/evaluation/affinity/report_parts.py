"""The tables of the report on one experiment with complexes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from psigraph.evaluation.affinity.ensembles import CALIBRATION
from psigraph.evaluation.affinity.published import REFERENCE, goal_met
from psigraph.evaluation.affinity.rotation import ROTATIONS
from psigraph.evaluation.affinity.tables import FLOORS, rows_by
from psigraph.evaluation.figures import significant
from psigraph.evaluation.report_tables import Table, table

METRIC_NAMES = {
    "r": "R",
    "r2": "R²",
    "spearman": "ρ",
    "spearman_within": "ρ within targets",
    "rmse": "RMSE",
    "mae": "MAE",
}


def headline(comparison: pd.DataFrame) -> Table:
    """Every model and ensemble, then the floors and the note's reference: metrics, intervals, goals."""
    lines = []
    for name, own in comparison.groupby("architecture", sort=False):
        values, against = rows_by(own, "metric"), rows_by(own[own["metric"] == "r"], "reference")
        r = values["r"]
        lines.append(
            (
                name,
                _with_interval(r["value"], r["value_low"], r["value_high"]),
                significant(r["sd"], 2),
                *(significant(values[metric]["value"]) for metric in list(METRIC_NAMES)[1:]),
                *(_difference(against[floor]) for floor in ("floor:forest", "floor:ligand")),
                f"{goal_met(r['value']) or '–'} / {goal_met(values['r2']['value']) or '–'}",
            )
        )
    first = comparison[comparison["architecture"] == comparison["architecture"].iloc[0]] if len(lines) else comparison
    for floor, label in FLOORS.items():
        found = rows_by(first[first["reference"] == floor], "metric")
        if found:
            cells = [significant(found[metric]["value_reference"]) for metric in METRIC_NAMES]
            lines.append((label, cells[0], "–", *cells[1:], "–", "–", "–"))
    figures = {"r": REFERENCE.r, "rmse": REFERENCE.rmse, "mae": REFERENCE.mae}
    cells = [f"{figures[metric]:.3f}" if metric in figures else "–" for metric in METRIC_NAMES]
    lines.append((f"the note's reference ({REFERENCE.data})", cells[0], "–", *cells[1:], "–", "–", "–"))
    header = ("model", "R, 95 % interval", "SD of R", *list(METRIC_NAMES.values())[1:])
    header += ("R − R of the forest", "R − R of the ligand alone", "goal met by R / R²")
    drawn = comparison["drawn"].dropna().iloc[0] if len(comparison) else "groups"
    caption = (
        f"Test complexes, means over runs; SD over runs. Intervals are a bootstrap over {drawn} with 10,000 draws: "
        "what would change had others been chosen; they do not cover other seeds. ρ is Spearman's correlation; within "
        "targets: its mean over targets with at least 5 complexes. A positive difference is in favour of the model."
    )
    return table(caption, header, lines, numeric=range(1, len(header)))


def _with_interval(value: float, low: float, high: float) -> str:
    return significant(value) + (f" ({significant(low)} … {significant(high)})" if np.isfinite(low) else "")


def _difference(row: Mapping[Any, Any]) -> str:
    return _with_interval(row["difference"], row["low"], row["high"])


def per_run_table(rows: pd.DataFrame) -> Table:
    """Test metrics run by run, floors between."""
    chosen = rows[(rows["split"] == "test") & rows["metric"].isin(METRIC_NAMES)]
    wide = chosen.pivot_table(index=["seed", "architecture"], columns="metric", values="value", sort=True, dropna=False)
    wide = wide[wide.notna().any(axis=1)]
    shown = [metric for metric in METRIC_NAMES if metric in wide]
    lines = [
        (row["seed"], FLOORS.get(row["architecture"], row["architecture"]), *(significant(row[m]) for m in shown))
        for row in wide.reset_index().to_dict("records")
    ]
    header = ("seed", "model", *(METRIC_NAMES[metric] for metric in shown))
    return table("Metrics on the test complexes of every run.", header, lines, numeric=range(2, len(header)))


def rotation_table(rows: pd.DataFrame) -> Table:
    """What turning the test complexes does, model by model, means over runs."""
    test = rows[(rows["split"] == "test") & ~rows["architecture"].str.startswith("floor:")]
    wide = test.pivot_table(index="architecture", columns="metric", values="value", sort=False)
    shown = {
        "rotation_sd": "drift of one orientation",
        "rotation_sd_tta": "drift of the mean",
        "r": "R",
        "r_tta": "R of the mean",
        "rmse": "RMSE",
        "rmse_tta": "RMSE of the mean",
    }
    lines = [
        (row["architecture"], *(significant(row.get(metric, np.nan)) for metric in shown))
        for row in wide.reset_index().to_dict("records")
    ]
    caption = (
        "Test complexes turned at random, means over runs: the SD of predictions over orientations (root mean square), "
        f"that of the mean over {ROTATIONS} of them as measured from two halves, and metrics as stored and of the mean."
    )
    return table(caption, ("model", *shown.values()), lines, numeric=range(1, len(shown) + 1))


def targets_part(by_target: pd.DataFrame) -> list[Table]:
    """The table of single targets: ranking by every predictor, and errors of the ensemble, or else the first model."""
    if by_target.empty:
        return []
    names = [str(name) for name in by_target["predictor"].unique()]
    ranks = by_target.pivot_table(index="group", columns="predictor", values="spearman", dropna=False)
    ranking = sorted((n for n in names if n in ranks and ranks[n].abs().max() > 0), key=lambda name: name in FLOORS)
    model = "ensemble" if "ensemble" in names else names[0]
    lines = []
    for name, own in by_target.groupby("group", sort=True):
        found = rows_by(own, "predictor")
        row, forest = found[model], found["floor:forest"]
        first = (name, row["n"], significant(row["sd_reference"], 2))
        errors = (significant(row["rmse"]), significant(forest["rmse"]), significant(row["bias"], 2))
        lines.append((*first, *(_correlation(found, who) for who in ranking), *errors))
    header = ("target", "n", "SD of labels", *(f"ρ, {FLOORS.get(who, who)}" for who in ranking))
    header += (f"RMSE, {model}", f"RMSE, {FLOORS['floor:forest']}", f"mean error, {model}")
    caption = (
        "Test complexes by target, means over runs. ρ: Spearman's correlation within the target, of targets with at "
        "least 5 complexes."
    )
    return [table(caption, header, lines, numeric=range(1, len(header)))]


def _correlation(found: Mapping[str, Mapping[str, Any]], who: str) -> str:
    value = float(found[who]["spearman"]) if who in found else np.nan
    return f"{value:.2f}".replace("-", "−") if np.isfinite(value) else "–"


def calibration_table(comparison: pd.DataFrame) -> list[Table]:
    """How well the spread of each ensemble tells its error; nothing without ensembles."""
    rows = comparison[comparison["metric"].isin(CALIBRATION)]
    if rows.empty:
        return []
    wide = rows.pivot_table(index="architecture", columns="metric", values="value", sort=False, dropna=False)
    members = rows.drop_duplicates("architecture").set_index("architecture")["n_runs"]
    lines = [
        (name, int(members[name]), *(significant(wide.loc[name].get(metric, np.nan)) for metric in CALIBRATION))
        for name in wide.index
    ]
    header = ("ensemble", "members", "ρ of spread and |error|", "scale", "error / scaled spread", "within 1.96")
    caption = (
        "Whether the spread of an ensemble's members (SD) tells its error on test complexes. The scale makes spread "
        "and error agree on validation complexes; with it error / spread should be 1 as root mean square, and 0.95 of "
        "the errors should be within 1.96 spreads."
    )
    return [table(caption, header, lines, numeric=range(1, len(header)))]
