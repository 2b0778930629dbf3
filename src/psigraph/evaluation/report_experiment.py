"""The report's part on one experiment: question and answer, headline table, plots, runs."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from psigraph.config import Config, DeltaGraphset
from psigraph.evaluation.affinity import report as complexes
from psigraph.evaluation.figures import significant
from psigraph.evaluation.regional import report as molecules
from psigraph.evaluation.report_tables import Image, Table, image, read_csv, read_json, table
from psigraph.evaluation.tables import FLOORS, SPLITS

if TYPE_CHECKING:
    from psigraph.evaluation.report import Run

METRIC_NAMES = {"mae": "MAE", "mape": "MAPE", "rmse": "RMSE", "r": "R", "r2": "R²", "spearman": "Spearman ρ"}

POOLED_PLOTS = {
    "parity.png": (
        "Predicted against reference",
        "Each point is one dimer that the model did not see in training. On the dashed line a prediction is perfect. "
        "Left: the floors, which learn nothing from structures. Right: the model; the legend says what colours mean.",
    ),
    "error_vs_distance.png": (
        "Error against separation",
        "How far off V_0 and the model are, against how far apart the two molecules stand. Lines join the medians of "
        "bins that hold equally many dimers. The error axis is logarithmic.",
    ),
    "interaction_curves.png": (
        "Interaction curves",
        "The same two molecules at several separations. Black: reference; grey: V_0; blue: the model, as the mean over "
        "the runs that did not train on the dimer, with bars from the lowest to the highest. Below each name: the "
        "seeds whose test or validation set held it.",
    ),
    "learning_curves.png": (
        "Learning curves",
        "Left: the loss that training lowers, |error| weighted by separation. Right: the mean absolute error on "
        "the validation dimers.",
    ),
}
RUN_PLOTS = {
    "test_final_delta_learning.png": "Test set: predicted against reference.",
    "val_final_delta_learning.png": "Validation set: predicted against reference.",
    "learning_curve.png": "Learning curve; the dotted line marks the epoch whose weights were kept.",
    "error_vs_distance.png": "Error against separation on test and validation dimers.",
}


def section(config: Config, name: str, runs: "list[Run]", summary: pd.DataFrame) -> dict[str, Any]:
    """Return what the template shows of experiment `name`."""
    shared = {
        "name": name,
        "training": training_table(runs),
        "training_notes": training_notes(runs),
        "open_runs": len(runs) <= 3,
        "tables": [],
    }
    family = config.graphsets[config.experiments[name].graphset].family
    return shared | PARTS[family](config, name, runs, summary)


def delta_part(config: Config, name: str, runs: "list[Run]", summary: pd.DataFrame) -> dict[str, Any]:
    """Return question, answers, errors and plots of an experiment on dimers."""
    results = runs[0].results
    comparison = read_csv(results / "evaluation" / name / "comparison.csv")
    rows = summary[summary["experiment"] == name]
    plots = results / "plots" / name / "all"
    pooled = [image(plots / file, title, caption) for file, (title, caption) in POOLED_PLOTS.items()]
    missing = [file for file, shown in zip(POOLED_PLOTS, pooled, strict=True) if shown is None]
    return {
        "question": question(config, name),
        "answers": answers(comparison),
        "headline": headline_table(comparison),
        "epsilon": epsilon_note(rows),
        "per_run": per_run_table(rows),
        "plots": [shown for shown in pooled if shown is not None],
        "missing_plots": missing,
        "run_plots": [(f"{run.architecture}, seed {run.seed}", shown) for run in runs if (shown := run_images(run))],
    }


#: What shows an experiment's question, answers, errors and plots, by family.
PARTS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "delta": delta_part,
    "regional": molecules.part,
    "affinity": complexes.part,
}


def question(config: Config, name: str) -> str:
    """What the experiment asked, in one sentence."""
    experiment = config.experiments[name]
    graphset = config.graphsets[experiment.graphset]
    assert isinstance(graphset, DeltaGraphset)
    level = config.levels.get(graphset.level or "")
    methods = {"hf": "HF", "hf-d4": "HF-D4", "mp2": "MP2", "sapt0": "SAPT0"}
    baselines = {"column": "the baseline V_0 that the raw data give", "zero": "a baseline of zero"}
    for v0, method in methods.items():
        corrected = "" if v0 == "sapt0" else "counterpoise-corrected "
        baselines[v0] = f"{corrected}{method}/{level.basis} interaction energies" if level else "V_0"
    return (
        f"How far does a Δ-model ({' and '.join(experiment.architectures)}) correct {baselines[graphset.v0]} towards "
        f"the reference values V_ref, for dimers of {_held_out(config, name)} that it did not see in training?"
    )


def _held_out(config: Config, name: str) -> str:
    """What a group of the experiment is, in plain words."""
    experiment = config.experiments[name]
    if experiment.split.by == "system":
        return "systems"
    sources = {config.datasets[dataset].source for dataset in config.graphsets[experiment.graphset].datasets}
    return "simulation frames" if sources == {"exciton_pairs"} else "pairs of molecules"


def answers(comparison: pd.DataFrame) -> list[str]:
    """The answer in numbers, one paragraph per architecture; says so where nothing was held out."""
    if comparison.empty:
        return ["No dimer was held out for testing, so there is no answer: see the training errors below."]
    rows = comparison[comparison["metric"] == "mae"].to_dict("records")
    names = dict.fromkeys(row["architecture"] for row in rows)
    return [_answer(str(name), [row for row in rows if row["architecture"] == name]) for name in names]


def _answer(name: str, rows: list[dict[Any, Any]]) -> str:
    first, unit = rows[0], rows[0]["unit"]
    floors = " and ".join(f"{significant(row['value_floor'])} {unit} for {FLOORS[row['floor']]}" for row in rows)
    differences = "; ".join(f"{_difference(row)} against {FLOORS[row['floor']]}" for row in rows)
    return (
        f"On {first['n_samples']} held-out dimers in {first['n_groups']} groups ({first['n_runs']} runs), {name} "
        f"misses the reference by {significant(first['value_model'])} {unit} on average (MAE), against {floors}. The "
        f"difference is {differences}. {_verdict(rows)}"
    )


def _difference(row: dict[Any, Any]) -> str:
    change = f"{significant(row['difference'])} {row['unit']}"
    if not np.isfinite(row["low"]):
        return f"{change} (one group is too few for an interval)"
    return f"{change} (95 % interval {significant(row['low'])} to {significant(row['high'])})"


def _verdict(rows: list[dict[Any, Any]]) -> str:
    """Model against floors, in words that follow from the intervals alone."""
    if all(row["high"] < 0 for row in rows):
        return "The model is better than both floors; neither interval contains zero."
    worse = [FLOORS[row["floor"]] for row in rows if row["low"] > 0]
    if worse:
        return f"The model is worse than {' and '.join(worse)}; the interval does not contain zero."
    same = [FLOORS[row["floor"]] for row in rows if not row["high"] < 0]
    return f"These data do not tell the model from {' and '.join(same)}."


def headline_table(comparison: pd.DataFrame) -> Table:
    """Model beside floors: pooled out-of-sample values, difference and interval."""
    ordered = comparison.sort_values(["architecture", "metric", "floor"], key=_rank, kind="stable")
    rows = [
        (
            row["architecture"],
            METRIC_NAMES[row["metric"]],
            significant(row["value_model"]),
            FLOORS[row["floor"]],
            significant(row["value_floor"]),
            significant(row["difference"]),
            "–" if not np.isfinite(row["low"]) else f"{significant(row['low'])} … {significant(row['high'])}",
            row["unit"],
            f"{row['n_samples']} / {row['n_groups']}",
        )
        for row in ordered.to_dict("records")
    ]
    header = (
        "model",
        "metric",
        "its error",
        "floor",
        "floor's error",
        "model − floor",
        "95 % interval",
        "unit",
        "dimers / groups",
    )
    caption = (
        "Errors of V_ref on dimers that were not trained on, all runs together. A negative difference means that the "
        "model is better. The interval is a bootstrap over groups with 10,000 draws: what would change had other "
        "groups been chosen. It does not cover other seeds."
    )
    return table(caption, header, rows, numeric=(2, 4, 5, 6, 8))


def _rank(column: pd.Series) -> pd.Series:
    """Metrics and floors in their own order, anything else alphabetical."""
    order = {name: number for number, name in enumerate([*METRIC_NAMES, *FLOORS])}
    return column.map(order) if set(column) <= set(order) else column


def epsilon_note(rows: pd.DataFrame) -> str:
    """How MAPE was computed and for how many test samples its denominator was held up."""
    chosen = rows[(rows["target"] == "v_ref") & ~rows["architecture"].str.startswith("floor:")]
    epsilon = chosen[chosen["metric"] == "mape_epsilon"].iloc[0]
    below = chosen[(chosen["metric"] == "n_below_epsilon") & (chosen["split"] == "test")]
    return (
        f"MAPE is the mean of |error| / max(|V_ref|, ε) with ε = {epsilon['value']:g} {epsilon['unit']}; "
        f"{int(below['value'].sum())} of {int(below['n'].sum())} test predictions have |V_ref| below ε."
    )


def per_run_table(rows: pd.DataFrame) -> Table:
    """Metrics of V_ref on the test set, run by run, floors between."""
    chosen = rows[(rows["target"] == "v_ref") & (rows["split"] == "test")]
    wide = chosen.pivot_table(index=["seed", "architecture"], columns="metric", values="value", sort=True)
    counts = chosen.groupby(["seed", "architecture"])["n"].first()
    units = chosen.groupby("metric")["unit"].first()
    shown = [m for m in METRIC_NAMES if m in wide]
    header = ["seed", "model", *(_with_unit(METRIC_NAMES[m], str(units[m])) for m in shown), "n"]
    lines = [
        (
            row["seed"],
            FLOORS.get(row["architecture"], row["architecture"]),
            *(significant(row[m]) for m in shown),
            counts[(row["seed"], row["architecture"])],
        )
        for row in wide.reset_index().to_dict("records")
    ]
    return table("Errors of V_ref on the test set of every run.", header, lines, numeric=range(2, len(header)))


def _with_unit(name: str, unit: str) -> str:
    return name if unit == "1" else f"{name} [{unit}]"


def training_table(runs: "list[Run]") -> Table:
    """How each run was trained: split sizes, epochs, why it stopped, size, device."""
    rows = []
    for run in runs:
        info = read_json(run.model / "training.json")
        sizes = read_csv(run.model / "split.csv")["split"].value_counts()
        rows.append(
            (
                run.architecture,
                run.seed,
                " / ".join(str(int(sizes.get(split, 0))) for split in SPLITS),
                info.get("epochs_run", "–"),
                "–" if info.get("best_epoch") is None else info["best_epoch"],
                info.get("stopped_reason", "–"),
                info.get("parameters", "–"),
                info.get("bad_batches", "–"),
                f"{info.get('device', '–')}, {info.get('precision', '–')}",
            )
        )
    header = (
        "model",
        "seed",
        "train / validation / test",
        "epochs",
        "best epoch",
        "stopped because",
        "parameters",
        "bad batches",
        "device, precision",
    )
    caption = "One line per run. Bad batches gave an error or a loss that is not finite, and were left out."
    return table(caption, header, rows, numeric=(1, 2, 3, 4, 6, 7))


def training_notes(runs: "list[Run]") -> list[str]:
    """Whatever a run wanted the reader to know (an empty validation set, a fallback of the compiler)."""
    notes: list[str] = []
    for run in runs:
        for note in read_json(run.model / "training.json").get("notes") or []:
            notes.append(f"{run.architecture}, seed {run.seed}: {note}")
    return notes


def run_images(run: "Run") -> list[Image]:
    """The plots of one run that were drawn."""
    shown = [image(run.plots / file, caption, caption) for file, caption in RUN_PLOTS.items()]
    return [i for i in shown if i is not None]
