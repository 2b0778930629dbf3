"""Train one architecture with one seed on the shards of a graphset."""

import argparse
import sys
from pathlib import Path

from psigraph.script import add_run_options, run
from psigraph.training.engine import train_run


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_run_options(parser)
    parser.add_argument("--output-dir", required=True, type=Path, help="folder of the run")
    parser.add_argument("--gpu", type=int, default=0, help="GPUs to use, one process each")
    parser.add_argument("--processes", type=int, default=1, help="processes that share each batch, without a GPU")
    parser.add_argument("--threads", type=int, help="CPU threads of all processes; default: training.threads")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    train_run(
        args.shards,
        args.output_dir,
        experiment=args.experiment,
        architecture=args.architecture,
        seed=args.seed,
        settings=args.settings,
        start_from=args.start_from,
        gpus=args.gpu,
        threads=args.threads,
        processes=args.processes,
    )


if __name__ == "__main__":
    sys.exit(run(main))
