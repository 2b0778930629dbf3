"""One prediction from files to files, whatever the family."""

import csv
import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from psigraph.graphs.settings import settings_of
from psigraph.graphs.shards import ShardSet, read_shards
from psigraph.prediction.base import Checkpoint, Options, PredictionError, Rejected
from psigraph.prediction.checkpoints import check_agreement, load
from psigraph.prediction.complexes import read_complexes, table_of_complexes
from psigraph.prediction.dimers import read_dimers, table_of_dimers
from psigraph.prediction.graphs import build_graphs
from psigraph.prediction.molecules import read_molecules, table_of_molecules
from psigraph.stores import atomic_path
from psigraph.structures.model import Structure
from psigraph.structures.reading import ReadResult

log = logging.getLogger(__name__)

REJECTED_COLUMNS = ("id", "source", "stage", "reason")


@dataclass(frozen=True)
class Kind:
    """How a family's structures are read, and its table made."""

    read: Callable[[Path, Options], ReadResult]
    table: Callable[[Sequence[Checkpoint], ShardSet, Sequence[Structure]], pd.DataFrame]


KINDS = {
    "delta": Kind(read_dimers, table_of_dimers),
    "regional": Kind(read_molecules, table_of_molecules),
    "affinity": Kind(read_complexes, table_of_complexes),
}


def predict(
    checkpoints: Sequence[str | Path], source: str | Path, output: str | Path, options: Options | None = None
) -> tuple[pd.DataFrame, list[Rejected]]:
    """Predict every structure of `source`; write CSV and rejected list.

    What is read is the checkpoints' family's: dimers (an XYZ file, a folder of them, or a raw folder), molecules (see
    `molecules.read_molecules`) or ligands of a protein (`complexes.read_complexes`). Returns the table and the inputs
    that have no prediction; these are also in `rejected_path(output)`. Raises PredictionError where checkpoints do not
    fit together or no input can be predicted; then no file is written.
    """
    options = options or Options()
    models = [load(path) for path in checkpoints]
    check_agreement(models)
    kind = KINDS[models[0].loaded.family]
    graphset = models[0].graphset
    result = kind.read(Path(source), options)
    rejected = [Rejected(r.id, r.source, "structures", r.reason) for r in result.rejected]
    table = pd.DataFrame()
    if result.structures:
        by_id = {structure.id: structure for structure in result.structures}
        with tempfile.TemporaryDirectory(prefix="psigraph-predict-") as folder:
            settings = settings_of(graphset, level_name=str(graphset.get("level_name") or ""))
            shard, left_out = build_graphs(result, settings, Path(folder), options)
            graphs = read_shards([shard])
            table = kind.table(models, graphs, [by_id[str(name)] for name in graphs["ids"]])
        rejected += left_out
    if table.empty:
        reasons = "; ".join(f"{r.id}: {r.reason}" for r in rejected[:5])
        raise PredictionError(f"{source}: no prediction for any of {len(rejected)} inputs: {reasons}")
    _write(table, rejected, Path(output))
    for item in rejected:
        log.warning("rejected %s (%s): %s", item.id, item.stage, item.reason)
    log.info("%d predicted, %d rejected; wrote %s and %s", len(table), len(rejected), output, rejected_path(output))
    return table, rejected


def rejected_path(output: str | Path) -> Path:
    """Return where the inputs without a prediction are listed: predictions.csv gives predictions.rejected.csv."""
    return Path(output).with_suffix(".rejected.csv")


def _write(table: pd.DataFrame, rejected: Sequence[Rejected], output: Path) -> None:
    with atomic_path(rejected_path(output)) as rejected_file, atomic_path(output) as table_file:
        table.to_csv(table_file, index=False, float_format="%.10g")
        with open(rejected_file, "w", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(REJECTED_COLUMNS)
            writer.writerows((r.id, r.source, r.stage, r.reason) for r in rejected)
