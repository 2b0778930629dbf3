"""Compute the NMR shieldings of one batch of structures with PySCF."""

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy and PySCF load

from psigraph.descriptors.shielding_batches import ShieldingJob, build_shieldings
from psigraph.script import run


def parse(arguments: list[str] | None = None) -> ShieldingJob:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--structures", required=True, type=Path, help="structure store (.h5)")
    parser.add_argument("--batch", required=True, type=int, help="number of this batch, from 0")
    parser.add_argument("--batches", required=True, type=int, help="number of batches of the dataset")
    parser.add_argument("--level", required=True, type=json.loads, help="level of theory as JSON")
    parser.add_argument("--store", required=True, type=Path, help="folder of the content-addressed store")
    parser.add_argument("--output", required=True, type=Path, help="store to write (.h5)")
    parser.add_argument("--time-limit", type=float, default=3600.0, help="time of one structure [s]")
    parser.add_argument("--memory-mb", type=int, default=2000, help="memory of this process [MB]")
    parser.add_argument("--max-failed", type=float, default=0.2, help="stop where a larger share of the batch fails")
    a = parser.parse_args(arguments)
    if not 0 <= a.batch < a.batches:
        parser.error(f"--batch {a.batch}: batches are numbered 0 to {a.batches - 1}")
    return ShieldingJob(
        a.structures, a.batch, a.batches, a.level, a.store, a.output, a.time_limit, a.memory_mb, a.max_failed
    )


def main(arguments: list[str] | None = None) -> None:
    build_shieldings(parse(arguments))


if __name__ == "__main__":
    sys.exit(run(main))
