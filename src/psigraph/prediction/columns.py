"""Columns that the tables of all families have: what is new to the models, and where a prediction comes from."""

from collections.abc import Mapping, Sequence
from typing import Any

from psigraph import __version__
from psigraph.novelty import Check, Newcomer, novelty
from psigraph.prediction.base import Checkpoint
from psigraph.stores import canonical_json


def flags(new: Sequence[Newcomer], metas: Sequence[Mapping[str, Any]], checks: Mapping[str, Check]) -> dict[str, Any]:
    """Return for each check whether a structure lies outside the training data, and all findings in words."""
    findings = [novelty(newcomer, metas, checks) for newcomer in new]
    columns: dict[str, Any] = {f"outside_{name}": [name in found for found in findings] for name in checks}
    return columns | {"warnings": ["; ".join(found.values()) for found in findings]}


def provenance(models: Sequence[Checkpoint], level: Mapping[str, Any] | str | None) -> dict[str, str]:
    """Return level of theory, checkpoints and version."""
    return {
        "level": "none" if level is None else level if isinstance(level, str) else canonical_json(level),
        "checkpoints": " ".join(model.digest for model in models),
        "psigraph_version": __version__,
    }
