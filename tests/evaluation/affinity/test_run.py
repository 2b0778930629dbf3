"""Evaluation of runs on complexes, and their part of the report, on a project made by the library's own stages."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small_complexes import SmallComplexes

from psigraph.evaluation.affinity.report_answers import answers
from psigraph.evaluation.affinity.run import prediction_table
from psigraph.evaluation.affinity.run_figures import FILES
from psigraph.evaluation.affinity.tables import FLOORS, PREDICTION_COLUMNS, read_predictions
from psigraph.evaluation.report import write_report
from psigraph.evaluation.run_files import identity_of
from psigraph.evaluation.tables import SUMMARY_COLUMNS, EvaluationError
from psigraph.graphs.complex_dataset import ComplexDataset
from psigraph.graphs.shards import read_shards
from psigraph.stores import StoreError
from psigraph.training.checkpoint import load_model, save_model


@pytest.fixture
def outputs(tmp_path: Path) -> dict[str, Path]:
    return {
        "predictions_csv": tmp_path / "predictions.csv",
        "metrics_csv": tmp_path / "metrics.csv",
        "plots": tmp_path / "plots",
    }


def test_predictions_are_the_models_own(complexes: SmallComplexes) -> None:
    run = complexes.runs[0]
    table = read_predictions(run.evaluation / "predictions.csv")
    assert table.columns.tolist() == list(PREDICTION_COLUMNS)
    data, model = ComplexDataset(complexes.shards), load_model(complexes.checkpoint(run)).model
    for row in table.iloc[::7].to_dict("records"):
        with torch.no_grad():
            one = float(model(data.batch([row["index"]])).labels)
        assert row["predicted"] == pytest.approx(one, rel=1e-4)
        assert row["reference"] == pytest.approx(float(data.y[row["index"], 0]), rel=1e-6)
        assert (row["group"], row["ligand"]) == (data.groups[row["index"]], data.ligands[row["index"]])


def test_test_complexes_alone_are_turned(complexes: SmallComplexes) -> None:
    table = read_predictions(complexes.runs[0].evaluation / "predictions.csv")
    turned = table[["pred_tta", "drift_sd", "drift_tta"]].notna().all(axis=1)
    assert turned.tolist() == (table["split"] == "test").tolist() and turned.any()
    assert (table.loc[turned, "drift_sd"] > 0).all()


def test_complexes_of_no_split_have_no_row(complexes: SmallComplexes) -> None:
    run = complexes.runs[-1]
    split = pd.read_csv(run.model / "split.csv")
    used = split[split["split"] != "unused"]
    table = read_predictions(run.evaluation / "predictions.csv")
    assert table["id"].tolist() == used["id"].tolist() and len(used) < len(split) == 30
    assert (table["split"] == "train").sum() == 10


def test_metrics_stand_beside_all_floors_and_plots_are_drawn(complexes: SmallComplexes) -> None:
    run = complexes.runs[1]
    table = pd.read_csv(run.evaluation / "metrics.csv")
    assert tuple(table.columns) == SUMMARY_COLUMNS
    assert set(table["architecture"]) == {run.architecture, *FLOORS} and set(table["family"]) == {"affinity"}
    test = table[(table["split"] == "test") & (table["architecture"] == run.architecture)]
    assert {"r", "r2", "spearman", "spearman_within", "rmse", "mae", "rmse_tta", "rotation_sd"} <= set(test["metric"])
    assert sorted(path.name for path in run.plots.iterdir()) == sorted(FILES)


def test_floors_do_not_depend_on_the_architecture(complexes: SmallComplexes) -> None:
    first, other = (
        read_predictions(run.evaluation / "predictions.csv")
        for run in complexes.runs
        if (run.experiment, run.seed) == ("targets", 1)
    )
    assert first["architecture"].iloc[0] != other["architecture"].iloc[0]
    pd.testing.assert_frame_equal(first[list(FLOORS)], other[list(FLOORS)])


def test_an_empty_test_set_is_no_error(complexes: SmallComplexes, outputs: dict[str, Path], tmp_path: Path) -> None:
    run = complexes.runs[0]
    text = (run.model / "split.csv").read_text()
    (tmp_path / "split.csv").write_text(text.replace(",test\n", ",unused\n"))
    complexes.evaluate(run, split_csv=tmp_path / "split.csv", **outputs)
    assert [path.name for path in outputs["plots"].iterdir()] == ["learning_curve.png"]
    assert set(pd.read_csv(outputs["metrics_csv"])["split"]) == {"train", "validation"}


def test_without_training_complexes_there_are_no_floors(complexes: SmallComplexes) -> None:
    run = complexes.runs[0]
    loaded, shards = load_model(complexes.checkpoint(run)), read_shards(complexes.shards)
    splits = np.full(30, "test", dtype=object)
    with pytest.raises(EvaluationError, match="no complex of the split is trained on"):
        prediction_table(loaded.model, ComplexDataset(shards), shards, splits, identity_of(loaded.meta, shards))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"graphset": {"pocket_radius": 5.0}}, StoreError, "built with pocket_radius 6.0 Å.*asks for 5.0 Å"),
        ({"shard_digests": {"0.h5": "0"}}, EvaluationError, "was trained on other graphs.*train_affinity"),
    ],
)
def test_checkpoint_of_other_shards_is_refused(
    complexes: SmallComplexes, outputs: dict[str, Path], tmp_path: Path, change: dict, error: type, message: str
) -> None:
    loaded = load_model(complexes.checkpoint(complexes.runs[0]))
    meta = dict(loaded.meta)
    for key, value in change.items():
        meta[key] = {**meta[key], **value} if key == "graphset" else value
    save_model(tmp_path / "other.pt", loaded.model, meta)
    with pytest.raises(error, match=message):
        complexes.evaluate(complexes.runs[0], checkpoint=tmp_path / "other.pt", **outputs)
    assert not any(path.exists() for path in outputs.values())


def test_report_has_a_part_on_every_experiment_and_the_leaderboard(complexes: SmallComplexes, tmp_path: Path) -> None:
    page, summary = tmp_path / "report.html", tmp_path / "summary.csv"
    write_report(complexes.config, complexes.results, output=page, summary=summary)
    html = page.read_text(encoding="utf-8")
    assert re.findall(r"<h2>(.*?)</h2>", html)[:3] == [
        "Leaderboard: affinity", "Results: targets", "Results: ligands"
    ]  # fmt: skip
    assert "the affinity of ligands to targets they did not see in training?" in html
    assert "to targets that it may have seen" in html
    assert "measured on the PDBbind 2016 core set: other complexes" in html
    cells = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)]
    assert ["complexes", "30", "0", "2"] in cells
    comparison = pd.read_csv(complexes.results / "evaluation" / "targets" / "comparison.csv")
    r = comparison[comparison["metric"] == "r"].drop_duplicates("architecture").set_index("architecture")["value"]
    assert f"{r.idxmax()} has the highest R of 5 models and ensembles" in html
    assert "protein within 12 Å, pocket within 6 Å, contacts within 4.5 Å" in html and "V_0" not in html
    rows = pd.read_csv(summary)
    assert set(rows["experiment"]) == {"targets", "ligands"} and tuple(rows.columns) == SUMMARY_COLUMNS


def test_the_report_says_when_the_ligand_alone_does_as_well(complexes: SmallComplexes) -> None:
    comparison = pd.read_csv(complexes.results / "evaluation" / "targets" / "comparison.csv")
    against = comparison["reference"] == "floor:ligand"
    worse = comparison.assign(low=comparison["low"].mask(against, -0.2), high=comparison["high"].mask(against, 0.2))
    assert any(
        "A model that does as well without the protein has learnt the ligands." in text for text in answers(worse)
    )
    fine = comparison.assign(low=comparison["low"].mask(against, 0.1), high=comparison["high"].mask(against, 0.2))
    assert "All are better than a forest that sees the ligand alone." in answers(fine)
    assert answers(comparison.head(0)) == ["No complex was held out for testing, so there is no answer."]
