"""The configuration of searches: what is read, what is refused and what it says, and what becomes of values."""

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from psigraph.config import Experiment, Only
from psigraph.config.searches import Range, Search, check_search, checked_searches, entry_of, settings_of, with_values

EXPERIMENTS = {
    "molecules": Experiment.model_validate(
        {
            "graphset": "g",
            "seeds": [0, 1],
            "architectures": {"pamnet": {"dim": 32}, "tiered_heads": {"dim": 16}},
            "training": {"epochs": 30, "lr": 2e-4},
            "train_sizes": None,
        }
    )
}

TEXT = """
experiment: molecules
architecture: pamnet
space:
  training.lr: {low: 1e-5, high: 1e-3, log: true}
  training.weight_decay: [0, 1e-4, 1.0e-3]
  hyperparameters.layers: {low: 1, high: 5, step: 2}
  hyperparameters.intensive: [mean, sum]
  hyperparameters.quantum: [true, false]
"""


def search(**changes: Any) -> Search:
    return Search.model_validate({**yaml.safe_load(TEXT), **changes})


def test_numbers_are_what_they_look_like() -> None:
    """YAML takes 1e-5 for a word."""
    space = search().space
    lr, decay, layers = (space[f] for f in ("training.lr", "training.weight_decay", "hyperparameters.layers"))
    assert isinstance(lr, Range) and (lr.low, lr.high, lr.log, lr.whole) == (1e-5, 1e-3, True, False)
    assert decay == [0, 1e-4, 1e-3] and [type(value) for value in decay] == [int, float, float]
    assert isinstance(layers, Range) and layers.whole and layers.values() == [1, 3, 5]
    assert space["hyperparameters.intensive"] == ["mean", "sum"]
    assert space["hyperparameters.quantum"] == [True, False]
    check_search("s", search(), EXPERIMENTS)


def test_values_of_a_range_with_steps_are_round_numbers() -> None:
    assert Range(low=0.0, high=0.4, step=0.1).values() == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert Range(low=0, high=0.35, step=0.1).values() == [0.0, 0.1, 0.2, 0.3]
    assert not Range(low=0, high=0.4).whole and not Range(low=1, high=3, step=0.5).whole and Range(low=1, high=3).whole


def test_size_of_a_search() -> None:
    grid = {"training.lr": [1e-4, 1e-3], "hyperparameters.layers": {"low": 1, "high": 3, "step": 1}}
    assert search().total == 20
    assert search(sampler="grid", trials=None, space=grid).total == 6
    assert search(sampler="grid", trials=4, space=grid).total == 4
    assert search(sampler="grid", trials=40, space=grid).total == 6
    assert search(trials=20, workers=3).trials_of_a_worker == 8, "a share of seven and one more"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"experiment": "molecule"}, r"searches.s.experiment: no entry 'molecule' .did you mean 'molecules'"),
        ({"architecture": "pamet"}, r"searches.s.architecture: no entry 'pamet' .did you mean 'pamnet'"),
        ({"trials": None}, "searches.s.trials: null is for sampler grid"),
        ({"trials": 2, "workers": 3}, "searches.s.workers: 3 for 2 trials"),
        ({"sampler": "grid"}, "training.lr has no step, which a grid needs"),
        ({"space": {"lr": [1, 2]}}, "'lr' must be training.KEY or hyperparameters.KEY"),
        ({"space": {"training": [1, 2]}}, "'training' must be training.KEY or hyperparameters.KEY"),
        ({"space": {"training.lrr": [1, 2]}}, "training.lrr: Training has no key 'lrr' .did you mean 'lr'"),
        ({"space": {"hyperparameters.layer": [1]}}, "Pamnet has no key 'layer' .did you mean 'layers'"),
        ({"space": {"hyperparameters.layers": [1, 0]}}, "layers: Input should be greater than or equal to 1, got 0"),
        ({"space": {"training.lr": {"low": 0, "high": 1e-3}}}, "lr: Input should be greater than 0, got 0"),
        ({"space": {"hyperparameters.dim": [32.5]}}, "dim: Input should be a valid integer.*, got 32.5"),
        ({"space": {"training.lr.cnn": [1]}}, "training.lr.cnn: lr has no keys below it"),
        ({"space": {"training.loss_weights.mape": [1]}}, "loss_weights.mape: Input should be 'mse', 'mae' or 'huber'"),
        ({"space": {"training.monitor": ["mae"]}}, "training.monitor cannot be searched"),
        ({"space": {"training.threads": [1, 2]}}, "training.threads cannot be searched"),
        ({"space": {"training.epochs": [10, 20]}, "epochs": 5}, "training.epochs cannot be searched"),
    ],
)
def test_wrong_searches_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_search("s", search(**changes), EXPERIMENTS)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"low": 2, "high": 1}, "low 2 must be below high 1"),
        ({"low": 0, "high": 1, "log": True}, "log needs low above 0 and no step"),
        ({"low": 1, "high": 2, "log": True, "step": 1}, "log needs low above 0 and no step"),
        ({"low": 1, "high": 2, "step": 0}, "step 0 must be above 0"),
        ([], "at least 1 item"),
    ],
)
def test_wrong_ranges_are_named(item: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        search(space={"training.lr": item})


def test_values_that_only_go_with_others_are_left_to_the_trials() -> None:
    """12 heads do not divide 16, but 24."""
    space = {"hyperparameters.heads": [4, 12], "hyperparameters.dim": [16, 24]}
    check_search("s", search(architecture="tiered_heads", space=space), EXPERIMENTS)


@pytest.mark.parametrize(
    ("architecture", "monitor", "refused"),
    [
        ("pamnet", "auto", False),
        ("pamnet", "loss", True),
        ("transformer_cnn", "auto", True),
        ("transformer_cnn", "loss", True),
        ("transformer_cnn", "r2", False),
    ],
)
def test_loss_that_compares_trials_is_not_searched(architecture: str, monitor: str, refused: bool) -> None:
    raw = {"graphset": "g", "architectures": {architecture: {}}, "training": {"monitor": monitor}}
    experiments = {"molecules": Experiment.model_validate(raw)}
    item = search(architecture=architecture, space={"training.loss_weights.mae": [0.1, 1.0]})
    if not refused:
        check_search("s", item, experiments)
        return
    with pytest.raises(ValueError, match="mae cannot be searched.*set molecules.training.monitor to mae, rmse or r2"):
        check_search("s", item, experiments)


def test_experiment_without_validation_is_refused() -> None:
    split = EXPERIMENTS["molecules"].split.model_copy(update={"validation": 0.0})
    without = {"molecules": EXPERIMENTS["molecules"].model_copy(update={"split": split})}
    with pytest.raises(ValueError, match="give molecules.split.validation a share"):
        check_search("s", search(), without)


def test_only_leaves_out_searches_of_others() -> None:
    searches = {"a": search(), "b": search(architecture="tiered_heads", space={"training.lr": [1e-3]})}
    assert list(checked_searches(searches, EXPERIMENTS, Only())) == ["a", "b"]
    left = {"molecules": EXPERIMENTS["molecules"].model_copy(update={"architectures": {"pamnet": None}})}
    with pytest.raises(ValueError, match="searches.b.architecture"):
        checked_searches({"b": searches["b"]}, left, Only())
    assert checked_searches({"b": searches["b"]}, left, Only(architectures=["pamnet"])) == {}


def test_values_go_where_their_keys_say() -> None:
    settings = settings_of(search(), EXPERIMENTS["molecules"])
    values = {"training.lr": 1e-4, "training.lr_factors.cnn": 0.5, "hyperparameters.layers": 3}
    changed = with_values(settings, values)
    assert changed["training"]["lr"] == 1e-4 and changed["training"]["lr_factors"] == {"cnn": 0.5}
    assert changed["hyperparameters"] == {**settings["hyperparameters"], "layers": 3}
    assert settings == settings_of(search(), EXPERIMENTS["molecules"]), "the original is left alone"


def test_entry_is_the_experiment_as_it_was_written() -> None:
    assert entry_of(search(), EXPERIMENTS["molecules"]) == {
        "graphset": "g",
        "seeds": [0, 1],
        "architectures": {"pamnet": {"dim": 32}},
        "training": {"epochs": 30, "lr": 2e-4},
    }
