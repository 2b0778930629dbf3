"""A protein's PDB file made unambiguous, as text, before OpenMM reads it.

Format: wwPDB, "Protein Data Bank Contents Guide", version 3.3, sections ATOM and LINK.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from psigraph.structures.reading import RowError

#: Names of water; heavy water too.
WATERS = frozenset("HOH H2O WAT DOD SOL SPC TIP TIP3 TP3 TP4 TIP4 T3P T4P".split())  # noqa: SIM905
#: Names that state a protonation or a disulfide, as the residues of Amber's force fields have them.
STATES = {
    "HID": "HID", "HSD": "HID", "HIE": "HIE", "HSE": "HIE", "HIP": "HIP", "HSP": "HIP", "ASH": "ASH", "GLH": "GLH",
    "LYN": "LYN", "CYM": "CYM", "CYX": "CYX",
}  # fmt: skip
#: The standard residue of those that OpenMM does not rename itself.
_STANDARD = {"LYN": "LYS", "CYM": "CYS", "HSE": "HIS"}

#: Records beside those of atoms that OpenMM and PDBFixer make use of.
_KEPT = ("TER", "SEQRES", "CONECT")

#: Chain, number and insertion code of a residue.
Place = tuple[str, str, str]


@dataclass(frozen=True)
class ProteinText:
    """The lines that count, and what was done or is known beside them."""

    text: str
    states: dict[Place, str]  # stated protonations, by STATES
    atoms: int  # lines of atoms in it
    alternates: int = 0  # atoms with alternate locations that were left out
    waters: int = 0
    selenomethionines: int = 0
    insertions: int = 0  # residues with an insertion code
    open_links: tuple[tuple[Place, str], ...] = ()  # residue and atom linked to what is not in the file


def read_protein_text(path: Path) -> ProteinText:
    """Read the first model without water, with one location of every residue.

    Of alternate locations the one with the largest sum of occupancies is taken for the whole residue, of equal ones the
    first letter. Selenomethionine becomes methionine. Raises RowError naming the file and line.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise RowError(f"{path.name}: cannot be read ({error.strerror})") from None
    atoms, others = _first_model(lines)
    if not atoms:
        raise RowError(f"{path.name}: holds no ATOM or HETATM record")
    dry = [line for line in atoms if line[17:21].strip().upper() not in WATERS]
    if not dry:
        raise RowError(f"{path.name}: holds nothing but water")
    location = _locations(path, dry)
    kept = [line for line in dry if line[16] in (" ", location.get(_place(line), line[16]))]
    chosen = {id(line) for line in kept}
    states = {_place(line): STATES[name] for line in kept if (name := line[17:20].strip().upper()) in STATES}
    ends = _second_oxygens(kept)
    text = [_standard(line, ends) for line in others if line[:6].strip() in _KEPT or id(line) in chosen]
    return ProteinText(
        text="\n".join([*text, "END", ""]),
        states=states,
        atoms=len(kept),
        alternates=len(dry) - len(kept),
        waters=len(_residues(atoms)) - len(_residues(dry)),
        selenomethionines=len({_place(line) for line in kept if line[17:20] == "MSE"}),
        insertions=len({_place(line) for line in kept if line[26] != " "}),
        open_links=_open_links(lines, {_place(line) for line in kept}),
    )


def _first_model(lines: list[str]) -> tuple[list[str], list[str]]:
    """The atoms of the first model, padded to 80 columns, and the same with all other lines."""
    atoms, everything = [], []
    for line in lines:
        if line.startswith("ENDMDL"):
            break
        if line[:6].strip() in ("ATOM", "HETATM"):
            line = line.ljust(80)
            atoms.append(line)
        everything.append(line)
    return atoms, everything


def _residues(atoms: list[str]) -> set[tuple[Place, str]]:
    return {(_place(line), line[17:21]) for line in atoms}


def _place(line: str) -> Place:
    return line[21].strip(), line[22:26].strip(), line[26].strip()


def _locations(path: Path, atoms: list[str]) -> dict[Place, str]:
    """The location that is taken of each residue with alternate ones."""
    occupancies: dict[Place, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for line in atoms:
        if line[16] != " ":
            try:
                occupancies[_place(line)][line[16]] += float(line[54:60].strip() or 1)
            except ValueError:
                raise RowError(f"{path.name}: occupancy {line[54:60]!r} of {line[12:27]!r} is not a number") from None
    return {place: min(sums, key=lambda letter: (-sums[letter], letter)) for place, sums in occupancies.items()}


def _second_oxygens(atoms: list[str]) -> set[Place]:
    """Ends of chains whose oxygens are O and O1, which OpenMM would read as one name, and not O and OXT."""
    names: dict[Place, set[str]] = defaultdict(set)
    for line in atoms:
        names[_place(line)].add(line[12:16].strip())
    return {place for place, found in names.items() if {"N", "CA", "C", "O", "O1"} <= found}


def _standard(line: str, ends: set[Place]) -> str:
    """The atom without its mark of location, under the standard names of residue and atom."""
    if line[:6].strip() not in ("ATOM", "HETATM"):
        return line
    name = line[17:20].strip().upper()
    line = line[:16] + " " + line[17:]
    if line[12:16].strip() == "O1" and _place(line) in ends:
        line = line[:12] + " OXT" + line[16:]
    if name == "MSE":
        atom = " SD " if line[12:16].strip() == "SE" else line[12:16]
        element = " S" if atom == " SD " else line[76:78]
        return "ATOM  " + line[6:12] + atom + " MET" + line[20:76] + element + line[78:]
    return line[:17] + _STANDARD.get(name, line[17:20]) + line[20:]


def _open_links(lines: list[str], places: set[Place]) -> tuple[tuple[Place, str], ...]:
    """Ends of LINK records whose other end is in no residue of the file: where a covalent ligand was taken out."""
    found = []
    for line in lines:
        if line.startswith("LINK"):
            line = line.ljust(80)
            ends = [
                ((line[c + 9].strip(), line[c + 10 : c + 14].strip(), line[c + 14].strip()), line[c : c + 4])
                for c in (12, 42)
            ]
            waters = any(line[c + 5 : c + 8].strip() in WATERS for c in (12, 42))
            inside = [place in places for place, _ in ends]
            if sum(inside) == 1 and not waters:
                place, atom = ends[inside.index(True)]
                found.append((place, atom.strip()))
    return tuple(found)
