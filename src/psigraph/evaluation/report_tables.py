"""Building blocks of the pages: tables of text, embedded images, templates, missing files as clear errors."""

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from psigraph.evaluation.figures import DPI

CSS_DPI = 96  # CSS pixels per inch


@dataclass(frozen=True)
class Table:
    """A table of text. `numeric` are the positions of the columns that are aligned right."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Image:
    """A PNG embedded in the page, with what it shows in plain words."""

    title: str
    caption: str
    data: str
    width: int  # CSS pixels


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[Any]], numeric: Iterable[int] = ()) -> Table:
    """Return a table; every cell becomes text."""
    return Table(caption, header, [[str(cell) for cell in row] for row in rows], frozenset(numeric))


def image(path: Path, title: str, caption: str) -> Image | None:
    """Return the PNG at `path` as an embedded image, or None where it was not drawn."""
    if not path.is_file():
        return None
    content = path.read_bytes()
    pixels = int.from_bytes(content[16:20], "big")  # PNG header, https://www.w3.org/TR/png-3/#11IHDR
    data = "data:image/png;base64," + base64.b64encode(content).decode()
    return Image(title, caption, data, round(pixels * CSS_DPI / DPI))


def require(path: Path) -> Path:
    """Return `path`. Raises FileNotFoundError naming it and the command that makes it."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; make it with: snakemake --cores 1 {path}")
    return path


def read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV of the workflow; empty text stays text, empty numbers are NaN."""
    return pd.read_csv(require(path), dtype={"id": str, "reason": str, "message": str})


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises FileNotFoundError where it is missing."""
    return json.loads(require(path).read_text(encoding="utf-8"))


def counted(values: Iterable[str], most: int = 20) -> list[tuple[str, int]]:
    """Return (text, count), most frequent first; beyond `most` different texts the rest is one line."""
    counts = pd.Series(list(values), dtype=object).value_counts(sort=False)
    ordered = sorted(((str(text), int(n)) for text, n in counts.items()), key=lambda item: (-item[1], item[0]))
    if len(ordered) <= most:
        return ordered
    rest = ordered[most:]
    return [*ordered[:most], (f"… {len(rest)} further reasons", sum(n for _, n in rest))]


def render(template: str, context: Mapping[str, Any]) -> str:
    """Return the HTML that a template of this folder makes of a context; every text is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["symbols"] = symbols
    return environment.get_template(template).render(**context)


def symbols(text: str) -> Markup:
    """Return escaped HTML of `text` with V_0 and V_ref set with subscripts."""
    return Markup(re.sub(r"\bV_(0|ref)\b", r"V<sub>\1</sub>", str(escape(text))))
