"""The whole configuration, and how a file becomes it: every mistake is named with its key, value and remedy."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from psigraph.config.architectures import ARCHITECTURES
from psigraph.config.base import ConfigError, Name, Section, did_you_mean
from psigraph.config.datasets import SOURCES, Dataset
from psigraph.config.experiments import Experiment, Only, base_architecture, chosen, with_training_sizes
from psigraph.config.graphsets import AffinityGraphset, DeltaGraphset, Graphset, RegionalGraphset
from psigraph.config.levels import Level, Quantum
from psigraph.config.searches import Search, checked_searches
from psigraph.config.training import Split, Training
from psigraph.quantum.table import FEATURES

#: Keys of an experiment that not all families have, and those that do.
KEYS_OF: dict[str, tuple[str, ...]] = {
    "targets": ("regional",),
    "objective": ("regional",),
    "start_from": ("regional",),
    "target_weights": ("regional",),
    "train_sizes": ("regional", "affinity"),
}
#: The same for keys of `training`.
TRAINING_KEYS_OF: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("lr_factors", "loss", "loss_weights", "focal_gamma", "focal_alpha"), ("affinity",)),
    **dict.fromkeys(("translate", "noise"), ("affinity",)),
}
#: Metrics that not all families can be selected by, and those that can.
MONITORS_OF: dict[str, tuple[str, ...]] = {
    "mape": ("delta",),
    **dict.fromkeys(("rmse", "r2", "loss"), ("affinity",)),
}
#: Kinds of splits that not all families have, and those that do.
SPLITS_OF: dict[str, tuple[str, ...]] = {
    "system": ("delta", "regional"),
    "scaffold": ("regional", "affinity"),
    "size": ("regional",),
    "random": ("affinity",),
    "given": ("affinity",),
}


class Config(Section):
    """config.yaml."""

    datasets: dict[Name, Dataset] = Field(min_length=1, description="named sources of structures")
    levels: dict[Name, Level] = Field({}, description="named levels of theory")
    quantum: Quantum = Quantum()
    graphsets: dict[Name, Graphset] = Field(min_length=1, description="named kinds of graphs")
    only: Only = Only()
    experiments: dict[Name, Experiment] = Field(min_length=1, description="named learning tasks")
    searches: dict[Name, Search] = Field({}, description="named searches for hyperparameters")

    @field_validator("searches")
    @classmethod
    def _checked(cls, searches: dict[str, Search], info: ValidationInfo) -> dict[str, Search]:
        if "experiments" not in info.data:  # they have mistakes of their own
            return searches
        return checked_searches(searches, info.data["experiments"], info.data.get("only") or Only())

    @field_validator("experiments")
    @classmethod
    def _chosen(cls, experiments: dict[str, Experiment], info: ValidationInfo) -> dict[str, Experiment]:
        return chosen(with_training_sizes(experiments), info.data.get("only") or Only())

    @model_validator(mode="after")
    def _references(self) -> "Config":
        for name, graphset in self.graphsets.items():
            for dataset in graphset.datasets:
                _must_exist(f"graphsets.{name}.datasets", dataset, self.datasets)
            if graphset.level not in (None, "given"):
                _must_exist(f"graphsets.{name}.level", str(graphset.level), self.levels)
                _must_compute(name, graphset, self.levels[str(graphset.level)])
        for name, experiment in self.experiments.items():
            _must_exist(f"experiments.{name}.graphset", experiment.graphset, self.graphsets)
            _must_fit(name, experiment, self.graphsets[experiment.graphset].family)
            if experiment.start_from is not None:
                _must_exist(f"experiments.{name}.start_from", experiment.start_from, self.experiments)
                _must_start(name, experiment, self.experiments[experiment.start_from])
        if "given" in self.levels:
            raise ValueError("levels: the name 'given' means the raw data's own features; choose another")
        return self


def _must_exist(where: str, name: str, known: Any) -> None:
    if name not in known:
        raise ValueError(f"{where}: no entry {name!r}{did_you_mean(name, known)}; known: {', '.join(known) or 'none'}")


def _must_fit(name: str, experiment: Experiment, family: str) -> None:
    """Raise ValueError where an experiment asks for what its family does not have."""
    for architecture in experiment.architectures:
        found = ARCHITECTURES[base_architecture(architecture)].family
        if found != family:
            raise ValueError(
                f"experiments.{name}: {architecture} is an architecture of the family {found}, the graphset "
                f"{experiment.graphset!r} of {family}; name another of them"
            )
    training, by = experiment.training, experiment.split.by
    wrong = [
        *((key, KEYS_OF[key]) for key in _set(experiment, KEYS_OF)),
        *((f"training.{key}", TRAINING_KEYS_OF[key]) for key in _set(training, TRAINING_KEYS_OF)),
        (f"training.monitor {training.monitor}", MONITORS_OF.get(training.monitor, (family,))),
        (f"split.by {by}", SPLITS_OF.get(by, (family,))),
    ]
    for what, families in wrong:
        if family not in families:
            raise ValueError(
                f"experiments.{name}: {what} is for graphsets of the family {' or '.join(families)}; leave it out"
            )


def _set(section: Section, keys: Any) -> list[str]:
    """Those of the keys whose values are not the default's."""
    return [key for key in keys if getattr(section, key) != type(section).model_fields[key].default]


def _must_start(name: str, experiment: Experiment, first: Experiment) -> None:
    """Raise ValueError where an experiment starts from one that does not train the same architectures and seeds."""
    for key in ("architectures", "seeds"):
        lacking = [item for item in getattr(experiment, key) if item not in getattr(first, key)]
        if lacking:
            raise ValueError(
                f"experiments.{name}: starts from {experiment.start_from}, which has no run with {lacking[0]}; "
                f"add it to experiments.{experiment.start_from}.{key}"
            )
    if first.start_from is not None:
        raise ValueError(f"experiments.{name}: {experiment.start_from} itself starts from {first.start_from}")


def _must_compute(name: str, graphset: Graphset, level: Level) -> None:
    computed = level.computed()
    missing = [n for n in graphset.needed_features() if FEATURES[n].program in ("psi4", "pyscf") and n not in computed]
    if missing:
        raise ValueError(
            f"graphsets.{name}: level {graphset.level!r} does not compute {', '.join(missing)}; "
            f"add to levels.{graphset.level}.features"
        )


def load_config(path: str | Path) -> Config:
    """Read and validate a configuration file. Raises ConfigError naming the file, key, value and remedy."""
    path = Path(path)
    try:
        raw = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    return validate_config(raw, str(path))


def validate_config(raw: Any, where: str = "config") -> Config:
    """Validate a configuration that was read already, files it names included; `where` is named in errors."""
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        lines = [_explain(item, raw) for item in error.errors()]
        raise ConfigError(f"{where}: " + f"\n{where}: ".join(dict.fromkeys(lines))) from None
    for name, dataset in config.datasets.items():
        folder = getattr(dataset, "path", None)
        if folder is not None and not Path(folder).is_dir():
            raise ConfigError(f"{where}: datasets.{name}.path: no folder {str(folder)!r}; correct the path")
    return config


def _explain(item: Any, raw: Any) -> str:
    """One line for one pydantic error: key, message and, for an unknown key, the nearest known one."""
    loc = item["loc"]  # pydantic inserts the kind of a dataset or graphset at place 2
    parts = [str(p) for i, p in enumerate(loc) if i != 2 or loc[0] not in ("datasets", "graphsets")]
    key = ".".join(parts)
    if item["type"] == "extra_forbidden":
        return f"unknown key {key!r} (value {item['input']!r}){did_you_mean(parts[-1], _siblings(item['loc']))}"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "value_error":
        return f"{key}: {message}" if key and not message.startswith(key) else message
    return f"{key}: {message}, got {item['input']!r}" if item["type"] != "missing" else f"{key}: {message}"


def _siblings(loc: tuple[Any, ...]) -> list[str]:
    """Known keys that an unknown one at `loc` may have meant: those of Config at the top, else of every section."""
    if len(loc) == 1:
        return list(Config.model_fields)
    return sorted({key for section in _SECTIONS for key in section.model_fields})


_SECTIONS: tuple[type[Section], ...] = (
    *SOURCES.values(),
    Level,
    Quantum,
    DeltaGraphset,
    RegionalGraphset,
    AffinityGraphset,
    Split,
    Training,
    Experiment,
    Only,
    Search,
    *ARCHITECTURES.values(),
)
