"""Resuming a killed run from last.ckpt: written atomically, used only where it fits."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

log = logging.getLogger(__name__)

#: Where the run's key stands in last.ckpt.
KEY = "psigraph_key"


def find_resumable(path: Path, key: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the checkpoint to resume from, or None with a log line that says why the run starts anew."""
    if not path.exists():
        return None
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        found = checkpoint[KEY]
    except Exception as error:  # torch raises many types for a file it cannot read
        log.warning("%s cannot be read (%s); starting anew", path, type(error).__name__)
        return None
    for name in [*key, *found]:
        if found.get(name) != key.get(name):
            log.warning("%s is of another run, starting anew: %s", path, _difference(name, found, key))
            return None
    return checkpoint


def _difference(name: str, found: Mapping[str, Any], key: Mapping[str, Any]) -> str:
    if name == "code":
        return "the code that trains was changed"
    old, new = (str(side[name])[:40] if name in side else "absent" for side in (found, key))
    return f"{name} was {old}, is {new}"
