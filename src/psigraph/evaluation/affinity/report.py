"""The report's part on one experiment with complexes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from psigraph.config import AffinityGraphset, Config
from psigraph.evaluation.affinity.floors import CONTACT_RANGE
from psigraph.evaluation.affinity.published import REFERENCE
from psigraph.evaluation.affinity.report_answers import answers
from psigraph.evaluation.affinity.report_parts import (
    calibration_table,
    headline,
    per_run_table,
    rotation_table,
    targets_part,
)
from psigraph.evaluation.report_tables import Image, image, read_csv

if TYPE_CHECKING:
    from psigraph.evaluation.report import Run

#: Of more runs than so many only some plots of the first seed of each architecture are shown.
MOST_RUNS = 3
POOLED_PLOTS = {
    "metrics.png": (
        "Metrics beside floors",
        "Filled: the mean over runs, or an ensemble; open: the lowest and the highest run; bars: 95 % intervals. Lines "
        "are floors. Further right is better, of RMSE further left.",
    ),
    "parity.png": (
        "Predicted against measured",
        "Test complexes of all runs. On the dashed line a prediction is perfect. Grey: a forest that sees the ligand "
        "alone.",
    ),
    "targets.png": (
        "Ranking within targets",
        "Spearman's correlation among a target's test complexes, their number in brackets: whether a model orders the "
        "ligands of one protein, which is what a chemist asks.",
    ),
    "calibration.png": (
        "Does the spread of an ensemble tell its error?",
        "Bins of equally many test complexes by the spread of the members. On the dashed line the spread is the error.",
    ),
    "learning_curves.png": ("Course of training", "One line per run. The bands are the note's words for R²."),
}
RUN_PLOTS = {
    "parity.png": "Test complexes by target; grey: the forest on contacts.",
    "targets.png": "Residuals of test complexes by target.",
    "drift.png": "How far predictions move when a complex is turned, of one orientation and of the mean over several.",
    "saliency.png": "Gradient × density of ligand atoms: orange atoms raise the prediction, purple ones lower it.",
    "learning_curve.png": "Learning curve; the dotted line marks the epoch whose weights were kept.",
}
#: Those that say what the plots of all runs do not.
SINGLE_PLOTS = ("drift.png", "saliency.png")
HELD_OUT = {
    "random": "ligands {they} did not see in training, to targets that {they} may have seen",
    "scaffold": "ligands with scaffolds {they} did not see in training, to targets that {they} may have seen",
    "group": "ligands to targets {they} did not see in training",
    "given": "ligands to targets {they} did not see in training, the targets chosen by the source of the data",
}


def part(config: Config, name: str, runs: "list[Run]", summary: pd.DataFrame) -> dict[str, Any]:
    """Return what the template shows of one experiment's question, answers, metrics and plots."""
    results = runs[0].results
    comparison = read_csv(results / "evaluation" / name / "comparison.csv")
    rows = summary[summary["experiment"] == name]
    folder = results / "plots" / name / "all"
    shown = {file: image(folder / file, title, caption) for file, (title, caption) in POOLED_PLOTS.items()}
    optional = () if comparison["architecture"].astype(str).str.startswith("ensemble").any() else ("calibration.png",)
    return {
        "question": question(config, name),
        "answers": answers(comparison),
        "headline": headline(comparison),
        "epsilon": note(config, name, runs),
        "per_run": per_run_table(rows),
        "plots": [found for found in shown.values() if found is not None],
        "missing_plots": [file for file, found in shown.items() if found is None and file not in optional],
        "run_plots": run_plots(runs),
        "tables": [
            rotation_table(rows),
            *targets_part(read_csv(folder / "targets.csv")),
            *calibration_table(comparison),
        ],
    }


def question(config: Config, name: str) -> str:
    """What the experiment asked, in one sentence."""
    item = config.experiments[name]
    several = len(item.architectures) > 1
    do, they = ("do", "they") if several else ("does", "it")
    held_out = HELD_OUT[item.split.by].format(they=they)
    return f"How well {do} {', '.join(item.architectures)} predict the affinity of {held_out}?"


def note(config: Config, name: str, runs: "Sequence[Run]") -> str:
    """What limits the reading of an experiment's numbers."""
    item = config.experiments[name]
    graphset = config.graphsets[item.graphset]
    assert isinstance(graphset, AffinityGraphset)
    parts = [
        f"The note's reference, R {REFERENCE.r:.3f} with RMSE {REFERENCE.rmse:.3f} and MAE {REFERENCE.mae:.3f}, was "
        f"measured on the {REFERENCE.data}: other complexes, so it is no result to be beaten here.",
        "The forest on contacts counts pairs of elements (RF-Score), the one on the ligand alone circular fragments, "
        "the one on the protein alone the composition of a target's pockets.",
    ]
    if graphset.protein_radius < CONTACT_RANGE:
        parts.append(
            f"Contacts are counted within {graphset.protein_radius:g} Å, the graphset's protein_radius, instead of "
            f"{CONTACT_RANGE:g} Å."
        )
    if item.split.train:
        parts.append(f"Training sets are limited to {item.split.train} complexes.")
    if len(runs) > MOST_RUNS:
        parts.append(f"Plots of further runs are in results/plots/{name}.")
    return " ".join(parts)


def run_plots(runs: "Sequence[Run]") -> list[tuple[str, list[Image]]]:
    """Return the plots of single runs; where there are many, `SINGLE_PLOTS` of the first seed of each architecture."""
    first = {run.architecture: run for run in reversed(runs)}
    few = len(runs) <= MOST_RUNS
    files = RUN_PLOTS if few else {file: RUN_PLOTS[file] for file in SINGLE_PLOTS}
    found = []
    for run in runs if few else [run for run in runs if first[run.architecture] is run]:
        shown = [image(run.plots / file, caption, caption) for file, caption in files.items()]
        found.append((f"{run.architecture}, seed {run.seed}", [i for i in shown if i is not None]))
    return [(name, images) for name, images in found if images]
