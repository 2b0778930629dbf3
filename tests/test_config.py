"""The configuration schema: documented, free of drift, and clear about mistakes."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from psigraph.config import ConfigError, load_config, validate_config
from psigraph.config.experiments import Experiment, with_training_sizes
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


def test_training_sizes_become_experiments() -> None:
    raw = regional()
    raw["experiments"]["size"]["train_sizes"] = [100, 1000]
    found = validate_config(raw).experiments
    assert list(found) == ["size-100", "size-1000"]
    assert [item.split.train for item in found.values()] == [100, 1000]


def test_only_leaves_a_part() -> None:
    raw = regional() | {"only": {"architectures": ["pamnet.wide"], "seeds": [1]}}
    (item,) = validate_config(raw).experiments.values()
    assert list(item.architectures) == ["pamnet.wide"] and item.seeds == [1]


def test_only_keeps_what_an_experiment_starts_from() -> None:
    raw = regional() | {"only": {"experiments": ["size"]}}
    raw["experiments"]["first"] = raw["experiments"]["size"] | {"objective": "contrast"}
    raw["experiments"]["third"] = dict(raw["experiments"]["size"])
    raw["experiments"]["size"]["start_from"] = "first"
    assert set(validate_config(raw).experiments) == {"size", "first"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start_from": "frist"}, "experiments.size.start_from: no entry 'frist'"),
        ({"architectures": {"delta_coupling": {}}}, "is an architecture of the family delta"),
        ({"architectures": {"pamnett.wide": {}}}, "(did you mean 'pamnet'?)"),
        ({"training": {"monitor": "mape"}}, "monitor mape is for graphsets of the family delta"),
        ({"training": {"monitor": "r2"}}, "monitor r2 is for graphsets of the family affinity"),
        ({"training": {"lr_factors": {"cnn": 0.5}}}, "training.lr_factors is for graphsets of the family affinity"),
        ({"split": {"by": "random"}}, "split.by random is for graphsets of the family affinity"),
        ({"split": {"by": "size"}}, "needs train_heavy"),
        ({"split": {"by": "size", "train_heavy": 7, "test_heavy": 7}}, "must be above train_heavy 7"),
        ({"split": {"validation": 12.5}}, "give a whole number"),
    ],
)
def test_mistakes_in_regional_experiments_are_named(change: dict[str, Any], message: str) -> None:
    raw = regional()
    raw["experiments"]["size"] |= change
    with pytest.raises(ConfigError) as caught:
        validate_config(raw)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"computed": []}, "name the level too"),
        ({"computed": ["qm8"], "level": "hf"}, "computed: 'qm8' is none of datasets: qm9"),
    ],
)
def test_mistakes_in_what_is_computed_are_named(change: dict[str, Any], message: str) -> None:
    raw = regional() | {"levels": {"hf": {}}}
    raw["graphsets"]["qm9"] |= change
    with pytest.raises(ConfigError, match=message):
        validate_config(raw)


@pytest.mark.parametrize("only", [{"experiments": ["sise"]}, {"architectures": ["pamnet.wid"]}, {"seeds": [7]}])
def test_only_names_what_is_not_there(only: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"only\.\w+: no "):
        validate_config(regional() | {"only": only})


def regional() -> dict[str, Any]:
    """A configuration with one experiment, `size`, of molecules."""
    return {
        "datasets": {"qm9": {"source": "qm9", "max_structures": 10}},
        "graphsets": {"qm9": {"family": "regional", "datasets": ["qm9"]}},
        "experiments": {
            "size": {"graphset": "qm9", "architectures": {"pamnet": {}, "pamnet.wide": {"dim": 128}}, "seeds": [0, 1]}
        },
    }


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"u0": 1.0}, "must name each of the targets u0, gap"),
        ({"u0": 1.0, "gap": -1.0}, "none may be below 0"),
        ({"u0": 0.0, "gap": 0.0}, "one must be above"),
    ],
)
def test_target_weights_fit_the_targets(weights: dict[str, float], message: str) -> None:
    section = {"graphset": "g", "architectures": {"pamnet": {}}, "targets": ["u0", "gap"]}
    assert Experiment.model_validate({**section, "target_weights": {"u0": 2.0, "gap": 0.0}}).target_weights
    with pytest.raises(ValueError, match=message):
        Experiment.model_validate({**section, "target_weights": weights})


def test_variants_and_training_sizes() -> None:
    """`pamnet.wide` has settings of its own and is built as pamnet; each training size is an experiment."""
    section = {"graphset": "g", "architectures": {"pamnet": {}, "pamnet.wide": {"dim": 128}}, "train_sizes": [100, 30]}
    experiment = Experiment.model_validate(section)
    assert experiment.base_of == {"pamnet": "pamnet", "pamnet.wide": "pamnet"}
    assert experiment.architectures["pamnet.wide"].dim == 128 != experiment.architectures["pamnet"].dim
    found = with_training_sizes({"size": experiment})
    assert {name: (item.split.train, item.train_sizes) for name, item in found.items()} == {
        "size-100": (100, None),
        "size-30": (30, None),
    }
