"""What the evaluation of a run of any family reads: its files, checked against each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from psigraph.evaluation.tables import SPLITS, EvaluationError, RunIdentity
from psigraph.graphs.shards import ShardSet, read_shards

#: Samples that a limit on the sizes of the splits leaves over.
UNUSED = "unused"


@dataclass(frozen=True)
class RunFiles:
    """The files one evaluation reads and writes."""

    checkpoint: Path
    shards: Sequence[str | Path]
    split_csv: Path
    history_csv: Path
    predictions_csv: Path
    metrics_csv: Path
    plots: Path


def read_splits(path: str | Path, ids: Sequence[str], family: str) -> np.ndarray:
    """Return the split (n,) of every sample of the shards as split.csv has it.

    Raises EvaluationError where the file does not list exactly the samples `ids` of the shards, each once and in a
    known split.
    """
    frame = pd.read_csv(path, dtype={"id": str, "split": str}, keep_default_na=False).sort_values("index")
    names = [str(i) for i in ids]
    if frame["index"].tolist() != list(range(len(names))) or frame["id"].tolist() != names:
        raise EvaluationError(
            f"{path}: lists {len(frame)} samples that are not the {len(names)} samples of the shards in their order; "
            f"the shards were rebuilt since this run: train it again (snakemake --cores 1 train_{family})"
        )
    unknown = sorted(set(frame["split"]) - {*SPLITS, UNUSED})
    if unknown:
        raise EvaluationError(f"{path}: unknown split {unknown[0]!r}; known: {', '.join((*SPLITS, UNUSED))}")
    return frame["split"].to_numpy(dtype=object)


def identity_of(meta: Mapping[str, Any], shards: ShardSet) -> RunIdentity:
    """Return which run a checkpoint is; cross-validation shows in the split kind: `group, 5 folds`."""
    split = meta["split"]
    datasets = [name.removeprefix("structures/") for name in shards.inputs if name.startswith("structures/")]
    folds = split.get("folds")
    return RunIdentity(
        experiment=str(meta["experiment"]),
        family=str(meta["graphset"]["family"]),
        dataset="+".join(datasets),
        architecture=str(meta["architecture"]),
        seed=int(meta["seed"]),
        split_kind=f"{split['by']}, {folds} folds" if folds else str(split["by"]),
    )


def read_trained_shards(meta: Mapping[str, Any], files: RunFiles, keys: Sequence[str]) -> ShardSet:
    """Return the shards of a run; `keys` of its graphset's settings must be those of the shards.

    Raises StoreError where they were built with other settings than the checkpoint's, EvaluationError where their
    content is not what it was trained on.
    """
    shards = read_shards(files.shards, {key: meta["graphset"][key] for key in keys})
    trained, found = dict(meta["shard_digests"]), dict(shards.digests)
    if found != trained:
        differing = sorted(name for name in {*found, *trained} if found.get(name) != trained.get(name))
        raise EvaluationError(
            f"{files.checkpoint}: was trained on other graphs: the content of {', '.join(differing)} has changed "
            f"since; train it again with: snakemake --cores 1 train_{meta['graphset']['family']}"
        )
    return shards
