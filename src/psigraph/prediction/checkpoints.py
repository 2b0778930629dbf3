"""The checkpoints that predict together."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from psigraph.prediction.base import Checkpoint, PredictionError
from psigraph.stores import canonical_json
from psigraph.training.checkpoint import load_model


def load(path: str | Path) -> Checkpoint:
    """Return a checkpoint. Raises CheckpointError where it cannot be used, PredictionError for a pretrained encoder."""
    loaded = load_model(path)
    objective = loaded.meta.get("objective", "properties")
    if objective != "properties":
        raise PredictionError(
            f"{path}: its experiment {loaded.meta['experiment']!r} learned the objective {objective}, which predicts "
            "no property; give a checkpoint of an experiment that starts from it"
        )
    return Checkpoint(Path(path), loaded, hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12])


def check_agreement(models: Sequence[Checkpoint]) -> None:
    """Raise PredictionError naming both files where two checkpoints need different graphs or predict other things."""
    first = models[0]
    for other in models[1:]:
        wanted, found = _needs(first), _needs(other)
        for key in wanted:
            a, b = wanted[key], found.get(key)
            if canonical_json(a) != canonical_json(b):
                raise PredictionError(
                    f"{first.path} and {other.path} cannot predict together: their {key} is {a!r} and {b!r}; "
                    "give checkpoints of one graphset"
                )


def _needs(model: Checkpoint) -> dict[str, Any]:
    """Return what the graphs must be and what is predicted."""
    settings = {key: value for key, value in model.graphset.items() if key != "level_name"}
    return {**settings, "targets": model.loaded.meta.get("targets")}
