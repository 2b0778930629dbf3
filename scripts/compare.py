"""Compare all runs of one experiment with their floors, and draw the pooled plots."""

import argparse
import sys
from pathlib import Path

from psigraph.evaluation.experiment import compare_experiment
from psigraph.script import run


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", required=True, help="name of the experiment")
    parser.add_argument("--folds", type=int, default=0, help="number of folds in cross-validation, 0 for none")
    parser.add_argument(
        "--predictions", type=Path, nargs="+", required=True, help="predictions.csv of every run, metrics.csv beside it"
    )
    parser.add_argument("--histories", type=Path, nargs="+", required=True, help="history.csv of every run, in order")
    parser.add_argument("--output", type=Path, required=True, help="comparison.csv to write")
    parser.add_argument("--plots", type=Path, required=True, help="folder to write the plots into")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    compare_experiment(
        args.experiment, args.predictions, args.histories, folds=args.folds, output=args.output, plots=args.plots
    )


if __name__ == "__main__":
    sys.exit(run(main))
