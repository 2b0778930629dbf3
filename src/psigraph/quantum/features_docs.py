"""The reference of quantum features, written from the table and from the functions that compute them.

`python -m psigraph.quantum.features_docs docs` writes docs/features.md; a test fails when it drifts.
"""

import sys
from pathlib import Path

import psigraph.quantum.features  # noqa: F401  registers the functions
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


def reference() -> str:
    """Return docs/features.md: every feature with shape, unit, definition, source and what computes it."""
    lines = [_HEAD.rstrip()]
    for scope in SCOPES:
        features = [feature for feature in FEATURES.values() if feature.per == scope]
        lines += ["", f"## {_SCOPES[scope]}", ""]
        lines += ["| feature | shape | unit | definition | source | computed by |", "|---|---|---|---|---|---|"]
        lines += [_row(feature) for feature in features]
    return "\n".join(lines) + "\n"


def _row(feature: Feature) -> str:
    name = f"`{feature.name}`" + (" ●" if feature.default else "")
    shape = "×".join(map(str, feature.shape)) or "()"
    notes = [feature.definition]
    if feature.rank:
        notes.append("turns with the structure")
    if feature.implies:
        notes.append("comes with " + ", ".join(f"`{other}`" for other in feature.implies))
    cells = [name, shape, feature.unit, "; ".join(notes), feature.citation, _computed_by(feature)]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _computed_by(feature: Feature) -> str:
    if feature.program != "psi4":
        return feature.program
    if feature.name not in COMPUTE:
        return "Psi4: from the energies of the three systems"
    function = COMPUTE[feature.name]
    return f"Psi4: `{function.__module__.rpartition('.')[2]}.{function.__name__}`"


if __name__ == "__main__":
    (Path(sys.argv[1]) / "features.md").write_text(reference())
