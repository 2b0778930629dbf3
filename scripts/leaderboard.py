"""Write the leaderboard of all experiments on molecules, its ablations and its figures."""

import argparse
import json
import sys
from pathlib import Path

from psigraph.config import load_config, validate_config
from psigraph.evaluation.regional.leaderboard import write_leaderboard
from psigraph.script import run


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--config", type=Path, help="configuration file")
    source.add_argument("--config-json", help="the configuration as JSON text")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of everything computed")
    parser.add_argument("--output", type=Path, required=True, help="leaderboard.csv to write")
    parser.add_argument("--ablations", type=Path, required=True, help="ablations.csv to write")
    parser.add_argument("--plots", type=Path, required=True, help="folder to write the figures into")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    if args.config:
        config = load_config(args.config)
    else:
        config = validate_config(json.loads(args.config_json), "--config-json")
    write_leaderboard(config, args.results, output=args.output, ablations=args.ablations, plots=args.plots)


if __name__ == "__main__":
    sys.exit(run(main))
