"""A table of complexes with proteins and ligands, in a folder or an archive, and every way a row can be wrong."""

import tarfile

import numpy as np
import pytest
from pydantic import ValidationError

from psigraph.config import ComplexFolder
from psigraph.structures import complex_folder
from psigraph.structures.build import build_structures, load_dataset
from psigraph.structures.reading import RowError, count_kinds
from psigraph.structures.sources import StructureError, files_of
from psigraph.structures.store import StructureFile

HEADER = "id,target,protein_file,ligand_file,pK"


def dataset(path, **settings) -> ComplexFolder:
    return ComplexFolder(source="complex_folder", path=path, **settings)


@pytest.fixture
def folder(tmp_path, peptide, pose, sdf):
    """One protein and ligands 3.5 Å from it; `write` writes the table."""
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "p.pdb").write_text(peptide)
    for name, smiles in (("phenol", "Oc1ccccc1"), ("acid", "CC(=O)[O-]"), ("butane", "CCCC")):
        (raw / f"{name}.sdf").write_text(sdf(pose(smiles, peptide, 3.5)))
    (raw / "bare.sdf").write_text(sdf(pose("CCO", peptide, 3.5, hydrogens=False)))
    (raw / "far.sdf").write_text(sdf(pose("CCO", peptide, 12.0)))
    (raw / "clash.sdf").write_text(sdf(pose("CCO", peptide, 0.9)))
    (raw / "bound.sdf").write_text(sdf(pose("CCCC", peptide, 1.5)))
    (raw / "cut.sdf").write_text(sdf(pose("CCO", peptide, 3.5))[:150])

    def write(*lines: str, header: str = HEADER) -> None:
        (raw / "complexes.csv").write_text("\n".join([header, *lines]) + "\n")

    return raw, write


def test_complexes_with_their_labels_targets_and_sides(folder, tmp_path):
    raw, write = folder
    write(
        "a,T1,p.pdb,phenol.sdf,7.5,,Ki,train",
        "b,T1,p.pdb,acid.sdf,,-8.2,kd,val",
        "c,T2,p.pdb,butane.sdf,4,-9.9,something,",
        header=f"{HEADER},dG_kcal_mol,measure,part",
    )
    counts = build_structures(dataset(raw, side="part"), "mine", tmp_path / "s.h5", tmp_path / "s.csv")
    assert counts == {"rows": 3, "structures": 3, "groups": 2, "unreadable": 0, "not selected": 0, "identical": 0}
    with StructureFile(tmp_path / "s.h5") as file:
        rows, found = file.rows(0, 3), file.complexes(0, 3)
    np.testing.assert_allclose(rows.labels[:, 0], [7.5, 8.2 / 1.36424, 4.0], rtol=1e-5)
    assert rows.group.tolist() == ["T1", "T1", "T2"] and rows.charge[:, 0].tolist() == [0, -1, 0]
    assert rows.system.tolist() == ["c1ccccc1", "CC(=O)[O-]", "CCCC"]
    assert found.smiles.tolist() == ["Oc1ccccc1", "CC(=O)[O-]", "CCCC"]
    assert found.measure.tolist() == ["Ki", "Kd", "unknown"]
    assert found.side.tolist() == ["train", "validation", ""]
    assert found.protein_ids.tolist() == ["p.pdb"] and found.protein.tolist() == [0, 0, 0]


def test_units_other_than_kcal(folder):
    raw, write = folder
    write("a,T,p.pdb,phenol.sdf,-41.84", header="id,target,protein_file,ligand_file,dG_kJ_mol")
    result = load_dataset(dataset(raw, temperature=310.0), "mine")
    assert result.structures[0].labels[0] == pytest.approx(10 / 1.36424 * 298.15 / 310, rel=1e-5)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("x,T,p.pdb,far.sdf,6", r"outside the pocket: its nearest atom of the protein is 12\.0 Å away"),
        ("x,T,p.pdb,clash.sdf,6", r"clash: its atom .* is 0\.90 Å from A:"),
        ("x,T,p.pdb,bound.sdf,6", r"covalent ligand, or a pose that clashes: its atom .* is 1\.50 Å from A:"),
        ("x,T,p.pdb,cut.sdf,6", r"cut\.sdf: the record is truncated: it has no line 'M  END'"),
        ("x,T,p.pdb,phenol.sdf,31", "pK is 31, outside 0 to 16: is it a concentration, or an energy"),
        ("x,T,p.pdb,phenol.sdf,-9.1", "pK is -9.1, outside 0 to 16"),
        ("x,T,p.pdb,phenol.sdf,,-34.3", "dG_kcal_mol is -34.3 kcal/mol, outside -25 to 0: is it in kJ/mol"),
        ("x,T,p.pdb,phenol.sdf,,8.1", "dG_kcal_mol is 8.1 kcal/mol, outside -25 to 0"),
        ("x,T,p.pdb,phenol.sdf,", "dG_kcal_mol is empty"),
        ("x,T,p.pdb,phenol.sdf,x", "pK is 'x', not a number"),
        ("x,,p.pdb,phenol.sdf,6", "target is empty"),
        ("x,T,q.pdb,phenol.sdf,6", "protein_file: no file 'q.pdb' in the dataset's folder"),
        ("x,T,p.pdb,gone.sdf,6", "ligand_file: no file 'gone.sdf' in the dataset's folder"),
        ("x,T,p.pdb,phenol.sdf,6,,,,most", "part is 'most'; known: train, validation"),
        ("x,T,p.pdb,phenol.sdf,6,,CCO", "the ligand's file has the heavy atoms C6O, its smiles C2O"),
        ("x,T,p.pdb,phenol.sdf,6,,C1C", "smiles 'C1C' cannot be read as a molecule"),
        ("x,T,phenol.sdf,phenol.sdf,6", "phenol.sdf: holds no ATOM or HETATM record"),
    ],
)
def test_rows_that_cannot_be_used(folder, line, reason):
    raw, write = folder
    write("a,T,p.pdb,butane.sdf,6", line, header=f"{HEADER},dG_kcal_mol,smiles,use,part")
    result = load_dataset(dataset(raw, side="part"), "mine")
    assert [s.id for s in result.structures] == ["a"] and count_kinds(result.rejected)["unreadable"] == 1
    with pytest.raises(RowError, match=reason):
        raise RowError(result.rejected[0].reason)


def test_a_ligand_without_hydrogens_gets_them_and_is_counted(folder, caplog):
    raw, write = folder
    write("a,T,p.pdb,bare.sdf,6", "b,T,p.pdb,butane.sdf,6")
    with caplog.at_level("INFO"):
        result = load_dataset(dataset(raw), "mine")
    assert [s.n_atoms for s in result.structures] == [9, 14]
    assert "2 complexes, 1 ligands whose hydrogens were added" in caplog.text


def test_rows_are_left_out_by_the_table_and_by_the_configuration(folder):
    raw, write = folder
    write(
        "a,T,p.pdb,phenol.sdf,6,0,x",
        "b,T,p.pdb,acid.sdf,6,1,x",
        "c,T,p.pdb,butane.sdf,6,1,y",
        header=f"{HEADER},use,set",
    )
    result = load_dataset(dataset(raw, where={"set": "x"}), "mine")
    assert [s.id for s in result.structures] == ["b"]
    assert {r.id: r.reason for r in result.rejected} == {
        "a": "not selected: use is 0",
        "c": "not selected: set is 'y', not 'x'",
    }


def test_the_same_ligand_in_one_protein_counts_once_and_in_two_twice(folder, peptide, sdf, pose):
    raw, write = folder
    (raw / "q.pdb").write_text(peptide)
    (raw / "other.sdf").write_text(sdf(pose("Oc1ccccc1", peptide, 4.0)))
    write("a,T,p.pdb,phenol.sdf,6", "b,T,p.pdb,other.sdf,7", "c,T,q.pdb,phenol.sdf,6")
    result = load_dataset(dataset(raw), "mine")
    assert [s.id for s in result.structures] == ["a", "c"]
    assert [(r.id, r.reason, r.kind) for r in result.rejected] == [
        ("b", "identical ligand and protein as a", "identical")
    ]


def test_several_processes_prepare_the_same_proteins(folder, peptide, tmp_path, caplog):
    """Two proteins that can be read, one that cannot, one that is not there: same stores, reasons and counts."""
    raw, write = folder
    (raw / "q.pdb").write_text("\n".join(line for line in peptide.splitlines() if " CB " not in line) + "\n")
    lines = [f"{protein},T,{protein},phenol.sdf,6" for protein in ("p.pdb", "q.pdb", "bare.sdf", "no.pdb", "")]
    write(*lines)
    found = {}
    for threads in (1, 2):
        store, rejected = tmp_path / f"{threads}.h5", tmp_path / f"{threads}.csv"
        caplog.clear()
        with caplog.at_level("INFO"):
            build_structures(dataset(raw, threads=threads, max_rejected=0.9), "mine", store, rejected)
        summary = next(message for message in caplog.messages if "heavy atoms added" in message)
        with StructureFile(store) as file:
            found[threads] = (file.digest, rejected.read_text(), summary)
    assert found[1] == found[2] and found[1][1].count("\n") == 4


def test_another_column_may_name_the_protein(folder, peptide):
    raw, write = folder
    (raw / "pocket.pdb").write_text(peptide)
    write("a,T,p.pdb,phenol.sdf,6,pocket.pdb", header=f"{HEADER},pocket_file")
    result = load_dataset(dataset(raw, protein="pocket_file"), "mine")
    assert result.structures[0].binding.protein.id == "pocket.pdb"


def test_an_archive_gives_the_same_as_its_folder(folder, tmp_path):
    raw, write = folder
    write("a,T,p.pdb,phenol.sdf,6", "b,T,p.pdb,gone.sdf,6")
    (tmp_path / "packed").mkdir()
    with tarfile.open(tmp_path / "packed/all.tar.xz", "w:xz") as archive:
        archive.add(raw, "inside/it", filter=lambda member: None if member.name.endswith("phenol.sdf") else member)
        archive.add(raw / "phenol.sdf", "inside/elsewhere.sdf")
        for name, kind, target in (("phenol.sdf", tarfile.SYMTYPE, "../elsewhere.sdf"), ("a.dev", tarfile.CHRTYPE, "")):
            member = tarfile.TarInfo(f"inside/it/{name}")
            member.type, member.linkname = kind, target
            archive.addfile(member)
    packed = dataset(tmp_path / "packed", archive="all.tar.xz")
    one, other = (load_dataset(d, "mine") for d in (dataset(raw), packed))
    assert other.rejected == one.rejected
    for name, value in vars(one.structures[0]).items():
        if name != "binding":
            np.testing.assert_array_equal(getattr(other.structures[0], name), value)
    assert [f.name for f in files_of(packed)] == ["all.tar.xz"]
    assert {f.suffix for f in files_of(dataset(raw))} == {".csv", ".pdb", ".sdf"}


def test_archives_that_cannot_be_used(folder, tmp_path):
    raw, write = folder
    write("a,T,p.pdb,phenol.sdf,6")
    (raw / "bad.tar.xz").write_bytes(b"no archive")
    with pytest.raises(StructureError, match=r"bad\.tar\.xz: cannot be unpacked .*; fetch it again"):
        load_dataset(dataset(raw, archive="bad.tar.xz"), "mine")
    with pytest.raises(StructureError, match=r"gone\.tar: no such file; name the archive of complexes"):
        files_of(dataset(raw, archive="gone.tar"))
    for name, target, reason in (
        ("../p.pdb", None, r"'\.\./p\.pdb' leads out of the archive"),
        ("p.pdb", "../../passwd", r"'p\.pdb' is a link to what is not in the archive"),
    ):
        with tarfile.open(raw / "odd.tar", "w") as archive:
            member = tarfile.TarInfo(name)
            if target:
                member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
        with pytest.raises(StructureError, match=rf"odd\.tar: cannot be unpacked \({reason}\); fetch it again"):
            load_dataset(dataset(raw, archive="odd.tar"), "mine")
    with tarfile.open(raw / "empty.tar", "w"):
        pass
    with pytest.raises(StructureError, match=r"empty\.tar: holds 0 files complexes\.csv, expected one"):
        load_dataset(dataset(raw, archive="empty.tar"), "mine")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("id,target,protein_file,ligand_file", r"lacks a column 'pK' or 'dG_kcal_mol'"),
        ("id,target,protein_file,ligand_file,dG", r"no unit for column 'dG'; name the column dG_kcal_mol"),
        ("id,target,protein_file,ligand_file,dG_cal", r"column 'dG_cal' is in the unknown unit 'cal'; name the col"),
        ("id,target,ligand_file,pK", r"complexes\.csv: lacks the column 'protein_file'"),
    ],
)
def test_tables_that_cannot_be_used(folder, header, message):
    raw, write = folder
    write(header=header)
    with pytest.raises(StructureError, match=message):
        complex_folder.read(dataset(raw))


def test_names_outside_the_folder_are_refused(tmp_path):
    for key in ("archive", "table"):
        with pytest.raises(ValidationError, match="is no file in the folder"):
            dataset(tmp_path, **{key: "../x"})
