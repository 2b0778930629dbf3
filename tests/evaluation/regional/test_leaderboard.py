"""The leaderboard: which experiments differ in one setting, what a row says, and its figures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up_molecules import predictions, write_run

from psigraph.config import Config, validate_config
from psigraph.evaluation.regional.entries import differences, entries_of
from psigraph.evaluation.regional.leaderboard import LEADERBOARD_COLUMNS, write_leaderboard
from psigraph.evaluation.regional.published import QM9


def config_of(**experiments: Any) -> Config:
    graphsets = {"molecules": {"family": "regional", "datasets": ["qm9"]}}
    common = {"graphset": "molecules", "seeds": [0, 1], "targets": ["u0", "gap"]}
    return validate_config(
        {
            "datasets": {"qm9": {"source": "qm9"}},
            "graphsets": graphsets,
            "experiments": {name: common | own for name, own in experiments.items()},
        }
    )


MODELS: dict[str, Any] = {"pamnet": {}, "tiered_heads": {}}
CONFIG = config_of(
    size={"architectures": MODELS, "train_sizes": [100, 1000]},
    told_apart={"architectures": MODELS, "objective": "contrast"},
    started={"architectures": MODELS, "train_sizes": [100], "start_from": "told_apart"},
    ablation={
        "architectures": {"tiered_heads": {}, "tiered_heads.multi_query": {"attention": "multi_query"}},
        "split": {"train": 50},
    },
)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    results = tmp_path_factory.mktemp("results")
    for entry in entries_of(CONFIG):
        for seed in (0, 1):
            frame = predictions(entry.architecture, seed, entry.experiment)
            _, history = write_run(results, frame)
            record = {"parameters": 1000 + len(entry.architecture), "graphs_per_s": 100.0 * (seed + 1)}
            record |= {"peak_memory_mib": 300.0 + seed, "peak_gpu_memory_mib": None, "device": "cpu"}
            history.with_name("training.json").write_text(json.dumps(record))
    outputs = {"output": results / "leaderboard.csv", "ablations": results / "ablations.csv"}
    return results, write_leaderboard(CONFIG, results, **outputs, plots=results / "plots")


def test_pretraining_is_no_entry_and_variants_are() -> None:
    entries = entries_of(CONFIG)
    assert {entry.experiment for entry in entries} == {"size-100", "size-1000", "started-100", "ablation"}
    assert [(e.base, e.variant) for e in entries if e.variant] == [("tiered_heads", "multi_query")]


def test_entries_that_differ_in_one_setting_are_found() -> None:
    found = {(d.setting, d.entries[0][1].base, d.entries[0][1].experiment): d for d in differences(entries_of(CONFIG))}
    assert set(found) == {
        ("start_from", "pamnet", "size-100"),
        ("start_from", "tiered_heads", "size-100"),
        ("split.train", "pamnet", "size-100"),
        ("split.train", "tiered_heads", "size-100"),
        ("model.attention", "tiered_heads", "ablation"),
    }
    sizes = found["split.train", "tiered_heads", "size-100"]
    assert [value for value, _ in sizes.entries] == [100, 1000, 50]
    pretrained = found["start_from", "pamnet", "size-100"].entries
    assert [(value, entry.experiment) for value, entry in pretrained] == [
        (None, "size-100"),
        ("told_apart", "started-100"),
    ]


def test_settings_that_change_no_result_are_no_difference() -> None:
    split = {"a": {"architectures": {"pamnet": {}}}, "b": {"architectures": {"pamnet": {}}}}
    split["b"]["training"] = {"threads": 2, "memory_mb": 9000}
    assert differences(entries_of(config_of(**split))) == []
    split["b"]["training"]["lr"] = 0.01
    assert [d.setting for d in differences(entries_of(config_of(**split)))] == ["training.lr"]


def test_a_level_without_computed_datasets_counts_as_none() -> None:
    raw = {
        "datasets": {"m": {"source": "qm9"}},
        "levels": {"hf": {}},
        "graphsets": {
            "bare": {"family": "regional", "datasets": ["m"]},
            "room": {"family": "regional", "datasets": ["m"], "level": "hf", "computed": []},
            "known": {"family": "regional", "datasets": ["m"], "level": "hf"},
        },
    }
    base = {"architectures": {"pamnet": {}}, "targets": ["u0"]}
    first = base | {"graphset": "known", "objective": "quantum"}
    later = base | {"graphset": "room", "start_from": "first"}
    raw["experiments"] = {"first": first, "bare": base | {"graphset": "bare"}, "later": later}
    (found,) = differences(entries_of(Config.model_validate(raw)))
    assert [(value, entry.experiment) for value, entry in found.entries] == [(None, "bare"), ("first", "later")]


def test_a_row_has_error_spread_floors_published_figure_and_cost(board: tuple[Path, pd.DataFrame]) -> None:
    results, table = board
    assert tuple(table.columns) == LEADERBOARD_COLUMNS
    assert len(table) == (2 + 2 + 2 + 2) * 2 * 2
    row = table.query("experiment == 'started-100' and architecture == 'pamnet' and target == 'gap'").iloc[0]
    metrics = [
        pd.read_csv(results / f"evaluation/started-100/pamnet/seed{seed}/metrics.csv").query(
            "split == 'test' and target == 'gap' and metric == 'mae'"
        )
        for seed in (0, 1)
    ]
    own = [float(m.loc[m["architecture"] == "pamnet", "value"].iloc[0]) for m in metrics]
    floor = [float(m.loc[m["architecture"] == "floor:composition", "value"].iloc[0]) for m in metrics]
    assert row["value"] == pytest.approx(np.mean(own)) and row["sd"] == pytest.approx(np.std(own, ddof=1))
    assert row["floor:composition"] == pytest.approx(np.mean(floor))
    assert (row["graphs_per_s"], row["peak_memory_mib"], row["parameters"]) == (150, 301, 1006)
    assert (row["pretraining"], row["n_seeds"], row["device"]) == ("told_apart", 2, "cpu")
    assert row["published"] == QM9["gap"].mae and row["citation"].startswith("MEGNet: C. Chen")
    relative = table[table["metric"] == "mae_relative"]
    assert relative["published"].isna().all() and (relative["citation"] == "").all()


def test_published_figures_are_for_qm9_alone(tmp_path: Path) -> None:
    raw = config_of(other={"architectures": {"pamnet": {}}, "seeds": [0]}).model_dump(mode="json")
    raw["datasets"]["qm9"] = {"source": "molecule_folder", "path": str(tmp_path), "properties": {"u0": {"unit": "eV"}}}
    config = validate_config(raw)
    _, history = write_run(tmp_path, predictions(experiment="other"))
    history.with_name("training.json").write_text("{}")
    outputs = {"output": tmp_path / "board.csv", "ablations": tmp_path / "ablations.csv", "plots": tmp_path / "plots"}
    table = write_leaderboard(config, tmp_path, **outputs)
    assert table["published"].isna().all() and np.isnan(table["sd"]).all()
    assert sorted(path.name for path in outputs["plots"].iterdir()) == ["leaderboard.png"]


def test_figures_and_ablations_are_written(board: tuple[Path, pd.DataFrame]) -> None:
    results, _ = board
    assert sorted(path.name for path in (results / "plots").iterdir()) == [
        "ablation_model_attention.png",
        "ablation_start_from.png",
        "cost_ablation.png",
        "cost_size-1000.png",
        "cost_started-100.png",
        "leaderboard.png",
        "learning_curves.png",
    ]
    ablations = pd.read_csv(results / "ablations.csv", keep_default_na=False)
    chosen = ablations.query("setting == 'model.attention' and target == 'u0' and metric == 'mae'")
    assert chosen["choice"].tolist() == ["full", "multi_query"]
    assert set(ablations.loc[ablations["setting"] == "start_from", "choice"]) == {"none", "told_apart"}


def test_missing_run_is_named_with_its_command(tmp_path: Path) -> None:
    outputs = {"output": tmp_path / "board.csv", "ablations": tmp_path / "ablations.csv", "plots": tmp_path / "plots"}
    with pytest.raises(FileNotFoundError, match=r"size-100/pamnet/seed0/metrics.csv: no such file; make it"):
        write_leaderboard(CONFIG, tmp_path, **outputs)
    assert not outputs["output"].exists()
