"""Compute the descriptors of a structure store: Lewis structures, chirality, sterics, free atoms, D4 dispersion."""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before dftd4 loads: its threads cost molecules more than they save

from psigraph.descriptors.build import build_descriptors
from psigraph.script import run


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--structures", required=True, type=Path, help="structure store (.h5)")
    parser.add_argument("--output", required=True, type=Path, help="descriptor store to write (.h5)")
    parser.add_argument("--processes", type=int, default=1, help="how many work at once")
    args = parser.parse_args(arguments)
    if args.processes < 1:
        parser.error(f"--processes {args.processes}: must be 1 or more")
    return args


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    build_descriptors(args.structures, args.output, processes=args.processes)


if __name__ == "__main__":
    sys.exit(run(main))
