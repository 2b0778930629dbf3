"""Raise the learning rate step by step on the shards of a graphset and suggest one for training."""

import argparse
import sys
from pathlib import Path

from psigraph.script import add_run_options, run
from psigraph.search.learning_rate import find_lr


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_run_options(parser)
    parser.add_argument("--table", required=True, type=Path, help="CSV to write: loss by learning rate")
    parser.add_argument("--plot", required=True, type=Path, help="PNG to write: the same, with the suggestion")
    parser.add_argument("--gpu", type=int, default=0, help="whether to use a GPU (1) or not (0)")
    parser.add_argument("--threads", type=int, help="CPU threads; default: training.threads")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    find_lr(
        args.shards,
        experiment=args.experiment,
        architecture=args.architecture,
        seed=args.seed,
        settings=args.settings,
        start_from=args.start_from,
        gpus=args.gpu,
        threads=args.threads,
        table=args.table,
        plot=args.plot,
    )


if __name__ == "__main__":
    sys.exit(run(main))
