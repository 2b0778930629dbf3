"""PDBbind and CASF: an index of codes and affinities, and a folder for each complex.

Z. Liu et al., Acc. Chem. Res. 50, 302 (2017), doi:10.1021/acs.accounts.6b00491; M. Su et al., J. Chem. Inf. Model. 59,
895 (2019), doi:10.1021/acs.jcim.8b00545. A line of an index: code, resolution, year, -log10 of the constant, the
constant (`Kd=49uM`), and after `//` where it is from; lines that begin with # are comments. Folders hold
CODE_protein.pdb and CODE_ligand.sdf or .mol2. The target is that of INDEX_*_name.* beside the index: the UniProt code,
else the name; without it the code alone.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from psigraph.config import Pdbbind
from psigraph.structures import reading
from psigraph.structures.complex_rows import ComplexReader, checked_pk, empty_result
from psigraph.structures.ligands import read_ligand
from psigraph.structures.model import Structure
from psigraph.structures.reading import ReadResult, RowError
from psigraph.structures.sources import StructureError

_CONSTANT = re.compile(r"^(?P<measure>Kd|Ki|IC50)(?P<sign>=|~|<=|>=|<|>)(?P<value>[0-9.eE+-]+)(?P<unit>[munpf]?M)$")
_MOLAR = {"M": 1.0, "mM": 1e-3, "uM": 1e-6, "nM": 1e-9, "pM": 1e-12, "fM": 1e-15}
#: How far the index's two statements of one affinity may differ, by rounding.
_ROUNDING = 0.06


@dataclass(frozen=True)
class _Line:
    """One complex of an index."""

    number: int  # of the line, from 1
    code: str
    words: list[str]  # between the code and //


def read(dataset: Pdbbind) -> ReadResult:
    """Read all complexes of the index. Raises StructureError where the index or the core set cannot be read."""
    index = dataset.path / dataset.index
    targets = _targets(index)
    core = {line.code for line in _lines(dataset.path / dataset.core)} if dataset.core else None
    lines = _lines(index)
    result, reader = empty_result(), ComplexReader(dataset)
    reader.read_ahead((dataset.path / name, name) for name in (_protein(line.code) for line in lines))
    for line in tqdm(lines, desc="complexes", disable=None, mininterval=1.0):
        side = "" if core is None else "test" if line.code in core else "train"
        try:
            structure = _structure(dataset.path, reader, line, targets.get(line.code, line.code), index.name, side)
            result.accept(structure, line.number)
        except ValueError as error:
            result.reject(index.name, line.number, line.code, str(error))
    reader.summary()
    return result


def _protein(code: str) -> str:
    return f"{code}/{code}_protein.pdb"


def _text(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise StructureError(f"{path}: cannot be read ({error.strerror}); correct `index` or `core`") from error


def _lines(path: Path) -> list[_Line]:
    found = []
    for number, line in enumerate(_text(path), start=1):
        words = line.split("//")[0].split()
        if words and not words[0].startswith("#"):
            found.append(_Line(number, words[0].lower(), words[1:]))
    if not found:
        raise StructureError(f"{path}: lists no complexes")
    return found


def _targets(index: Path) -> dict[str, str]:
    """Targets by codes. A line of an index of names: code, year, UniProt code (or dashes), name."""
    targets: dict[str, str] = {}
    for path in sorted(index.parent.glob("INDEX_*_name.*")):
        for line in _text(path):
            words = line.split()
            if len(words) > 2 and not words[0].startswith("#"):
                known = words[2].strip("-")
                targets[words[0].lower()] = known or " ".join(words[3:]) or words[0].lower()
    return targets


def _structure(folder: Path, reader: ComplexReader, line: _Line, target: str, source: str, side: str) -> Structure:
    pk, measure = _affinity(line.words)
    code = line.code
    name = _protein(code)
    protein = reading.inside(folder, name, "protein")
    ligand = read_ligand(*(folder / code / f"{code}_ligand{ending}" for ending in (".sdf", ".mol2")))
    return reader.structure(code, target, (protein, name), ligand, pk, source=source, measure=measure, side=side)


def _affinity(words: list[str]) -> tuple[float, str]:
    """pK and what was measured. Raises RowError where they are missing, inexact, or do not agree."""
    if len(words) < 4:
        raise RowError(
            f"the line has {len(words) + 1} words before //, expected code, resolution, year, pK and constant"
        )
    found = _CONSTANT.match(words[3])
    if not found:
        raise RowError(f"{words[3]!r} is no constant such as Kd=49uM, Ki=2nM or IC50=0.1mM")
    if found["sign"] != "=":
        raise RowError(f"{words[3]!r} is not exact")
    try:
        pk, concentration = float(words[2]), float(found["value"]) * _MOLAR[found["unit"]]
    except ValueError:
        raise RowError(f"pK is {words[2]!r} of {words[3]!r}, not a number") from None
    if concentration <= 0 or abs(pk + math.log10(concentration)) > _ROUNDING:
        raise RowError(f"pK is {words[2]}, which is not -log10 of {words[3]} in mol/l: one is in another unit")
    return checked_pk(pk), found["measure"]
