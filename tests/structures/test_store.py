import dataclasses
import subprocess
import sys

import h5py
import numpy as np
import pytest

from psigraph.stores import StoreError
from psigraph.structures.model import Label, Structure, concatenate
from psigraph.structures.store import COLUMNS, StructureFile, read_structures, write_structures


def test_what_is_written_is_read(tmp_path, dimer, molecules):
    first = dimer("a", v_0=0.5, separation=4.0, theta=0.1, pr=1.5, group="O | O", charge=(1, -1), multiplicity=(2, 2))
    first.given_dipole[:] = 1.0, 2.0, 3.0
    first.has_given = True
    second = dimer("b", molecules["methane"], molecules["hf"], v_ref=2.0)
    digest = write_structures(tmp_path / "s.h5", [first, second], unit="meV", settings={"source": "test"})
    read = read_structures(tmp_path / "s.h5")
    assert (read.n, read.unit, read.digest) == (2, "meV", digest)
    assert read.offsets.tolist() == [0, 6, 13]
    for want, got in zip([first, second], read, strict=True):
        for name, value in vars(want).items():
            np.testing.assert_array_equal(getattr(got, name), value, err_msg=name)
    with h5py.File(tmp_path / "s.h5") as file:
        assert file["v_ref"].attrs["units"] == "meV" and file["positions"].attrs["units"] == "Å"
        assert set(file) == set(COLUMNS)


def test_the_same_content_has_the_same_digest_and_other_content_another(tmp_path, dimer):
    digests = [
        write_structures(tmp_path / f"{n}.h5", [dimer(v_ref=v)], unit="eV", settings={}, inputs={"f": str(n)})
        for n, v in enumerate([1.0, 1.0, 1.5])
    ]
    assert digests[0] == digests[1] != digests[2]


def test_labels_go_with_their_names_and_units(tmp_path):
    specs = Label("gap", "eV", False), Label("u0", "eV", True)
    structures = [
        Structure(f"m{n}", [2], np.zeros((1, 3)), [0], np.nan, labels=[n, np.nan if n else -1.0]) for n in range(3)
    ]
    digest = write_structures(tmp_path / "s.h5", structures, unit="eV", settings={}, label_specs=specs)
    with StructureFile(tmp_path / "s.h5") as file:
        assert file.label_specs == specs
        part = file.rows(1, 3)
    assert part.label_specs == specs and part.structure(0).labels[0] == 1.0
    np.testing.assert_array_equal(part.select(np.array([1, 0])).labels, [[2.0, np.nan], [1.0, np.nan]])
    other = Label("gap", "hartree", False), specs[1]
    assert digest != write_structures(tmp_path / "t.h5", structures, unit="eV", settings={}, label_specs=other)
    with pytest.raises(ValueError, match="m0: has 2 labels, expected 1: gap"):
        write_structures(tmp_path / "u.h5", structures, unit="eV", settings={}, label_specs=specs[:1])


def test_an_empty_store_keeps_its_shapes():
    empty = concatenate([], "eV")
    assert (
        empty.positions.shape == (0, 3) and empty.charge.shape == (0, 2) and empty.given_quadrupole.shape == (0, 3, 3)
    )


def test_ids_that_repeat_and_unknown_units_are_refused(tmp_path, dimer):
    with pytest.raises(ValueError, match="id 'x' occurs 2 times"):
        write_structures(tmp_path / "s.h5", [dimer("x"), dimer("x")], unit="eV", settings={})
    with pytest.raises(ValueError, match="unknown energy unit 'Rydberg'"):
        write_structures(tmp_path / "s.h5", [dimer("x")], unit="Rydberg", settings={})
    assert not (tmp_path / "s.h5").exists()


def test_a_store_with_another_unit_is_refused(tmp_path, dimer):
    from psigraph.structures import store

    flat = concatenate([dimer()], "eV")
    columns = {n: store.Column(getattr(flat, n), "eV" if u == "V" else u) for n, (u, _) in COLUMNS.items()}
    columns["positions"] = store.Column(flat.positions, "bohr")
    store.write_store(tmp_path / "s.h5", format=store.FORMAT, version=store.VERSION, columns=columns, settings={})
    with pytest.raises(StoreError, match=r"s\.h5: column positions is in 'bohr', expected 'Å'; rebuild it with: snake"):
        read_structures(tmp_path / "s.h5")


def test_a_damaged_store_is_refused(tmp_path, dimer):
    write_structures(tmp_path / "s.h5", [dimer()], unit="eV", settings={})
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        file["positions"][0, 0] += 1e-9
    with pytest.raises(StoreError, match="does not match its digest"):
        read_structures(tmp_path / "s.h5")


def test_arrays_that_do_not_go_together_are_refused():
    with pytest.raises(ValueError, match="2 atomic numbers, 1 positions"):
        Structure("x", [1, 1], [[0, 0, 0]], [0, 1], 0.0)


def test_the_psi4_interpreter_can_read_stores():
    heavy = ("rdkit", "pandas", "torch", "scipy", "pydantic")
    code = f"import psigraph.structures.store, sys; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_any_range_of_rows_can_be_read(tmp_path):
    structures = many(7)
    write_structures(tmp_path / "s.h5", structures, unit="meV", settings={})
    whole = read_structures(tmp_path / "s.h5")
    with StructureFile(tmp_path / "s.h5") as file:
        assert (file.n, file.unit, file.digest) == (7, "meV", whole.digest)
        for first, last in ((0, 7), (2, 5), (6, 7), (3, 3)):
            assert_equal(file.rows(first, last), [whole.structure(i) for i in range(first, last)])


def test_any_rows_can_be_selected(tmp_path):
    whole = concatenate(many(7), "eV")
    for rows in ([], [3], [6, 0, 2], range(7)):
        assert_equal(whole.select(np.array(rows, dtype=int)), [whole.structure(i) for i in rows])


def many(n):
    rng = np.random.default_rng(0)
    return [
        Structure(f"s{k}", rng.integers(1, 9, k), rng.normal(size=(k, 3)), np.arange(k) % 2, float(k), charge=(k, 0))
        for k in range(n)
    ]


def assert_equal(found, structures):
    expected = concatenate(structures, found.unit, found.digest)
    for field in dataclasses.fields(found):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(expected, field.name), err_msg=field.name)
