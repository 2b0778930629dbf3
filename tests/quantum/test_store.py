"""Quantum stores: batches joined in the order of the structures, and every mismatch named."""

import dataclasses

import numpy as np
import pytest

from psigraph.quantum.model import failed
from psigraph.quantum.store import read_quantum, write_quantum
from psigraph.stores import StoreError

SIZES = [4, 6, 3, 5, 7]  # atoms


@pytest.fixture
def batches(tmp_path, level, made_up_result):
    """Five structures in three batches, the last failed; returns (paths, results)."""
    results = [made_up_result(n, seed) for seed, n in enumerate(SIZES)]
    results[4] = failed("convergence", "Could not converge", SIZES[4], psi4_version="1.3.2")
    paths = []
    for batch in range(3):
        index = list(range(batch, 5, 3))
        paths.append(tmp_path / f"{batch}.h5")
        write_quantum(
            paths[-1],
            ids=[f"s{i}" for i in index],
            index=index,
            results=[results[i] for i in index],
            level=level,
            structures_digest="d" * 64,
        )
    return paths, results


def test_rows_stand_in_the_order_of_the_structures(batches, level):
    paths, results = batches
    found = read_quantum([paths[2], paths[0], paths[1]], level=level, structures_digest="d" * 64)
    assert list(found.ids) == [f"s{i}" for i in range(5)]
    assert np.diff(found.offsets).tolist() == SIZES
    assert found.psi4_version == "1.3.2"
    for i, result in enumerate(results):
        for name in ("energy", "interaction_energy", "dipole", "quadrupole", "origin", "participation_ratio"):
            np.testing.assert_array_equal(getattr(found, name)[i], getattr(result, name))
        np.testing.assert_array_equal(found.mulliken_spd[found.atoms(i)], result.mulliken_spd)
        np.testing.assert_array_equal(found.mulliken_charge[found.atoms(i)], result.mulliken_charge)
    assert found.ok.tolist() == [True] * 4 + [False]
    assert (found.status[4], found.message[4]) == ("convergence", "Could not converge")


def test_digest_leaves_out_wall_time(tmp_path, level, made_up_result):
    common = {"ids": ["a"], "index": [0], "level": level, "structures_digest": "d"}
    slow = dataclasses.replace(made_up_result(3), wall_time=1e3)
    first = write_quantum(tmp_path / "a.h5", results=[made_up_result(3)], **common)
    assert write_quantum(tmp_path / "b.h5", results=[slow], **common) == first
    other = write_quantum(tmp_path / "c.h5", results=[made_up_result(3, seed=1)], **common)
    assert other != first


def test_empty_batch(tmp_path, level, batches):
    """A dataset smaller than its number of batches has empty ones; they join without a trace."""
    paths, _ = batches
    write_quantum(tmp_path / "3.h5", ids=[], index=[], results=[], level=level, structures_digest="d" * 64)
    assert read_quantum([*paths, tmp_path / "3.h5"]).n == 5
    assert read_quantum([tmp_path / "3.h5"]).mulliken_spd.shape == (0, 3)


def test_missing_and_doubled_batches_are_errors(batches):
    paths, _ = batches
    with pytest.raises(StoreError, match="row 1 is in no batch.*snakemake --cores 8 features"):
        read_quantum([paths[0], paths[2]])
    with pytest.raises(StoreError, match="row 2 is in 2 batches"):
        read_quantum([*paths, paths[2]])


def test_other_level_is_named_with_both_values(batches, level):
    paths, _ = batches
    with pytest.raises(StoreError) as error:
        read_quantum(paths, level={**level, "basis": "def2-tzvp"})
    for part in (str(paths[0]), "basis", "'def2-svp'", "'def2-tzvp'", "snakemake --cores 8 features"):
        assert part in str(error.value)


def test_batches_of_different_levels_do_not_mix(batches, level, made_up_result):
    paths, _ = batches
    write_quantum(
        paths[2],
        ids=["s2"],
        index=[2],
        results=[made_up_result(3)],
        level={**level, "scf_type": "pk"},
        structures_digest="d" * 64,
    )
    with pytest.raises(StoreError, match="2.h5.*scf_type = 'pk', expected 'df'"):
        read_quantum(paths)


def test_other_structures_are_refused(batches, level):
    paths, _ = batches
    with pytest.raises(StoreError, match="digest dddddddddddd, expected eeeeeeeeeeee"):
        read_quantum(paths, structures_digest="e" * 64)
    with pytest.raises(StoreError, match="structure 's1' in row 1, expected 'x'"):
        read_quantum(paths, ids=["s0", "x", "s2", "s3", "s4"])
    with pytest.raises(StoreError, match="5 structures, expected 6"):
        read_quantum(paths, ids=[f"s{i}" for i in range(6)])


def test_damaged_batch_is_named(batches):
    paths, _ = batches
    paths[1].write_bytes(paths[1].read_bytes()[:2000])
    with pytest.raises(StoreError, match="1.h5: cannot be read as HDF5.*snakemake"):
        read_quantum(paths)
