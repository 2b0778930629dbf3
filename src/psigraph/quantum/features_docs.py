"""The reference of quantum features, written from the table and from the functions that compute them.

`python -m psigraph.quantum.features_docs docs` writes docs/features.md; a test fails when it drifts.
"""

import sys
from pathlib import Path

import psigraph.quantum.features  # noqa: F401  registers the functions
from psigraph.graphs.regional_table import KNOWN, PAIR_MEANINGS, Columns
from psigraph.quantum.registry import COMPUTE
from psigraph.quantum.table import FEATURES, SCOPES, Feature

_HEAD = """# Quantum features

Written by `python -m psigraph.quantum.features_docs docs` from `src/psigraph/quantum/table.py`; edit that file, not
this one. A level names its features in `levels.NAME.features`; `default` stands for those marked ● below. What a
feature has no meaning without comes with it.

Shapes are those of one system, structure, atom, ...; `()` is a number. Positions and moments are about the unweighted
centroid of the structure's atoms. Psi4 features are computed by the function named with them, in
`src/psigraph/quantum/features/`; its docstring has the formula. Structures that failed have NaN, or 0 for integers.
"""
_SCOPES = {
    "system": "Per system: what one SCF sees. A molecule is one; a dimer is three: itself, A with B's basis functions, "
    "and B with A's",
    "structure": "Per structure: the molecule or dimer as a whole",
    "atom": "Per atom, in the order of the structure",
    "bond": "Per bond: pairs of atoms i < j near enough by their covalent radii",
    "nbo": "Per natural bond orbital of the structure",
    "donation": "Per donor-acceptor pair of natural bond orbitals",
    "element": "Per element of the bonds' density-matrix blocks, row by row",
}

_REGIONAL = """## Regional

What graphs of molecules (family `regional`) carry, by the names in `graphsets.NAME.atom_features`, `bond_features`,
`region_features` and `molecule_features`; from `src/psigraph/graphs/regional_table.py`. Defaults are marked ●; what is
marked ◆ needs a level of theory. No column turns with the molecule or differs in its mirror image. NaN stands for what
is not known: no Lewis structure, or Psi4 failed. Sums over a region's bonds take those with both ends in it.
"""
_PER = {
    "atom": "Columns of atoms",
    "bond": "Columns of bonds",
    "region": "Columns of regions",
    "molecule": "Columns of molecules",
}


def reference() -> str:
    """Return docs/features.md: every feature with shape, unit, definition, source and what computes it."""
    lines = [_HEAD.rstrip()]
    for scope in SCOPES:
        features = [feature for feature in FEATURES.values() if feature.per == scope]
        lines += ["", f"## {_SCOPES[scope]}", ""]
        lines += ["| feature | shape | unit | definition | source | computed by |", "|---|---|---|---|---|---|"]
        lines += [_row(feature) for feature in features]
    lines += ["", _REGIONAL.rstrip()]
    for per, title in _PER.items():
        lines += ["", f"### {title}", "", "| name | columns | unit | what |", "|---|---|---|---|"]
        lines += [_columns_row(item) for item in KNOWN[per].values()]
    lines += ["", "### Columns of pairs of regions, always", "", "| name | what |", "|---|---|"]
    lines += [_cells([f"`{name}`", meaning]) for name, meaning in PAIR_MEANINGS.items()]
    return "\n".join(lines) + "\n"


def _columns_row(item: Columns) -> str:
    name = f"`{item.name}`" + (" ●" if item.default else "") + (" ◆" if item.quantum else "")
    return _cells([name, str(item.width), item.unit, item.meaning or "as above"])


def _cells(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _row(feature: Feature) -> str:
    name = f"`{feature.name}`" + (" ●" if feature.default else "")
    shape = "×".join(map(str, feature.shape)) or "()"
    notes = [feature.definition]
    if feature.rank:
        notes.append("turns with the structure")
    if feature.implies:
        notes.append("comes with " + ", ".join(f"`{other}`" for other in feature.implies))
    cells = [name, shape, feature.unit, "; ".join(notes), feature.citation, _computed_by(feature)]
    return _cells(cells)


def _computed_by(feature: Feature) -> str:
    if feature.program != "psi4":
        return feature.program
    if feature.name not in COMPUTE:
        return "Psi4: from the energies of the three systems"
    function = COMPUTE[feature.name]
    return f"Psi4: `{function.__module__.rpartition('.')[2]}.{function.__name__}`"


if __name__ == "__main__":
    (Path(sys.argv[1]) / "features.md").write_text(reference())
