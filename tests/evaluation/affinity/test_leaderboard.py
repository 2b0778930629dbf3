"""The leaderboard of complexes: what a row says, goals, costs, figures."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up_complexes import predictions, write_run

from psigraph.config import Config, validate_config
from psigraph.evaluation.affinity.comparison import METRICS
from psigraph.evaluation.affinity.leaderboard import LEADERBOARD_COLUMNS, write_leaderboard
from psigraph.evaluation.affinity.published import goal_met
from psigraph.evaluation.affinity.report_board import board
from psigraph.evaluation.experiment import compare_experiment

MODELS: dict[str, Any] = {"transformer_cnn": {}, "hybrid_cnn_gnn": {}}
ERRORS = {"transformer_cnn": 1.0, "hybrid_cnn_gnn": 0.5}


def config_of(**experiments: Any) -> Config:
    common = {"graphset": "complexes", "seeds": [0, 1], "architectures": MODELS}
    return validate_config(
        {
            "datasets": {"poses": {"source": "openmmforcefields"}},
            "graphsets": {"complexes": {"family": "affinity", "datasets": ["poses"]}},
            "experiments": {name: common | own for name, own in experiments.items()},
        }
    )


CONFIG = config_of(
    target={"split": {"by": "group", "draw": 0}, "train_sizes": [20, 60]},
    random={"split": {"by": "random", "draw": 0}},
)


def compute(results: Path, config: Config) -> pd.DataFrame:
    """Write made-up runs of every experiment, compare them, and write the leaderboard."""
    for name, experiment in config.experiments.items():
        files = []
        for model in experiment.architectures:
            for seed in experiment.seeds:
                frame = predictions(model, seed, name, error=ERRORS[model])
                if experiment.split.train is not None:
                    extra = np.flatnonzero(frame["split"] == "train")[experiment.split.train :]
                    frame = frame.drop(index=extra)
                files.append(write_run(results, frame, experiment.split.by))
        outputs = {"output": results / f"evaluation/{name}/comparison.csv", "plots": results / f"plots/{name}/all"}
        compare_experiment(name, [p for p, _ in files], [h for _, h in files], **outputs)
    return write_leaderboard(config, results, **outputs_of(results))


def outputs_of(results: Path) -> dict[str, Path]:
    report = results / "report"
    tables = {"output": report / "leaderboard_affinity.csv", "ablations": report / "ablations_affinity.csv"}
    return {**tables, "plots": results / "plots" / "leaderboard_affinity"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("board")
    return folder, compute(folder, CONFIG)


def test_a_row_says_what_a_model_reached_and_what_it_cost(made: tuple[Path, pd.DataFrame]) -> None:
    folder, table = made
    assert tuple(table.columns) == LEADERBOARD_COLUMNS
    names = {*MODELS, *(f"ensemble:{name}" for name in MODELS), "ensemble"}
    for name in CONFIG.experiments:
        own = table[table["experiment"] == name]
        assert set(own["architecture"]) == names and len(own) == len(names) * len(METRICS)
    row = table.query("experiment == 'random' and architecture == 'hybrid_cnn_gnn' and metric == 'r'").iloc[0]
    comparison = pd.read_csv(folder / "evaluation/random/comparison.csv").query("metric == 'r'")
    alike = comparison[comparison["architecture"] == "hybrid_cnn_gnn"].set_index("reference")
    assert row["value"] == pytest.approx(alike["value"].iloc[0]) and row["sd"] == pytest.approx(alike["sd"].iloc[0])
    assert (row["low"], row["high"]) == pytest.approx((alike["value_low"].iloc[0], alike["value_high"].iloc[0]))
    assert row["floor:ligand"] == pytest.approx(alike.loc["floor:ligand", "value_reference"])
    assert (row["split_kind"], row["drawn"], row["n_seeds"], row["n_test"]) == ("random", "ligands", 2, 40)
    assert (row["parameters"], row["peak_memory_mib"], row["device"]) == (1000, 300, "cpu")
    assert (row["epochs"], row["train_seconds"]) == (3.5, (30 + 33) / 2)
    assert row["goal"] == goal_met(row["value"])


def test_an_ensemble_costs_what_its_members_cost(made: tuple[Path, pd.DataFrame]) -> None:
    _, table = made
    rows = table.query("experiment == 'random' and metric == 'r2'").set_index("architecture")
    assert rows.loc["ensemble:transformer_cnn", "parameters"] == 2000 and rows.loc["ensemble", "parameters"] == 4000
    assert rows.loc["ensemble", "train_seconds"] == 2 * (30 + 33) and rows.loc["ensemble", "epochs"] == 2 * (3 + 4)


def test_training_sizes_are_those_of_the_runs(made: tuple[Path, pd.DataFrame]) -> None:
    folder, table = made
    sizes = table.drop_duplicates("experiment").set_index("experiment")["n_train"]
    assert sizes.to_dict() == {"target-20": 20, "target-60": 60, "random": 60}
    ablations = pd.read_csv(folder / "report/ablations_affinity.csv")
    curve = ablations.query("setting == 'split.train' and architecture == 'hybrid_cnn_gnn' and metric == 'r'")
    assert curve["choice"].astype(str).tolist() == ["20", "60"]


def test_figures_and_the_reports_part(made: tuple[Path, pd.DataFrame]) -> None:
    folder, table = made
    written = sorted(path.name for path in (folder / "plots/leaderboard_affinity").iterdir())
    assert written == ["cost_random.png", "learning_curves.png", "splits.png"]
    shown = board(CONFIG, folder)
    assert shown is not None and shown["heading"] == "Leaderboard: affinity" and len(shown["plots"]) == 3
    rows, costs = (part.rows for part in shown["tables"])
    assert len(rows) == len(costs) == len(table) / len(METRICS)
    line = next(row for row in rows if row[:3] == ["random (random)", "60", "ensemble"])
    value = table.query("experiment == 'random' and architecture == 'ensemble' and metric == 'r'").iloc[0]
    assert line[3].startswith(f"{value['value']:.3f} (")
    assert next(row for row in costs if row[:2] == ["random", "ensemble"])[2] == "4,000"


def test_without_experiments_on_complexes_there_is_no_part(tmp_path: Path) -> None:
    molecules = {"graphset": "molecules", "architectures": {"pamnet": {}}}
    config = validate_config(
        {
            "datasets": {"qm9": {"source": "qm9"}},
            "graphsets": {"molecules": {"family": "regional", "datasets": ["qm9"]}},
            "experiments": {"molecules": molecules},
        }
    )
    assert board(config, tmp_path) is None


@pytest.mark.parametrize(
    ("value", "goal"), [(0.75, "0.750"), (0.749, "0.600"), (0.3, "0.300"), (0.29, "none"), (-1, "none"), (np.nan, "")]
)
def test_goals_are_the_notes(value: float, goal: str) -> None:
    assert goal_met(value) == goal


def test_missing_run_is_named_with_its_command(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"target-20/comparison.csv: no such file; make it"):
        write_leaderboard(CONFIG, tmp_path, **outputs_of(tmp_path))
    assert not outputs_of(tmp_path)["output"].exists()
