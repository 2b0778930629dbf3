"""The report's parts on molecules: one experiment, and the leaderboard of all."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from psigraph.config import Config
from psigraph.evaluation.figures import significant
from psigraph.evaluation.regional.published import published_of
from psigraph.evaluation.regional.tables import FLOORS, PRETRAINING_FLOORS
from psigraph.evaluation.report_tables import Table, image, read_csv, table

if TYPE_CHECKING:
    from psigraph.evaluation.report import Run

REFERENCE = "pamnet"
METRIC_NAMES = {
    "mae": "MAE",
    "mae_relative": "MAE within molecules",
    "loss": "loss",
    "accuracy": "share found",
}
#: A page with the plots of hundreds of runs could not be opened: beyond so many they stay in results/plots.
MOST_RUNS = 3
POOLED_PLOTS = {
    "errors.png": (
        "Errors beside floors",
        "Large: all runs together; small: single runs, joined from the lowest to the highest. The dashed line is what "
        "the elements alone tell, the dotted one the training mean. The error axis is logarithmic.",
    ),
    "relative_errors.png": (
        "Errors within molecules",
        "The same after subtracting the mean over each molecule's samples, such as relative energies of conformers.",
    ),
    "error_vs_size.png": (
        "Error against size",
        "The mean over validation and test molecules of a size. Bands go from the lowest to the highest run.",
    ),
    "learning_curves.png": ("Course of training", "One line per run."),
}
RUN_PLOTS = {
    "parity.png": "Test set: predicted against reference. Pale: what the elements alone tell.",
    "error_vs_size.png": "Error against size on test molecules.",
    "learning_curve.png": "Learning curve; the dotted line marks the epoch whose weights were kept.",
}
#: Figures of the leaderboard by the beginning of their file's name: title, caption.
BOARD_PLOTS = {
    "leaderboard": (
        "All experiments",
        "Test MAE, mean and standard deviation over seeds. The colour is its share of the composition floor's; the "
        "best of a line is bold. Published figures are of models with training sets and splits of their own.",
    ),
    "learning_curves": (
        "Learning curves",
        "Error against the number of training molecules; bars from the lowest to the highest seed.",
    ),
    "cost_": ("Accuracy against cost", "Bars go from the lowest to the highest seed."),
    "ablation_": ("Ablation", "Runs that differ in this setting only. Bars go from the lowest to the highest seed."),
}


def part(config: Config, name: str, runs: "list[Run]", summary: pd.DataFrame) -> dict[str, Any]:
    """Return what the template shows of one experiment's question, answers, errors and plots."""
    results = runs[0].results
    comparison = read_csv(results / "evaluation" / name / "comparison.csv")
    pretraining = config.experiments[name].objective != "properties"
    folder = results / "plots" / name / "all"
    shown = [image(folder / file, title, caption) for file, (title, caption) in POOLED_PLOTS.items()]
    missing = [file for file, found in zip(POOLED_PLOTS, shown, strict=True) if found is None]
    return {
        "question": question(config, name),
        "answers": [] if pretraining else answers(comparison),
        "headline": pretraining_headline(comparison) if pretraining else headline(config, name, comparison),
        "epsilon": note(config, name),
        "per_run": per_run_table(summary[summary["experiment"] == name]),
        "plots": [found for found in shown if found is not None],
        "run_plots": run_plots(runs),
        "missing_plots": [] if pretraining else [file for file in missing if file != "relative_errors.png"],
    }


def question(config: Config, name: str) -> str:
    """What the experiment asked, in one sentence."""
    item, split = config.experiments[name], config.experiments[name].split
    several = len(item.architectures) > 1
    do, they = ("do", "they") if several else ("does", "it")
    models = f"{do} {', '.join(item.architectures)}"
    if item.objective == "quantum":
        return f"How well {models} predict what Psi4 says of the atoms and bonds of molecules {they} did not see?"
    if item.objective == "contrast":
        return f"How often {models} find a region again among others after positions and features were disturbed?"
    held_out = f"molecules {they} did not see in training"
    if split.by == "size":
        fewest = split.test_heavy or (split.train_heavy or 0) + 1
        held_out = (
            f"molecules of {fewest} and more heavy atoms, after training on molecules of up to {split.train_heavy}"
        )
    elif split.by == "scaffold":
        held_out = f"molecules of scaffolds {they} did not see in training"
    start = f", starting from the encoders of {item.start_from}" if item.start_from else ""
    return f"How well {models} predict properties of {held_out}{start}?"


def answers(comparison: pd.DataFrame) -> list[str]:
    """The answer in numbers, one paragraph per target; says so where nothing was held out."""
    if comparison.empty:
        return ["No molecule was held out for testing, so there is no answer."]
    rows = comparison[comparison["metric"] == "mae"]
    return [_answer(str(target), own) for target, own in rows.groupby("target", sort=False)]


def _answer(target: str, rows: pd.DataFrame) -> str:
    values = rows.drop_duplicates("architecture").set_index("architecture")["value"]
    best, unit = str(values.idxmin()), rows["unit"].iloc[0]
    floors = rows[rows["architecture"] == best].set_index("reference")["value_reference"]
    beside = " and ".join(f"{significant(floors[floor])} {unit} for {name}" for floor, name in FLOORS.items())
    text = f"{target}: {best} has the lowest test MAE, {significant(values[best])} {unit}, against {beside}."
    failed = rows[rows["reference"].isin(FLOORS) & ~(rows["high"] < 0)]["architecture"].unique()
    text += f" Not better than both floors: {', '.join(failed)}." if len(failed) else " All beat both floors."
    against = rows[rows["reference"] == REFERENCE]
    if against.empty:
        return text
    kinds = {
        f"better than {REFERENCE}": against["high"] < 0,
        f"worse than {REFERENCE}": against["low"] > 0,
        f"not told from {REFERENCE}": ~((against["high"] < 0) | (against["low"] > 0)),
    }
    found = [f"{kind}: {', '.join(against.loc[which, 'architecture'])}" for kind, which in kinds.items() if which.any()]
    return f"{text} By the 95 % intervals, {'; '.join(found)}."


def headline(config: Config, name: str, comparison: pd.DataFrame) -> Table:
    """Every target and architecture beside floors, published figure and `pamnet`."""
    lines = []
    for (target, metric, architecture), own in comparison.groupby(["target", "metric", "architecture"], sort=False):
        if metric not in METRIC_NAMES:
            continue
        row = own.iloc[0]
        references = {str(record["reference"]): record for record in own.to_dict("records")}
        published = published_of(config, name, str(target), str(row["unit"])) if metric == "mae" else None
        lines.append(
            (
                _with_unit(str(target), str(row["unit"])),
                METRIC_NAMES[str(metric)],
                architecture,
                significant(row["value"]),
                significant(row["sd"], 2),
                *(significant(references[floor]["value_reference"]) for floor in FLOORS),
                f"{significant(published.mae)} ({published.model})" if published else "–",
                _interval(references[REFERENCE]) if REFERENCE in references else "–",
                f"{row['n_samples']} / {row['n_groups']}",
            )
        )
    header = ("target", "metric", "model", "error", "SD", *FLOORS.values(), "published", f"model − {REFERENCE}", "n")
    caption = (
        "Errors on test molecules, all runs together; SD over runs. A negative difference means that the model is "
        "better; its interval is a bootstrap over groups with 10,000 draws and does not cover other seeds. "
        "n: molecules with the label / groups. Published figures have training sets and splits of their own."
    )
    return table(caption, header, lines, numeric=range(3, 10))


def _interval(row: Mapping[Any, Any]) -> str:
    if not np.isfinite(row["low"]):
        return significant(row["difference"])
    return f"{significant(row['difference'])} ({significant(row['low'])} … {significant(row['high'])})"


def pretraining_headline(comparison: pd.DataFrame) -> Table:
    """What was pretrained, model by model, beside its floor."""
    lines = [
        (
            row["target"],
            METRIC_NAMES.get(row["metric"], row["metric"]),
            row["architecture"],
            significant(row["value"]),
            significant(row["sd"], 2),
            significant(row["value_reference"]),
            PRETRAINING_FLOORS.get(row["reference"], "–"),
            row["n_samples"],
        )
        for row in comparison.to_dict("records")
    ]
    header = ("target", "metric", "model", "value", "SD", "floor's", "floor", "n")
    caption = "Pretraining on test molecules: mean over runs, SD over runs. Errors are in units of each feature's SD."
    return table(caption, header, lines, numeric=(3, 4, 5, 7))


def note(config: Config, name: str) -> str:
    """What limits the reading of an experiment's numbers."""
    item = config.experiments[name]
    floors = {
        "properties": "Floors: the training mean, and a ridge regression on the molecule's elements (composition).",
        "quantum": "The floor says the training mean of each feature.",
        "contrast": "Chance is one over the number of regions that are compared.",
    }
    parts = [floors[item.objective]]
    if item.split.train:
        parts.append(f"Training sets are limited to {item.split.train} molecules.")
    if len(item.architectures) * len(item.seeds) > MOST_RUNS:
        parts.append(f"Plots of single runs are in results/plots/{name}.")
    return " ".join(parts)


def per_run_table(rows: pd.DataFrame) -> Table:
    """Test errors run by run, a column per target, floors between."""
    chosen = rows[(rows["split"] == "test") & rows["metric"].isin(METRIC_NAMES)]
    labels = [
        _with_unit(r["target"] if r["metric"] == "mae" else f"{r['target']}: {METRIC_NAMES[r['metric']]}", r["unit"])
        for r in chosen.astype({"unit": str}).to_dict("records")
    ]
    chosen = chosen.assign(label=labels)
    columns = list(dict.fromkeys(labels))
    wide = chosen.pivot_table(index=["seed", "architecture"], columns="label", values="value", sort=True)
    names = FLOORS | PRETRAINING_FLOORS
    lines = [
        (row["seed"], names.get(row["architecture"], row["architecture"]), *(significant(row[c]) for c in columns))
        for row in wide.reset_index().to_dict("records")
    ]
    caption = "Test errors of every run (MAE where nothing else is said)."
    return table(caption, ("seed", "model", *columns), lines, numeric=range(2, len(columns) + 2))


def _with_unit(name: str, unit: str) -> str:
    return name if unit == "1" else f"{name} [{unit}]"


def run_plots(runs: "list[Run]") -> list[tuple[str, list[Any]]]:
    """Return the plots of single runs where there are few."""
    if len(runs) > MOST_RUNS:
        return []
    found = []
    for run in runs:
        shown = [image(run.plots / file, caption, caption) for file, caption in RUN_PLOTS.items()]
        found.append((f"{run.architecture}, seed {run.seed}", [i for i in shown if i is not None]))
    return [(name, images) for name, images in found if images]


def board(config: Config, results: Path) -> dict[str, Any] | None:
    """Return the leaderboard's figures and what runs cost, or None without experiments on properties of molecules."""
    if not any(config.graphsets[e.graphset].family == "regional" for e in config.experiments.values()):
        return None
    rows = read_csv(results / "report" / "leaderboard.csv")
    folder = results / "plots" / "leaderboard"
    found = []
    for kind, (title, caption) in BOARD_PLOTS.items():
        for path in sorted(folder.glob(f"{kind}*.png")):
            what = path.stem.removeprefix(kind)
            found.append(image(path, f"{title}: {what}" if what else title, caption))
    text = "All experiments on properties of molecules; every number and its spread over seeds is in leaderboard.csv."
    plots = [i for i in found if i is not None]
    return {"heading": "Leaderboard", "text": text, "plots": plots, "tables": [cost_table(rows)]}


def cost_table(rows: pd.DataFrame) -> Table:
    """Size, throughput and memory of every architecture in every experiment."""
    text = {"variant": object, "pretraining": object}
    once = rows.astype(text).drop_duplicates(["experiment", "architecture", "variant"]).fillna(dict.fromkeys(text, ""))
    lines = [
        (
            row["experiment"],
            ".".join(filter(None, (row["architecture"], row["variant"]))),
            row["pretraining"] or "–",
            row["n_train"],
            f"{int(row['parameters']):,}",
            significant(row["graphs_per_s"]),
            significant(row["peak_memory_mib"]),
            row["device"],
        )
        for row in once.to_dict("records")
    ]
    header = (
        "experiment",
        "model",
        "starts from",
        "trained on",
        "parameters",
        "molecules/s",
        "peak memory [MiB]",
        "on",
    )
    caption = "What training costs: throughput is the mean over seeds, peak memory the largest of a job."
    return table(caption, header, lines, numeric=(3, 4, 5, 6))
