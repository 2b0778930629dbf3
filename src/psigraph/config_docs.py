"""The reference of configuration keys, written from the schema itself.

`python -m psigraph.config_docs docs` writes docs/config.md and docs/config.schema.json; a test fails when they drift.
"""

import json
import sys
from pathlib import Path
from typing import Any, get_args

from psigraph.config import (
    ARCHITECTURES,
    SOURCES,
    AffinityGraphset,
    Config,
    DeltaGraphset,
    Experiment,
    Level,
    Only,
    Property,
    Quantum,
    RegionalGraphset,
    Section,
    Split,
    Training,
)
from psigraph.config.searches import Range, Search

_SECTIONS: tuple[tuple[str, type[Section]], ...] = (
    *((f"datasets.NAME with `source: {source}`", section) for source, section in SOURCES.items()),
    ("datasets.NAME.properties.COLUMN", Property),
    ("levels.NAME", Level),
    ("quantum", Quantum),
    ("graphsets.NAME with `family: delta`", DeltaGraphset),
    ("graphsets.NAME with `family: regional`", RegionalGraphset),
    ("graphsets.NAME with `family: affinity`", AffinityGraphset),
    ("experiments.NAME", Experiment),
    ("experiments.NAME.split", Split),
    ("experiments.NAME.training", Training),
    ("only", Only),
    ("searches.NAME", Search),
    ("searches.NAME.space.KEY", Range),
    *((f"experiments.NAME.architectures.{name}", section) for name, section in ARCHITECTURES.items()),
)


def reference() -> str:
    """Return docs/config.md: every key with its meaning, unit and default."""
    lines = [
        "# Configuration",
        "",
        "Written by `python -m psigraph.config_docs docs` from `src/psigraph/config`; edit that, not this file.",
        "`config.yaml` is read by default; `--configfile FILE` reads another instead. A key that is not listed here is",
        "an error. Names of datasets, levels, graphsets and experiments are yours: letters, digits, `-` and `_`.",
    ]
    for where, section in _SECTIONS:
        about = (section.__doc__ or "").strip()
        lines += ["", f"## {where}", "", about, "", "| key | meaning | default |", "|---|---|---|"]
        for name, field in section.model_fields.items():
            if field.description:
                lines.append(f"| `{name}` | {field.description}{_choices(field.annotation)} | {_default(field)} |")
    return "\n".join(lines) + "\n"


def _choices(annotation: Any) -> str:
    nested = [inner for outer in get_args(annotation) for inner in (outer, *get_args(outer))]
    values = [value for value in nested if isinstance(value, str)]
    return f" (one of {', '.join(f'`{value}`' for value in values)})" if len(values) > 1 else ""


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    return "none" if field.default is None else f"`{field.default}`"


def schema() -> str:
    """Return the JSON schema that editors complete and check config.yaml with."""
    return json.dumps(Config.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "config.md").write_text(reference())
    (folder / "config.schema.json").write_text(schema())
