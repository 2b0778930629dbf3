"""Ligands posed in one protein, to be predicted."""

import numpy as np
import pytest

from psigraph.config import ComplexDataset
from psigraph.structures.posed_ligands import read_posed_ligands


@pytest.fixture
def files(tmp_path, peptide, pose, sdf):
    (tmp_path / "p.pdb").write_text(peptide)
    poses = pose("Oc1ccccc1", peptide, 3.5), pose("CCO", peptide, 4.0), pose("CCO", peptide, 30.0)
    text = "".join(sdf(mol, title) for mol, title in zip(poses, ("phenol", "", "away"), strict=True))
    (tmp_path / "l.sdf").write_text(text + sdf(poses[1], "phenol") + sdf(poses[1])[:150])
    (tmp_path / "bad.sdf").write_bytes(b"\xff\xfe")
    return tmp_path


def test_all_records_are_read_or_rejected(files):
    paths = [files / "l.sdf", files / "bad.sdf", files / "gone.mol2", files / "none.sdf"]
    result = read_posed_ligands(files / "p.pdb", paths, ComplexDataset())
    assert [(s.id, s.group, s.binding.smiles) for s in result.structures] == [
        ("phenol", "p", "Oc1ccccc1"),
        ("l-2", "p", "CCO"),
    ]
    assert all(np.isnan(s.labels).tolist() == [True] for s in result.structures)
    reasons = {(r.source, r.row): r.reason for r in result.rejected}
    assert reasons["l.sdf", "3"].startswith("outside the pocket")
    assert reasons["l.sdf", "4"] == "duplicate id 'phenol', which row 1 has already"
    assert reasons["l.sdf", "5"].startswith("the record is truncated")
    assert reasons["bad.sdf", "1"].startswith("the record is truncated")
    assert reasons["none.sdf", "1"] == "none.sdf: cannot be read (No such file or directory)"
    assert reasons["gone.mol2", "1"] == "no file 'gone.mol2' in the dataset's folder"


def test_a_protein_that_cannot_be_read_rejects_every_ligand(files):
    (files / "p.pdb").write_text("REMARK\n")
    result = read_posed_ligands(files / "p.pdb", [files / "l.sdf"], ComplexDataset())
    assert not result.structures and len(result.rejected) == 5
    assert result.rejected[0].reason == "p.pdb: holds no ATOM or HETATM record"
