"""Evaluation of one run, on a project made by the library's own stages."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small_project import SmallProject

from psigraph.evaluation.inference import InferenceError, predict_delta
from psigraph.evaluation.run_figures import FILES
from psigraph.evaluation.tables import PREDICTION_COLUMNS, EvaluationError
from psigraph.graphs.dataset import CachedDimerDataset
from psigraph.graphs.loader import make_loader
from psigraph.stores import StoreError
from psigraph.training.checkpoint import load_model, save_model


@pytest.fixture
def outputs(tmp_path: Path) -> dict[str, Path]:
    return {
        "predictions_csv": tmp_path / "predictions.csv",
        "metrics_csv": tmp_path / "metrics.csv",
        "plots": tmp_path / "plots",
    }


def test_predictions_are_the_models_own(project: SmallProject) -> None:
    run = project.runs[0]
    table = pd.read_csv(run.evaluation / "predictions.csv")
    assert tuple(table.columns) == PREDICTION_COLUMNS
    model = load_model(project.checkpoint(run)).model
    graphs = CachedDimerDataset(project.shards)
    assert table["id"].tolist() == graphs.ids.tolist()
    one_by_one = [float(model(next(iter(make_loader(graphs.select([i]), 1)))).detach()) for i in range(len(graphs))]
    np.testing.assert_allclose(table["delta_v"], one_by_one, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(table["v_pred"], table["v_0"] + table["delta_v"], atol=1e-8)
    np.testing.assert_allclose(table["v_ref"], graphs.y_true_vref, rtol=1e-9)
    np.testing.assert_allclose(table["R_angstrom"], graphs.u[:, 0] * 10, rtol=1e-9)


def test_splits_are_those_of_training(project: SmallProject) -> None:
    for run in project.runs:
        table, split = (pd.read_csv(p) for p in (run.evaluation / "predictions.csv", run.model / "split.csv"))
        assert table["split"].tolist() == split["split"].tolist()
        assert set(table["split"]) == {"train", "validation", "test"}


def test_metrics_and_plots_are_written(project: SmallProject) -> None:
    run = project.runs[1]
    metrics = pd.read_csv(run.evaluation / "metrics.csv")
    assert set(metrics["seed"]) == {run.seed} and set(metrics["dataset"]) == {"pairs"}
    assert set(metrics["split_kind"]) == {"group"}
    table = pd.read_csv(run.evaluation / "predictions.csv").query("split == 'test'")
    chosen = metrics.query("split == 'test' and target == 'v_ref' and metric == 'mae'").set_index("architecture")
    assert chosen.loc["delta_coupling", "value"] == pytest.approx((table["v_pred"] - table["v_ref"]).abs().mean())
    assert chosen.loc["floor:v0", "value"] == pytest.approx((table["v_0"] - table["v_ref"]).abs().mean())
    for name in FILES:
        assert (run.plots / name).read_bytes()[:4] == b"\x89PNG"


def test_empty_split_is_logged_and_its_old_plot_removed(
    project: SmallProject, outputs: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = project.runs[0]
    text = (run.model / "split.csv").read_text()
    (tmp_path / "split.csv").write_text(text.replace("validation", "train"))
    shutil.copytree(run.plots, outputs["plots"])
    with caplog.at_level(logging.WARNING):
        project.evaluate(run, split_csv=tmp_path / "split.csv", **outputs)
    assert not (outputs["plots"] / "val_final_delta_learning.png").exists()
    assert (outputs["plots"] / "test_final_delta_learning.png").exists()
    assert "validation split is empty; val_final_delta_learning.png is not written" in caplog.text
    assert "validation" not in set(pd.read_csv(outputs["metrics_csv"])["split"])


def test_no_test_and_no_validation_samples_still_give_tables(
    project: SmallProject, outputs: dict[str, Path], tmp_path: Path
) -> None:
    run = project.runs[0]
    text = (run.model / "split.csv").read_text()
    (tmp_path / "split.csv").write_text(text.replace("validation", "train").replace("test", "train"))
    project.evaluate(run, split_csv=tmp_path / "split.csv", **outputs)
    assert sorted(p.name for p in outputs["plots"].iterdir()) == ["error_vs_distance.png", "learning_curve.png"]
    assert set(pd.read_csv(outputs["metrics_csv"])["split"]) == {"train"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("dimer3,", "dimer300,", "are not the 29 samples of the shards"),
        (",test\n", ",tset\n", "unknown split 'tset'"),
    ],
)
def test_split_of_other_samples_is_refused(
    project: SmallProject, outputs: dict[str, Path], tmp_path: Path, old: str, new: str, message: str
) -> None:
    run = project.runs[0]
    text = (run.model / "split.csv").read_text()
    assert old in text
    (tmp_path / "split.csv").write_text(text.replace(old, new))
    with pytest.raises(EvaluationError, match=message):
        project.evaluate(run, split_csv=tmp_path / "split.csv", **outputs)
    assert not any(path.exists() for path in outputs.values())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"graphset": {"cutoff": 5.0}}, StoreError, "built with cutoff 6.0 Å, but this run asks for 5.0 Å"),
        ({"shard_digests": {"0.h5": "0"}}, EvaluationError, "was trained on other graphs: the content of 0.h5, 1.h5"),
    ],
)
def test_checkpoint_of_other_shards_is_refused(
    project: SmallProject, outputs: dict[str, Path], tmp_path: Path, change: dict, error: type, message: str
) -> None:
    run = project.runs[0]
    loaded = load_model(project.checkpoint(run))
    meta = dict(loaded.meta)
    for key, value in change.items():
        meta[key] = {**meta[key], **value} if key == "graphset" else value
    save_model(tmp_path / "other.pt", loaded.model, meta)
    with pytest.raises(error, match=message):
        project.evaluate(run, checkpoint=tmp_path / "other.pt", **outputs)
    assert not any(path.exists() for path in outputs.values())


class Broken(torch.nn.Module):
    def __init__(self, change) -> None:
        super().__init__()
        self.change = change

    def forward(self, batch) -> torch.Tensor:
        return self.change(torch.zeros(batch.num_graphs))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda delta: delta[:-1], r"batch 0: the model gave shape \(3,\) for 4 dimers"),
        (lambda delta: delta.view(-1, 1), r"batch 0: the model gave shape \(4, 1\) for 4 dimers"),
        (lambda delta: delta + torch.tensor([0, float("nan"), 0, 0]), "the prediction for 'dimer1' is nan"),
    ],
)
def test_inconsistent_batches_are_errors(project: SmallProject, change, message: str) -> None:
    loader = make_loader(CachedDimerDataset(project.shards), 4)
    with pytest.raises(InferenceError, match=message):
        predict_delta(Broken(change), loader)


def test_wrong_shape_of_u_is_an_error(project: SmallProject) -> None:
    batch = next(iter(make_loader(CachedDimerDataset(project.shards), 4)))
    batch.u = batch.u[:, :3]
    with pytest.raises(InferenceError, match=r"u has shape \(4, 3\), expected \(4, 4\)"):
        predict_delta(Broken(lambda delta: delta), [batch])
