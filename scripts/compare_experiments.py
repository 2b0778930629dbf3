"""Compare the experiments of a family that learn from the same datasets, and draw them side by side."""

import argparse
import sys
from pathlib import Path

from psigraph.evaluation.across import compare_across
from psigraph.script import run


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--baselines", nargs="+", required=True, metavar="EXPERIMENT=V0", help="what V_0 is, for each experiment"
    )
    parser.add_argument(
        "--predictions", type=Path, nargs="+", required=True, help="predictions.csv of every run, metrics.csv beside it"
    )
    parser.add_argument("--output", type=Path, required=True, help="table to write (.csv)")
    parser.add_argument("--plots", type=Path, required=True, help="folder to write the figures into")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    baselines = dict(item.split("=", 1) for item in args.baselines)
    compare_across(args.predictions, baselines, output=args.output, plots=args.plots)


if __name__ == "__main__":
    sys.exit(run(main))
