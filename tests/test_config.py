"""The configuration schema: documented, free of drift, and clear about mistakes."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from psigraph.config import ConfigError, load_config, validate_config
from psigraph.config_docs import reference, schema


@pytest.fixture
def raw(repository: Path) -> dict[str, Any]:
    return yaml.safe_load((repository / "config.yaml").read_text())


def test_reference_and_schema_are_up_to_date(repository: Path) -> None:
    assert (repository / "docs/config.md").read_text() == reference(), "run: python -m psigraph.config_docs docs"
    assert (repository / "docs/config.schema.json").read_text() == schema(), "run: python -m psigraph.config_docs docs"


def test_every_shipped_configuration_is_valid(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    files = [repository / "config.yaml", *repository.glob("configs/*.yaml"), *repository.glob("tests/configs/*.yaml")]
    checked = 0
    for path in files:
        try:
            load_config(path)
            checked += 1
        except ConfigError as error:  # only data beside the repository may be missing
            assert "no folder '../shared" in str(error) and not Path("../shared").is_dir(), error
    assert checked >= 4


def test_notes_defaults_are_the_schemas(repository: Path) -> None:
    note = load_config(repository / "configs/delta-note.yaml")
    training = note.experiments["delta_note"].training
    assert (training.epochs, training.batch_size, training.lr) == (1500, 5, 1e-3)
    assert (training.pct_start, training.min_scheduler_steps, training.patience, training.log_every) == (
        0.3,
        20,
        250,
        10,
    )
    model = note.experiments["delta_note"].architectures["delta_coupling"]
    assert (model.num_conv_layers, model.num_rbf, note.graphsets["dimers"].cutoff) == (6, 50, 12.0)
    defaults = type(training)()
    for name in ("epochs", "batch_size", "lr", "pct_start", "min_scheduler_steps", "patience", "log_every"):
        assert getattr(defaults, name) == getattr(training, name)


@pytest.mark.parametrize(
    ("where", "key", "value", "message"),
    [
        ("graphsets.small_dimers", "cutoff", 0, "cutoff must be above 0 and at most 50 Å, got 0.0"),
        ("graphsets.small_dimers", "cutoff", 51, "cutoff must be above 0 and at most 50 Å, got 51.0"),
        ("graphsets.small_dimers", "cutoff", float("inf"), "cutoff must be above 0 and at most 50 Å, got inf"),
        ("graphsets.small_dimers", "cutoff", float("nan"), "cutoff must be above 0 and at most 50 Å, got nan"),
        ("graphsets.small_dimers", "cutof", 5, "unknown key 'graphsets.small_dimers.cutof' (value 5) (did you mean"),
        ("graphsets.small_dimers", "unit", "kcal", "graphsets.small_dimers.unit: Input should be 'kcal/mol'"),
        ("graphsets.small_dimers", "level", "hf-def2svpp", "no entry 'hf-def2svpp' (did you mean 'hf-def2svp'?)"),
        ("graphsets.small_dimers", "level", None, "v0: hf needs a level of theory"),
        ("datasets.small_dimers", "databases", ["S66x8"], "unknown database 'S66x8' (did you mean 'S66by8'?)"),
        ("experiments.delta", "graphset", "dimers", "experiments.delta.graphset: no entry 'dimers'"),
        ("experiments.delta", "seeds", [1, 1], "seeds must be different numbers from 0 up, got [1, 1]"),
        ("experiments.delta.split", "test", 0.95, "leave nothing to train on"),
        ("experiments.delta", "architectures", {"delta_couplin": {}}, "(did you mean 'delta_coupling'?)"),
        ("experiments.delta.architectures.delta_coupling", "num_rb", 3, "(did you mean 'num_rbf'?)"),
        ("", "dataset", {}, "unknown key 'dataset' (value {}) (did you mean 'datasets'?)"),
    ],
)
def test_mistakes_are_named(raw: dict[str, Any], where: str, key: str, value: Any, message: str) -> None:
    section = raw
    for part in filter(None, where.split(".")):
        section = section[part]
    section[key] = value
    with pytest.raises(ConfigError) as caught:
        validate_config(raw, "config.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("config.yaml: ")


def test_missing_folder_is_named(raw: dict[str, Any]) -> None:
    raw["datasets"]["mine"] = {"source": "xyz_folder", "path": "no/such/folder"}
    with pytest.raises(ConfigError, match=r"datasets\.mine\.path: no folder 'no/such/folder'"):
        validate_config(raw)


def test_file_that_is_no_yaml(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("a: [1,\n")
    with pytest.raises(ConfigError, match=r"config\.yaml: not valid YAML"):
        load_config(tmp_path / "config.yaml")
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "other.yaml")
