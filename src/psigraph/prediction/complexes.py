"""New complexes: ligands read into a protein, and the table of their affinities."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from psigraph.config import ComplexDataset as ComplexConfig
from psigraph.evaluation.affinity.rotation import rotated_labels
from psigraph.graphs.complex_dataset import ComplexDataset
from psigraph.graphs.shards import ShardSet
from psigraph.novelty import CHECKS_OF_COMPLEXES, Newcomer
from psigraph.prediction.base import Checkpoint, Options, PredictionError
from psigraph.prediction.columns import flags, provenance
from psigraph.structures.model import Structure
from psigraph.structures.posed_ligands import read_posed_ligands
from psigraph.structures.reading import ReadResult

BATCH_SIZE = 16  # complexes; changes nothing but speed and memory
_ENDINGS = (".sdf", ".mol2")


def read_complexes(source: Path, options: Options) -> ReadResult:
    """Read the ligands of an SDF or mol2 file, or of a folder of them, into the protein of `options.protein`.

    Raises PredictionError where there is no protein, or nothing to read.
    """
    if options.protein is None or not options.protein.is_file():
        given = "none was given" if options.protein is None else f"there is no file {options.protein}"
        raise PredictionError(f"{source}: ligands are read into a protein, and {given}; name it with --protein")
    files = [source]
    if source.is_dir():
        files = sorted(path for path in source.iterdir() if path.suffix.lower() in _ENDINGS)
    elif not source.is_file():
        raise PredictionError(f"{source}: no such file or folder")
    if not files or any(file.suffix.lower() not in _ENDINGS for file in files):
        raise PredictionError(f"{source}: ligands are read from files that end in {' or '.join(_ENDINGS)}; give one")
    return read_posed_ligands(options.protein, files, ComplexConfig(prepare=options.prepare))


def table_of_complexes(models: Sequence[Checkpoint], graphs: ShardSet, structures: Sequence[Structure]) -> pd.DataFrame:
    """Return one row per complex: its affinity with the spread over checkpoints and over rotations, flags, provenance.

    `structures` are the ligands of `graphs`, in their order. Every checkpoint's prediction is the mean over
    random rotations; `rotation_sd` is their SD, the mean over checkpoints. The spread over checkpoints is
    the sample standard deviation (empty for one checkpoint), the smallest and the largest value.
    """
    found = np.stack([_turned(model, graphs) for model in models])  # (models, rotations, n)
    values = found.mean(axis=1)  # (models, n)
    target = str(models[0].loaded.meta["targets"][0])
    columns: dict[str, Any] = {
        "id": graphs["ids"],
        target: values.mean(axis=0),
        f"{target}_sd": values.std(axis=0, ddof=1) if len(models) > 1 else np.full(values.shape[1], np.nan),
        f"{target}_min": values.min(axis=0),
        f"{target}_max": values.max(axis=0),
        "rotation_sd": found.std(axis=1, ddof=1).mean(axis=0),
        "n_models": len(models),
        "n_heavy": graphs["n_heavy"],
        "contacts": np.diff(graphs["contact_offsets"]),
    }
    metas = [model.loaded.meta for model in models]
    new = [Newcomer(structure) for structure in structures]
    columns |= flags(new, metas, CHECKS_OF_COMPLEXES) | provenance(models, graphs.settings["level"])
    return pd.DataFrame(columns)


def _turned(model: Checkpoint, graphs: ShardSet) -> np.ndarray:
    """Return the affinity (rotations, n) of one checkpoint, in the precision of its weights."""
    network = model.loaded.model
    samples = ComplexDataset(graphs, dtype=next(p.dtype for p in network.parameters()), targets=[])
    return rotated_labels(network, samples, BATCH_SIZE)
