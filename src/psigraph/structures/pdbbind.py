"""PDBbind and CASF: an index of codes and affinities, and a folder for each complex.

Z. Liu et al., Acc. Chem. Res. 50, 302 (2017), doi:10.1021/acs.accounts.6b00491; M. Su et al., J. Chem. Inf. Model. 59,
895 (2019), doi:10.1021/acs.jcim.8b00545. A line of an index: code, resolution, year, -log10 of the constant (which the
newest indices leave out), the constant (`Kd=49uM`), and after `//` where it is from; lines that begin with # are
comments. Folders CODE, which may lie in folders by year, hold CODE_protein.pdb and CODE_ligand.sdf or .mol2. The target
is that of INDEX_*_name.* beside the index: the UniProt code, else the name; without it the code alone.
"""

import logging
import math
import re
from collections.abc import Mapping
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

logger = logging.getLogger(__name__)

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
    targets, lines = _targets(index), _lines(index)
    if not any(line.code in targets for line in lines):
        logger.warning(
            "%s: no INDEX_*_name file beside it names the targets: each complex counts as a target of its own, so a "
            "split by target is none",
            index,
        )
    core = {line.code for line in _lines(dataset.path / dataset.core)} if dataset.core else None
    folders = {path.name: path for pattern in ("*/", "*/*/") for path in dataset.path.glob(pattern)}
    result, reader = empty_result(), ComplexReader(dataset)
    proteins = [_protein(dataset.path, folders, line.code) for line in lines]
    reader.read_ahead((dataset.path / name, name) for name in proteins)
    for line, protein in zip(tqdm(lines, desc="complexes", disable=None, mininterval=1.0), proteins, strict=True):
        side = "" if core is None else "test" if line.code in core else "train"
        target = targets.get(line.code, line.code)
        try:
            result.accept(_structure(dataset.path, reader, line, protein, target, index.name, side), line.number)
        except ValueError as error:
            result.reject(index.name, line.number, line.code, str(error))
    reader.summary()
    return result


def _protein(folder: Path, folders: Mapping[str, Path], code: str) -> str:
    """The protein's file, relative to the dataset's folder."""
    return str(folders.get(code, folder / code).relative_to(folder) / f"{code}_protein.pdb")


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


def _structure(
    folder: Path, reader: ComplexReader, line: _Line, name: str, target: str, source: str, side: str
) -> Structure:
    pk, measure = _affinity(line.words)
    protein = reading.inside(folder, name, "protein")
    ligand = read_ligand(*(protein.with_name(f"{line.code}_ligand{ending}") for ending in (".sdf", ".mol2")))
    return reader.structure(line.code, target, (protein, name), ligand, pk, source=source, measure=measure, side=side)


def _affinity(words: list[str]) -> tuple[float, str]:
    """pK and what was measured. Raises RowError where they are missing, inexact, or do not agree."""
    if len(words) < 3:
        raise RowError(
            f"the line has {len(words) + 1} words before //, expected code, resolution, year, maybe pK, and constant"
        )
    stated, constant = (words[2], words[3]) if len(words) > 3 else (None, words[2])
    found = _CONSTANT.match(constant)
    if not found:
        raise RowError(f"{constant!r} is no constant such as Kd=49uM, Ki=2nM or IC50=0.1mM")
    if found["sign"] != "=":
        raise RowError(f"{constant!r} is not exact")
    try:
        measured = -math.log10(float(found["value"]) * _MOLAR[found["unit"]])
        pk = measured if stated is None else float(stated)
    except ValueError:
        raise RowError(f"{constant if stated is None else f'pK {stated} of {constant}'}: not a number") from None
    if abs(pk - measured) > _ROUNDING:
        raise RowError(f"pK is {stated}, which is not -log10 of {constant} in mol/l: one is in another unit")
    return checked_pk(pk), found["measure"]
