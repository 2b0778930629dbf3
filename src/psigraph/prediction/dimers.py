"""New dimers: how they are read, and the table of their V_ref."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from psigraph.evaluation.inference import predict_delta
from psigraph.graphs.dataset import CachedDimerDataset
from psigraph.graphs.loader import make_loader
from psigraph.graphs.shards import ShardSet
from psigraph.novelty import CHECKS_OF_DIMERS, Newcomer
from psigraph.prediction.base import BATCH_SIZE, Checkpoint, Options, PredictionError
from psigraph.prediction.columns import flags, provenance
from psigraph.structures.checks import check
from psigraph.structures.model import Structure
from psigraph.structures.raw_folder import read_raw_folder
from psigraph.structures.reading import ReadResult, RowError
from psigraph.structures.xyz import read_xyz_dimer
from psigraph.structures.xyz_folder import read_xyz_folder


def read_dimers(source: Path, options: Options) -> ReadResult:
    """Read new dimers; labels are not needed. Raises PredictionError where there is nothing to read."""
    if source.is_dir():
        if any((source / name).is_file() for name in ("meta.xlsx", "meta.csv")):
            return read_raw_folder(source, placement=options.placement, unit=options.unit, labels=False)
        return read_xyz_folder(source, options.fragment_a)
    if not source.is_file():
        raise PredictionError(f"{source}: no such file or folder")
    if source.suffix.lower() != ".xyz":
        raise PredictionError(f"{source}: a single dimer is read from a .xyz file; give one, or a folder")
    result = ReadResult("")
    try:
        result.accept(read_xyz_dimer(source, options.fragment_a), 1)
    except RowError as error:
        result.reject(source.name, 1, source.stem, str(error))
    return check(result, labels=False)


def table_of_dimers(models: Sequence[Checkpoint], graphs: ShardSet, structures: Sequence[Structure]) -> pd.DataFrame:
    """Return one row per dimer: V_0, mean ΔV and V_ref, spread over checkpoints, flags and provenance.

    `structures` are the dimers of `graphs`, in their order. The spread is the sample standard deviation (empty for one
    checkpoint), the smallest and the largest V_ref.
    """
    deltas = np.stack([_deltas(model, graphs) for model in models])  # (models, n)
    u = graphs["u"]  # (n, 4)
    v_0, separation = u[:, 2], u[:, 0] / graphs.settings["length_scale"]  # (n,), (n,) Å
    values = v_0 + deltas
    columns: dict[str, Any] = {
        "id": graphs["ids"],
        "v_0": v_0,
        "delta_v": deltas.mean(axis=0),
        "v_ref_predicted": values.mean(axis=0),
        "sd": deltas.std(axis=0, ddof=1) if len(models) > 1 else np.full(len(v_0), np.nan),
        "min": values.min(axis=0),
        "max": values.max(axis=0),
        "unit": graphs.settings["unit"],
        "n_models": len(models),
        "n_atoms": [structure.n_atoms for structure in structures],
        "R_angstrom": separation,
    }
    metas = [model.loaded.meta for model in models]
    new = [Newcomer(s, float(r)) for s, r in zip(structures, separation, strict=True)]
    return pd.DataFrame(columns | flags(new, metas, CHECKS_OF_DIMERS) | provenance(models, graphs.settings["level"]))


def _deltas(model: Checkpoint, graphs: ShardSet) -> np.ndarray:
    """Return ΔV (n,) of one checkpoint, in the precision of its weights."""
    network = model.loaded.model
    samples = CachedDimerDataset(graphs, dtype=next(p.dtype for p in network.parameters()))
    return predict_delta(network, make_loader(samples, BATCH_SIZE))
