"""Complexes as flat arrays and in the structure store."""

import dataclasses

import h5py
import numpy as np
import pytest

from psigraph.stores import StoreError
from psigraph.structures.complexes import Binding, ComplexSet, Protein, concatenate_complexes
from psigraph.structures.model import Label, Structure
from psigraph.structures.store import COLUMNS, COMPLEX_COLUMNS, StructureFile, write_structures

PK = (Label("pK", "1", False),)


def protein(name: str, n: int, seed: int = 0) -> Protein:
    rng = np.random.default_rng(seed)
    return Protein(
        id=name,
        z=rng.integers(6, 9, n).astype(np.uint8),
        positions=rng.normal(size=(n, 3)),
        residue=np.arange(n, dtype=np.int32) // 3,
        residue_names=np.array([f"A:ALA{k}" for k in range(-(-n // 3))], dtype=object),
        features=rng.normal(size=(n, 5)).astype(np.float32),
    )


@pytest.fixture
def complexes() -> list[Structure]:
    """Six ligands of 2 to 7 atoms of the proteins p, q, p, r, q, r."""
    proteins = {name: protein(name, n, n) for name, n in (("p", 7), ("q", 4), ("r", 9))}
    found = []
    for k, name in enumerate("pqprqr"):
        rng, n = np.random.default_rng(k), k + 2
        bonds = np.array([(i, i + 1) for i in range(n - 1)], dtype=np.int32)
        binding = Binding(
            proteins[name],
            rng.normal(size=(n, 5)).astype(np.float32),
            bonds,
            rng.normal(size=(n - 1, 3)).astype(np.float32),
            "C" * n,
            ("Kd", "unknown")[k % 2],
            ("", "test")[k % 2],
        )
        z = rng.integers(1, 9, n)
        found.append(Structure(f"c{k}", z, rng.normal(size=(n, 3)), [0] * n, np.nan, labels=[k], binding=binding))
    return found


def assert_same(found: ComplexSet, expected: list[Structure]) -> None:
    """Compare with the objects, one complex after another."""
    assert found.n == len(expected)
    start = 0
    for row, structure in enumerate(expected):
        binding = structure.binding
        assert (found.smiles[row], found.measure[row], found.side[row]) == (
            binding.smiles,
            binding.measure,
            binding.side,
        )
        np.testing.assert_array_equal(found.atom_features[start : start + structure.n_atoms], binding.atom_features)
        start += structure.n_atoms
        bonds = slice(found.bond_offsets[row], found.bond_offsets[row + 1])
        np.testing.assert_array_equal(found.bonds[bonds], binding.bonds)
        np.testing.assert_array_equal(found.bond_features[bonds], binding.bond_features)
        of_row = found.protein_of(found.protein[row])
        for field in dataclasses.fields(Protein):
            np.testing.assert_array_equal(getattr(of_row, field.name), getattr(binding.protein, field.name))


def test_what_is_written_is_read_in_any_range(tmp_path, complexes):
    write_structures(tmp_path / "s.h5", complexes, unit="eV", settings={}, label_specs=PK)
    with StructureFile(tmp_path / "s.h5") as file:
        assert file.has_complexes
        for first, last in ((0, 6), (1, 4), (2, 3), (3, 3), (4, 6)):
            assert_same(file.complexes(first, last), complexes[first:last])
            assert file.rows(first, last).n == last - first
        whole, part = file.complexes(0, 6), file.complexes(2, 5)
    assert whole.protein_ids.tolist() == ["p", "q", "r"] and whole.protein.tolist() == [0, 1, 0, 2, 1, 2]
    assert part.protein_ids.tolist() == ["p", "q", "r"] and part.protein.tolist() == [0, 2, 1]
    with h5py.File(tmp_path / "s.h5") as stored:
        assert set(stored) == {*COLUMNS, *COMPLEX_COLUMNS}
        assert stored["protein_positions"].attrs["units"] == "Å" and len(stored["protein_z"]) == 20


def test_proteins_of_other_rows_are_not_read(tmp_path, complexes):
    write_structures(tmp_path / "s.h5", complexes, unit="eV", settings={}, label_specs=PK)
    with StructureFile(tmp_path / "s.h5") as file:
        found = file.complexes(3, 4)
    assert found.protein_ids.tolist() == ["r"] and len(found.protein_z) == 9 and found.protein.tolist() == [0]


def test_flat_arrays_are_those_of_the_objects(complexes):
    assert_same(concatenate_complexes([s.binding for s in complexes]), complexes)
    assert concatenate_complexes([]).n == 0


def test_the_digest_covers_what_complexes_have(tmp_path, complexes):
    def digest(structures: list[Structure]) -> str:
        return write_structures(tmp_path / "s.h5", structures, unit="eV", settings={}, label_specs=PK)

    first = digest(complexes)
    assert first == digest(complexes)
    changed = dataclasses.replace(complexes[5].binding, measure="IC50")
    assert digest([*complexes[:5], dataclasses.replace(complexes[5], binding=changed)]) != first


def test_a_store_without_complexes_has_none_of_their_columns(tmp_path, complexes):
    plain = [dataclasses.replace(s, binding=None) for s in complexes]
    write_structures(tmp_path / "s.h5", plain, unit="eV", settings={}, label_specs=PK)
    with h5py.File(tmp_path / "s.h5") as stored:
        assert set(stored) == set(COLUMNS)
    with StructureFile(tmp_path / "s.h5") as file:
        assert not file.has_complexes
        with pytest.raises(StoreError, match=r"s\.h5: holds molecules or dimers, not complexes"):
            file.complexes(0, 1)


def test_mixtures_and_two_proteins_of_one_name_are_refused(tmp_path, complexes):
    mixed = [*complexes[:5], dataclasses.replace(complexes[5], binding=None)]
    with pytest.raises(ValueError, match="5 of 6 structures are complexes; all must be, or none"):
        write_structures(tmp_path / "s.h5", mixed, unit="eV", settings={}, label_specs=PK)
    other = dataclasses.replace(complexes[1].binding, protein=protein("p", 3))
    with pytest.raises(ValueError, match="two proteins have the id 'p'"):
        concatenate_complexes([complexes[0].binding, other])


def test_a_store_that_lacks_a_column_of_complexes_is_refused(tmp_path, complexes):
    write_structures(tmp_path / "s.h5", complexes, unit="eV", settings={}, label_specs=PK)
    with h5py.File(tmp_path / "s.h5", "r+") as stored:
        del stored["smiles"]
    with pytest.raises(StoreError, match=r"s\.h5: lacks the columns smiles; rebuild it with: snakemake"):
        StructureFile(tmp_path / "s.h5")
