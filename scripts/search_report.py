"""Write what a search for hyperparameters came to: a table of its trials, the best one, and figures."""

import argparse
import json
import sys
from pathlib import Path

from psigraph.config.searches import Search
from psigraph.script import run
from psigraph.search.report import write_search


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="name of the search")
    parser.add_argument("--search", required=True, type=Search.model_validate_json, help="JSON: the search's entry")
    parser.add_argument("--entry", required=True, type=json.loads, help="JSON: the experiment as it is written down")
    parser.add_argument(
        "--settings", required=True, type=json.loads, help="JSON: the run of the experiment, as scripts/train.py has it"
    )
    parser.add_argument("--workers", required=True, nargs="+", type=Path, help="what each worker ran")
    parser.add_argument("--table", required=True, type=Path, help="trials.csv to write")
    parser.add_argument("--best", required=True, type=Path, help="best.yaml to write")
    parser.add_argument("--plots", required=True, type=Path, help="folder to write the figures into")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    outputs = {"table": args.table, "best": args.best, "plots": args.plots}
    write_search(args.name, args.search, args.entry, args.settings, args.workers, **outputs)


if __name__ == "__main__":
    sys.exit(run(main))
