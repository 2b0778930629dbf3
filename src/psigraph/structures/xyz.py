"""One dimer or molecule from an XYZ file: atoms, charges from the comment line, fragments by selection or by bonds."""

import math
import re
from pathlib import Path

import numpy as np

from psigraph.structures.elements import number_of
from psigraph.structures.geometry import bonds, components
from psigraph.structures.model import Structure
from psigraph.structures.reading import RowError, pair


def read_xyz_dimer(path: str | Path, fragment_a: str | None = None) -> Structure:
    """Read a dimer; `v_ref` is NaN, the id is the file's name without suffix.

    `fragment_a` lists the atoms of A from 1, as in `1-6,9`; the others are B. Without it A and B are the two connected
    components by covalent radii, A the one of the first atom. The comment line may hold `charge=0,0 multiplicity=1,1`
    for A,B; the default is two neutral singlets. Raises RowError naming the file and what is wrong.
    """
    path = Path(path)
    lines = _lines(path)
    try:
        z, positions = _atoms(lines)
        comment = lines[1]
        return Structure(
            id=path.stem,
            z=z,
            positions=positions,
            fragment=_selected(fragment_a, len(z)) if fragment_a else _connected(z, positions),
            v_ref=math.nan,
            source=path.name,
            charge=_from_comment(comment, "charge", (0, 0)),
            multiplicity=_from_comment(comment, "multiplicity", (1, 1)),
        )
    except ValueError as error:
        raise RowError(f"{path.name}: {error}") from None


def read_xyz_molecule(path: str | Path, id: str) -> Structure:
    """Read a molecule; `v_ref` is NaN. The comment line may hold `charge=0 multiplicity=1`, the default.

    Raises RowError naming the file and what is wrong.
    """
    path = Path(path)
    lines = _lines(path)
    try:
        z, positions = _atoms(lines)
        return Structure(
            id=id,
            z=z,
            positions=positions,
            fragment=np.zeros(len(z)),
            v_ref=math.nan,
            source=path.name,
            charge=(_whole(lines[1], "charge", 0), 0),
            multiplicity=(_whole(lines[1], "multiplicity", 1), 1),
        )
    except ValueError as error:
        raise RowError(f"{path.name}: {error}") from None


def parse_selection(text: str, n_atoms: int) -> np.ndarray:
    """Return a mask (n_atoms,) of the atoms in 1-based ranges like `1-6,9`. Raises ValueError for other text."""
    mask = np.zeros(n_atoms, dtype=bool)
    for part in text.replace(" ", "").split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is None:
            raise ValueError(f"fragment_a {text!r}: {part!r} is no atom number and no range; write for example 1-6,9")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last <= n_atoms:
            raise ValueError(f"fragment_a {text!r}: {part!r} lies outside the atoms 1 to {n_atoms}")
        mask[first - 1 : last] = True
    return mask


def _selected(text: str, n_atoms: int) -> np.ndarray:
    mask = parse_selection(text, n_atoms)
    if mask.all():
        raise ValueError(f"fragment_a {text!r} takes all {n_atoms} atoms and leaves none for fragment B")
    return np.where(mask, 0, 1)


def _connected(z: np.ndarray, positions: np.ndarray) -> np.ndarray:
    labels = components(len(z), bonds(z, positions))
    count = int(labels.max(initial=-1)) + 1
    if count != 2:
        components_text = "1 connected component" if count == 1 else f"{count} connected components"
        raise ValueError(
            f"its atoms form {components_text} by covalent radii, a dimer has 2; name "
            "the atoms of fragment A (option or column fragment_a, for example 1-6)"
        )
    return labels


def _atoms(lines: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Atomic numbers (N,) and positions (N, 3) of the single frame."""
    try:
        count = int(lines[0])
    except (IndexError, ValueError):
        raise ValueError(f"line 1 {lines[0] if lines else ''!r} is not the number of atoms") from None
    body = [line for line in lines[2:] if line.strip()]
    if count < 1 or len(body) != count:
        more = "; several frames in one file are not read" if len(body) > count >= 1 else ""
        raise ValueError(f"line 1 announces {count} atoms and {len(body)} lines of atoms follow{more}")
    numbers, positions = [], []
    for n, line in enumerate(body, start=1):
        words = line.split()
        try:
            position = [float(w) for w in words[1:4]]
        except ValueError:
            position = []
        if len(position) != 3 or not np.isfinite(position).all():
            raise ValueError(f"atom {n} {line.strip()!r} is not a symbol and three finite coordinates")
        numbers.append(number_of(words[0]))
        positions.append(position)
    return np.array(numbers), np.array(positions)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RowError(f"{path.name}: cannot be read as text ({error})") from None


def _from_comment(comment: str, key: str, default: tuple[int, int]) -> tuple[int, int]:
    found = _value(comment, key)
    return pair(found, f"{key} in the comment line") if found else default


def _whole(comment: str, key: str, default: int) -> int:
    found = _value(comment, key)
    try:
        return int(found) if found else default
    except ValueError:
        raise RowError(f"{key} in the comment line is {found!r}, not a whole number") from None


def _value(comment: str, key: str) -> str | None:
    match = re.search(rf"(?:^|\s){key}\s*=\s*[\"']?([^\s\"']+)", comment, re.IGNORECASE)
    return match[1] if match else None
