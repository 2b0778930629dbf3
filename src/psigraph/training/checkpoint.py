"""Checkpoints of trained models: weights and a plain dictionary, read with weights_only=True: loading runs no code."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from psigraph.config import ARCHITECTURES, base_architecture
from psigraph.stores import atomic_path
from psigraph.training.families import FAMILIES, family_of

FORMAT = "psigraph-model"
FORMAT_VERSION = 3
REMEDY = "snakemake --cores 1 " + " ".join(f"train_{family}" for family in FAMILIES)
#: Every checkpoint's meta has these keys. `inputs`: what the model is built from besides its hyperparameters.
REQUIRED = ("architecture", "hyperparameters", "inputs", "graphset", "experiment", "seed", "training")


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message names the file, what is wrong and the remedy."""


@dataclass(frozen=True)
class LoadedModel:
    """A trained model in eval mode, and what its checkpoint says about it."""

    model: torch.nn.Module
    meta: Mapping[str, Any]

    @property
    def family(self) -> str:
        return ARCHITECTURES[base_architecture(self.meta["architecture"])].family


def save_model(path: str | Path, model: torch.nn.Module, meta: Mapping[str, Any]) -> None:
    """Write weights and meta (JSON values) atomically; equal content gives equal bytes.

    Raises ValueError where meta lacks a key, TypeError where it holds anything but JSON values.
    """
    missing = [key for key in REQUIRED if key not in meta]
    if missing:
        raise ValueError(f"the checkpoint's meta lacks {', '.join(missing)}")
    weights = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "meta": json.loads(json.dumps({"format": FORMAT, "format_version": FORMAT_VERSION, **meta})),
        "state_dict": weights,
    }
    write_torch(path, content)


def write_torch(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write with torch.save through memory (so that bytes do not depend on the file's name), atomically."""
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def load_model(path: str | Path, architecture: str | None = None) -> LoadedModel:
    """Return the model of a checkpoint, on the CPU and in eval mode.

    Raises CheckpointError where the file is missing, damaged or no psigraph checkpoint, or its architecture is not the
    one asked for or not known.
    """
    path = Path(path)
    meta, weights = load_checkpoint(path)
    found = meta["architecture"]
    if architecture is not None and found != architecture:
        raise CheckpointError(
            f"{path}: holds a model of architecture {found!r}, but {architecture!r} was asked for; "
            "name the checkpoint of that architecture"
        )
    settings = ARCHITECTURES.get(base_architecture(found))
    if settings is None:
        raise CheckpointError(
            f"{path}: holds a model of architecture {found!r}, which this version does not have; "
            f"known: {', '.join(ARCHITECTURES)}"
        )
    dtype = next(value.dtype for value in weights.values() if value.is_floating_point())
    try:
        objective = meta.get("objective", "properties")
        family = family_of(settings.family)
        model = family.new_model(found, meta["hyperparameters"], meta["inputs"], objective).to(dtype)
        model.load_state_dict(weights)
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path}: its weights do not fit the architecture {found!r} of this version ({error}); "
            f"train it again with: {REMEDY}"
        ) from error
    return LoadedModel(model.eval(), meta)


def load_checkpoint(path: str | Path) -> tuple[Mapping[str, Any], Mapping[str, torch.Tensor]]:
    """Return meta and weights of a checkpoint. Raises CheckpointError where the file is missing or damaged."""
    content = _read(Path(path))
    return content["meta"], content["state_dict"]


def _read(path: Path) -> dict[str, Any]:
    """Return the verified content of a checkpoint file."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint; make it with: {REMEDY}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types for a file it cannot read
        reason = str(error).split("\n", 1)[0]
        raise CheckpointError(
            f"{path}: damaged or not a checkpoint ({type(error).__name__}: {reason}); train it again with: {REMEDY}"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a psigraph checkpoint; make one with: {REMEDY}")
    if content.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: checkpoint format {content.get('format_version')}, this version reads {FORMAT_VERSION}; "
            f"train it again with: {REMEDY}"
        )
    missing = [key for key in REQUIRED if key not in content.get("meta", {})]
    if missing or "state_dict" not in content:
        raise CheckpointError(f"{path}: lacks {', '.join(missing) or 'its weights'}; train it again with: {REMEDY}")
    return content
