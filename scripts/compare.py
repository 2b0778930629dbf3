"""Compare all runs of one experiment with their floors, and draw the pooled plots."""

import argparse
from pathlib import Path

from psigraph.evaluation.experiment import compare_experiment


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictions", type=Path, nargs="+", required=True, help="predictions.csv of every run")
    parser.add_argument("--metrics", type=Path, nargs="+", required=True, help="metrics.csv of every run, in that order")
    parser.add_argument("--histories", type=Path, nargs="+", required=True, help="history.csv of every run, in that order")
    parser.add_argument("--output", type=Path, required=True, help="comparison.csv to write")
    parser.add_argument("--plots", type=Path, required=True, help="folder to write the plots into")
    args = parser.parse_args()
    compare_experiment(args.predictions, args.metrics, args.histories, output=args.output, plots=args.plots)


if __name__ == "__main__":
    main()
