"""Training that starts from another run's encoder: what is taken over, and why it may not fit."""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from psigraph.config import base_architecture
from psigraph.training.checkpoint import load_checkpoint

log = logging.getLogger(__name__)


class StartError(ValueError):
    """A run cannot start from a checkpoint; the message names it, what does not fit, and the remedy."""


@dataclass(frozen=True)
class Start:
    """A checkpoint to start from; `taken` tensors with `numbers` numbers of it have been taken over.

    learned: objectives whose heads came along; the model need not learn them again.
    """

    path: Path
    digest: str  # of the file
    meta: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    taken: int = 0
    numbers: int = 0
    learned: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return what training.json and the checkpoint say of it, as JSON values."""
        return {
            "experiment": self.meta["experiment"],
            "objective": self.meta.get("objective"),
            "digest": self.digest,
            "tensors": self.taken,
            "numbers": self.numbers,
        }


def read_start(path: str | Path, architecture: str, seed: int) -> Start:
    """Return the checkpoint that a run of this architecture and seed starts from.

    Raises CheckpointError where it cannot be read, StartError where it is of another architecture or seed.
    """
    path = Path(path)
    meta, weights = load_checkpoint(path)
    for what, found, wanted in (
        ("architecture", base_architecture(meta["architecture"]), base_architecture(architecture)),
        ("seed", meta["seed"], seed),
    ):
        if found != wanted:
            raise StartError(
                f"{path}: is of {what} {found!r}, this run of {wanted!r}; start from a checkpoint of the same {what}"
            )
    return Start(path, hashlib.sha256(path.read_bytes()).hexdigest(), meta, weights)


def take_over(start: Start, model: nn.Module, inputs: Mapping[str, Any]) -> Start:
    """Give a model of `inputs` the encoder of a checkpoint, in the model's precision; return what was taken over.

    The encoder is what the model's `encoder_state()` names: all but the heads and the normalisation of targets. Heads
    of objectives that the checkpoint learned come along where the model has them: they can be part of how it predicts.
    Raises StartError where a tensor is missing or has another shape, naming the columns that differ.
    """
    own = model.state_dict()
    names = sorted(model.encoder_state())  # type: ignore[operator]
    wrong = [name for name in names if name not in start.weights or start.weights[name].shape != own[name].shape]
    if wrong:
        raise StartError(
            f"{start.path}: its encoder does not fit: {_misfit(wrong[0], start.weights, own)}"
            f"{_differences(start.meta['inputs'], inputs)}. Give both experiments graphsets with the same features and "
            f"the same hyperparameters, and train {start.meta['experiment']} again"
        )
    beginnings = tuple(f"objective_heads.{objective}." for objective in start.meta.get("learned_objectives", ()))
    heads = [
        name
        for name, value in own.items()
        if name.startswith(beginnings) and name in start.weights and start.weights[name].shape == value.shape
    ]
    names += heads
    model.load_state_dict({**own, **{name: start.weights[name].to(own[name].dtype) for name in names}})
    numbers = sum(own[name].numel() for name in names)
    log.info(
        "starts from %s: %d of %d tensors with %d numbers taken over, the others are new",
        *(start.path, len(names), len(own), numbers),
    )
    learned = tuple(sorted({name.split(".")[1] for name in heads}))
    return replace(start, taken=len(names), numbers=numbers, learned=learned)


def _misfit(name: str, theirs: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    there = f"of shape {tuple(theirs[name].shape)}" if name in theirs else "absent"
    return f"{name} is {there} there and of shape {tuple(own[name].shape)} here"


def _differences(theirs: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """Say which columns of features one side alone has."""
    parts = []
    for kind in ("atoms", "bonds", "regions", "molecules"):
        there, here = ({(c["name"], c["width"]) for c in side.get(kind, ())} for side in (theirs, own))
        for where, names in (("there", there - here), ("here", here - there)):
            if names:
                parts.append(f"{kind} with {', '.join(name for name, _ in sorted(names))} only {where}")
    return f" ({'; '.join(parts)})" if parts else ""
