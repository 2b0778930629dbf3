"""Take part in a search for hyperparameters: draw trials and train them until there are none left."""

import argparse
import json
import sys
from pathlib import Path

from psigraph.config.searches import Search
from psigraph.script import run
from psigraph.search.worker import Job, work


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--search", required=True, type=Search.model_validate_json, help="JSON: the search's entry")
    parser.add_argument(
        "--settings", required=True, type=json.loads, help="JSON: the run of the experiment, as scripts/train.py has it"
    )
    parser.add_argument("--shards", required=True, nargs="+", type=Path, help="all shards of the graphset")
    parser.add_argument("--start-from", type=Path, help="checkpoint whose encoder every trial begins with")
    parser.add_argument("--worker", required=True, type=int, help="number of this job, from 0")
    parser.add_argument("--output", required=True, type=Path, help="JSON to write: the trials that this job ran")
    parser.add_argument("--gpu", type=int, default=0, help="GPUs to use, one process each")
    parser.add_argument("--threads", type=int, help="CPU threads of all processes; default: training.threads")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    job = Job(args.search, args.settings, args.shards, args.start_from, args.gpu, args.threads)
    work(job, args.worker, args.output)


if __name__ == "__main__":
    sys.exit(run(main))
