"""One process of the benchmark: builds shards and prints what that took as JSON. Arguments: one JSON object."""

import json
import sys
import time
from pathlib import Path

from psigraph.graphs.build import build_shard
from psigraph.graphs.settings import GraphSettings


def peak_mib() -> float:
    """Return the largest memory this program has had so far [MiB]; rusage would count the one that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main() -> None:
    job = json.loads(sys.argv[1])
    settings = GraphSettings(**job["settings"])
    imported, wall, cpu, graphs = peak_mib(), time.perf_counter(), time.process_time(), 0
    for shard in job["numbers"]:
        output = Path(job["folder"]) / f"{shard}.h5"
        graphs += build_shard(
            {"benchmark": job["structures"]},
            {"benchmark": job["quantum"]},
            output,
            output.with_suffix(".skipped.csv"),
            settings,
            shard=shard,
            shards=job["shards"],
        )[0]
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps({"graphs": graphs, **seconds, "peak_mib": peak_mib() - imported}))


if __name__ == "__main__":
    main()
