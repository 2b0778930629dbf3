"""New molecules: how they are read, and the table of their properties."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from psigraph.evaluation.inference import predict_labels
from psigraph.graphs.loader import make_loader
from psigraph.graphs.molecule_dataset import MoleculeDataset
from psigraph.graphs.shards import ShardSet
from psigraph.metrics import within_groups
from psigraph.novelty import CHECKS_OF_MOLECULES, Newcomer
from psigraph.prediction.base import BATCH_SIZE, Checkpoint, Options, PredictionError
from psigraph.prediction.columns import flags, provenance
from psigraph.structures.checks import check
from psigraph.structures.embedding import conformers
from psigraph.structures.identity import group_of
from psigraph.structures.model import Structure
from psigraph.structures.reading import ReadResult, RowError
from psigraph.structures.sdf import read_sdf_molecule
from psigraph.structures.xyz import read_xyz_molecule

log = logging.getLogger(__name__)

UNIT = "hartree"  # of `v_ref`, which molecules do not have


def read_molecules(source: Path, options: Options) -> ReadResult:
    """Read new molecules: .xyz, .sdf, .mol or .smi files, or all of a folder. `id`s begin with the file's name.

    A line of a .smi file is a SMILES and, after a space, its name; conformers are drawn by RDKit. Raises
    PredictionError where there is nothing to read.
    """
    files = [source]
    if source.is_dir():
        files = sorted(path for path in source.iterdir() if path.suffix.lower() in _READERS)
        if not files:
            raise PredictionError(f"{source}: holds no file that ends in {', '.join(_READERS)}")
    elif not source.is_file():
        raise PredictionError(f"{source}: no such file or folder")
    elif source.suffix.lower() not in _READERS:
        raise PredictionError(f"{source}: molecules are read from files that end in {', '.join(_READERS)}; give one")
    result = ReadResult(UNIT)
    for file in files:
        _READERS[file.suffix.lower()](file, options, result)
    return check(result, labels=False, molecules=True)


def _read_xyz(file: Path, options: Options, result: ReadResult) -> None:
    _accept(result, file, "1", file.stem, partial(read_xyz_molecule, file, file.stem))


def _read_sdf(file: Path, options: Options, result: ReadResult) -> None:
    count = max(sum(line.startswith("$$$$") for line in file.read_text(encoding="utf-8").splitlines()), 1)
    for number in map(str, range(1, count + 1)):
        name = file.stem if count == 1 else f"{file.stem}-{number}"
        _accept(result, file, number, name, partial(read_sdf_molecule, file, number))


def _read_smiles(file: Path, options: Options, result: ReadResult) -> None:
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        smiles, _, name = line.strip().partition(" ")
        if smiles:
            name = name.strip() or f"{file.stem}-{number}"
            _accept(result, file, str(number), name, partial(_conformer, smiles, options.relax))


def _conformer(smiles: str, relax: str) -> Structure:
    return conformers(smiles, relax=relax)[0]


def _accept(result: ReadResult, file: Path, row: str, name: str, read: Callable[[], Structure]) -> None:
    try:
        result.accept(replace(read(), id=name, system="", source=file.name), row)
    except RowError as error:
        result.reject(file.name, row, name, str(error))


_READERS: dict[str, Callable[[Path, Options, ReadResult], None]] = {
    ".xyz": _read_xyz,
    ".sdf": _read_sdf,
    ".mol": _read_sdf,
    ".smi": _read_smiles,
}


def table_of_molecules(models: Sequence[Checkpoint], graphs: ShardSet, structures: Sequence[Structure]) -> pd.DataFrame:
    """Return one row per molecule: each target with its spread over checkpoints and unit, flags and provenance.

    `structures` are the molecules of `graphs`, in their order. The spread is the sample standard deviation (empty for
    one checkpoint), the smallest and the largest value. A relative target is from the mean over the structures of its
    molecule, empty for one that is alone.
    """
    network: Any = models[0].loaded.model
    targets = network.inputs.targets
    values = np.stack([_labels(model, graphs) for model in models])  # (models, n, T)
    relative = [t for t, target in enumerate(targets) if target.relative]
    if relative:
        _relate(values, relative, [group_of(structure) for structure in structures])
    spread = values.std(axis=0, ddof=1) if len(models) > 1 else np.full(values.shape[1:], np.nan)
    columns: dict[str, Any] = {"id": graphs["ids"]}
    for t, target in enumerate(targets):
        columns[target.name] = values[:, :, t].mean(axis=0)
        columns[f"{target.name}_sd"] = spread[:, t]
        columns[f"{target.name}_min"] = values[:, :, t].min(axis=0)
        columns[f"{target.name}_max"] = values[:, :, t].max(axis=0)
        columns[f"{target.name}_unit"] = target.unit
    columns["n_models"] = len(models)
    columns["n_atoms"] = [structure.n_atoms for structure in structures]
    columns["n_heavy"] = [int((structure.z > 1).sum()) for structure in structures]
    metas = [model.loaded.meta for model in models]
    new = [Newcomer(structure) for structure in structures]
    columns |= flags(new, metas, CHECKS_OF_MOLECULES) | provenance(models, graphs.settings["level"])
    return pd.DataFrame(columns)


def _labels(model: Checkpoint, graphs: ShardSet) -> np.ndarray:
    """Return the targets (n, T) of one checkpoint, in the precision of its weights."""
    network: Any = model.loaded.model
    samples = MoleculeDataset(graphs, dtype=next(p.dtype for p in network.parameters()), targets=[])
    return predict_labels(network, make_loader(samples, BATCH_SIZE), len(network.inputs.targets))


def _relate(values: np.ndarray, relative: Sequence[int], molecules: Sequence[str]) -> None:
    """Make relative columns of values (models, n, T) count from the mean over the structures of a molecule."""
    for t in relative:
        values[:, :, t] = [within_groups(own, molecules) for own in values[:, :, t]]
    alone = int(np.isnan(values[0, :, relative[0]]).sum())
    if alone:
        log.warning(
            "%d of %d structures are alone of their molecule and get no relative value: give several conformers",
            alone,
            len(molecules),
        )
