"""Write the summary table and the self-contained HTML report."""

import argparse
import sys
from pathlib import Path

from psigraph.evaluation.report import write_report
from psigraph.script import add_config_options, config_of, run


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_options(parser)
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of everything computed")
    parser.add_argument("--output", type=Path, required=True, help="report.html to write")
    parser.add_argument("--summary", type=Path, required=True, help="summary.csv to write")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    write_report(config_of(args), args.results, output=args.output, summary=args.summary)


if __name__ == "__main__":
    sys.exit(run(main))
