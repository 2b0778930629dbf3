"""Writes and reads FILE47, the input of the NBO program.

Format: NBO 7.0 program manual (E. D. Glendening et al., University of Wisconsin, 2018): sections from `$NAME` to
`$END`, matrices as numbers row by row, of an open shell first alpha, then beta. Psi4's NBOWriter gives seven
digits. Version 1.3.2 appends to a file that is there, writes the charge of a nucleus less its core potential in place
of the atomic number, and only one set of orbitals for a restricted open shell; `write_file47` mends all three.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from psigraph.quantum.scf import Scf

#: Labels of real spherical functions by l, in the order m = 0, +1, -1, +2, -2, ... that Psi4 gives them.
LABELS = {
    0: (1,),
    1: (103, 101, 102),
    2: (255, 252, 253, 254, 251),
    3: (351, 352, 353, 354, 355, 356, 357),
}


@dataclass(frozen=True)
class File47:
    """What a FILE47 says. Shapes: N atoms, M basis functions; units as in the file's header."""

    numbers: np.ndarray  # (N,) atomic numbers
    charges: np.ndarray  # (N,) e; less the core that a potential replaces
    positions: np.ndarray  # (N, 3) Å, or bohr where the header says BOHR
    bohr: bool
    center: np.ndarray  # (M,) atoms from 0
    label: np.ndarray  # (M,) NBO's numbers of angular functions
    overlap: np.ndarray  # (M, M)
    densities: tuple[np.ndarray, ...]  # (M, M) of both spins, or of alpha and beta
    focks: tuple[np.ndarray, ...]  # (M, M) hartree
    orbitals: tuple[np.ndarray, ...]  # (M, M) columns are molecular orbitals


def write_file47(scf: Scf, path: Path) -> None:
    """Write the FILE47 of a wavefunction of Psi4; folders are made, and the file appears when it is complete."""
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    part.unlink(missing_ok=True)
    try:
        scf.psi4.core.NBOWriter(scf.wavefunction).write(str(part))
        part.write_text(_mended(part.read_text(), scf))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _mended(text: str, scf: Scf) -> str:
    """Return the text of a FILE47 with true atomic numbers and orbitals for both spins."""
    start = text.index("$COORD\n") + len("$COORD\n")
    head = text[:start]
    comment, *coord, rest = text[start:].split("\n", len(scf.system.z) + 1)
    rows = [re.sub(r"\d+", str(z), row, count=1) for z, row in zip(scf.system.z.tolist(), coord, strict=True)]
    start = rest.index("$LCAOMO\n") + len("$LCAOMO\n")
    end = rest.index("$END", start)
    if "OPEN" in head and len(rest[start:end].split()) == len(scf.integrals.atom) ** 2:
        rest = rest[:end].rstrip() + "\n" + rest[start:]
    return "\n".join([head + comment, *rows, rest])


def read_file47(path: Path) -> File47:
    """Read a FILE47.

    Raises ValueError, naming the file and the section, where one is missing, stands there twice, or does not have as
    many numbers as the header's NBAS and OPEN ask for.
    """
    sections = _sections(path)
    header = sections["GENNBO"].upper().replace("=", " ").split()
    n_atoms, size = (int(header[header.index(key) + 1]) for key in ("NATOMS", "NBAS"))
    spins = 2 if "OPEN" in header else 1
    packed = "UPPER" in header
    rows = [line.split() for line in sections["COORD"].splitlines()[-n_atoms:]]
    table = np.array(rows, dtype=float)  # (N, 5)

    def matrices(name: str, count: int, symmetric: bool) -> tuple[np.ndarray, ...]:
        numbers = np.array(sections[name].split(), dtype=float)
        each = size * (size + 1) // 2 if packed and symmetric else size * size
        if len(numbers) != count * each:
            raise ValueError(f"{path}: ${name} has {len(numbers)} numbers, {count * each} are needed")
        return tuple(_square(part, size) for part in numbers.reshape(count, each))

    return File47(
        numbers=table[:, 0].astype(int),
        charges=table[:, 1],
        positions=table[:, 2:],
        bohr="BOHR" in header,
        center=_integers(sections["BASIS"], "CENTER") - 1,
        label=_integers(sections["BASIS"], "LABEL"),
        overlap=matrices("OVERLAP", 1, True)[0],
        densities=matrices("DENSITY", spins, True),
        focks=matrices("FOCK", spins, True),
        orbitals=tuple(m.T for m in matrices("LCAOMO", spins, False)),
    )


def _sections(path: Path) -> dict[str, str]:
    """Return the text of each section, without the line break after its name."""
    text = path.read_text()
    found = {}
    for part in text.split("$END"):
        name, _, inside = part.strip().removeprefix("$").partition(" " if "$GENNBO" in part else "\n")
        found[name.strip()] = inside
    if len(re.findall(r"\$GENNBO", text)) > 1:
        raise ValueError(f"{path}: written more than once; Psi4 appends to a file that is there")
    missing = {"GENNBO", "COORD", "BASIS", "OVERLAP", "DENSITY", "FOCK", "LCAOMO"} - set(found)
    if missing:
        raise ValueError(f"{path}: no section ${', $'.join(sorted(missing))}")
    return found


def _integers(text: str, key: str) -> np.ndarray:
    """Return the integers after `key =` up to the next word."""
    values = []
    for word in text.split(key, 1)[1].replace("=", " ").split():
        if not word.lstrip("-").isdigit():
            break
        values.append(int(word))
    return np.array(values)


def _square(numbers: np.ndarray, size: int) -> np.ndarray:
    """Return a matrix (M, M) from all its elements, or from its upper triangle column by column."""
    if len(numbers) == size * size:
        return numbers.reshape(size, size)
    matrix = np.zeros((size, size))
    rows, columns = np.tril_indices(size)
    matrix[rows, columns] = matrix[columns, rows] = numbers
    return matrix
