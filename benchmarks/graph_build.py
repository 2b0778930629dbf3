"""What graph shards cost: python benchmarks/graph_build.py [--molecules 100000] [--scratch DIR] [--quick]

QM9's molecules, and the same cut in two halves as dimers, with quantum files of made-up numbers that hold all default
features, become shards at 5 and 12 Å. Times are µs per structure and core. "all in" is the CPU time of whole processes,
interpreter and imports too; memory is the peak above what the imports take. Ratios are measured in the same run:

one by one    CPU time of the slow way (each structure by itself, everything in memory) over that of the blocks
disk          bytes of the shards over those of `torch.save(list[Data])` of the same graphs, evenly spread over the set

Cost against the size of the dimers (random points) and of the dataset stand in the JSON as series.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from graph_data import LEVEL, NAMES, qm9_structures, random_dimers, write_stores
from machine import describe

from psigraph.graphs.dataset import CachedDimerDataset
from psigraph.graphs.features import computed_features
from psigraph.graphs.graph import graph_from_structure
from psigraph.graphs.settings import GraphSettings
from psigraph.graphs.shard_writer import write_shard
from psigraph.quantum.store import read_quantum
from psigraph.structures.model import Structure
from psigraph.structures.store import read_structures

JOB = Path(__file__).with_name("graph_build_job.py")
CUTOFFS = (5.0, 12.0)  # Å
BATCHES = 16  # quantum files
SETTINGS: dict[str, dict[str, Any]] = {
    "molecules": {"level": LEVEL.identity(), "v0": "zero", "participation": False},
    "dimers": {"level": LEVEL.identity(), "v0": "hf"},
}
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Set:
    """A structure store with its quantum files in a temporary folder; a context manager that deletes them."""

    def __init__(self, structures: list[Structure], settings: dict[str, Any], batches: int = BATCHES) -> None:
        self.n, self.settings = len(structures), settings
        self._temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self._temporary.name)
        self.structures, self.quantum = write_stores(self.folder, "set", structures, batches)

    def __enter__(self) -> "Set":
        return self

    def __exit__(self, *_: object) -> None:
        self._temporary.cleanup()

    def build(self, cutoff: float, shards: int = 1, processes: int = 1) -> dict[str, float]:
        """Build all shards, dealt out to processes; return µs per structure, MiB and bytes per structure."""
        output = self.folder / "shards"
        output.mkdir(exist_ok=True)
        start, before = time.perf_counter(), _children_cpu()
        running = [self._start(cutoff, output, shards, list(range(k, shards, processes))) for k in range(processes)]
        said = [json.loads(process.communicate()[0]) for process in running]
        if any(process.returncode for process in running):
            raise RuntimeError("building shards failed")
        micro = 1e6 / self.n
        return {
            "graphs": sum(one["graphs"] for one in said),
            "cpu": sum(one["cpu"] for one in said) * micro,
            "all in": (_children_cpu() - before) * micro,
            "wall": (time.perf_counter() - start) * micro * processes,
            "peak MiB": max(one["peak_mib"] for one in said),
            "bytes": sum((output / f"{shard}.h5").stat().st_size for shard in range(shards)) / self.n,
        }

    def _start(self, cutoff: float, output: Path, shards: int, numbers: list[int]) -> "subprocess.Popen[bytes]":
        job = {
            "settings": {**self.settings, "cutoff": cutoff},
            "structures": str(self.structures),
            "quantum": [str(path) for path in self.quantum],
            "folder": str(output),
            "shards": shards,
            "numbers": numbers,
        }
        command = [sys.executable, str(JOB), json.dumps(job)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT)

    def one_by_one(self, cutoff: float) -> float:
        """Return the CPU time of the slow way [µs per structure]."""
        settings, start = GraphSettings(**self.settings, cutoff=cutoff), time.process_time()
        structures = read_structures(self.structures)
        sets = {"psi4": read_quantum(self.quantum, features=settings.needed("psi4"))}
        graphs = [
            graph_from_structure(
                structure, settings, computed_features(sets, row, structure, settings), unit=structures.unit
            )
            for row, structure in enumerate(structures)
        ]
        write_shard(self.folder / "slow.h5", graphs, settings)
        return (time.process_time() - start) * 1e6 / self.n

    def bytes_of_samples(self, most: int) -> float:
        """Return what `torch.save(list[Data])` takes on disk [bytes per graph], of every k-th graph built last."""
        data = CachedDimerDataset([self.folder / "shards/0.h5"])
        step = max(1, len(data) // most)
        samples = [data[i] for i in range(0, len(data), step)]
        torch.save(samples, self.folder / "samples.pt")
        size = (self.folder / "samples.pt").stat().st_size / len(samples)
        (self.folder / "samples.pt").unlink()
        return size


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(n: int, sample: int) -> dict[str, Any]:
    """Return all figures; `n` molecules, `sample` of them for the slow ways."""
    figures: dict[str, Any] = {}
    ratios: dict[str, float] = {}
    for name, settings in SETTINGS.items():
        with Set(qm9_structures(n, dimers=name == "dimers"), settings) as whole:
            for cutoff in CUTOFFS:
                key = f"{name}, {cutoff:g} Å"
                figures[key] = {
                    "two processes, 8 shards": whole.build(cutoff, 8, 2),
                    "one process": whole.build(cutoff),
                }
                samples = whole.bytes_of_samples(sample)
                ratios[f"disk: shard / torch.save(list[Data]), {key}"] = figures[key]["one process"]["bytes"] / samples
        with Set(qm9_structures(sample, dimers=name == "dimers"), settings) as few:
            for cutoff in CUTOFFS:
                slow, fast = few.one_by_one(cutoff), few.build(cutoff)["cpu"]
                ratios[f"CPU: one by one / blocks, {name}, {cutoff:g} Å"] = slow / fast
    return {
        "machine": describe(),
        "molecules": n,
        "sample": sample,
        "batches": BATCHES,
        "features": NAMES,
        "figures": figures,
        "ratios": ratios,
        "series": {"dataset size": dataset_series(n), "dimer size": size_series(n)},
    }


def dataset_series(n: int) -> dict[str, list[float]]:
    """Return cost [µs per dimer] and memory [MiB] against the number of dimers, at 5 Å."""
    series: dict[str, list[float]] = {"dimers": [], "cpu": [], "all in": [], "peak MiB": []}
    for size in (n // 100, n // 30, n // 10, n // 3, n):
        with Set(qm9_structures(size, dimers=True), SETTINGS["dimers"]) as dimers:
            found = {"dimers": dimers.n, **dimers.build(5.0)}
        for key, values in series.items():
            values.append(found[key])
    return series


def size_series(n: int) -> dict[str, list[float]]:
    """Return cost [µs per dimer, CPU] against the number of atoms, random points, at 5 and 12 Å."""
    series: dict[str, list[float]] = {"atoms": [], **{f"{cutoff:g} Å": [] for cutoff in CUTOFFS}}
    for n_atoms in (10, 20, 50, 100, 200, 500, 1000):
        with Set(random_dimers(max(20, 2 * n // n_atoms), n_atoms), SETTINGS["dimers"], batches=1) as dimers:
            series["atoms"].append(n_atoms)
            for cutoff in CUTOFFS:
                series[f"{cutoff:g} Å"].append(dimers.build(cutoff)["cpu"])
    return series


def show(result: dict[str, Any]) -> None:
    print(
        f"{result['machine']['processor']}: {result['molecules']} molecules, {BATCHES} batches of {len(NAMES)} features"
    )
    print(f"{'µs per structure and core':42s}{'CPU':>8s}{'all in':>8s}{'wall':>8s}{'MiB':>7s}{'bytes':>8s}")
    for key, ways in result["figures"].items():
        for way, found in ways.items():
            numbers = [found[name] for name in ("cpu", "all in", "wall", "peak MiB", "bytes")]
            print(f"{key + ', ' + way:42s}{numbers[0]:8.1f}{numbers[1]:8.1f}{numbers[2]:8.1f}", end="")
            print(f"{numbers[3]:7.0f}{numbers[4]:8.0f}")
    for name, ratio in result["ratios"].items():
        print(f"{ratio:10.3f}  {name}")
    for name, series in result["series"].items():
        print(name)
        for key, values in series.items():
            print(f"  {key:10s}" + "".join(f"{value:10.1f}" for value in values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--molecules", type=int, default=100_000, help="molecules of QM9 (default 100000)")
    parser.add_argument("--sample", type=int, default=20_000, help="of them for the slow ways and torch.save")
    parser.add_argument("--quick", action="store_true", help="2,000 molecules, 500 for the slow ways")
    parser.add_argument("--scratch", type=Path, help="folder for 3 GB of temporary files; default: the system's")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/graph_build.json"))
    arguments = parser.parse_args()
    n, sample = (2000, 500) if arguments.quick else (arguments.molecules, arguments.sample)
    torch.set_num_threads(1)
    if arguments.scratch:
        tempfile.tempdir = str(arguments.scratch)
    result = measure(n, min(n, sample))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=2, ensure_ascii=False))
    show(result)
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
