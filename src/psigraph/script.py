"""What every script of the workflow does around its work: a log on standard error, one line for a user's mistake."""

import argparse
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psigraph.config import Config


def run(work: Callable[[], object]) -> int:
    """Do `work` and return the exit code: 0, or 1 after one line where the input, a file or a setting is wrong."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        work()
    except (ValueError, RuntimeError, OSError) as error:
        if type(error) is RuntimeError:  # torch's own: no mistake of the user's, so the log gets the traceback
            raise
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which training run is meant, and what it is made of."""
    parser.add_argument("--experiment", required=True, help="name of the experiment")
    parser.add_argument("--architecture", required=True, help="name of the architecture")
    parser.add_argument("--seed", required=True, type=int, help="draws weights, order, augmentation and split")
    parser.add_argument(
        "--settings",
        required=True,
        type=json.loads,
        help='JSON: {"graphset", "level", "hyperparameters", "split", "training"}, see psigraph.training.settings',
    )
    parser.add_argument("--shards", required=True, nargs="+", type=Path, help="all shards of the graphset")
    parser.add_argument("--start-from", type=Path, help="checkpoint whose encoder the model begins with")


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the configuration is, of which one is required."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--config", type=Path, help="configuration file")
    source.add_argument("--config-json", help="the configuration as JSON text")


def config_of(args: argparse.Namespace) -> "Config":
    """Return the configuration that the options of `add_config_options` name. Raises ConfigError for a wrong one."""
    from psigraph.config import load_config, validate_config  # most scripts do without

    if args.config:
        return load_config(args.config)
    return validate_config(json.loads(args.config_json), "--config-json")
