"""What an experiment on complexes found, in words that follow from its comparison alone."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pandas as pd

from psigraph.evaluation.affinity.comparison import better
from psigraph.evaluation.affinity.ensembles import ALL
from psigraph.evaluation.affinity.published import GOALS, goal_met
from psigraph.evaluation.affinity.tables import FLOORS, rows_by
from psigraph.evaluation.figures import significant


def answers(comparison: pd.DataFrame) -> list[str]:
    """Return the answer in a few paragraphs; it says so where nothing was held out."""
    if comparison.empty:
        return ["No complex was held out for testing, so there is no answer."]
    r = comparison[comparison["metric"] == "r"]
    if not r["value"].notna().any():
        return ["No model's predictions vary, so there is no correlation to speak of."]
    return [_best(comparison, r), _forest(r), _ligand(r), _goals(comparison, r)]


def _best(comparison: pd.DataFrame, r: pd.DataFrame) -> str:
    """The highest R, beside the floors."""
    best = highest(r)
    name, several = best["architecture"], r["architecture"].nunique()
    own = comparison[comparison["architecture"] == name]
    ranked, rmse = (rows_by(own[own["metric"] == metric], "reference") for metric in ("r", "rmse"))
    which = f"{name} has the highest R of {several} models and ensembles" if several > 1 else f"{name} has an R of"
    beside = "; ".join(_floor(label, ranked[floor], rmse[floor]) for floor, label in FLOORS.items())
    colon = ":" if several > 1 else ""
    text = (
        f"On {best['n_samples']} test complexes {which}{colon} {significant(best['value'])}{_interval(best)}, with an "
        f"RMSE of {significant(rmse['floor:mean']['value'])}. Floors: {beside}."
    )
    single = highest(r[~r["architecture"].str.startswith(ALL)])
    if single["architecture"] != name:
        text += f" The best single architecture is {single['architecture']} with {significant(single['value'])}."
    words = {True: "below", False: "above", None: "not told from"}
    return f"{text} By its interval the RMSE is {words[better(rmse['floor:mean'])]} the training mean's."


def _floor(label: str, ranked: Mapping[str, Any], rmse: Mapping[str, Any]) -> str:
    r = f"R {significant(ranked['value_reference'])}, " if np.isfinite(ranked["value_reference"]) else ""
    return f"{label}: {r}RMSE {significant(rmse['value_reference'])}"


def highest(r: pd.DataFrame) -> dict[str, Any]:
    """Return the first row of the architecture or ensemble with the highest R."""
    return max(rows_by(r[r["value"].notna()], "architecture").values(), key=lambda row: row["value"])


def _interval(row: Mapping[str, Any]) -> str:
    if not np.isfinite(row["value_low"]):
        return f" (no interval: too few {row['drawn']})"
    return f" (95 % interval {significant(row['value_low'])} to {significant(row['value_high'])} over {row['drawn']})"


def _told(r: pd.DataFrame, floor: str) -> dict[bool | None, list[str]]:
    """Return the architectures by whether they are better than a floor (None: the interval does not tell)."""
    rows = r[r["reference"] == floor]
    found: dict[bool | None, list[str]] = {True: [], None: [], False: []}
    for row in rows.to_dict("records"):
        found[better(cast(dict[str, Any], row))].append(str(row["architecture"]))
    return found


def _forest(r: pd.DataFrame) -> str:
    """Models against the forest on contacts, by the interval of the difference in R and by the spread over seeds."""
    told = _told(r, "floor:forest")
    words = {True: "better than", None: "not told from", False: "worse than"}
    parts = [f"{words[key]} it: {', '.join(names)}" for key, names in told.items() if names]
    text = f"Against the forest on contacts, by the 95 % interval of the difference in R, {'; '.join(parts)}."
    rows = r[(r["reference"] == "floor:forest") & np.isfinite(r["sd"])]
    spreads = [
        f"{row['architecture']} {significant(row['difference'], 2)} ± {significant(row['sd'], 2)}"
        for row in rows.to_dict("records")
    ]
    return text + (f" Difference in R ± SD over seeds: {', '.join(spreads)}." if spreads else "")


def _ligand(r: pd.DataFrame) -> str:
    """Whether the protein was used, as far as a forest on the ligand alone can say."""
    told = _told(r, "floor:ligand")
    same = [*told[None], *told[False]]
    if not same:
        return "All are better than a forest that sees the ligand alone."
    text = (
        f"Not better than a forest that sees the ligand alone: {', '.join(same)}. A model that does as well without "
        "the protein has learnt the ligands."
    )
    return text + (f" Better than it: {', '.join(told[True])}." if told[True] else "")


def _goals(comparison: pd.DataFrame, r: pd.DataFrame) -> str:
    """Which of the note's goals the model with the highest R meets."""
    best = highest(r)
    rows = comparison[(comparison["architecture"] == best["architecture"]) & (comparison["metric"] == "r2")]
    r2 = float(rows["value"].iloc[0])
    goals = ", ".join(f"{value:.3f}" for value in GOALS.values())
    met = {"R": goal_met(float(best["value"])), "R²": goal_met(r2)}
    said = " and ".join(f"its {name} meets {goal}" for name, goal in met.items())
    return f"Of the note's goals {goals}, {best['architecture']} reaches: {said} (R² is {significant(r2)})."
