"""configs/affinity-open.yaml is the recipe of the user's note (spec/affinity.md), and training follows it."""

from pathlib import Path

import pytest
import torch
import yaml

from psigraph.config import Config, Experiment, Training
from psigraph.models import build_model
from psigraph.training.schedule import make_optimizer, scheduler

FILE = Path(__file__).parents[1] / "configs/affinity-open.yaml"
NOTED = ("target", "random", "scaffold")


@pytest.fixture(scope="module")
def config() -> Config:
    return Config.model_validate(yaml.safe_load(FILE.read_text()))  # its data may not be here


@pytest.mark.parametrize("name", NOTED)
def test_the_notes_recipe(config: Config, name: str) -> None:
    found = config.experiments[name].training
    assert (found.batch_size, found.epochs, found.lr) == (8, 100, 2e-4)
    assert found.lr_factors == {"cnn": 0.5, "transformer": 1.5, "head": 1.0}
    assert (found.weight_decay, found.betas, found.eps) == (1e-4, (0.9, 0.999), 1e-8)
    assert (found.schedule, found.warmup_epochs, found.restart_epochs, found.restart_factor) == (
        "warm_restarts", 10, 15, 2,
    )  # fmt: skip
    assert (found.loss, found.loss_weights) == ("combined", {"mse": 1.0, "mae": 0.5, "huber": 0.3})
    assert (found.patience, found.clip_norm, found.log_every) == (30, 1.0, 5)
    assert set(config.experiments[name].architectures) == {
        "transformer_cnn", "hybrid_cnn_gnn", "residual_transformer_cnn",
    }  # fmt: skip


def test_the_three_splits_stand_side_by_side(config: Config) -> None:
    assert [config.experiments[name].split.by for name in NOTED] == ["given", "random", "scaffold"]
    assert {config.experiments[name].split.draw for name in NOTED} == {0}


def test_groups_of_parameters_get_their_rates_through_warm_up_and_restarts(config: Config) -> None:
    experiment: Experiment = config.experiments["target"]
    training: Training = experiment.training
    model = build_model("transformer_cnn", {"dim": 16, "blocks": 1, "heads": 2}, targets=1)
    optimizer = make_optimizer(model, training)
    assert isinstance(optimizer, torch.optim.AdamW)
    batches = 4
    schedule = scheduler(optimizer, training, batches)
    sizes = {name: sum(p.numel() for p in found) for name, found in model.parameter_groups().items()}
    of_group = {sum(p.numel() for p in group["params"]): group for group in optimizer.param_groups}
    highest: dict[str, list[float]] = {name: [] for name in sizes}
    for _ in range(100 * batches):
        for name, size in sizes.items():
            highest[name].append(of_group[size]["lr"])
        optimizer.step()
        schedule.step()
    for name, factor in training.lr_factors.items():
        rates = highest[name]
        assert max(rates) == pytest.approx(2e-4 * factor)
        tops = [step // batches for step in range(1, len(rates)) if rates[step] == max(rates)]
        assert tops == [10, 25, 55]  # after 10 epochs of warm-up, then after 15 and after 30 more
        assert rates[0] < 0.05 * max(rates) and min(rates[24 * batches : 25 * batches]) < 0.01 * max(rates)
