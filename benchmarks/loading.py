"""What loading costs: python benchmarks/loading.py [--quick] [--many 10000000] [--scratch DIR] [--output FILE.json]

Every ratio is of two figures of one run on one machine; run it on a quiet one. It measures, in one process:

formats       graphs/s of shuffled batches of 32 without augmentation, 25 atoms, 300 and 600 directed edges, over those
              of PyG's InMemoryDataset and of LMDB (where the package lmdb is installed) with PyG's loader
augmentation  time of a batch of random dimers of 20 to 40 atoms at 12 Å with rotation, and with new pairs after jitter,
              over that without
training      time of loading with rotation and jitter over that of a DeltaCoupling training step, 1 and 2 threads; left
              out where other processes took the cores
many          peak memory with 10 million small graphs in 1, 10 and 100 shards, over that with 1; the files, 5 GB
              at a time, are deleted at once
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from loading_data import CUTOFF, SCALE, write_shards
from loading_formats import InMemory, Lmdb, samples
from machine import describe
from torch_geometric.loader import DataLoader

from psigraph.graphs.dataset import CachedDimerDataset
from psigraph.graphs.loader import make_loader
from psigraph.models import build_model

BATCH = 32
FORMATS = 20_000  # graphs
ENOUGH = 0.75  # of a core for each thread, or the machine was too busy to time a training step
MEMORY = 256 * 2**20  # bytes that the 10 million graphs may take


def rate(loader: Iterable[Any], epochs: int) -> float:
    """Return graphs/s: the median of some epochs after one to warm up."""
    seconds = []
    for epoch in range(epochs + 1):
        if hasattr(loader, "set_epoch"):
            loader.set_epoch(epoch)
        start, graphs = time.perf_counter(), 0
        for batch in loader:
            graphs += batch.num_graphs
        seconds.append((time.perf_counter() - start) / graphs)
    return 1 / statistics.median(seconds[1:])


def formats(folder: Path, pairs: int, n: int) -> dict[str, float]:
    """Return graphs/s of every format."""
    paths = write_shards(folder, n, atoms=(25, 25), pairs=pairs, shards=4)
    dataset = CachedDimerDataset(paths)
    found = {"psigraph": rate(make_loader(dataset, BATCH, shuffle=True), 10)}
    mapped = CachedDimerDataset(paths, memory=sum(path.stat().st_size for path in paths) // 8)
    found["psigraph, read from disk"] = rate(make_loader(mapped, BATCH, shuffle=True), 5)
    data = samples(dataset.batch(range(n)))
    options: dict[str, Any] = {"batch_size": BATCH, "shuffle": True, "follow_batch": ["z_atoms"]}
    found["PyG InMemoryDataset"] = rate(DataLoader(InMemory(folder / "pyg", data), **options), 2)
    try:
        found["LMDB"] = rate(DataLoader(Lmdb(folder / "samples.lmdb", data), **options), 1)
    except ImportError:
        print("lmdb is not installed: no figure for it (pip install lmdb)")
    return found


def augmentation(dataset: CachedDimerDataset, batch_size: int) -> dict[str, float]:
    """Return the milliseconds a batch takes."""
    jitter = 0.01  # Å
    kinds = {"none": (False, 0.0), "rotation": (True, 0.0), "rotation and jitter": (True, jitter)}
    out = {}
    for name, (rotate, noise) in kinds.items():
        chosen = dataset.select(range(len(dataset)), rotate=rotate, jitter=noise)
        out[name] = 1000 * batch_size / rate(make_loader(chosen, batch_size, shuffle=True), 5)
    return out


def training(dataset: CachedDimerDataset, batch_size: int, steps: int) -> dict[str, float]:
    """Return the milliseconds of a step without its batch and of making the batch, means, and the cores it got."""
    torch.manual_seed(0)
    model = build_model("delta_coupling", {}, cutoff=CUTOFF, length_scale=SCALE, atom_width=3)
    chosen = dataset.select(range(len(dataset)), rotate=True, jitter=0.01)
    model.fit_normalisation(chosen.normalisation_arrays())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    loader = make_loader(chosen, batch_size, shuffle=True)
    block = loader.plan.block_batches  # made at once, so that whole blocks are timed, after one to warm up
    steps = min(-(-steps // block) * block, len(loader) // block * block - block)
    loading = computing = used = 0.0
    batches = iter(loader)
    for number in range(block + steps):
        start, cpu = time.perf_counter(), time.process_time()
        batch = next(batches)
        loaded = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        (model(batch) - batch.y).abs().mean().backward()
        optimizer.step()
        if number >= block:
            loading += loaded - start
            computing += time.perf_counter() - loaded
            used += time.process_time() - cpu
    cores = used / (loading + computing)
    return {"loading": 1000 * loading / steps, "step": 1000 * computing / steps, "cores": cores}


def many(scratch: Path, n: int, shards: int, quick: bool) -> dict[str, float]:
    """Write n small graphs, load them in a process of their own, delete them; return MiB, s and graphs/s."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        start = time.perf_counter()
        paths = write_shards(Path(folder), n, atoms=(4, 8), pairs=10, shards=shards, features=())
        written = time.perf_counter() - start
        size = sum(path.stat().st_size for path in paths) / 2**30
        words = [sys.executable, __file__, "--load", folder, *(["--quick"] if quick else [])]
        answer = subprocess.run(words, capture_output=True, text=True)
    if answer.returncode:
        raise RuntimeError(f"loading {shards} shards failed: {answer.stderr[-2000:]}")
    return {"written_s": written, "gib": size, **json.loads(answer.stdout)}


def load(folder: Path, quick: bool) -> dict[str, float]:
    """Open, verify and go through a graphset; return times and peak memory above that of an idle process."""
    torch.set_num_threads(1)
    before = peak_memory()
    start = time.perf_counter()
    dataset = CachedDimerDataset(sorted(folder.glob("*.h5")), memory=MEMORY)
    opened = time.perf_counter()
    graphs = 0
    for batch in make_loader(dataset, BATCH, shuffle=True):
        graphs += batch.num_graphs
        if quick and graphs >= 4 * dataset.window_graphs:
            break
    seconds = time.perf_counter() - opened
    return {
        "peak_mib": peak_memory() - before,
        "opened_s": opened - start,
        "graphs": graphs,
        "graphs_per_s": graphs / seconds,
        "window_graphs": dataset.window_graphs,
    }


def peak_memory() -> float:
    """Return the most memory [MiB] this process has held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def measure(scratch: Path, graphs: int, quick: bool) -> dict[str, Any]:
    result: dict[str, Any] = {"machine": describe(), "quick": quick, "formats": {}, "augmentation": {}, "training": {}}
    ratios: dict[str, float] = {}
    torch.set_num_threads(1)
    for pairs in (150, 300):
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            found = formats(Path(folder), pairs, 2000 if quick else FORMATS)
        result["formats"][f"{2 * pairs} directed edges"] = found
        for name in set(found) - {"psigraph"}:
            ratios[f"graphs/s, {2 * pairs} directed edges, over {name}"] = found["psigraph"] / found[name]
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        dataset = CachedDimerDataset(write_shards(Path(folder), 512 if quick else 4096, atoms=(20, 40)))
        result["mean directed edges"] = 2 * int(dataset.batch(range(len(dataset))).pair_ptr[-1]) / len(dataset)
        for size in (5, 32):
            cost = result["augmentation"][f"ms a batch, B={size}"] = augmentation(dataset, size)
            for name in ("rotation", "rotation and jitter"):
                ratios[f"time of a batch with {name} over none, B={size}"] = cost[name] / cost["none"]
        for threads, size in ((1, 5), (1, 32), (2, 5), (2, 32)):
            torch.set_num_threads(threads)
            cost = training(dataset, size, 40 if quick else 120)
            where = f"B={size}, {threads} threads"
            result["training"][f"ms a batch, {where}"] = cost
            if cost["cores"] < ENOUGH * threads:  # the step is then slowed down more than loading is
                print(f"{where}: only {cost['cores']:.2f} cores were free; no share of loading is stated")
            else:
                ratios[f"loading and augmentation over training step, {where}"] = cost["loading"] / cost["step"]
    if graphs:
        found_many = {shards: many(scratch, graphs, shards, quick) for shards in (1, 10, 100)}
        result["many"] = {"graphs": graphs, "memory_mib": MEMORY / 2**20, "shards": found_many}
        for shards in (10, 100):
            peak = found_many[shards]["peak_mib"] / found_many[1]["peak_mib"]
            ratios[f"peak memory, {shards} shards over 1"] = peak
    return {**result, "ratios": ratios}


def show(result: dict[str, Any]) -> None:
    print(f"{result['machine']['processor']}, one process")
    for kind in ("formats", "augmentation", "training"):
        for title, figures in result[kind].items():
            unit = "graphs/s" if kind == "formats" else "ms"
            for name, value in figures.items():
                print(f"{value:12.3f}  {'cores' if name == 'cores' else unit}  {title}: {name}")
    for shards, found in result.get("many", {}).get("shards", {}).items():
        print(
            f"{found['peak_mib']:12.0f}  MiB peak with {result['many']['graphs']} graphs in {shards} shards "
            f"({found['gib']:.1f} GiB, opened and verified in {found['opened_s']:.0f} s, {found['graphs_per_s']:.0f}/s)"
        )
    for name, ratio in result["ratios"].items():
        print(f"{ratio:12.3f}  {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few graphs and steps: whether it runs, not what it costs")
    parser.add_argument("--many", type=int, default=10_000_000, help="small graphs, 0.5 kB of disk each; 0 for none")
    parser.add_argument("--scratch", type=Path, help="folder for temporary files")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/loading.json"))
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load:
        print(json.dumps(load(arguments.load, arguments.quick)))
        return
    result = measure(arguments.scratch or Path(tempfile.gettempdir()), arguments.many, arguments.quick)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=2))
    show(result)
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
