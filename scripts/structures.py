"""Read a dataset's raw files and write its structure store and the list of rows that are not in it."""

import argparse
import json
import sys
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from psigraph.config import ComplexDataset, Dataset
from psigraph.script import run
from psigraph.structures.build import build_structures


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True, help="name of the dataset")
    parser.add_argument("--settings", required=True, help="its entry in the configuration, as JSON")
    parser.add_argument("--threads", type=int, default=1, help="processes that prepare proteins")
    parser.add_argument("--output", required=True, type=Path, help="structure store to write (.h5)")
    parser.add_argument("--rejected", required=True, type=Path, help="rows that are not in it, with reasons (.csv)")
    return parser.parse_args(arguments)


def dataset_of(name: str, settings: str) -> Dataset:
    try:
        return TypeAdapter(Dataset).validate_python(json.loads(settings))
    except json.JSONDecodeError as error:
        raise ValueError(f"--settings is not JSON: {error}") from None
    except ValidationError as error:
        details = "; ".join(f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in error.errors())
        raise ValueError(f"--settings of dataset {name!r}: {details}") from None


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    dataset = dataset_of(args.dataset, args.settings)
    if isinstance(dataset, ComplexDataset):
        dataset = dataset.model_copy(update={"threads": args.threads})
    build_structures(dataset, args.dataset, args.output, args.rejected)


if __name__ == "__main__":
    sys.exit(run(main))
