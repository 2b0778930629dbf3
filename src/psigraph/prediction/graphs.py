"""From structures to graphs: Psi4, descriptors and the graphs stage, in a folder of their own."""

import csv
import logging
import subprocess
from collections.abc import Mapping
from pathlib import Path

from psigraph.graphs.build import build_shard
from psigraph.graphs.settings import ShardSettings
from psigraph.prediction.base import Options, PredictionError, Rejected
from psigraph.quantum.interpreter import find_interpreter, worker_call
from psigraph.stores import canonical_json
from psigraph.structures.reading import ReadResult
from psigraph.structures.store import write_structures

log = logging.getLogger(__name__)


def build_graphs(
    result: ReadResult, settings: ShardSettings, folder: Path, options: Options
) -> tuple[Path, list[Rejected]]:
    """Take structures through Psi4 and the graphs stage in a folder; return the shard and what was left out."""
    structures = folder / "structures.h5"
    write_structures(
        structures,
        result.structures,
        unit=result.unit or settings.unit,
        settings={},
        label_specs=result.label_specs,
    )
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
    return shard, left_out


def _feature_files(
    structures: Path, n: int, settings: ShardSettings, folder: Path, options: Options
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


def _quantum(structures: Path, n: int, settings: ShardSettings, folder: Path, options: Options) -> list[Path]:
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
            command, environment = worker_call(interpreter, Path(__file__).resolve().parents[2], words)
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
