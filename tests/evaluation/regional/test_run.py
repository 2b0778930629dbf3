"""Evaluation of runs on molecules, and their part of the report, on a project made by the library's own stages."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from small_molecules import SmallMolecules

from psigraph.evaluation.inference import InferenceError, predict_labels
from psigraph.evaluation.regional.floors import composition_floor, element_counts
from psigraph.evaluation.regional.run import prediction_table
from psigraph.evaluation.regional.run_figures import FILES
from psigraph.evaluation.regional.tables import metric_table, prediction_columns
from psigraph.evaluation.report import write_report
from psigraph.evaluation.run_files import identity_of
from psigraph.evaluation.tables import SUMMARY_COLUMNS, EvaluationError
from psigraph.graphs.loader import make_loader
from psigraph.graphs.molecule_dataset import MoleculeDataset
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


def test_predictions_are_the_models_own_and_unused_molecules_have_none(molecules: SmallMolecules) -> None:
    run = molecules.runs[0]
    table = pd.read_csv(run.evaluation / "predictions.csv")
    assert table.columns.tolist() == prediction_columns(["energy", "gap"])
    split = pd.read_csv(run.model / "split.csv")
    used = split[split["split"] != "unused"]
    assert len(used) < len(split) == 32
    assert table["id"].tolist() == used["id"].tolist() and table["split"].tolist() == used["split"].tolist()
    graphs = MoleculeDataset(molecules.shards, targets=["energy", "gap"])
    model = load_model(molecules.checkpoint(run)).model
    for row in table.iloc[::5].to_dict("records"):
        one = model(next(iter(make_loader(graphs.select([row["index"]]), 1)))).labels.detach()
        np.testing.assert_allclose([row["energy_predicted"], row["gap_predicted"]], one[0], rtol=1e-4)
    assert table["gap"].isna().sum() == (table["group"] == table.loc[table["gap"].isna(), "group"].iloc[0]).sum()


def test_relative_target_and_its_floor_count_from_the_mean_of_their_molecule(molecules: SmallMolecules) -> None:
    run = molecules.runs[0]
    plain = pd.read_csv(run.evaluation / "predictions.csv")
    data = MoleculeDataset(molecules.shards, targets=["energy", "gap"])
    data.targets = (replace(data.targets[0], relative=True), data.targets[1])
    shards, splits = read_shards(molecules.shards), pd.read_csv(run.model / "split.csv")["split"].to_numpy()
    loaded = load_model(molecules.checkpoint(run))
    counts = element_counts(shards["z_atoms"], shards["offsets"])
    table = prediction_table(loaded.model, data, counts, splits, identity_of(loaded.meta, shards))
    pairs = plain.groupby("group")["energy_predicted"]
    assert (pairs.transform("size") == 2).sum() > 10
    expected = (plain["energy_predicted"] - pairs.transform("mean")).where(pairs.transform("size") == 2)
    np.testing.assert_allclose(table["energy_predicted"], expected, atol=1e-4)
    assert np.nanmax(np.abs(table["energy_composition"])) < 1e-9 and np.nanmax(np.abs(table["energy"])) < 1e-9
    np.testing.assert_allclose(table["gap_predicted"], plain["gap_predicted"], rtol=1e-4)
    rated = metric_table(table, identity_of(loaded.meta, shards), data.targets).groupby("target")["metric"].unique()
    assert set(rated["gap"]) - set(rated["energy"]) == {"mae_relative"}


def test_floor_is_that_of_the_molecules_elements(molecules: SmallMolecules) -> None:
    run = molecules.runs[0]
    table = pd.read_csv(run.evaluation / "predictions.csv")
    shards = read_shards(molecules.shards)
    counts = element_counts(shards["z_atoms"], shards["offsets"])[table["index"]]
    assert (counts.sum(1) == table["n_atoms"]).all()
    sides = [(table["split"] == split).to_numpy() for split in ("train", "validation")]
    for name, extensive in (("energy", True), ("gap", False)):
        expected = composition_floor(counts, table[name].to_numpy(), *sides, extensive=extensive)
        np.testing.assert_allclose(table[f"{name}_composition"], expected, rtol=1e-8)


def test_metrics_and_plots_are_written(molecules: SmallMolecules) -> None:
    run = molecules.runs[1]
    table = pd.read_csv(run.evaluation / "metrics.csv")
    assert tuple(table.columns) == SUMMARY_COLUMNS
    assert set(table["family"]) == {"regional"} and set(table["dataset"]) == {"table"} and set(table["seed"]) == {1}
    assert {"mae", "rmse", "r2", "mae_relative"} == set(table["metric"])
    for name in FILES:
        assert (run.plots / name).read_bytes()[:4] == b"\x89PNG"


def test_pretraining_is_rated_beside_chance(molecules: SmallMolecules) -> None:
    run = molecules.runs[-1]
    table = pd.read_csv(run.evaluation / "metrics.csv").query("split == 'test'").set_index(["architecture", "metric"])
    assert set(table["target"]) == {"contrast"}
    assert 0 < table.loc[("floor:chance", "accuracy"), "value"] < 1 and table.loc[("pamnet", "loss"), "value"] > 0
    rows = pd.read_csv(run.evaluation / "predictions.csv").query("split == 'test'")
    assert rows["contrast_accuracy"].mean() == pytest.approx(table.loc[("pamnet", "accuracy"), "value"])
    assert [path.name for path in run.plots.iterdir()] == ["learning_curve.png"]


def test_split_of_other_samples_is_refused(molecules: SmallMolecules, outputs: dict[str, Path], tmp_path: Path) -> None:
    run = molecules.runs[0]
    text = (run.model / "split.csv").read_text()
    (tmp_path / "split.csv").write_text(text.replace(",test\n", ",tset\n"))
    with pytest.raises(EvaluationError, match="unknown split 'tset'"):
        molecules.evaluate(run, split_csv=tmp_path / "split.csv", **outputs)
    (tmp_path / "split.csv").write_text("\n".join(text.splitlines()[:-1]) + "\n")
    with pytest.raises(EvaluationError, match=r"lists 31 samples that are not the 32 .*train_regional"):
        molecules.evaluate(run, split_csv=tmp_path / "split.csv", **outputs)
    assert not any(path.exists() for path in outputs.values())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"graphset": {"region_cutoff": 9.0}}, StoreError, "built with region_cutoff 15.0.*asks for 9.0"),
        ({"shard_digests": {"0.h5": "0"}}, EvaluationError, "was trained on other graphs: the content of 0.h5, 1.h5"),
    ],
)
def test_checkpoint_of_other_shards_is_refused(
    molecules: SmallMolecules, outputs: dict[str, Path], tmp_path: Path, change: dict, error: type, message: str
) -> None:
    loaded = load_model(molecules.checkpoint(molecules.runs[0]))
    meta = dict(loaded.meta)
    for key, value in change.items():
        meta[key] = {**meta[key], **value} if key == "graphset" else value
    save_model(tmp_path / "other.pt", loaded.model, meta)
    with pytest.raises(error, match=message):
        molecules.evaluate(molecules.runs[0], checkpoint=tmp_path / "other.pt", **outputs)
    assert not any(path.exists() for path in outputs.values())


class Broken(torch.nn.Module):
    def __init__(self, labels: torch.Tensor) -> None:
        super().__init__()
        self.labels = labels

    def forward(self, batch: Any) -> Any:
        return self


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(3, 2), r"batch 0: the model gave shape \(3, 2\) for 4 molecules"),
        (torch.tensor([[0.0, 0], [0, float("inf")], [0, 0], [0, 0]]), "the prediction for 'm0.*' is inf"),
    ],
)
def test_inconsistent_predictions_are_errors(molecules: SmallMolecules, labels: torch.Tensor, message: str) -> None:
    with pytest.raises(InferenceError, match=message):
        predict_labels(Broken(labels), make_loader(MoleculeDataset(molecules.shards), 4), 2)


def test_report_has_a_part_on_every_experiment_and_the_leaderboard(molecules: SmallMolecules, tmp_path: Path) -> None:
    page, summary = tmp_path / "report.html", tmp_path / "summary.csv"
    write_report(molecules.config, molecules.results, output=page, summary=summary)
    html = page.read_text(encoding="utf-8")
    cells = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)]
    assert re.findall(r"<h2>(.*?)</h2>", html)[:3] == ["Leaderboard", "Results: properties", "Results: told_apart"]
    assert "How well does pamnet predict properties of molecules it did not see in training?" in html
    assert ["molecules", "32", "0", "2"] in cells
    structures = next(row for row in cells if row and row[0] == "table" and len(row) > 6)
    assert structures[1:4] == ["33", "32", "1"]
    assert "regions: bonded, level: none" in html and "V_0" not in html and "V<sub>" not in html
    comparison = pd.read_csv(molecules.results / "evaluation" / "properties" / "comparison.csv")
    energy = comparison.query("target == 'energy' and metric == 'mae'").iloc[0]
    assert f"energy: pamnet has the lowest test MAE, {energy['value']:.3g} eV" in html
    rows = pd.read_csv(summary)
    assert set(rows["experiment"]) == {"properties", "told_apart"} and tuple(rows.columns) == SUMMARY_COLUMNS
