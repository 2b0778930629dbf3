"""FILE47, the input of the NBO program, read again and compared with the wavefunction it was written from."""

from pathlib import Path

import numpy as np
import pytest

from psigraph.quantum.file47 import LABELS, read_file47

WATER = [[0.0, 0.0, 0.0], [0.0, 0.757, 0.587], [0.0, -0.757, 0.587]]  # Å, O H H
JOBS = {
    "rhf": {"z": [8, 1, 1], "positions": WATER, "basis": "def2-tzvp", "reference": "rhf"},  # f functions
    "uhf": {"z": [8, 1, 1], "positions": WATER, "basis": "def2-svp", "reference": "uhf", "charges": (1, 0),
            "multiplicities": (2, 1)},
    "rohf": {"z": [8, 1, 1], "positions": WATER, "basis": "def2-svp", "reference": "rohf", "charges": (1, 0),
             "multiplicities": (2, 1)},
    "ecp": {"z": [1, 53], "positions": [[0, 0, 0], [0, 0, 1.609]], "basis": "def2-svp", "reference": "rhf"},
}  # fmt: skip


@pytest.fixture(scope="module")
def written(psi4_jobs, tmp_path_factory):
    """Name -> (path, arrays); each file is written twice, as when a run begins again."""
    folder = tmp_path_factory.mktemp("file47")
    jobs = [{**job, "path": str(folder / f"{name}.47")} for name, job in JOBS.items()]
    results = psi4_jobs(jobs + jobs[1:2], script="file47_jobs.py")
    assert sorted(p.name for p in folder.iterdir()) == sorted(f"{name}.47" for name in JOBS)
    return {name: (folder / f"{name}.47", result) for name, result in zip(JOBS, results, strict=False)}


@pytest.mark.parametrize("name", JOBS)
def test_holds_the_wavefunction(written, name):
    path, expected = written[name]
    file = read_file47(path)
    assert file.numbers.tolist() == JOBS[name]["z"]
    assert file.charges.tolist() == expected["charges"]
    assert not file.bohr
    assert file.positions == pytest.approx(np.array(JOBS[name]["positions"]), abs=1e-8)  # two values of the bohr
    assert file.center.tolist() == expected["atom"]
    momenta = np.array(expected["angular_momentum"])
    shells = np.flatnonzero(momenta[:-1] != momenta[1:])
    assert len(shells)
    start = 0
    while start < len(momenta):
        labels = LABELS[int(momenta[start])]
        assert tuple(file.label[start : start + len(labels)]) == labels
        start += len(labels)
    # seven digits
    assert np.abs(file.overlap - expected["overlap"]).max() < 1e-7
    for found, wanted in ((file.densities, expected["densities"]), (file.orbitals, expected["orbitals"])):
        assert len(found) == len(wanted) == (2 if "o" in name or "u" in name else 1)
        for a, b in zip(found, wanted, strict=True):
            assert a == pytest.approx(np.array(b), abs=1e-6)
    for a, b in zip(file.focks, expected["focks"], strict=True):
        assert a == pytest.approx(np.array(b), rel=1e-6, abs=1e-6)
    electrons = sum(float(np.trace(d @ file.overlap)) for d in file.densities)
    assert electrons == pytest.approx(sum(expected["charges"]) - JOBS[name].get("charges", (0,))[0], abs=1e-5)


def damaged(written, tmp_path, old: str, new: str, count: int = 1) -> Path:
    text = written["uhf"][0].read_text()
    assert old in text
    path = tmp_path / "damaged.47"
    path.write_text(text.replace(old, new, count))
    return path


def test_a_missing_section_is_named(written, tmp_path):
    with pytest.raises(ValueError, match=r"damaged\.47: no section \$FOCK"):
        read_file47(damaged(written, tmp_path, "$FOCK", "$FOX"))


def test_a_wrong_count_is_named(written, tmp_path):
    with pytest.raises(ValueError, match=r"\$DENSITY has 1152 numbers, 576 are needed"):
        read_file47(damaged(written, tmp_path, " OPEN ", " "))


def test_two_files_in_one_are_refused(written, tmp_path):
    path = tmp_path / "twice.47"
    path.write_text(written["rhf"][0].read_text() * 2)
    with pytest.raises(ValueError, match="written more than once"):
        read_file47(path)


def test_packed_matrices(tmp_path):
    """A file by hand, with upper triangles, as other programs write it."""
    text = (
        " $GENNBO NATOMS=1 NBAS=2 UPPER BODM BOHR $END\n $NBO $END\n $COORD\n He\n 2 2 0.0 0.0 0.5\n $END\n"
        " $BASIS\n CENTER = 1 1\n LABEL = 1 1\n $END\n $OVERLAP\n 1.0 0.5 1.0\n $END\n"
        " $DENSITY\n 1.0 0.2\n 0.3\n $END\n $FOCK\n -1.0 -0.4 0.7\n $END\n $LCAOMO\n 0.8 0.3 -0.9 1.1\n $END\n"
    )
    path = tmp_path / "he.47"
    path.write_text(text)
    file = read_file47(path)
    assert file.bohr and file.positions.tolist() == [[0.0, 0.0, 0.5]]
    assert file.overlap.tolist() == [[1.0, 0.5], [0.5, 1.0]]
    assert file.densities[0].tolist() == [[1.0, 0.2], [0.2, 0.3]]
    assert file.focks[0].tolist() == [[-1.0, -0.4], [-0.4, 0.7]]
    assert file.orbitals[0][:, 1].tolist() == [-0.9, 1.1]
