"""What one training run depends on: one JSON object from the workflow, validated by the configuration's schema.

{"graphset":        the graphset's entry in the configuration,
 "level":           its level's entry in `levels`, or null where Psi4 computes nothing,
 "hyperparameters": the architecture's entry in the experiment,
 "split":           the experiment's `split`,
 "training":        the experiment's `training`,
 and of the family regional its `targets`, `objective` and `target_weights`}
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import e3nn
import lightning
import torch
from pydantic import ValidationError

import psigraph
from psigraph.config import ARCHITECTURES, Graphset, Level, Section, Split, Training, base_architecture, did_you_mean
from psigraph.graphs.settings import ShardSettings, settings_of

#: Keys of `training` that change how a run is made and not what it gives.
_IRRELEVANT = ("accumulate", "checkpoint_minutes", "log_every", "threads", "memory_mb", "runtime_min")


class RunSettings(Section):
    """The settings of one run."""

    graphset: Graphset
    level: Level | None = None
    hyperparameters: dict[str, Any] = {}
    split: Split = Split()
    training: Training = Training()
    targets: list[str] | None = None
    objective: Literal["properties", "quantum", "contrast"] = "properties"
    target_weights: Literal["uncertainty", "equal"] | dict[str, float] = "equal"

    @classmethod
    def parse(cls, architecture: str, raw: Mapping[str, Any]) -> "RunSettings":
        """Return checked settings with every default filled in. Raises ValueError naming the key and its value."""
        base = base_architecture(architecture)
        if base not in ARCHITECTURES:
            known = ", ".join(ARCHITECTURES)
            raise ValueError(f"unknown architecture {base!r}{did_you_mean(base, ARCHITECTURES)}; known: {known}")
        try:
            checked = ARCHITECTURES[base].model_validate(raw.get("hyperparameters") or {})
            return cls.model_validate({**raw, "hyperparameters": checked.model_dump(mode="json")})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ValueError(f"settings of the run: {where}: {first['msg']}, got {first['input']!r}") from None

    def graph_settings(self) -> ShardSettings:
        """Return the settings that the shards must have been built with, of the family's class."""
        level = self.level.identity() if self.level is not None else None
        return settings_of(self.graphset.model_dump(mode="json"), level)


def run_key(
    settings: RunSettings,
    *,
    architecture: str,
    seed: int,
    digests: Mapping[str, str],
    precision: str,
    start: str | None = None,
) -> dict[str, Any]:
    """Return what a half-finished run must agree on to be resumed, flat: name to JSON value.

    Settings, the shards' digests, that of the checkpoint it starts from, the code that trains and its libraries. Plain
    names make the log line readable that says why a run starts anew.
    """
    key: dict[str, Any] = {"architecture": architecture, "seed": seed, "precision": precision, "start_from": start}
    dump = settings.model_dump(mode="json")
    dump["graphset"] = settings.graph_settings().identity()
    for section in ("graphset", "hyperparameters", "split", "training"):
        for name, value in dump[section].items():
            if section != "training" or name not in _IRRELEVANT:
                key[f"{section}.{name}"] = value
    key |= {name: dump[name] for name in ("targets", "objective", "target_weights")}
    key |= {f"shard {name}": digest for name, digest in sorted(digests.items())}
    versions = {"torch": torch.__version__, "e3nn": e3nn.__version__, "lightning": lightning.__version__}
    return key | {f"version of {name}": str(version) for name, version in versions.items()} | {"code": code_digest()}


def code_digest() -> str:
    """Return the SHA-256 of the sources that decide what training gives: models, training, graphs, fields, metrics."""
    root = Path(psigraph.__file__).parent
    files = [root / "fields.py", root / "metrics.py"]
    for package in ("models", "training", "graphs"):
        files += sorted(file for kind in ("*.py", "*.cpp") for file in (root / package).rglob(kind))
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
