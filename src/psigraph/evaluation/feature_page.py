"""The page on features: what was computed for every dataset, how it is distributed, and what is out of the ordinary."""

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from psigraph.evaluation.feature_figures import plot_histograms, plot_times
from psigraph.evaluation.feature_outliers import LIMIT, Outlier, farthest, outliers_of
from psigraph.evaluation.feature_series import SCOPES, Series, is_quantity, series_of
from psigraph.evaluation.figures import significant
from psigraph.evaluation.report_tables import Table, counted, image, render, table
from psigraph.quantum.inspect import Row, further_attempts
from psigraph.quantum.store import QuantumSet, read_quantum
from psigraph.quantum.table import FEATURES
from psigraph.stores import atomic_path
from psigraph.structures.elements import symbol_of
from psigraph.structures.model import StructureSet
from psigraph.structures.store import read_structures

log = logging.getLogger(__name__)

#: The page stands beside the report under this name.
PAGE = "features.html"
NAMED = 200  # failures named, and structures with further attempts
SLOWEST = 10
OUTLIERS_OF_SERIES, OUTLIERS_OF_SCOPE = 5, 60


@dataclass(frozen=True)
class Source:
    """One set of features: what it is called, of which structures, in which files."""

    heading: str
    text: str
    structures: Path
    files: Sequence[Path]


def feature_sources(
    structures: Sequence[Path], quantum: Sequence[Path], descriptors: Sequence[Path], shieldings: Sequence[Path]
) -> list[Source]:
    """Return the sets of features in files that lie where the workflow puts them.

    structures and descriptors: .../{dataset}.h5; quantum and shieldings: .../{dataset}/{level}/{batch}.h5.
    """
    store = {path.stem: path for path in structures}
    text = "Computed by Psi4. Of a dimer, features of the whole are shown, not those of A and B in its basis."
    sources = [
        Source(f"{dataset} at {level}", text, store[dataset], files)
        for (dataset, level), files in _by_level(quantum).items()
    ]
    text = "Descriptors that need no quantum chemistry: RDKit, geometry, D4 dispersion."
    sources += [Source(f"Descriptors of {path.stem}", text, store[path.stem], [path]) for path in descriptors]
    sources += [
        Source(f"Shieldings of {dataset} at {level}", "Computed by PySCF.", store[dataset], files)
        for (dataset, level), files in _by_level(shieldings).items()
    ]
    return sources


def _by_level(files: Sequence[Path]) -> dict[tuple[str, str], list[Path]]:
    """Return the batches of each dataset and level, in the order of their numbers."""
    found: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(files, key=lambda path: (path.parent, int(path.stem))):
        found.setdefault((path.parent.parent.name, path.parent.name), []).append(path)
    return found


def write_feature_page(sources: Sequence[Source], output: str | Path) -> None:
    """Write the page of all `sources`. Raises StoreError naming the file that cannot be used."""
    with tempfile.TemporaryDirectory(prefix="psigraph-features-") as folder:
        sections = [section(source, Path(folder)) for source in sources]
    html = render("features.html.j2", {"title": "psigraph: features", "sections": sections, "limit": f"{LIMIT:g}"})
    with atomic_path(output) as temporary:
        temporary.write_text(html, encoding="utf-8")
    log.info("wrote %s: %.1f MB", output, len(html) / 1e6)


def section(source: Source, folder: Path) -> dict[str, Any]:
    """Return what the template shows of one source; figures are drawn in `folder` and embedded."""
    structures = read_structures(source.structures)
    names = features_in(source.files)
    status = read_quantum(source.files, structures_digest=structures.digest, ids=structures.ids, features=())
    rows = rows_of(status, structures)
    tables = [overview_table(rows), *failure_tables(rows), *retried_tables(rows), slowest_table(rows)]
    path = folder / "times.png"
    plot_times(status.wall_time, structures.n_atoms, status.ok, path)
    time = image(path, "Time", "Each point is a structure; all its calculations together.")
    scopes = []
    for scope in SCOPES:
        members = [name for name in names if FEATURES[name].per == scope]
        if any(map(is_quantity, members)):  # a scope at a time, since stores of many molecules are large
            members += ["bonds"] if scope == "bond" else []
            part = read_quantum(source.files, features=members)
            scopes.append(scope_part(part, structures, scope, folder / f"{scope}.png"))
    return {"heading": source.heading, "text": source.text, "tables": tables, "time": time, "scopes": scopes}


def features_in(files: Sequence[Path]) -> list[str]:
    """Return the names of the features that the files of one set hold."""
    return [str(name) for name in read_quantum(files, features=()).settings["features"]]


def rows_of(table: QuantumSet, structures: StructureSet) -> list[Row]:
    """Return how each structure's calculation went."""
    return [
        Row(
            str(table.ids[i]),
            str(table.status[i]),
            str(table.message[i]),
            float(table.wall_time[i]),
            tuple(line for line in str(table.attempts[i]).split("\n") if line),
            int(structures.n_atoms[i]),
        )
        for i in range(table.n)
    ]


def overview_table(rows: Sequence[Row]) -> Table:
    """Counts by status, further attempts, time."""
    seconds = np.array([row.wall_time for row in rows]) if rows else np.zeros(1)
    lines = [
        ("structures", len(rows)),
        *counted(row.status for row in rows),
        ("ok with a remark", sum(row.status == "ok" and bool(row.message) for row in rows)),
        ("with attempts beyond the first", sum(further_attempts(row) > 0 for row in rows)),
        ("time of all [h]", significant(seconds.sum() / 3600)),
        ("time of one, median [s]", significant(float(np.median(seconds)))),
        ("time of one, 95th percentile [s]", significant(float(np.percentile(seconds, 95)))),
        ("time of the slowest [s]", significant(float(seconds.max()))),
    ]
    return table("How it went.", ("what", "value"), lines, numeric=(1,))


def failure_tables(rows: Sequence[Row]) -> list[Table]:
    """Every structure that failed, class by class, and those with a remark."""
    failed = sorted((row for row in rows if row.status != "ok"), key=lambda row: row.status)
    remarks = [row for row in rows if row.status == "ok" and row.message]
    tables = []
    for what, members in (("Failures", failed), ("Computed in part: some values are missing", remarks)):
        if members:
            lines = [(row.status, row.name, row.n_atoms, row.message) for row in members[:NAMED]]
            header = ("class", "structure", "atoms", "message")
            tables.append(table(f"{what}{_first(NAMED, len(members))}.", header, lines, numeric=(2,)))
    return tables


def retried_tables(rows: Sequence[Row]) -> list[Table]:
    """Structures whose SCF needed more than its first settings, with every attempt."""
    retried = sorted((row for row in rows if further_attempts(row)), key=lambda row: -further_attempts(row))
    if not retried:
        return []
    lines = [(row.name, row.status, further_attempts(row), "; ".join(row.attempts)) for row in retried[:NAMED]]
    caption = f"SCF attempts beyond the first{_first(NAMED, len(retried))}."
    return [table(caption, ("structure", "status", "further", "attempts"), lines, numeric=(2,))]


def slowest_table(rows: Sequence[Row]) -> Table:
    """The structures that took longest."""
    slowest = sorted(rows, key=lambda row: -row.wall_time)[:SLOWEST]
    lines = [(row.name, row.n_atoms, significant(row.wall_time), row.status) for row in slowest]
    return table("Slowest structures.", ("structure", "atoms", "time [s]", "status"), lines, numeric=(1, 2))


def scope_part(part: QuantumSet, structures: StructureSet, scope: str, path: Path) -> dict[str, Any]:
    """Return histograms, ranges and outliers of the features of one scope."""
    series = list(series_of(part, structures, scope))
    plot_histograms(series, path)
    outliers = [outliers_of(item) for item in series]
    caption = "Counts are logarithmic. " + ("Each element has its colour. " if scope == "atom" else "")
    return {
        "heading": SCOPES[scope],
        "image": image(path, SCOPES[scope], caption + "Tensors count by their norm."),
        "ranges": ranges_table(series, [len(found) for found in outliers]),
        "outliers": outlier_table(outliers, part, structures),
    }


def ranges_table(series: Sequence[Series], outliers: Sequence[int]) -> Table:
    """Counts and percentiles of every series."""
    lines = []
    for item, n in zip(series, outliers, strict=True):
        shares = np.percentile(item.values, [0, 5, 50, 95, 100]) if len(item.values) else [np.nan] * 5
        numbers = [significant(float(value), 4) for value in shares]
        lines.append((item.name, item.feature.unit, len(item.values), item.missing, *numbers, n))
    header = ("feature", "unit", "values", "missing", "lowest", "5 %", "median", "95 %", "highest", "outliers")
    return table("Ranges.", header, lines, numeric=range(2, 10))


def outlier_table(outliers: Sequence[Sequence[Outlier]], part: QuantumSet, structures: StructureSet) -> Table | None:
    """The farthest outliers of each series by name, or None where there is none."""
    total = sum(map(len, outliers))
    shown = farthest(item for found in outliers for item in found[:OUTLIERS_OF_SERIES])[:OUTLIERS_OF_SCOPE]
    if not shown:
        return None
    lines = [
        (
            item.series.name,
            part.ids[item.structure],
            place_name(item, part, structures),
            significant(item.value, 4),
            significant(item.median, 4),
            item.series.feature.unit,
            significant(item.z),
        )
        for item in shown
    ]
    header = ("feature", "structure", "where", "value", "usual", "unit", "robust z")
    caption = f"Outliers: {total} in all, here {len(shown)}, at most {OUTLIERS_OF_SERIES} of each feature."
    return table(caption, header, lines, numeric=(3, 4, 6))


def place_name(item: Outlier, part: QuantumSet, structures: StructureSet) -> str:
    """Return which atom, bond or orbital it is; atoms as element and number from 1."""

    def atom(number: int) -> str:
        return f"{symbol_of(int(structures.z[structures.offsets[item.structure] + number]))}{number + 1}"

    scope = item.series.feature.per
    if scope in ("system", "structure"):
        return "–"
    if scope == "atom":
        return atom(item.place)
    if scope == "bond" and "bonds" in part:
        i, j = part["bonds"][part.rows("bond", item.structure)][item.place]
        return f"{atom(int(i))}–{atom(int(j))}"
    return f"number {item.place + 1}"


def _first(most: int, n: int) -> str:
    return f"; the first {most} of {n}" if n > most else ""
