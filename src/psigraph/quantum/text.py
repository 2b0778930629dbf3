"""Plain text for people: aligned columns, durations, sizes, lists that end."""

from collections.abc import Iterable, Sequence


def aligned(rows: Iterable[Sequence[object]], indent: str = "", right: Sequence[int] = ()) -> list[str]:
    """Return one line per row with its columns aligned, those in `right` (numbers from 0) to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[k]) for row in cells if k < len(row)) for k in range(max(map(len, cells), default=0))]
    return [
        (
            indent
            + "  ".join(
                cell.rjust(width) if k in right else cell.ljust(width)
                for k, (cell, width) in enumerate(zip(row, widths, strict=False))
            )
        ).rstrip()
        for row in cells
    ]


def duration(seconds: float) -> str:
    """Return a time with the unit that suits it: 0.85 s, 12.3 s, 4.1 min, 3.2 h, 12 h."""
    if seconds < 120:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.3g} s"
    if seconds < 7200:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / 3600:,.1f} h" if seconds < 360_000 else f"{seconds / 3600:,.0f} h"


def size(n_bytes: float) -> str:
    """Return a number of bytes with the unit that suits it, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 999.5:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:,.3g} TB" if n_bytes < 999.5 else f"{n_bytes:,.0f} TB"


def first_few(names: Sequence[str], most: int = 3) -> str:
    """Return the first names, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def plural(number: int, noun: str) -> str:
    """Return `1 structure`, `2,000 structures`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
