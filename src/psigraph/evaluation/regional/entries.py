"""What a leaderboard lists: architectures of experiments with their settings, and which differ in one setting only."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psigraph.config import Config, base_architecture
from psigraph.stores import canonical_json

#: Settings that change how a run is computed and not what it learns.
NEUTRAL = ("shards", "seeds", "architectures", "graphset", "train_sizes")
NEUTRAL_TRAINING = ("threads", "memory_mb", "runtime_min", "log_every", "checkpoint_minutes", "execution", "accumulate")


@dataclass(frozen=True)
class Entry:
    """One architecture of one experiment, trained with several seeds; `settings` are all that decide its result."""

    experiment: str
    architecture: str  # a key of the experiment, such as pamnet or pamnet.wide
    settings: Mapping[str, Any]

    @property
    def base(self) -> str:
        return base_architecture(self.architecture)

    @property
    def variant(self) -> str:
        """What follows the first dot of the key; empty for the architecture itself."""
        return self.architecture.removeprefix(self.base).removeprefix(".")


@dataclass(frozen=True)
class Difference:
    """Entries of one architecture that differ in `setting` only, with their values of it."""

    setting: str
    entries: tuple[tuple[Any, Entry], ...]


def entries_of(config: Config, family: str = "regional") -> list[Entry]:
    """Return the entries of all experiments of a family that learn labels, in the order of the configuration."""
    return [
        Entry(name, architecture, settings_of(config, name, architecture))
        for name, experiment in config.experiments.items()
        if config.graphsets[experiment.graphset].family == family and experiment.objective == "properties"
        for architecture in experiment.architectures
    ]


def settings_of(config: Config, experiment: str, architecture: str) -> dict[str, Any]:
    """Return what decides a run's result, flat: of the experiment, `graphset.KEY`, and hyperparameters `model.KEY`.

    A level that no dataset is computed at counts as none: it makes room for the columns of an encoder.
    """
    item = config.experiments[experiment]
    own = item.model_dump(mode="json")
    graphset = config.graphsets[item.graphset].model_dump(mode="json")
    if graphset.get("computed") == []:
        graphset |= {"level": None, "computed": None}
    found = {key: value for key, value in own.items() if key not in (*NEUTRAL, "split", "training")}
    found |= {f"split.{key}": value for key, value in own["split"].items()}
    found |= {f"training.{key}": value for key, value in own["training"].items() if key not in NEUTRAL_TRAINING}
    found |= {f"graphset.{key}": value for key, value in graphset.items() if key not in NEUTRAL}
    hyperparameters = item.architectures[architecture].model_dump(mode="json")
    return found | {f"model.{key}": value for key, value in hyperparameters.items()}


def differences(entries: Sequence[Entry]) -> list[Difference]:
    """Return every set of entries of one architecture that differ in exactly one setting, by setting.

    Entries with the same settings count once, the first of them.
    """
    found = []
    for setting in dict.fromkeys(key for entry in entries for key in entry.settings):
        alike: dict[str, dict[str, tuple[Any, Entry]]] = defaultdict(dict)
        for entry in entries:
            if setting in entry.settings:
                others = {key: value for key, value in entry.settings.items() if key != setting}
                value = entry.settings[setting]
                alike[canonical_json([entry.base, others])].setdefault(canonical_json(value), (value, entry))
        found += [Difference(setting, tuple(group.values())) for group in alike.values() if len(group) > 1]
    return found
