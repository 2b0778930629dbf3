"""Read a dataset's raw files and write its structure store and the list of rows that are not in it."""

import argparse
import json
import logging
import sys
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from psigraph.config import Dataset
from psigraph.structures.build import build_structures


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True, help="name of the dataset")
    parser.add_argument("--settings", required=True, help="its entry in the configuration, as JSON")
    parser.add_argument("--output", required=True, type=Path, help="structure store to write (.h5)")
    parser.add_argument("--rejected", required=True, type=Path, help="rows that are not in it, with reasons (.csv)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        dataset: Dataset = TypeAdapter(Dataset).validate_python(json.loads(args.settings))
        build_structures(dataset, args.dataset, args.output, args.rejected)
    except json.JSONDecodeError as error:
        print(f"error: --settings is not JSON: {error}", file=sys.stderr)
        return 1
    except ValidationError as error:
        details = "; ".join(f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in error.errors())
        print(f"error: --settings of dataset {args.dataset!r}: {details}", file=sys.stderr)
        return 1
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
