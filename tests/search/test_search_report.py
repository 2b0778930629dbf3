"""What is written of a search: its table, its best trial as an experiment that can be used, its figures."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from psigraph.config import validate_config
from psigraph.config.searches import Search, entry_of, settings_of
from psigraph.search.figures import draw_rates, shown
from psigraph.search.report import best_entry, write_search
from psigraph.search.study import SearchError

CONFIG: dict[str, Any] = {
    "datasets": {"d": {"source": "openmmforcefields"}},
    "graphsets": {"g": {"family": "affinity", "datasets": ["d"]}},
    "experiments": {
        "e": {
            "graphset": "g",
            "architectures": {"transformer_cnn": {"dim": 32}, "hybrid_cnn_gnn": {}},
            "training": {"epochs": 40, "lr": 2e-4},
        }
    },
}
SEARCH = Search.model_validate(
    {
        "experiment": "e",
        "architecture": "transformer_cnn",
        "workers": 2,
        "epochs": 5,
        "space": {
            "training.lr": {"low": 1e-5, "high": 1e-3, "log": True},
            "training.loss_weights.mae": {"low": 0.0, "high": 1.0},
            "hyperparameters.blocks": {"low": 1, "high": 6},
            "hyperparameters.heads": [4, 8],
        },
    }
)
EXPERIMENT = validate_config(CONFIG).experiments["e"]
ENTRY, SETTINGS = entry_of(SEARCH, EXPERIMENT), settings_of(SEARCH, EXPERIMENT)


def row(number: int, value: float | None, higher: bool = False) -> dict[str, Any]:
    values = [10 ** (-5 + 0.2 * number), 0.1 * number, 1 + number % 6, (4, 8)[number % 2]]
    found = {
        "number": number,
        "state": "failed" if value is None else "complete",
        "worker": number % 2,
        "cost": None if value is None else -value if higher else value,
        "values": dict(zip(SEARCH.space, values, strict=True)),
        "reason": "TrainingError: too many" if value is None else "",
    }
    kept = {"monitor": "validation mae", "higher_is_better": higher, "best_epoch": 4, "epochs_run": 5, "seconds": 1.5}
    return found if value is None else {**found, **kept, "value": value, "parameters": 100}


def write(folder: Path, values: list[float | None], higher: bool = False, studies: tuple[str, str] = ("a", "a")) -> Any:
    rows = [row(number, value, higher) for number, value in enumerate(values)]
    workers = []
    for worker in (0, 1):
        workers.append(folder / f"worker{worker}.json")
        content = {"study": studies[worker], "worker": worker, "trials": rows[worker::2]}
        workers[-1].write_text(json.dumps(content))
    files = {"table": folder / "trials.csv", "best": folder / "best.yaml", "plots": folder / "plots"}
    write_search("s", SEARCH, ENTRY, SETTINGS, workers, **files)
    return rows


def test_table_has_every_trial(tmp_path: Path) -> None:
    rows = write(tmp_path, [3.0, None, 1.0, 2.0])
    with open(tmp_path / "trials.csv", newline="") as file:
        found = list(csv.DictReader(file))
    assert [line["number"] for line in found] == ["0", "1", "2", "3"]
    assert [line["value"] for line in found] == ["3.0", "", "1.0", "2.0"]
    assert [line["reason"] for line in found] == ["", "TrainingError: too many", "", ""]
    for line, expected in zip(found, rows, strict=True):
        assert {key: line[key] for key in SEARCH.space} == {k: str(v) for k, v in expected["values"].items()}


@pytest.mark.parametrize(("higher", "best"), [(False, 2), (True, 4)])
def test_best_is_an_experiment_of_its_own(tmp_path: Path, higher: bool, best: int) -> None:
    write(tmp_path, [3.0, None, 1.0, 2.0, 9.0], higher)
    text = (tmp_path / "best.yaml").read_text()
    assert text.startswith(f"# Best of 5 trials of the search s: trial {best}, validation mae")
    experiments = {**CONFIG["experiments"], **yaml.safe_load(text)["experiments"]}
    config = validate_config({**CONFIG, "experiments": experiments})
    found, values = config.experiments["e_s"], row(best, 1.0)["values"]
    assert config.experiments["e"] == EXPERIMENT, "the experiment itself is untouched"
    assert list(found.architectures) == ["transformer_cnn"]
    assert found.training.lr == pytest.approx(values["training.lr"]) and found.training.epochs == 40
    model = found.architectures["transformer_cnn"]
    assert (model.dim, model.blocks) == (32, values["hyperparameters.blocks"])
    assert model.heads == values["hyperparameters.heads"]


def test_neighbours_of_a_key_below_another_are_written_too(tmp_path: Path) -> None:
    """Terms of the loss that are not named weigh 0, and a trial had them all."""
    entry = best_entry(SEARCH, ENTRY, SETTINGS, {"training.loss_weights.mae": 0.7})
    assert entry["training"]["loss_weights"] == {"mse": 1.0, "mae": 0.7, "huber": 0.3}
    assert "lr_factors" not in entry["training"] and ENTRY["training"] == {"epochs": 40, "lr": 2e-4}


def test_equal_trials_the_first_is_the_best(tmp_path: Path) -> None:
    write(tmp_path, [2.0, 1.0, 1.0])
    assert "trial 1, " in (tmp_path / "best.yaml").read_text()


def test_workers_of_different_studies(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="different searches; delete"):
        write(tmp_path, [1.0, 2.0], studies=("a", "b"))


def test_nothing_succeeded(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="search s: all 2 trials have failed; the last one: TrainingError"):
        write(tmp_path, [None, None])


@pytest.mark.parametrize("values", [[3.0], [3.0, None, 1.0, 2.0], [1.0, 1.0, 1.0], [-40.0, 0.1, 0.4, 1e4, 0.2]])
@pytest.mark.parametrize("higher", [False, True])
def test_figures_are_drawn(tmp_path: Path, values: list[float | None], higher: bool) -> None:
    write(tmp_path, values, higher)
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"history.png", "slices.png"}
    for path in (tmp_path / "plots").iterdir():
        pixels = np.asarray(Image.open(path).convert("L"))
        assert (pixels < 128).mean() > 0.002, "something stands on it"


def test_far_values_are_drawn_nearer() -> None:
    values = np.array([1.0, 1.1, 1.3, 1.2, 50.0])
    assert shown(values, 1.0).tolist() == pytest.approx([1.0, 1.1, 1.3, 1.2, 1.8])
    assert shown(np.array([0.5, 0.5, 9.0]), 0.5).tolist() == [0.5, 0.5, 9.0], "no distance to measure by"


def test_curve_of_rates_is_drawn_without_its_divergence(tmp_path: Path) -> None:
    rates = np.geomspace(1e-7, 1, 100)
    losses = np.where(rates < 0.1, 1 - 0.3 * (rates > 1e-4), 1e6)
    for place in (60, None):
        draw_rates(tmp_path / "lr.png", "title", rates, losses, losses, place)
        assert (np.asarray(Image.open(tmp_path / "lr.png").convert("L")) < 128).mean() > 0.002
