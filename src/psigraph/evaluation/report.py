"""The report: one self-contained HTML page and one table of every metric of every run."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from psigraph.config import Config
from psigraph.evaluation import report_across, report_data, report_experiment, report_provenance
from psigraph.evaluation.affinity import report_board as affinity_board
from psigraph.evaluation.feature_page import PAGE
from psigraph.evaluation.regional import report as regional_report
from psigraph.evaluation.report_tables import render
from psigraph.evaluation.tables import SUMMARY_COLUMNS, write_csv
from psigraph.stores import atomic_path

log = logging.getLogger(__name__)

#: The leaderboards of families; each is None where the configuration has no experiment for it.
BOARDS = (regional_report.board, affinity_board.board)


@dataclass(frozen=True)
class Run:
    """One run of the configuration and where its files are."""

    experiment: str
    architecture: str
    seed: int
    results: Path

    def _path(self, stage: str) -> Path:
        return self.results / stage / self.experiment / self.architecture / f"seed{self.seed}"

    @property
    def model(self) -> Path:
        return self._path("models")

    @property
    def evaluation(self) -> Path:
        return self._path("evaluation")

    @property
    def plots(self) -> Path:
        return self._path("plots")


def runs_of(config: Config, results: Path) -> list[Run]:
    """Return every run of a configuration, in the order experiments, architectures and seeds are written there."""
    return [
        Run(name, architecture, seed, results)
        for name, experiment in config.experiments.items()
        for architecture in experiment.architectures
        for seed in experiment.seeds
    ]


def write_report(config: Config, results: str | Path, *, output: str | Path, summary: str | Path) -> None:
    """Write `summary.csv` and the HTML report of everything that `config` asks for and `results` holds.

    The report points to the page on features where that stands beside `output`. Raises FileNotFoundError naming the
    missing file and the command that makes it.
    """
    results = Path(results)
    runs = runs_of(config, results)
    table = summary_table(runs)
    context = report_context(config, results, runs, table)
    context["features_page"] = PAGE if Path(output).with_name(PAGE).is_file() else None
    html = render("report.html.j2", context)
    write_csv(table, summary)
    with atomic_path(output) as temporary:
        temporary.write_text(html, encoding="utf-8")
    log.info("wrote %s: %.1f MB", output, len(html) / 1e6)


def summary_table(runs: list[Run]) -> pd.DataFrame:
    """Return the metric rows of all runs, sorted; floors that two architectures share are listed once."""
    tables = [report_data.read_csv(run.evaluation / "metrics.csv") for run in runs]
    table = pd.concat(tables, ignore_index=True)[list(SUMMARY_COLUMNS)]
    keys = [c for c in SUMMARY_COLUMNS if c not in ("value", "unit", "n")]
    return table.drop_duplicates(keys).sort_values(keys, kind="stable", ignore_index=True)


def report_context(config: Config, results: Path, runs: list[Run], table: pd.DataFrame) -> dict[str, Any]:
    """Return everything the template shows, as text, tables and embedded images."""
    names = list(config.experiments)
    experiments = [
        report_experiment.section(config, name, [run for run in runs if run.experiment == name], table)
        for name in names
    ]
    return {
        "title": f"psigraph report: {', '.join(names) if len(names) <= 3 else f'{len(names)} experiments'}",
        "experiments": experiments,
        "families": sorted({config.graphsets[item.graphset].family for item in config.experiments.values()}),
        "across": report_across.part(config, results),
        "boards": [found for board in BOARDS if (found := board(config, results)) is not None],
        "features_page": None,
        "data": report_data.sections(config, results),
        "provenance": report_provenance.tables(config, results, runs),
        "config_text": report_provenance.config_text(config),
        "references": report_provenance.references(config),
    }
