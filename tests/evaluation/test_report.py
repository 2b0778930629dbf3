"""The report and the summary of a small project."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from small_project import SmallProject

from psigraph.config import validate_config
from psigraph.evaluation.report import report_context, summary_table, write_report
from psigraph.evaluation.report_experiment import answers, question
from psigraph.evaluation.report_provenance import references
from psigraph.evaluation.report_tables import counted, render, symbols
from psigraph.evaluation.tables import SUMMARY_COLUMNS


@pytest.fixture(scope="module")
def written(project: SmallProject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report(project.config, project.results, output=folder / "report.html", summary=folder / "summary.csv")
    return folder


def cells(html: str) -> list[list[str]]:
    """The text of every table row."""
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    return [[re.sub(r"<[^>]+>", "", c) for c in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row)] for row in rows]


def test_summary_lists_every_metric_once(project: SmallProject, written: Path) -> None:
    summary = pd.read_csv(written / "summary.csv")
    assert tuple(summary.columns) == SUMMARY_COLUMNS
    keys = [c for c in SUMMARY_COLUMNS if c not in ("value", "unit", "n")]
    assert not summary.duplicated(keys).any()
    assert summary[keys].equals(summary[keys].sort_values(keys, kind="stable", ignore_index=True))
    metrics = [pd.read_csv(run.evaluation / "metrics.csv") for run in project.runs]
    assert len(summary) == sum(map(len, metrics))


def test_shared_floors_stand_once(project: SmallProject) -> None:
    assert len(summary_table([*project.runs, *project.runs])) == len(summary_table(project.runs))


def test_report_contains_the_counts(written: Path) -> None:
    html = (written / "report.html").read_text(encoding="utf-8")
    rows = cells(html)
    structures = next(row for row in rows if row and row[0] == "pairs" and len(row) > 6)
    assert structures[1:6] == ["31", "30", "1", "0", "0"]
    assert any(row[:1] == ["no V0 in the raw data (v0: column)"] and row[1] == "1" for row in rows)
    assert any("line 1 &#39;three atoms&#39; is not the number of atoms" in row[0] for row in rows if row)
    assert ["pairs", "29", "1", "2"] in rows


def test_report_states_the_numbers_of_the_comparison(project: SmallProject, written: Path) -> None:
    html = (written / "report.html").read_text(encoding="utf-8")
    comparison = pd.read_csv(project.results / "evaluation" / "delta" / "comparison.csv")
    mae = comparison[comparison["metric"] == "mae"].iloc[0]
    assert f"misses the reference by {mae['value_model']:.3g} kcal/mol" in html
    assert f"On {mae['n_samples']} held-out dimers in {mae['n_groups']} groups (2 runs)" in html
    assert "ε = 0.1 kcal/mol" in html


def test_report_is_one_self_contained_page(written: Path) -> None:
    html = (written / "report.html").read_text(encoding="utf-8")
    assert html.count("data:image/png;base64,") == 3 + 2 * 4
    assert not re.search(r"<script|<link|@import|url\(|src=\"(?!data:)|href=", html)
    assert "interaction_curves.png" in html.split("Not drawn")[1][:100]


def test_text_from_files_is_escaped(project: SmallProject) -> None:
    context = report_context(project.config, project.results, project.runs, summary_table(project.runs))
    context["title"] = "<script>alert(1)</script>"
    html = render("report.html.j2", context)
    assert "<script>" not in html and "&lt;script&gt;" in html
    assert symbols("V_0 < V_ref & V_0x") == "V<sub>0</sub> &lt; V<sub>ref</sub> &amp; V_0x"


def test_missing_file_is_named_with_its_command(project: SmallProject, tmp_path: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(project.results, results)
    missing = results / "evaluation" / "delta" / "comparison.csv"
    missing.unlink()
    with pytest.raises(FileNotFoundError, match=r"comparison.csv: no such file; make it with: snakemake"):
        write_report(project.config, results, output=tmp_path / "r.html", summary=tmp_path / "s.csv")
    assert not (tmp_path / "r.html").exists() and not (tmp_path / "s.csv").exists()


def comparison(low: tuple[float, float], high: tuple[float, float]) -> pd.DataFrame:
    rows = []
    for floor, a, b in zip(("floor:v0", "floor:mean_delta"), low, high, strict=True):
        rows.append(
            {
                "architecture": "delta_coupling",
                "floor": floor,
                "metric": "mae",
                "value_model": 0.5,
                "value_floor": 1.0,
                "difference": (a + b) / 2,
                "low": a,
                "high": b,
                "unit": "meV",
                "n_samples": 10,
                "n_groups": 5,
                "n_runs": 3,
            }
        )
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        ((-1, -0.5), (-0.2, -0.1), "The model is better than both floors; neither interval contains zero."),
        ((-1, -0.5), (-0.2, 0.1), "These data do not tell the model from V_0 + mean ΔV."),
        ((-1, 0.1), (-0.2, 0.3), "The model is worse than V_0 + mean ΔV"),
        ((float("nan"),) * 2, (float("nan"),) * 2, "These data do not tell the model from V_0 alone and V_0 + mean"),
    ],
)
def test_verdict_follows_from_the_intervals(low, high, words: str) -> None:
    (text,) = answers(comparison(low, high))
    assert words in text and "meV" in text


def test_nothing_held_out_is_said() -> None:
    assert answers(comparison((0, 0), (0, 0)).iloc[:0]) == [
        "No dimer was held out for testing, so there is no answer: see the training errors below."
    ]


def test_rare_reasons_are_joined() -> None:
    assert counted(["b", "a", "b"]) == [("b", 2), ("a", 1)]
    assert counted([str(i) for i in range(25)], most=20)[-1] == ("… 5 further reasons", 5)


def test_report_points_to_the_page_on_features(project: SmallProject, tmp_path: Path) -> None:
    (tmp_path / "features.html").write_text("here")
    write_report(project.config, project.results, output=tmp_path / "r.html", summary=tmp_path / "s.csv")
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert re.findall(r"href=\"([^\"]*)\"", html) == ["features.html"]


@pytest.mark.parametrize(
    ("v0", "words"),
    [
        ("hf", "correct counterpoise-corrected HF/def2-svp interaction energies"),
        ("hf-d4", "correct counterpoise-corrected HF-D4/def2-svp interaction energies"),
        ("mp2", "correct counterpoise-corrected MP2/def2-svp interaction energies"),
        ("sapt0", "correct SAPT0/def2-svp interaction energies"),
    ],
)
def test_every_baseline_has_its_question(project: SmallProject, v0: str, words: str) -> None:
    raw = project.config.model_dump(mode="json")
    features = ["default", "interaction_energy_mp2", "sapt0"]
    raw["levels"] = {"small": {"basis": "def2-svp", "features": features}}
    raw["graphsets"]["pairs"] |= {"level": "small", "v0": v0}
    config = validate_config(raw)
    assert words in question(config, "delta")
    assert ("dispersion_d4" in {n.removeprefix("Feature ") for n, _ in references(config)}) == (v0 == "hf-d4")
