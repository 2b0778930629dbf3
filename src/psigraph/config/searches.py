"""`searches`: searches for hyperparameters."""

import copy
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from psigraph.config.architectures import ARCHITECTURES
from psigraph.config.base import Name, Section, did_you_mean
from psigraph.config.experiments import Experiment, Only, base_architecture
from psigraph.config.training import Training

#: Keys of `training` that change no result, or what results are compared by.
NOT_SEARCHED = (
    *("monitor", "mape_epsilon", "log_every", "checkpoint_minutes", "accumulate"),
    *("execution", "threads", "memory_mb", "runtime_min"),
)


#: Keys of `training` that the loss is made of.
LOSS_KEYS = ("loss", "loss_weights", "focal_gamma", "focal_alpha")


def _number(value: Any) -> Any:
    """Return the number that a text like 1e-4 means; YAML takes it for a word."""
    written = isinstance(value, str) and re.fullmatch(r"[-+]?\d+\.?\d*[eE][-+]?\d+", value)
    return float(value) if written else value


Choice = Annotated[bool | int | float | str | None, BeforeValidator(_number)]


class Range(Section):
    """All numbers from `low` to `high`; whole ones where both ends and the step are whole."""

    low: int | float = Field(description="smallest value")
    high: int | float = Field(description="largest value")
    log: bool = Field(False, description="draw evenly on a logarithmic scale")
    step: int | float | None = Field(None, description="distance of the values; null: any; a grid needs it")

    @property
    def whole(self) -> bool:
        return all(isinstance(value, int) for value in (self.low, self.high, self.step or 1))

    @model_validator(mode="after")
    def _order(self) -> "Range":
        if not self.low < self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError(f"log needs low above 0 and no step, got low {self.low} and step {self.step}")
        if self.step is not None and self.step <= 0:
            raise ValueError(f"step {self.step} must be above 0")
        return self

    def values(self) -> list[int | float]:
        """Return low, low + step, … up to high."""
        assert self.step is not None, "check_search has seen to it"
        number = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        found = [self.low + k * self.step for k in range(number)]
        return found if self.whole else [round(value, 12) for value in found]


class Search(Section):
    """A search for the hyperparameters of one architecture: trials with one seed, compared by their validation."""

    experiment: Name = Field(description="experiment whose graphset, split, targets and training are used")
    architecture: str = Field(description="key of the experiment's `architectures`")
    seed: int = Field(0, ge=0, description="draws the trials; and, in each of them, weights, order and split")
    sampler: Literal["tpe", "grid"] = Field(
        "tpe",
        description="tpe: tree-structured Parzen estimator, after ten trials at random; grid: all combinations",
    )
    trials: int | None = Field(20, ge=1, description="trials in all; grid: null for the whole grid")
    workers: int = Field(1, ge=1, description="jobs that draw trials at the same time")
    epochs: int | None = Field(None, ge=1, description="epochs of a trial; null: those of the experiment")
    space: dict[str, Range | Annotated[list[Choice], Field(min_length=1)]] = Field(
        min_length=1,
        description="training.KEY or hyperparameters.KEY: a range {low, high, log, step}, or a list of choices",
    )

    @property
    def total(self) -> int:
        """Trials in all."""
        if self.sampler == "tpe":
            assert self.trials is not None, "check_search has seen to it"
            return self.trials
        size = math.prod(len(values) for values in self.grid().values())
        return size if self.trials is None else min(self.trials, size)

    @property
    def trials_of_a_worker(self) -> int:
        """Trials that the time limit of a job leaves room for: its share and one more."""
        return math.ceil(self.total / self.workers) + 1

    def grid(self) -> dict[str, list[Any]]:
        """Return the values of every key."""
        return {key: item.values() if isinstance(item, Range) else list(item) for key, item in self.space.items()}


def checked_searches(
    searches: Mapping[str, Search], experiments: Mapping[str, Experiment], only: Only
) -> dict[str, Search]:
    """Return the searches, checked; where `only` chooses, those whose experiment and architecture it leaves."""
    chosen = only != Only()
    found = {
        name: search
        for name, search in searches.items()
        if not chosen
        or (search.experiment in experiments and search.architecture in experiments[search.experiment].architectures)
    }
    for name, search in found.items():
        check_search(name, search, experiments)
    return found


def check_search(name: str, search: Search, experiments: Mapping[str, Experiment]) -> None:
    """Raise ValueError where a search asks for what its experiment, architecture or sampler does not have."""
    where = f"searches.{name}"
    _must_know(f"{where}.experiment", search.experiment, experiments)
    experiment = experiments[search.experiment]
    _must_know(f"{where}.architecture", search.architecture, experiment.architectures)
    if not experiment.split.validation:
        raise ValueError(f"{where}: validation compares trials; give {search.experiment}.split.validation a share")
    if search.sampler == "tpe" and search.trials is None:
        raise ValueError(f"{where}.trials: null is for sampler grid; give a number")
    for key, item in search.space.items():
        if search.sampler == "grid" and isinstance(item, Range) and item.step is None:
            raise ValueError(f"{where}.space: {key} has no step, which a grid needs; give it one, or a list of choices")
        _must_fit(f"{where}.space", key, search, experiment)
    if search.workers > search.total:
        raise ValueError(f"{where}.workers: {search.workers} for {search.total} trials; give at most as many")


def _must_know(where: str, name: str, known: Any) -> None:
    if name not in known:
        raise ValueError(f"{where}: no entry {name!r}{did_you_mean(name, known)}; known: {', '.join(known)}")


def _must_fit(where: str, key: str, search: Search, experiment: Experiment) -> None:
    """Raise ValueError for a key that cannot be searched, or a value that it cannot have."""
    part, _, rest = key.partition(".")
    sections: dict[str, type[Section]] = {
        "training": Training,
        "hyperparameters": ARCHITECTURES[base_architecture(search.architecture)],
    }
    if part not in sections or not rest:
        raise ValueError(f"{where}: {key!r} must be training.KEY or hyperparameters.KEY")
    section = sections[part]
    name = rest.partition(".")[0]
    if name not in section.model_fields:
        known = did_you_mean(name, section.model_fields)
        raise ValueError(f"{where}: {key}: {section.__name__.removesuffix('Settings')} has no key {name!r}{known}")
    if part == "training" and (name in NOT_SEARCHED or (search.epochs and name in ("epochs", "steps"))):
        raise ValueError(f"{where}: {key} cannot be searched: it changes no result, or what trials are compared by")
    family = ARCHITECTURES[base_architecture(search.architecture)].family
    by_loss = ("loss", "auto") if family == "affinity" else ("loss",)
    if part == "training" and name in LOSS_KEYS and experiment.training.monitor in by_loss:
        raise ValueError(
            f"{where}: {key} cannot be searched, for trials are compared by the loss; "
            f"set {search.experiment}.training.monitor to mae, rmse or r2"
        )
    current = settings_of(search, experiment)
    item = search.space[key]
    for value in (item.low, item.high) if isinstance(item, Range) else item:
        try:
            section.model_validate(with_values(current, {key: value}, where)[part])
        except ValidationError as error:  # of other keys: they may go together with the values of other keys
            own = [found for found in error.errors() if found["loc"][:1] == (name,)]
            if own:
                raise ValueError(f"{where}: {key}: {own[0]['msg']}, got {value!r}") from None


def settings_of(search: Search, experiment: Experiment) -> dict[str, Any]:
    """Return what a search changes, as it is in the experiment: training and hyperparameters, as JSON values."""
    return {
        "training": experiment.training.model_dump(mode="json"),
        "hyperparameters": experiment.architectures[search.architecture].model_dump(mode="json"),
    }


def entry_of(search: Search, experiment: Experiment) -> dict[str, Any]:
    """Return the experiment as it was written down, with the search's architecture alone, as JSON values."""
    entry = experiment.model_dump(mode="json", exclude_unset=True)
    entry["architectures"] = {search.architecture: entry["architectures"][search.architecture]}
    return {key: value for key, value in entry.items() if key != "train_sizes"}


def with_values(settings: Mapping[str, Any], values: Mapping[str, Any], where: str = "space") -> dict[str, Any]:
    """Return a copy of nested settings in which keys like training.lr have these values.

    Raises ValueError, naming `where`, for a key below one that has no keys.
    """
    changed = copy.deepcopy(dict(settings))
    for key, value in values.items():
        *parts, last = key.split(".")
        place = changed
        for part in parts:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ValueError(f"{where}: {key}: {part} has no keys below it")
        place[last] = value
    return changed
