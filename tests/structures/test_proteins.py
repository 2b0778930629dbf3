"""Proteins as they are prepared: what is added, what is kept, and the features of every atom."""

import io
import logging
from collections import Counter

import numpy as np
import pytest
from openmm import NonbondedForce, app, unit
from rdkit import Chem
from rdkit.Chem import AllChem
from scipy.spatial.distance import cdist

from psigraph.structures.protein_atoms import protein_of
from psigraph.structures.protein_file import read_protein_text
from psigraph.structures.protein_minimisation import minimised
from psigraph.structures.protein_preparation import platform, prepare
from psigraph.structures.proteins import ProteinReader
from psigraph.structures.reading import RowError
from psigraph.structures.residue_templates import templates


@pytest.fixture
def read(tmp_path):
    """Protein and reader of a PDB text."""

    def from_text(text: str, how: str = "fix", ph: float = 7.0):
        (tmp_path / "p.pdb").write_text(text)
        reader = ProteinReader(how, ph)
        return reader.read(tmp_path / "p.pdb", "p").protein, reader

    return from_text


def features(protein, residue: str, n: int) -> np.ndarray:
    """Features (5,) of atom `n` of a residue."""
    row = protein.residue_names.tolist().index(residue)
    return protein.features[np.flatnonzero(protein.residue == row)[n]]


def without(text: str, *places: str) -> str:
    """The text without the atoms of these names and residues: `CG  ASP A   3`."""
    return "\n".join(line for line in text.splitlines() if not any(place in line for place in places)) + "\n"


@pytest.mark.parametrize(("sequence", "charge"), [("ACDEFGHIKL", -1), ("MNPQRSTVWY", 1)])
def test_charges_are_those_that_openmm_assigns(sequence, charge, tmp_path):
    """The whole chain in OpenMM's own ForceField, hydrogens folded by its bonds: an independent way."""
    mol = Chem.AddHs(Chem.MolFromSequence(sequence))
    assert AllChem.EmbedMolecule(mol, randomSeed=1) == 0
    (tmp_path / "p.pdb").write_text(Chem.MolToPDBBlock(Chem.RemoveHs(mol), flavor=2))
    prepared = prepare(read_protein_text(tmp_path / "p.pdb"), "fix", 7.0)
    system = app.ForceField("amber14-all.xml").createSystem(prepared.topology)
    force = next(f for f in system.getForces() if isinstance(f, NonbondedForce))
    particles = [force.getParticleParameters(n)[0] for n in range(force.getNumParticles())]
    charges = np.array([charge.value_in_unit(unit.elementary_charge) for charge in particles])
    for i, j in prepared.topology.bonds():
        hydrogen, heavy = (i, j) if i.element is app.element.hydrogen else (j, i)
        if hydrogen.element is app.element.hydrogen:
            charges[heavy.index] += charges[hydrogen.index]
    heavy = [a.index for a in prepared.topology.atoms() if a.element is not app.element.hydrogen]
    unknown: Counter = Counter()
    protein, names = protein_of(prepared, "p", {}, unknown)
    np.testing.assert_allclose(protein.features[:, 4], charges[heavy], atol=1e-5)
    assert not unknown and len(names) == len(heavy) == len(protein.z)
    assert protein.features[:, 4].sum() == pytest.approx(charge, abs=1e-4)


def test_missing_atoms_of_side_chains_are_added(read, peptide):
    whole, _ = read(peptide)
    cut = without(peptide, "CG  ASP A   3", "OD1 ASP A   3", "OD2 ASP A   3", "CE  LYS A   4", "NZ  LYS A   4")
    fixed, reader = read(cut)
    assert sorted(fixed.z) == sorted(whole.z) and reader.counts["heavy atoms added"] == 5
    assert cdist(fixed.positions, fixed.positions)[np.triu_indices(len(fixed.z), 1)].min() > 1.1
    as_is, _ = read(cut, "as_is")
    assert len(as_is.z) == len(whole.z) - 5


def test_atoms_that_are_there_stay_where_they_are(read, peptide):
    as_is, _ = read(peptide, "as_is")
    fixed, _ = read(peptide)
    np.testing.assert_array_equal(as_is.positions, fixed.positions)
    assert as_is.residue_names.tolist() == [
        "A:GLY1", "A:HIS2", "A:ASP3", "A:LYS4", "A:SER5", "A:PHE6", "A:MET7", "A:TRP8"
    ]  # fmt: skip
    assert (as_is.z > 1).all() and as_is.residue.tolist() == sorted(as_is.residue.tolist())


def test_the_ph_decides_where_the_file_does_not(read, peptide):
    totals = [read(peptide, ph=ph)[0].features[:, 4].sum() for ph in (3.0, 7.0, 12.0)]
    np.testing.assert_allclose(totals, [2.0, 0.0, -1.0], atol=1e-4)  # His+ and Asp neutral; neutral; Lys neutral


def test_the_name_of_a_residue_decides_before_the_ph(read, peptide):
    stated = peptide.replace("HIS A   2", "HIP A   2")
    protein, _ = read(stated)
    assert protein.features[:, 4].sum() == pytest.approx(1.0, abs=1e-4)
    assert protein.residue_names[1] == "A:HIS2"


def test_the_same_file_gives_the_same_bytes(read, peptide):
    cut = without(peptide, "CG  ASP A   3", "OD1 ASP A   3", "OD2 ASP A   3")
    for how in ("fix", "minimise"):
        first, second = (read(cut, how)[0] for _ in range(2))
        assert first.positions.tobytes() == second.positions.tobytes()
        assert first.features.tobytes() == second.features.tobytes()


def test_missing_residues_stay_missing_and_are_counted(read, peptide):
    sequence = "SEQRES   1 A    8  GLY HIS ASP LYS SER PHE MET TRP\n"
    lines = [line for line in peptide.splitlines() if "LYS A   4" not in line and "SER A   5" not in line]
    protein, reader = read(sequence + "\n".join(lines) + "\n")
    assert len(protein.residue_names) == 6
    assert reader.counts["residues of SEQRES without atoms"] == 2 and reader.counts["gaps in chains"] == 1


def test_insertion_codes_are_kept_apart(read, peptide):
    protein, reader = read(peptide.replace("LYS A   4 ", "LYS A   3A"))
    assert protein.residue_names.tolist()[2:4] == ["A:ASP3", "A:LYS3A"]
    assert reader.counts["residues with insertion codes"] == 1


def test_metals_have_their_charge_and_cofactors_flags_by_element(read, peptide, atom_line, caplog):
    end = peptide.replace("END", "")
    end += atom_line("ZN  ", " ZN", "A 301", (30, 0, 0), "ZN") + "\n"
    for name, x, element in ((" C1 ", 40.0, "C"), (" C2 ", 41.5, "C"), (" O2 ", 42.9, "O"), (" N1 ", 38.6, "N")):
        end += atom_line(name, "LIG", "A 302", (x, 0, 0), element) + "\n"
    protein, reader = read(end)
    assert protein.residue_names.tolist()[-2:] == ["A:ZN301", "A:LIG302"]
    np.testing.assert_array_equal(features(protein, "A:ZN301", 0), [0, 0, 0, 0, 2])
    np.testing.assert_array_equal(features(protein, "A:LIG302", 2), [0, 1, 0, 0, 0])
    np.testing.assert_array_equal(features(protein, "A:LIG302", 3), [1, 0, 0, 0, 0])
    with caplog.at_level(logging.INFO):
        reader.summary()
    assert "1 residues have no template of ff14SB: flags by element, charge 0: LIG 1" in caplog.text


def test_atoms_that_a_link_record_ties_to_something_outside_are_known(tmp_path, peptide):
    start = f"{'LINK':12s} OG  SER A   5 "
    (tmp_path / "p.pdb").write_text(f"{start:<42s} C1  LIG A 301 \n" + peptide)
    found = ProteinReader("fix", 7.0).read(tmp_path / "p.pdb", "p")
    row = found.protein.residue[found.linked]
    assert found.protein.residue_names[row].tolist() == ["A:SER5"] and found.protein.z[found.linked].tolist() == [8]
    assert found.protein.features[found.linked[0], 0] == 1  # a donor: the hydroxyl's oxygen, not the carbonyl's


def test_disulfides_are_found(read):
    """Two cysteines whose sulfur atoms are 2.05 Å apart, and the same farther apart."""
    mol = Chem.AddHs(Chem.MolFromSequence("CGGC"))
    assert AllChem.EmbedMolecule(mol, randomSeed=3) == 0
    sulfur = [a.GetIdx() for a in mol.GetAtoms() if a.GetSymbol() == "S"]
    text = {}
    for name, length in (("bridged", 2.05), ("free", 6.0)):
        field = AllChem.MMFFGetMoleculeForceField(mol, AllChem.MMFFGetMoleculeProperties(mol))
        field.Initialize()
        field.MMFFAddDistanceConstraint(*sulfur, False, length, length, 1e4)
        field.Minimize(maxIts=2000)
        text[name] = Chem.MolToPDBBlock(Chem.RemoveHs(mol), flavor=2)
    bridged, free = (read(text[name])[0] for name in ("bridged", "free"))
    for protein, names in ((bridged, ("NCYX", "CCYX")), (free, ("NCYS", "CCYS"))):
        sulfur = protein.features[protein.z == 16, 4]
        np.testing.assert_allclose(sulfur, [templates()[name]["SG"][4] for name in names], atol=1e-6)


def test_a_minimisation_relaxes_a_clash_and_moves_little_else(peptide, tmp_path):
    """Phenylalanine's alpha carbon is pushed 0.4 Å out of place."""
    lines = peptide.splitlines()
    n = next(n for n, line in enumerate(lines) if "CA  PHE A   6" in line)
    lines[n] = f"{lines[n][:30]}{float(lines[n][30:38]) + 0.4:8.3f}{lines[n][38:]}"
    (tmp_path / "p.pdb").write_text("\n".join(lines) + "\n")
    text = read_protein_text(tmp_path / "p.pdb")
    fixed, relaxed = (prepare(text, how, 7.0) for how in ("fix", "minimise"))
    assert not relaxed.failure
    pushed = next(a for a in fixed.topology.atoms() if (a.name, a.residue.id) == ("CA", "6"))
    partner = next(a for a in pushed.residue.atoms() if a.name == "N")
    lengths = [np.linalg.norm(p.positions[pushed.index] - p.positions[partner.index]) for p in (fixed, relaxed)]
    assert abs(lengths[0] - 1.45) > 0.15 and abs(lengths[1] - 1.45) < 0.05  # Å, of ff14SB
    heavy = np.array([a.element is not app.element.hydrogen for a in fixed.topology.atoms()])
    moved = np.linalg.norm(relaxed.positions - fixed.positions, axis=1)[heavy]
    assert np.median(moved) < 0.2 and moved.max() < 1.0


def test_atoms_that_the_force_field_does_not_know_do_not_move(peptide, atom_line, tmp_path):
    text = peptide.replace("END", "") + atom_line("ZN  ", " ZN", "A 301", (30, 0, 0), "ZN") + "\n"
    text += atom_line(" C1 ", "LIG", "A 302", (40, 0, 0), "C") + "\n"
    (tmp_path / "p.pdb").write_text(text.replace("TRP A   8", "XYZ A   8"))
    fixed, relaxed = (prepare(read_protein_text(tmp_path / "p.pdb"), how, 7.0) for how in ("fix", "minimise"))
    moved = np.linalg.norm(relaxed.positions - fixed.positions, axis=1)
    unknown = np.array([a.residue.name in ("ZN", "LIG", "XYZ") for a in fixed.topology.atoms()])
    assert not relaxed.failure and moved[unknown].max() < 1e-12 and moved[~unknown].max() > 0.01


def test_a_minimisation_that_fails_leaves_the_positions_and_says_why(peptide):
    file = app.PDBFile(io.StringIO(peptide))
    positions = np.full((file.topology.getNumAtoms(), 3), np.nan)
    found, failure = minimised(file.topology, positions, platform())
    assert found is positions and failure


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("REMARK\n", r"p\.pdb: holds no ATOM"),
        (
            "ATOM      1  CA  GLY A   1       a.bcd   1.000   1.000  1.00  0.00           C\n",
            r"p\.pdb: cannot be read as",
        ),
    ],
)
def test_files_that_are_no_protein_are_refused_each_time(read, tmp_path, text, reason):
    with pytest.raises(RowError, match=reason):
        read(text)
    reader = ProteinReader("fix", 7.0)
    for _ in range(2):
        with pytest.raises(RowError, match=reason):
            reader.read(tmp_path / "p.pdb", "p")


def test_a_protein_is_prepared_once(read, tmp_path, peptide):
    _, reader = read(peptide)
    (tmp_path / "p.pdb").unlink()
    first = reader.read(tmp_path / "p.pdb", "p")
    assert first.protein is reader.read(tmp_path / "p.pdb", "p").protein and reader.counts["proteins"] == 1
