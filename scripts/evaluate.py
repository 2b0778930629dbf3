"""Evaluate one run: predictions, metrics beside their floors, and plots."""

import argparse
import sys
from pathlib import Path

from psigraph.evaluation.run import evaluate_run
from psigraph.script import run


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", required=True, help="name of the experiment")
    parser.add_argument("--architecture", required=True, help="name of the architecture")
    parser.add_argument("--seed", type=int, required=True, help="seed of the run")
    parser.add_argument("--model", type=Path, required=True, help="checkpoint of the run (.pt)")
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="all shards of the graphset")
    parser.add_argument("--split", type=Path, required=True, help="split.csv of the run")
    parser.add_argument("--history", type=Path, required=True, help="history.csv of the run")
    parser.add_argument("--predictions", type=Path, required=True, help="CSV to write: one row per sample")
    parser.add_argument("--metrics", type=Path, required=True, help="CSV to write: a row per split, target and metric")
    parser.add_argument("--plots", type=Path, required=True, help="folder to write the plots into")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    evaluate_run(
        args.model,
        args.shards,
        args.split,
        args.history,
        expected={"experiment": args.experiment, "architecture": args.architecture, "seed": args.seed},
        predictions_csv=args.predictions,
        metrics_csv=args.metrics,
        plots=args.plots,
    )


if __name__ == "__main__":
    sys.exit(run(main))
