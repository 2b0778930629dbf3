"""Predictions for new dimers: the same stages as the workflow, from raw files to V_ref.

Reads dimers, runs Psi4 and the descriptors as far as the checkpoints' features need them, builds graphs with the
checkpoints' settings and asks every checkpoint. The prediction is the mean over checkpoints; their spread and what lies
outside the training data stand beside it.
"""

import csv
import hashlib
import logging
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from psigraph import __version__
from psigraph.evaluation.inference import predict_delta
from psigraph.graphs.build import build_shard
from psigraph.graphs.dataset import CachedDimerDataset
from psigraph.graphs.loader import make_loader
from psigraph.graphs.settings import IDENTITY, GraphSettings
from psigraph.graphs.shards import ShardSet, read_shards
from psigraph.novelty import CHECKS, novelty
from psigraph.quantum.interpreter import find_interpreter, worker_call
from psigraph.stores import atomic_path, canonical_json
from psigraph.structures.checks import check
from psigraph.structures.model import Structure
from psigraph.structures.raw_folder import read_raw_folder
from psigraph.structures.reading import ReadResult, RowError
from psigraph.structures.store import write_structures
from psigraph.structures.xyz import read_xyz_dimer
from psigraph.structures.xyz_folder import read_xyz_folder
from psigraph.training.checkpoint import LoadedModel, load_model

log = logging.getLogger(__name__)

BATCH_SIZE = 64  # graphs; changes nothing but speed
REJECTED_COLUMNS = ("id", "source", "stage", "reason")


class PredictionError(ValueError):
    """Nothing can be predicted; the message says what is wrong, where, and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained model, its file and the first 12 digits of the file's SHA-256."""

    path: Path
    loaded: LoadedModel
    digest: str

    @property
    def graphset(self) -> Mapping[str, Any]:
        return self.loaded.meta["graphset"]


@dataclass(frozen=True)
class Rejected:
    """An input without a prediction, and why."""

    id: str
    source: str
    stage: str
    reason: str


@dataclass(frozen=True)
class Options:
    """How inputs are read and computed; None for what does not apply."""

    fragment_a: str | None = None  # atoms of A from 1, as in 1-6,9
    placement: str = "as_given"  # of a raw folder
    unit: str | None = None  # of V0 and Vref in a raw folder
    store: Path | None = None  # folder that keeps Psi4 results
    threads: int = 1  # Psi4 processes
    memory_mb: int = 2000  # of one Psi4 process
    time_limit_s: float = 3600  # for one SCF with its features


def predict(
    checkpoints: Sequence[str | Path], source: str | Path, output: str | Path, options: Options | None = None
) -> tuple[pd.DataFrame, list[Rejected]]:
    """Predict every dimer of `source` (an XYZ file, a folder of them, or a raw folder); write CSV and rejected list.

    Returns the table and the inputs that have no prediction; these are also in `rejected_path(output)`. Raises
    PredictionError where checkpoints do not fit together or no input can be predicted; then no file is written.
    """
    options = options or Options()
    models = [_load(path) for path in checkpoints]
    check_agreement(models)
    result = read_dimers(Path(source), options)
    rejected = [Rejected(r.id, r.source, "structures", r.reason) for r in result.rejected]
    table = pd.DataFrame()
    if result.structures:
        by_id = {structure.id: structure for structure in result.structures}
        with tempfile.TemporaryDirectory(prefix="psigraph-predict-") as folder:
            graphs, left_out = _graphs(result, graph_settings(models[0]), Path(folder), options)
            table = prediction_table(models, graphs, [by_id[str(name)] for name in graphs["ids"]])
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


def _load(path: str | Path) -> Checkpoint:
    loaded = load_model(path)
    return Checkpoint(Path(path), loaded, hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12])


def check_agreement(models: Sequence[Checkpoint]) -> None:
    """Raise PredictionError naming both files where two checkpoints need different graphs or predict other things."""
    first = models[0]
    for other in models[1:]:
        for key in IDENTITY:
            a, b = first.graphset[key], other.graphset[key]
            if canonical_json(a) != canonical_json(b):
                raise PredictionError(
                    f"{first.path} and {other.path} cannot predict together: their {key} is {a!r} and {b!r}; "
                    "give checkpoints of one graphset"
                )


def graph_settings(model: Checkpoint) -> GraphSettings:
    """Return the settings of the graphs that a checkpoint needs."""
    graphset = model.graphset
    return GraphSettings.from_identity(graphset, str(graphset.get("level_name") or ""))


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


def _graphs(
    result: ReadResult, settings: GraphSettings, folder: Path, options: Options
) -> tuple[ShardSet, list[Rejected]]:
    """Take structures through Psi4 and the graphs stage in a temporary folder; return graphs and what was left out."""
    structures = folder / "structures.h5"
    write_structures(structures, result.structures, unit=result.unit or settings.unit, settings={})
    shard, skipped = folder / "graphs.h5", folder / "skipped.csv"
    files = _feature_files(structures, len(result.structures), settings, folder, options)
    build_shard(
        {"new": structures},
        {"new": files.get("quantum", [])},
        shard,
        skipped,
        settings,
        descriptors={"new": files.get("descriptors", [])},
        shieldings={"new": files.get("shieldings", [])},
        allow_unlabelled=True,
    )
    with open(skipped, newline="", encoding="utf-8") as handle:
        left_out = [
            Rejected(row["id"], row["source"], _stage(row["reason"]), row["reason"]) for row in csv.DictReader(handle)
        ]
    return read_shards([shard]), left_out


def _feature_files(
    structures: Path, n: int, settings: GraphSettings, folder: Path, options: Options
) -> dict[str, list[Path]]:
    """Compute what the graphs are made of; return the files by kind (quantum, descriptors, shieldings)."""
    files: dict[str, list[Path]] = {}
    if settings.needed("psi4"):
        files["quantum"] = _quantum(structures, n, settings, folder, options)
    if settings.needed("rdkit", "dftd4"):
        from psigraph.descriptors.build import build_descriptors  # brings RDKit and dftd4

        files["descriptors"] = [folder / "descriptors.h5"]
        build_descriptors(structures, files["descriptors"][0], processes=options.threads)
    if settings.needed("pyscf"):
        from psigraph.descriptors.shielding_batches import ShieldingJob, build_shieldings  # brings PySCF

        assert isinstance(settings.level, Mapping)
        files["shieldings"] = [folder / "shieldings.h5"]
        job = ShieldingJob(
            structures,
            batch=0,
            batches=1,
            level=settings.level,
            store=options.store or folder / "store",
            output=files["shieldings"][0],
            time_s=options.time_limit_s,
            memory_mb=options.memory_mb,
            max_failed=1.0,
        )
        build_shieldings(job)
    return files


def _stage(reason: str) -> str:
    stages = {"quantum": "quantum", "descriptors": "descriptors", "no Lewis structure": "descriptors"}
    return next((stage for start, stage in stages.items() if reason.startswith(start)), "graphs")


def _quantum(structures: Path, n: int, settings: GraphSettings, folder: Path, options: Options) -> list[Path]:
    """Run Psi4 for all structures, in up to `options.threads` processes with one thread each; return the files."""
    interpreter = find_interpreter()
    for warning in interpreter.warnings():
        log.warning("%s", warning)
    batches = max(1, min(options.threads, n))
    outputs = [folder / f"quantum{batch}.h5" for batch in range(batches)]
    running: list[subprocess.Popen] = []
    try:
        for batch, output in enumerate(outputs):
            arguments = {
                "structures": structures,
                "batch": batch,
                "batches": batches,
                "level": canonical_json(settings.level),
                "features": ",".join(settings.needed("psi4")),
                "store": options.store or folder / "store",
                "output": output,
                "time-limit": options.time_limit_s,
                "memory-mb": options.memory_mb,
                "max-failed": 1.0,
            }
            words = [str(word) for key, value in arguments.items() for word in (f"--{key}", value)]
            command, environment = worker_call(interpreter, Path(__file__).resolve().parents[1], words)
            running.append(subprocess.Popen(command, env=environment, cwd=folder))
        codes = [process.wait() for process in running]
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
    if any(codes):
        raise PredictionError(
            f"{sum(map(bool, codes))} of {batches} Psi4 processes failed (exit codes {codes}); see their messages above"
        )
    return outputs


def prediction_table(models: Sequence[Checkpoint], graphs: ShardSet, structures: Sequence[Structure]) -> pd.DataFrame:
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
    findings = [novelty(s, float(r), metas) for s, r in zip(structures, separation, strict=True)]
    for name in CHECKS:
        columns[f"outside_{name}"] = [name in found for found in findings]
    columns["warnings"] = ["; ".join(found.values()) for found in findings]
    level = graphs.settings["level"]
    columns["level"] = "none" if level is None else level if isinstance(level, str) else canonical_json(level)
    columns["checkpoints"] = " ".join(model.digest for model in models)
    columns["psigraph_version"] = __version__
    return pd.DataFrame(columns)


def _deltas(model: Checkpoint, graphs: ShardSet) -> np.ndarray:
    """Return ΔV (n,) of one checkpoint, in the precision of its weights."""
    network = model.loaded.model
    samples = CachedDimerDataset(graphs, dtype=next(p.dtype for p in network.parameters()))
    return predict_delta(network, make_loader(samples, BATCH_SIZE))


def _write(table: pd.DataFrame, rejected: Sequence[Rejected], output: Path) -> None:
    with atomic_path(rejected_path(output)) as rejected_file, atomic_path(output) as table_file:
        table.to_csv(table_file, index=False, float_format="%.10g")
        with open(rejected_file, "w", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(REJECTED_COLUMNS)
            writer.writerows((r.id, r.source, r.stage, r.reason) for r in rejected)
