"""Write the leaderboard of all experiments on molecules, its ablations and its figures."""

import argparse
import sys
from pathlib import Path

from psigraph.evaluation.regional.leaderboard import write_leaderboard
from psigraph.script import add_config_options, config_of, run


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_options(parser)
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of everything computed")
    parser.add_argument("--output", type=Path, required=True, help="leaderboard.csv to write")
    parser.add_argument("--ablations", type=Path, required=True, help="ablations.csv to write")
    parser.add_argument("--plots", type=Path, required=True, help="folder to write the figures into")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    write_leaderboard(config_of(args), args.results, output=args.output, ablations=args.ablations, plots=args.plots)


if __name__ == "__main__":
    sys.exit(run(main))
