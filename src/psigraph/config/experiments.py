"""`experiments`: named learning tasks."""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from psigraph.config.architectures import ARCHITECTURES
from psigraph.config.base import Name, Section, did_you_mean
from psigraph.config.training import Split, Training


class Experiment(Section):
    """A learning task on a graphset: one training job for each architecture and seed."""

    graphset: Name = Field(description="name of a graphset")
    architectures: dict[str, Any] = Field(min_length=1, description="architecture: hyperparameters ({} for defaults)")
    seeds: list[int] = Field([0, 1, 2], min_length=1, description="one run each; a seed draws weights, order and split")
    split: Split = Split()
    training: Training = Training()
    targets: list[str] | None = Field(None, min_length=1, description="regional: labels to learn; null: all there are")
    objective: Literal["properties", "quantum", "contrast"] = Field(
        "properties",
        description="regional: what is learned: labels; Psi4's features of atoms and bonds; or to tell regions apart "
        "(InfoNCE). The latter two pretrain encoders",
    )
    start_from: Name | None = Field(
        None, description="regional: experiment whose encoders, of the same architecture and seed, training starts from"
    )
    target_weights: Literal["uncertainty", "equal"] | dict[str, float] = Field(
        "equal",
        description="regional: weights of the targets' losses, in units of the SD that a target has beyond what its "
        "baseline (of the composition, or the mean) says: equal, given by name, or learned (Kendall et al., CVPR 2018)",
    )
    train_sizes: list[int] | None = Field(
        None, min_length=1, description="one experiment NAME-n for each number n of training samples"
    )

    @property
    def base_of(self) -> dict[str, str]:
        """The architecture of each key of `architectures`: `pamnet.wide` is a variant of `pamnet`."""
        return {name: base_architecture(name) for name in self.architectures}

    @field_validator("architectures")
    @classmethod
    def _hyperparameters(cls, value: dict[str, Any]) -> dict[str, Any]:
        checked: dict[str, Any] = {}
        for name, settings in value.items():
            base = base_architecture(name)
            if base not in ARCHITECTURES:
                known = ", ".join(ARCHITECTURES)
                raise ValueError(f"unknown architecture {base!r}{did_you_mean(base, ARCHITECTURES)}; known: {known}")
            checked[name] = ARCHITECTURES[base].model_validate(settings or {})
        return checked

    @field_validator("seeds")
    @classmethod
    def _seeds(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) != len(seeds) or min(seeds) < 0:
            raise ValueError(f"seeds must be different numbers from 0 up, got {seeds}")
        return seeds

    @field_validator("train_sizes")
    @classmethod
    def _train_sizes(cls, sizes: list[int] | None) -> list[int] | None:
        if sizes is not None and (len(set(sizes)) != len(sizes) or min(sizes) < 1):
            raise ValueError(f"train_sizes must be different numbers from 1 up, got {sizes}")
        return sizes

    @model_validator(mode="after")
    def _weights(self) -> "Experiment":
        weights = self.target_weights
        if not isinstance(weights, dict):
            return self
        if self.targets is not None and set(weights) != set(self.targets):
            raise ValueError(f"target_weights {weights} must name each of the targets {', '.join(self.targets)}")
        if not weights or min(weights.values()) < 0 or sum(weights.values()) == 0:
            raise ValueError(f"target_weights {weights}: none may be below 0, and one must be above")
        return self

    @model_validator(mode="after")
    def _one_start(self) -> "Experiment":
        if self.start_from and self.objective != "properties":
            raise ValueError("start_from is for learning properties; a pretraining starts from nothing")
        return self


def base_architecture(name: str) -> str:
    """Return the architecture that a key of `architectures` is a variant of: the part before the first dot."""
    return name.split(".", 1)[0]


def with_training_sizes(experiments: dict[str, Experiment]) -> dict[str, Experiment]:
    """Return the experiments with NAME-n for each of NAME's `train_sizes` in place of NAME."""
    found: dict[str, Experiment] = {}
    for name, experiment in experiments.items():
        sizes: list[int | None] = [None] if experiment.train_sizes is None else [*experiment.train_sizes]
        for size in sizes:
            split = experiment.split if size is None else experiment.split.model_copy(update={"train": size})
            own = experiment.model_copy(update={"split": split, "train_sizes": None})
            found[name if size is None else f"{name}-{size}"] = own
    return found


class Only(Section):
    """A part of the experiments, for the command line: `--config "only={architectures: [pamnet], seeds: [0]}"`."""

    experiments: list[str] | None = Field(None, min_length=1, description="names of experiments; null: all")
    architectures: list[str] | None = Field(None, min_length=1, description="keys of architectures; null: all")
    seeds: list[int] | None = Field(None, min_length=1, description="seeds; null: all")


def chosen(experiments: dict[str, Experiment], only: Only) -> dict[str, Experiment]:
    """Return the experiments that `only` leaves, those they start from included.

    Raises ValueError for a name that no experiment has, or where nothing is left.
    """
    for key, known in (
        ("experiments", list(experiments)),
        ("architectures", sorted({name for item in experiments.values() for name in item.architectures})),
        ("seeds", sorted({seed for item in experiments.values() for seed in item.seeds})),
    ):
        for name in getattr(only, key) or []:
            if name not in known:
                raise ValueError(f"only.{key}: no {name!r}{did_you_mean(str(name), map(str, known))}; known: {known}")
    names = set(only.experiments or experiments)
    names |= {start for name in names if (start := experiments[name].start_from) in experiments}
    found = {name: _part(item, only) for name, item in experiments.items() if name in names}
    found = {name: item for name, item in found.items() if item.architectures and item.seeds}
    if not found:
        raise ValueError("only: no experiment has these architectures and seeds together")
    return found


def _part(experiment: Experiment, only: Only) -> Experiment:
    architectures = {
        name: settings
        for name, settings in experiment.architectures.items()
        if only.architectures is None or name in only.architectures
    }
    seeds = [seed for seed in experiment.seeds if only.seeds is None or seed in only.seeds]
    return experiment.model_copy(update={"architectures": architectures, "seeds": seeds})
