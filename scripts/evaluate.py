"""Evaluate one run: predictions, metrics beside their floors, and plots."""

import argparse
from pathlib import Path

from psigraph.evaluation.run import evaluate_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="final_model_delta_learning.pt of the run")
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="graph shards, in the order of training")
    parser.add_argument("--split", type=Path, required=True, help="split.csv of the run")
    parser.add_argument("--history", type=Path, required=True, help="history.csv of the run")
    parser.add_argument("--dataset", required=True, help="name of the dataset for the tables")
    parser.add_argument("--split-kind", required=True, help="how the samples were split, for the tables: group, system, …")
    parser.add_argument("--predictions", type=Path, required=True, help="CSV to write: one row per sample")
    parser.add_argument("--metrics", type=Path, required=True, help="CSV to write: one row per split, target and metric")
    parser.add_argument("--plots", type=Path, required=True, help="folder to write the plots into")
    args = parser.parse_args()
    evaluate_run(
        args.checkpoint,
        args.shards,
        args.split,
        args.history,
        predictions_csv=args.predictions,
        metrics_csv=args.metrics,
        plots=args.plots,
        dataset=args.dataset,
        split_kind=args.split_kind,
    )


if __name__ == "__main__":
    main()
