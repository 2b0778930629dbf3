"""Small molecules and raw files of the tests of the structures stage."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem, rdBase
from rdkit.Chem import AllChem
from scipy.spatial.distance import cdist

from psigraph.structures.elements import number_of
from psigraph.structures.model import Structure
from psigraph.structures.sources import StructureError, openmm_systems_folder, psi4_databases_folder

WATER = [("O", 0.0, 0.0, 0.117), ("H", 0.0, 0.757, -0.470), ("H", 0.0, -0.757, -0.470)]
METHANE = [
    ("C", 0.0, 0.0, 0.0),
    ("H", 0.629, 0.629, 0.629),
    ("H", -0.629, -0.629, 0.629),
    ("H", -0.629, 0.629, -0.629),
    ("H", 0.629, -0.629, -0.629),
]
HYDROGEN_FLUORIDE = [("H", 0.0, 0.0, 0.0), ("F", 0.0, 0.0, 0.917)]

Atoms = list[tuple[str, float, float, float]]


def arrays(atoms: Atoms) -> tuple[np.ndarray, np.ndarray]:
    """Atomic numbers (N,) and positions (N, 3) [Å]."""
    return np.array([number_of(a[0]) for a in atoms]), np.array([a[1:] for a in atoms], dtype=float)


def make_dimer(id: str = "d", a: Atoms = WATER, b: Atoms = WATER, r: float = 4.0, **fields) -> Structure:
    """Monomer B shifted along z by `r` [Å]."""
    (z_a, x_a), (z_b, x_b) = arrays(a), arrays(b)
    fields = {"v_ref": -1.0} | fields
    return Structure(
        id=id,
        z=np.concatenate([z_a, z_b]),
        positions=np.concatenate([x_a, x_b + [0.0, 0.0, r]]),
        fragment=np.repeat([0, 1], [len(a), len(b)]),
        **fields,
    )


@pytest.fixture
def dimer() -> Callable[..., Structure]:
    return make_dimer


@pytest.fixture
def molecules() -> dict[str, Atoms]:
    return {"water": WATER, "methane": METHANE, "hf": HYDROGEN_FLUORIDE}


@pytest.fixture
def rotations() -> Callable[[int], np.ndarray]:
    """A rotation matrix (3, 3) by seed."""

    def rotation(seed: int) -> np.ndarray:
        q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
        q = q * np.sign(np.diag(r))
        return q * np.linalg.det(q)

    return rotation


@pytest.fixture
def pdb_text() -> Callable[[Atoms], str]:
    """A PDB file with element columns."""

    def text(atoms: Atoms) -> str:
        lines = [
            f"HETATM{n:5d}  {s:<3s} MOL A   1    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00          {s:>2s}"
            for n, (s, x, y, z) in enumerate(atoms, start=1)
        ]
        return "\n".join([*lines, "END", ""])

    return text


@pytest.fixture
def xyz_text() -> Callable[..., str]:
    def text(structure: Structure, comment: str = "") -> str:
        rows = [f"{z} {x:.9f} {y:.9f} {w:.9f}" for z, (x, y, w) in zip(structure.z, structure.positions, strict=True)]
        return "\n".join([str(len(rows)), comment, *rows, ""])

    return text


@pytest.fixture(scope="session")
def databases() -> Path:
    """Psi4's database folder; tests that need it skip where it is absent."""
    try:
        return psi4_databases_folder()
    except StructureError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def peptide() -> str:
    """PDB text of Gly-His-Asp-Lys-Ser-Phe-Met-Trp in chain A, numbers 1 to 8, without hydrogens."""
    with rdBase.BlockLogs():
        mol = Chem.AddHs(Chem.MolFromSequence("GHDKSFMW"))
        assert AllChem.EmbedMolecule(mol, randomSeed=7) == 0
    return Chem.MolToPDBBlock(Chem.RemoveHs(mol), flavor=2)


@pytest.fixture(scope="session")
def pose() -> Callable[..., Chem.Mol]:
    return posed


@pytest.fixture(scope="session")
def sdf() -> Callable[..., str]:
    return sdf_text


@pytest.fixture(scope="session")
def atom_line() -> Callable[..., str]:
    return pdb_atom


def pdb_positions(text: str) -> np.ndarray:
    """Positions (N, 3) [Å] of all atoms of a PDB file."""
    atoms = [line for line in text.splitlines() if line.startswith(("ATOM", "HETATM"))]
    return np.array([[float(line[k : k + 8]) for k in (30, 38, 46)] for line in atoms])


def pdb_atom(name: str, residue: str, place: str, position: tuple[float, float, float], element: str, **more) -> str:
    """One line of a PDB file; `place` is chain, number and insertion code in six columns: `A  12B`."""
    more = {"location": " ", "occupancy": 1.0, "serial": 999} | more
    x, y, z = position
    return (
        f"HETATM{more['serial']:5d} {name:<4s}{more['location']}{residue:>3s} {place:<6s}   {x:8.3f}{y:8.3f}{z:8.3f}"
        f"{more['occupancy']:6.2f}  0.00          {element:>2s}"
    )


def posed(smiles: str, protein: str, distance: float, hydrogens: bool = True) -> Chem.Mol:
    """A molecule whose nearest heavy atom is `distance` [Å] from that of a protein without hydrogens (PDB text)."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=1) == 0
    site, x = pdb_positions(protein), mol.GetConformer().GetPositions()
    heavy = [a.GetIdx() for a in mol.GetAtoms() if a.GetAtomicNum() > 1]
    x += site[np.argmax(site[:, 0])] + [40.0, 0.0, 0.0] - x.mean(0)
    for _ in range(60):  # along x until it is there
        x[:, 0] -= 0.5 * (cdist(x[heavy], site).min() - distance)
    mol.GetConformer().SetPositions(x)
    return mol if hydrogens else Chem.RemoveHs(mol)


def sdf_text(mol: Chem.Mol, title: str = "ligand", **fields: str) -> str:
    """One record of an SDF."""
    mol = Chem.Mol(mol)
    mol.SetProp("_Name", title)
    data = "".join(f">  <{name}>\n{value}\n\n" for name, value in fields.items())
    return f"{Chem.MolToMolBlock(mol)}{data}$$$$\n"


@pytest.fixture(scope="session")
def systems() -> Path:
    """The folder of posed ligands of the package openmmforcefields; tests that need it skip where it is absent."""
    try:
        return openmm_systems_folder()
    except StructureError as error:
        pytest.skip(str(error))
