"""Write the page on features: distributions, outliers, failures and times of everything that was computed."""

import argparse
import sys
from pathlib import Path

from psigraph.evaluation.feature_page import feature_sources, write_feature_page
from psigraph.script import run


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for kind, place in (
        ("structures", "results/structures/DATASET.h5"),
        ("quantum", "results/quantum/DATASET/LEVEL/BATCH.h5"),
        ("descriptors", "results/descriptors/DATASET.h5"),
        ("shieldings", "results/shieldings/DATASET/LEVEL/BATCH.h5"),
    ):
        parser.add_argument(f"--{kind}", type=Path, nargs="*", default=[], metavar="FILE", help=f"files {place}")
    parser.add_argument("--output", type=Path, required=True, help="features.html to write")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    write_feature_page(feature_sources(args.structures, args.quantum, args.descriptors, args.shieldings), args.output)


if __name__ == "__main__":
    sys.exit(run(main))
