"""Build one shard of a graphset from structure stores and files of features."""

import argparse
import json
import sys
from pathlib import Path

from psigraph.graphs.build import build_shard
from psigraph.graphs.settings import settings_of
from psigraph.script import run


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="name of the graphset")
    parser.add_argument("--settings", required=True, type=json.loads, help="its entry in the configuration, as JSON")
    parser.add_argument("--level-settings", type=json.loads, help="its level's entry in `levels`, as JSON")
    parser.add_argument(
        "--structures", nargs="+", required=True, metavar="[DATASET=]FILE", help="structure stores, in order"
    )
    parser.add_argument(
        "--quantum", nargs="*", action="extend", default=[], metavar="DATASET=FILE", help="quantum files, all batches"
    )
    for kind in ("descriptors", "shieldings"):
        parser.add_argument(
            f"--{kind}", nargs="*", action="extend", default=[], metavar="DATASET=FILE", help=f"files of {kind}, all"
        )
    parser.add_argument("--shard", type=int, required=True, help="number of the shard, from 0")
    parser.add_argument("--shards", type=int, help="how many there are; default: the entry's `shards`")
    parser.add_argument("--output", required=True, type=Path, help="shard to write (.h5)")
    parser.add_argument("--skipped", required=True, type=Path, help="list of what was left out (.csv)")
    return parser.parse_args(arguments)


def named(items: list[str]) -> dict[str, list[Path]]:
    """Return the files by dataset of DATASET=FILE items; a bare FILE is the dataset of its own name."""
    files: dict[str, list[Path]] = {}
    for item in items:
        dataset, equals, path = item.partition("=")
        if not equals or "/" in dataset:
            dataset, path = Path(item).stem, item
        files.setdefault(dataset, []).append(Path(path))
    return files


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    stores = named(args.structures)
    for dataset, paths in stores.items():
        if len(paths) > 1:
            raise ValueError(f"--structures names two files for dataset {dataset!r}")
    settings = settings_of(args.settings, args.level_settings)
    build_shard(
        {dataset: paths[0] for dataset, paths in stores.items()},
        named(args.quantum),
        args.output,
        args.skipped,
        settings,
        descriptors=named(args.descriptors),
        shieldings=named(args.shieldings),
        name=args.name,
        shard=args.shard,
        shards=args.shards or int(args.settings.get("shards", 1)),
        computed=args.settings.get("computed"),
    )


if __name__ == "__main__":
    sys.exit(run(main))
