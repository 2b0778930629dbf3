"""Write the leaderboard of all experiments of a family, its ablations and its figures."""

import argparse
import sys
from pathlib import Path

from psigraph.evaluation.affinity.leaderboard import write_leaderboard as write_affinity
from psigraph.evaluation.regional.leaderboard import write_leaderboard as write_regional
from psigraph.script import add_config_options, config_of, run

BOARDS = {"regional": write_regional, "affinity": write_affinity}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_options(parser)
    parser.add_argument("--family", choices=BOARDS, required=True, help="whose experiments")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of everything computed")
    parser.add_argument("--output", type=Path, required=True, help="table to write (.csv)")
    parser.add_argument("--ablations", type=Path, required=True, help="table of ablations to write (.csv)")
    parser.add_argument("--plots", type=Path, required=True, help="folder to write the figures into")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    write = BOARDS[args.family]
    write(config_of(args), args.results, output=args.output, ablations=args.ablations, plots=args.plots)


if __name__ == "__main__":
    sys.exit(run(main))
