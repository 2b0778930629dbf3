"""Quantum stores: batches joined in the order of the structures, and every mismatch named."""

import dataclasses

import numpy as np
import pytest

from psigraph.quantum.model import Record, Result, applicable, assemble, failed
from psigraph.quantum.registry import select
from psigraph.quantum.store import QuantumFiles, read_quantum, write_quantum
from psigraph.quantum.system import System, systems_of
from psigraph.quantum.table import FEATURES
from psigraph.stores import StoreError
from psigraph.structures.model import Structure

SIZES = [4, 6, 3, 5, 7]  # atoms
NAMES = tuple(
    name
    for name in select(["default", "interaction_energy_mp2", "density_block", "octupole"])
    if FEATURES[name].program == "psi4"
)
DIGEST = "d" * 64


def made_up(name: str, n: int, seed: int, rows: int) -> np.ndarray:
    """Random numbers in the shape that one system's feature has."""
    feature = FEATURES[name]
    lead = {"system": (), "structure": (), "atom": (n,)}.get(feature.per, (rows,))
    return np.random.default_rng([seed, len(name)]).normal(size=(*lead, *feature.shape), scale=9).astype(feature.dtype)


def make_structure(n: int, dimer: bool) -> Structure:
    fragment = np.arange(n) >= (n // 2 if dimer else n)
    positions = np.random.default_rng(n).normal(size=(n, 3))
    return Structure(id=f"s{n}", z=np.ones(n, int), positions=positions, fragment=fragment, v_ref=0.0)


def records_of(systems: list[System], names: tuple[str, ...], seed: int = 0, rows: int = 3) -> list[Record]:
    return [
        Record(
            "ok",
            values={name: made_up(name, s.n_atoms, 10 * seed + k, rows) for name in applicable(s, names)},
            attempts=(f"attempt of system {k}",),
            wall_time=1.5,
            psi4_version="1.3.2",
        )
        for k, s in enumerate(systems)
    ]


def make_result(n: int, seed: int = 0, *, dimer: bool = True, names: tuple[str, ...] = NAMES, rows: int = 3) -> Result:
    origin, systems = systems_of(make_structure(n, dimer))
    return assemble(origin, systems, records_of(systems, names, seed, rows), names)


def write(path, results, index, level, names=NAMES, digest=DIGEST, **rest) -> str:
    ids = [f"s{i}" for i in index]
    return write_quantum(
        path, ids=ids, index=index, results=results, names=names, level=level, structures_digest=digest, **rest
    )


@pytest.fixture
def batches(tmp_path, level):
    """Five structures in three batches: dimers, a molecule (3) with other numbers of bonds, the last failed."""
    results = [make_result(n, seed, dimer=seed != 3, rows=seed) for seed, n in enumerate(SIZES)]
    origin, systems = systems_of(make_structure(SIZES[4], True))
    records = [records_of(systems, NAMES)[0], failed("convergence", "Could not converge", psi4_version="1.3.2")]
    results[4] = assemble(origin, systems, records, NAMES)
    paths = []
    for batch in range(3):
        index = list(range(batch, 5, 3))
        paths.append(tmp_path / "water" / "hf" / f"{batch}.h5")
        write(paths[-1], [results[i] for i in index], index, level)
    return paths, results


def test_rows_stand_in_the_order_of_the_structures(batches, level):
    paths, results = batches
    found = read_quantum([paths[2], paths[0], paths[1]], level=level, structures_digest=DIGEST)
    assert list(found.ids) == [f"s{i}" for i in range(5)]
    assert np.diff(found.offsets["atom"]).tolist() == SIZES
    assert np.diff(found.offsets["bond"]).tolist() == [0, 1, 2, 3, 0]
    assert found.psi4_version == "1.3.2"
    assert found.n_systems.tolist() == [3, 3, 3, 1, 3]
    assert tuple(found.values) == NAMES and found.structures_digest == DIGEST
    for i, result in enumerate(results[:4]):
        np.testing.assert_array_equal(found.origin[i], result.origin)
        for name in NAMES:
            per = FEATURES[name].per
            rows = (
                (i, slice(0, result.n_systems)) if per == "system" else i if per == "structure" else found.rows(per, i)
            )
            np.testing.assert_array_equal(found[name][rows], result.values[name], err_msg=name)
            assert found[name].dtype == FEATURES[name].dtype
    assert np.isnan(found["energy"][3, 1:]).all() and np.isnan(found["interaction_energy"][3])
    assert found.attempts[0] == "dimer: attempt of system 0\nA: attempt of system 1\nB: attempt of system 2"
    assert found.attempts[3] == "attempt of system 0"
    assert found.wall_time.tolist() == [4.5, 4.5, 4.5, 1.5, 1.5]


def test_failed_rows_are_empty(batches):
    found = read_quantum(batches[0])
    assert found.ok.tolist() == [True] * 4 + [False]
    assert (found.status[4], found.message[4]) == ("convergence", "A: Could not converge")
    assert np.isfinite(found.origin[4]).all()
    for name in NAMES:
        feature = FEATURES[name]
        rows = found[name][4] if feature.per in ("system", "structure") else found[name][found.rows(feature.per, 4)]
        if feature.per not in ("system", "structure"):
            assert len(rows) == (SIZES[4] if feature.per == "atom" else 0)
        assert np.isnan(rows).all() if feature.dtype == "float64" else not rows.any()


def test_molecules_alone_have_one_system(tmp_path, level):
    write(tmp_path / "0.h5", [make_result(n, n, dimer=False) for n in SIZES], range(5), level)
    found = read_quantum([tmp_path / "0.h5"])
    assert found["dipole"].shape == (5, 1, 3) and np.isnan(found["interaction_energy"]).all()


def test_interaction_energies_are_differences():
    result = make_result(6)
    energy, correlation = result.values["energy"], result.values["mp2_correlation"]
    assert result.values["interaction_energy"] == energy[0] - energy[1] - energy[2]
    both = energy + correlation
    assert result.values["interaction_energy_mp2"] == pytest.approx(both[0] - both[1] - both[2], rel=1e-14)


def test_what_applies_to_a_system():
    _, (whole, ghosted, _) = systems_of(make_structure(6, True))
    names = ("energy", "interaction_energy", "sapt0", "mulliken_spd", "bonds", "hybridisation", "dispersion_d4")
    assert applicable(whole, names) == ("energy", "sapt0", "mulliken_spd", "bonds")
    assert applicable(ghosted, names) == ("energy",)


def test_results_need_all_records_and_features():
    origin, systems = systems_of(make_structure(6, True))
    records = records_of(systems, ("energy", "dipole"))
    with pytest.raises(ValueError, match="3 systems, but 2 records"):
        assemble(origin, systems, records[:2], ("energy",))
    with pytest.raises(ValueError, match="the record of dimer lacks feature 'octupole'"):
        assemble(origin, systems, records, ("energy", "octupole"))
    _, molecule = systems_of(make_structure(6, False))
    assert assemble(origin, molecule, [failed("input", "why")], ()).message == "why"


@pytest.mark.parametrize("status", ["okay", ""])
def test_unknown_status_is_an_error(status):
    for make in (Record, Result, lambda s: failed(s, "")):
        with pytest.raises(ValueError, match="unknown"):
            make(status)
    with pytest.raises(ValueError, match="unknown failure class 'ok'"):
        failed("ok", "")


def test_written_results_are_checked(tmp_path, level):
    good = make_result(6)
    energy = {**good.values, "energy": np.zeros(2)}
    lengths = {**good.values, "bond_length": np.zeros(7)}
    lacking = {name: value for name, value in good.values.items() if name != "npa_spd"}
    for values, message in [
        (energy, r"structure 's0': feature 'energy' has shape \(2,\), expected \(3,\)"),
        (lengths, "structure 's0': features by bond have different lengths.*'bond_length': 7"),
        (lacking, "structure 's0': its result lacks feature 'npa_spd'"),
    ]:
        with pytest.raises(ValueError, match=message):
            write(tmp_path / "x.h5", [dataclasses.replace(good, values=values)], [0], level)
    assert list(tmp_path.iterdir()) == []


def test_digest_leaves_out_wall_time(tmp_path, level):
    first = write(tmp_path / "a.h5", [make_result(3)], [0], level)
    slow = dataclasses.replace(make_result(3), wall_time=1e3)
    assert write(tmp_path / "b.h5", [slow], [0], level) == first
    assert write(tmp_path / "c.h5", [make_result(3, seed=1)], [0], level) != first


def test_empty_batch(tmp_path, level, batches):
    """A dataset smaller than its number of batches has empty ones; they join without a trace."""
    paths, _ = batches
    write(tmp_path / "3.h5", [], [], level)
    whole, plain = read_quantum([tmp_path / "3.h5", *paths]), read_quantum(paths)
    assert whole.n == 5
    for name in NAMES:
        np.testing.assert_array_equal(whole[name], plain[name])
    alone = read_quantum([tmp_path / "3.h5"])
    assert alone["mulliken_spd"].shape == (0, 3) and alone["dipole"].shape == (0, 1, 3)


def test_all_failed(tmp_path, level):
    origin, systems = systems_of(make_structure(4, True))
    write(tmp_path / "0.h5", [assemble(origin, systems, [failed("input", "fused")], NAMES)], [0], level)
    found = read_quantum([tmp_path / "0.h5"])
    assert found["energy"].shape == (1, 3) and found["bonds"].shape == (0, 2) and found["mulliken_spd"].shape == (4, 3)


def test_missing_feature_says_where_to_ask_for_it(batches):
    found = read_quantum(batches[0])
    assert "sapt0" not in found and "energy" in found
    with pytest.raises(StoreError, match=r"add sapt0 to levels\.hf\.features and run: snakemake --cores 8 features"):
        found["sapt0"]


def test_only_wanted_features_are_kept(batches):
    found = read_quantum(batches[0], features=["dipole", "bonds"])
    assert list(found.values) == ["dipole", "bonds"]
    assert np.diff(found.offsets["bond"]).tolist() == [0, 1, 2, 3, 0]


def test_batches_of_different_features_do_not_mix(batches, level):
    paths, results = batches
    write(paths[2], [results[2]], [2], level, names=("energy", "dipole"))
    with pytest.raises(StoreError, match="2.h5.*features = energy, dipole, expected energy, energy_components"):
        read_quantum(paths)


def test_stores_of_other_programs(tmp_path):
    """Descriptors have no level."""
    result = Result("ok", values={"aromatic": np.array([0, 1, 1], np.uint8)}, n_atoms=3, psi4_version="2024.3")
    write(tmp_path / "0.h5", [result], [0], None, names=["aromatic"], program="rdkit")
    found = read_quantum([tmp_path / "0.h5"])
    assert found["aromatic"].tolist() == [0, 1, 1] and found.settings["program"] == "rdkit"
    with pytest.raises(StoreError, match="add ring_size to the configuration"):
        found["ring_size"]


def test_missing_and_doubled_batches_are_errors(batches):
    paths, _ = batches
    with pytest.raises(StoreError, match="row 1 is in no batch.*snakemake --cores 8 features"):
        read_quantum([paths[0], paths[2]])
    with pytest.raises(StoreError, match="row 2 is in 2 batches"):
        read_quantum([*paths, paths[2]])
    with pytest.raises(StoreError, match="no quantum files"):
        read_quantum([])


def test_other_level_is_named_with_both_values(batches, level):
    paths, _ = batches
    with pytest.raises(StoreError) as error:
        read_quantum(paths, level={**level, "basis": "def2-tzvp"})
    for part in (str(paths[0]), "basis", "'def2-svp'", "'def2-tzvp'", "snakemake --cores 8 features"):
        assert part in str(error.value)


def test_batches_of_different_levels_do_not_mix(batches, level):
    paths, results = batches
    write(paths[2], [results[2]], [2], {**level, "scf_type": "pk"})
    with pytest.raises(StoreError, match="2.h5.*scf_type = 'pk', expected 'df'"):
        read_quantum(paths)


def test_other_structures_are_refused(batches):
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


def assert_part(part, whole, first, last):
    """Rows first to last-1 of `whole` are `part`."""
    for name in ("ids", "status", "message", "origin", "n_systems", "attempts", "wall_time"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[first:last], err_msg=name)
    for scope, offsets in whole.offsets.items():
        np.testing.assert_array_equal(part.offsets[scope], offsets[first : last + 1] - offsets[first])
    for name, values in whole.values.items():
        ends = whole.offsets.get(FEATURES[name].per)
        rows = slice(first, last) if ends is None else slice(ends[first], ends[last])
        np.testing.assert_array_equal(part[name], values[rows], err_msg=name)
        assert part[name].dtype == values.dtype and part[name].shape[1:] == values.shape[1:]


@pytest.mark.parametrize("most_open", [128, 1])
def test_any_range_of_structures_can_be_read(batches, monkeypatch, most_open):
    monkeypatch.setattr("psigraph.quantum.store_reader._MOST_OPEN", most_open)
    whole = read_quantum(batches[0])
    with QuantumFiles(batches[0]) as files:
        assert files.n == 5 and files.digests == whole.digests
        for first in range(6):
            for last in range(first, 6):
                part = files.rows(first, last, ids=whole.ids[first:last])
                assert_part(part, whole, first, last)
                assert part.structures_digest == DIGEST and part.psi4_version == "1.3.2"


@pytest.mark.parametrize("gap", [0, 100, 4096])
def test_structures_may_stand_anywhere_in_their_batch(tmp_path, level, monkeypatch, gap):
    monkeypatch.setattr("psigraph.quantum.store_reader._GAP", gap)
    names = ("energy", "mulliken_spd", "bonds")
    results = [make_result(3 + k % 4, k, names=names, rows=k % 3) for k in range(60)]
    order = np.random.default_rng(0).permutation(60)
    paths = [tmp_path / f"{k}.h5" for k in range(2)]
    for path, index in zip(paths, (order[:35].tolist(), order[35:].tolist()), strict=True):
        write(path, [results[i] for i in index], index, level, names=names)
    whole = read_quantum(paths)
    for i, result in enumerate(results):
        np.testing.assert_array_equal(whole["mulliken_spd"][whole.atoms(i)], result.values["mulliken_spd"])
        np.testing.assert_array_equal(whole["energy"][i], result.values["energy"])
        np.testing.assert_array_equal(whole["bonds"][whole.rows("bond", i)], result.values["bonds"])
    with QuantumFiles(paths) as files:
        for first, last in ((0, 60), (7, 8), (20, 45)):
            assert_part(files.rows(first, last), whole, first, last)


def test_only_what_is_read_is_proved(batches):
    paths, results = batches
    body = bytearray(paths[0].read_bytes())
    body[body.index(results[0].values["dipole"].tobytes())] ^= 1
    paths[0].write_bytes(body)
    with pytest.raises(StoreError, match="0.h5: its content does not match its digest"):
        read_quantum(paths, features=["energy"])
    with QuantumFiles(paths, features=["energy"], history=False) as files:
        part = files.rows(0, 5)
        assert tuple(part.values) == ("energy",) and len(part.attempts) == len(part.wall_time) == 0
    with QuantumFiles(paths, features=["dipole"]) as files, pytest.raises(StoreError, match="0.h5: its content does"):
        files.rows(0, 5)


def test_a_file_that_changes_while_it_is_read_is_an_error(batches, level, monkeypatch):
    monkeypatch.setattr("psigraph.quantum.store_reader._MOST_OPEN", 1)
    paths, results = batches
    with QuantumFiles(paths) as files:
        write(paths[0], [make_result(SIZES[i], seed=9) for i in (0, 3)], [0, 3], level)
        with pytest.raises(StoreError, match="0.h5: was written again while it was being read; start this job again"):
            files.rows(0, 5)


def test_counts_features_and_ids_of_a_range_are_checked(batches):
    with QuantumFiles(batches[0], features=["energy"]) as files:
        files.check_features(["energy"])
        with pytest.raises(StoreError, match=r"does not hold feature 'sapt0', only energy, .*add sapt0 to levels\.hf"):
            files.check_features(["energy", "sapt0"])
        with pytest.raises(StoreError, match="5 structures, expected 6"):
            files.check_count(6)
        with pytest.raises(StoreError, match="structure 's3' in row 3, expected 'x'"):
            files.rows(2, 4, ids=["s2", "x"])
