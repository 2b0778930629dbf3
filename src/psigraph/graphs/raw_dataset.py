"""Dimers of a raw folder, without shards: each graph is built when it is asked for."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from psigraph.graphs.augment import Augmentation
from psigraph.graphs.batch import numpy_dtype
from psigraph.graphs.columns import Columns, layout_of, offsets_of
from psigraph.graphs.dataset import DimerSource, Window
from psigraph.graphs.features import SkippedStructure
from psigraph.graphs.graph import Graph, Skipped, features_of, graph_from_structure
from psigraph.graphs.settings import GIVEN, GraphSettings
from psigraph.structures.model import Structure

log = logging.getLogger(__name__)


class DimerDataset(DimerSource):
    """Dimers of a raw folder (meta.xlsx or meta.csv, PDB pairs, NPZ), each graph built when it is asked for.

    `placement` is `stacked` (each monomer centred, B moved along +z by R) or `as_given`. `cutoff` [Å]; `length_scale`
    internal units per Å; `unit` is the energy unit of the folder's labels where the column names do not say it, and of
    the samples. `level` is `given` (populations and moments of the NPZ files) or None (zeros); `v0` is `column` or
    `zero`. With `augment`, samples are rotated and jittered (`jitter`: standard deviation of each coordinate's noise
    [Å]) afresh each epoch.

    The rows pass the checks of the structures stage. Those that cannot be read or become no graph are in `skipped`,
    with their reasons, and logged. Raises StructureError where the folder cannot be used or no row is left.
    """

    window_graphs = 64  # built at once

    def __init__(
        self,
        root_dir: str | Path,
        *,
        placement: str = "stacked",
        cutoff: float = 12.0,
        length_scale: float = 0.1,
        unit: str | None = None,
        augment: bool = False,
        jitter: float = 0.01,
        seed: int = 0,
        level: str | None = GIVEN,
        v0: str = "column",
        dtype: torch.dtype | None = None,
        spherical_harmonics: bool = False,
    ) -> None:
        # these bring pandas and rdkit, which reading shards does not need
        from psigraph.config import RawFolder
        from psigraph.structures.build import load_dataset

        section = {"source": "raw_folder", "path": root_dir, "placement": placement, "unit": unit, "max_rejected": 1.0}
        found = load_dataset(RawFolder.model_validate(section), Path(root_dir).name)
        self.unit = found.unit
        self._settings = GraphSettings(
            cutoff=cutoff, length_scale=length_scale, level=level, level_name=level or "", v0=v0, unit=self.unit
        )
        self.settings = self._settings.identity()
        self.cutoff, self.length_scale = cutoff, length_scale
        self._kind = numpy_dtype(dtype)
        self.dtype = dtype or torch.get_default_dtype()
        self.spherical_harmonics = spherical_harmonics
        self.augmentation = Augmentation(augment, jitter * length_scale if augment else 0.0, seed)
        self.skipped = [Skipped(item.id, item.source, f"row {item.row}: {item.reason}") for item in found.rejected]
        self.structures: list[Structure] = []
        for structure in found.structures:
            try:
                self._graph(structure)
                self.structures.append(structure)
            except SkippedStructure as error:
                self.skipped.append(Skipped(structure.id, structure.source, str(error)))
        for item in self.skipped:
            log.warning("left out %s (%s): %s", item.id, item.source, item.reason)

    def __len__(self) -> int:
        return len(self.structures)

    def window(self, positions: np.ndarray) -> Window:
        graphs = [self._graph(self.structures[i]) for i in positions.tolist()]
        return Window(graph_columns(graphs, self._kind), np.arange(len(graphs)), positions)

    def ids_of(self, rows: list[int]) -> list[str]:
        return [self.structures[row].id for row in rows]

    def _graph(self, structure: Structure) -> Graph:
        features = features_of(structure, self._settings)
        return graph_from_structure(structure, self._settings, features, unit=self.unit)


def graph_columns(graphs: Sequence[Graph], kind: type) -> Columns:
    """Return graphs as flat arrays; floating-point ones in the type `kind`."""

    def cast(values: np.ndarray) -> np.ndarray:
        return values.astype(kind) if values.dtype.kind == "f" else values

    values = {}
    for name, counted in layout_of("delta").batch.items():
        found = [getattr(graph, name) for graph in graphs]
        values[name] = cast(np.array(found) if counted is None else np.concatenate(found))
    n_atoms = np.array([len(graph.z_atoms) for graph in graphs], dtype=np.int64)
    n_pairs = np.array([len(graph.pairs) for graph in graphs], dtype=np.int64)
    return Columns({"offsets": offsets_of(n_atoms), "pair_offsets": offsets_of(n_pairs)}, values)
