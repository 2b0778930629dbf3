"""Graphs built block by block against the slow obvious way: one structure after the other."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from psigraph.graphs import blocks
from psigraph.graphs.build import build_shard
from psigraph.graphs.features import SkippedStructure, computed_features
from psigraph.graphs.graph import Skipped, features_of, graph_from_structure
from psigraph.graphs.settings import GraphSettings
from psigraph.graphs.shard_writer import write_shard
from psigraph.graphs.shards import read_shard
from psigraph.quantum.model import Result
from psigraph.quantum.store import read_quantum, write_quantum
from psigraph.structures.store import read_structures

#: Fields that hold sums over atoms, which another order of additions changes in the last digit.
ROUNDED = ("u", "R_internal_val")


def one_by_one(path, store, files, settings, prefix="", allow_unlabelled=False):
    """Build a shard one structure after the other; return what was left out."""
    structures, sets = read_structures(store), {}
    for programs, paths in files.items():
        if settings.needed(*programs):
            sets |= dict.fromkeys(programs, read_quantum(paths))
    graphs, left_out = [], []
    for row, structure in enumerate(structures):
        name = prefix + structure.id
        try:
            features = computed_features(sets, row, structure, settings) if sets else features_of(structure, settings)
            graphs.append(
                graph_from_structure(
                    structure,
                    settings,
                    features,
                    unit=structures.unit,
                    id=name,
                    allow_unlabelled=allow_unlabelled,
                )
            )
        except SkippedStructure as error:
            left_out.append(Skipped(name, structure.source, str(error)))
    write_shard(path, graphs, settings)
    return left_out


def assert_same(found, expected):
    assert found.settings == expected.settings and set(found.columns) == set(expected.columns)
    for name in expected.columns:
        if name in ROUNDED:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-12, atol=1e-13, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
            assert found[name].dtype == expected[name].dtype, name


@pytest.fixture
def made(tmp_path, maker):
    """Dimers and molecules of 1 to 14 atoms with quantum results, descriptors and shieldings; much of it is broken."""
    nan = np.nan
    sizes = [7, 2, 12, 3, 5, 9, 4, 6, 8, 11, 14, 7, 7, 5, 6, 8, 9, 10]
    structures = [maker.structure(f"d{i}", n, charge=(i % 3 - 1, 0)) for i, n in enumerate(sizes)]
    structures[1].z[:] = [2, 10]  # no axis on either side
    for i in (3, 10):  # molecules
        structures[i].fragment[:] = 0
    structures[4].positions[-1] += [0, 0, 80.0]
    structures[5].v_ref = nan
    structures[6].separation, structures[6].theta, structures[6].pr = 4.5, 0.25, 1.75
    structures[7].separation = 3.5
    structures[8].theta = 0.125
    structures[9].positions[0, 1] = nan
    structures[12].z[:] = 0  # no mass
    for i, s in enumerate(structures):
        s.v_0 = nan if i == 2 else 0.1 * i
        if i % 4:
            s.has_given, s.given_mulliken_spd = True, maker.rng.random((s.n_atoms, 3))
            s.given_dipole, s.given_origin = maker.rng.normal(size=3), maker.rng.normal(size=3)
            s.given_quadrupole = maker.rng.normal(size=(3, 3))
            s.pr = 1.5 if i % 3 else nan
    structures[13].given_mulliken_spd[2, 1] = nan
    structures[14].given_dipole[0] = nan
    store = maker.structures_file(tmp_path / "d.h5", structures, unit="eV")
    results, described, shielded = [], [], []
    for i, s in enumerate(structures):
        result = maker.result(s, "convergence" if i in (0, 11) else "ok")
        changes = {13: "mulliken_spd", 14: "dipole", 15: "participation_ratio"}
        if i in changes:
            result = replace(result, values={**result.values, changes[i]: result.values[changes[i]] * nan})
        if i == 16:
            missing = {name: result.values[name] * nan for name in ("interaction_energy", "sapt0")}
            result = replace(result, values={**result.values, **missing})
        if i == 17:
            result = replace(result, origin=np.full(3, nan))
        if not s.is_dimer:
            result = replace(
                result,
                n_systems=1,
                values={k: v[:1] if k in ("energy", "dipole", "quadrupole") else v for k, v in result.values.items()},
            )
        results.append(result)
        described.append(maker.descriptors(s))
        shielded.append(Result("ok", values={"nmr_shielding": maker.rng.normal(size=s.n_atoms)}, n_atoms=s.n_atoms))
    described[0] = Result("input", "not understood", n_atoms=7, n_systems=3)
    described[1] = replace(
        described[1], message="A: no bonds", values={**described[1].values, "stereocentres": np.full(3, nan)}
    )
    described[2] = maker.descriptors(maker.structure("other", 4))  # of other atoms
    shielded[3].values["nmr_shielding"][1] = nan
    digest = read_structures(store).digest
    files = {("psi4",): [], ("rdkit", "dftd4"): [], ("pyscf",): []}
    kinds = [
        (results, maker.features, maker.level, "psi4", 3),
        (described, maker.descriptor_names, None, "rdkit", 1),
        (shielded, ["nmr_shielding"], maker.level, "pyscf", 2),
    ]
    for (values, names, level, program, batches), paths in zip(kinds, files.values(), strict=True):
        for batch in range(batches):
            rows = np.random.default_rng(batches).permutation(len(structures))[batch::batches].tolist()
            paths.append(tmp_path / f"{program}-{batch}.h5")
            write_quantum(
                paths[-1],
                ids=[structures[row].id for row in rows],
                index=rows,
                results=[values[row] for row in rows],
                names=names,
                level=level,
                structures_digest=digest,
                program=program,
            )
    return store, files


def settings_of(maker, **changes):
    return GraphSettings(**{"level": maker.level, "cutoff": 5.0, **changes})


CASES = [
    {},
    {"v0": "hf-d4", "atom_features": ["hybridisation", "mulliken_charge", "free_atom_valence"]},
    {"v0": "mp2", "unit": "meV", "length_scale": 1.0, "atom_features": []},
    {"v0": "sapt0", "participation": False},
    {"v0": "zero", "multipoles": False, "atom_features": ["nmr_shielding", "mulliken_spd"]},
    {"v0": "column", "atom_features": ["free_atom_valence"], "cutoff": 100.0},
    {"level": None, "v0": "zero", "cutoff": 0.5},
    {"level": None, "v0": "column", "participation": False},
    {"level": None, "v0": "zero", "atom_features": ["hybridisation", "mulliken_spd"]},
    {"level": "given", "v0": "column"},
    {"level": "given", "v0": "zero", "participation": False, "multipoles": False},
    {"level": "given", "v0": "zero", "participation": False, "atom_features": []},
]


@pytest.mark.parametrize("allow_unlabelled", [False, True])
@pytest.mark.parametrize("changes", CASES)
def test_equals_one_by_one(tmp_path, maker, made, changes, allow_unlabelled):
    store, files = made
    settings = settings_of(maker, **changes)
    expected = one_by_one(tmp_path / "slow.h5", store, files, settings, allow_unlabelled=allow_unlabelled)
    build(tmp_path / "fast.h5", made, settings, allow_unlabelled=allow_unlabelled)
    fast = read_shard(tmp_path / "fast.h5")
    assert_same(fast, read_shard(tmp_path / "slow.h5"))
    assert len(fast["ids"]) + len(expected) == 18 and len(fast["ids"]) > 3
    with open(tmp_path / "fast.csv", newline="") as file:
        assert [Skipped(*row) for row in list(csv.reader(file))[1:]] == expected


def test_the_broken_ones_have_many_reasons(tmp_path, maker, made):
    """The cases above compare reasons: there must be some of every kind."""
    store, files = made
    reasons = [
        skipped.reason
        for case in CASES
        for skipped in one_by_one(tmp_path / "slow.h5", store, files, settings_of(maker, **case))
    ]
    for part in (
        "quantum calculation failed (convergence): it did not converge",
        "descriptors failed (input): not understood",
        "features of 4 atoms for 12 atoms",
        "mulliken_spd holds values that are not finite",
        "dipole holds values that are not finite",
        "origin holds values that are not finite",
        "nmr_shielding holds values that are not finite",
        "no Lewis structure, so no hybridisation: A: no bonds",
        "its farthest atom is",
        "its farthest atom is nan",
        "must be finite",
        "no reference V_ref",
        "no V0 in the raw data",
        "no interaction_energy and dispersion_d4 (v0: hf-d4)",
        "no sapt0",
        "no participation ratio",
        "no PR in the raw data",
        "the raw data gives no populations",
    ):
        assert any(part in reason for reason in reasons), part


def build(path, made, settings, **rest):
    store, files = made
    quantum, descriptors, shieldings = files.values()
    build_shard(
        {"d": store},
        {"d": quantum},
        path,
        path.with_suffix(".csv"),
        settings,
        descriptors={"d": descriptors},
        shieldings={"d": shieldings},
        **rest,
    )


@pytest.mark.parametrize("rows, pairs", [(1, 2**21), (5, 2**21), (4096, 60)])
def test_nothing_depends_on_the_blocks(tmp_path, maker, made, monkeypatch, rows, pairs):
    settings = settings_of(maker, v0="hf-d4", atom_features=["mulliken_spd", "hybridisation"])
    build(tmp_path / "one.h5", made, settings)
    monkeypatch.setattr(blocks, "_MOST_ROWS", rows)
    monkeypatch.setattr(blocks, "_MOST_PAIRS", pairs)
    build(tmp_path / "many.h5", made, settings)
    assert (tmp_path / "many.h5").read_bytes() == (tmp_path / "one.h5").read_bytes()
    assert (tmp_path / "many.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()


def test_nothing_depends_on_the_shards(tmp_path, maker, made):
    settings = settings_of(maker)
    build(tmp_path / "one.h5", made, settings)
    for shard in range(5):
        build(tmp_path / f"{shard}.h5", made, settings, shard=shard, shards=5)
    whole, parts = read_shard(tmp_path / "one.h5"), [read_shard(tmp_path / f"{k}.h5") for k in range(5)]
    for name in whole.columns:
        if not name.endswith("offsets"):
            np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), whole[name], err_msg=name)


def test_ranges_of_rows():
    sizes = np.array([3, 0, 1, 9000, 5000, 2, 2])  # one with more pairs than a block may have
    offsets = np.cumsum([0, *sizes])
    assert blocks.blocks(offsets, 0, 7) == [(0, 3), (3, 4), (4, 5), (5, 7)]
    assert blocks.blocks(offsets, 4, 5) == [(4, 5)] and blocks.blocks(offsets, 2, 2) == []
    many = np.arange(10_001) * 2
    assert blocks.blocks(many, 0, 10_000) == [(0, 4096), (4096, 8192), (8192, 10_000)]


@pytest.mark.parametrize("n, dtype", [(256, "uint8"), (257, "uint16")])
def test_pairs_have_the_smallest_type_that_holds_them(tmp_path, maker, no_level, n, dtype):
    structures = [maker.structure("large", n, positions=maker.rng.random((n, 3))), maker.structure("small", 3)]
    store = maker.structures_file(tmp_path / "d.h5", structures)
    build_shard({"d": store}, {}, tmp_path / "s.h5", tmp_path / "s.csv", no_level)
    shard = read_shard(tmp_path / "s.h5")
    assert shard["pairs"].dtype == dtype and shard["pairs"].max() == n - 1
    assert shard["pair_offsets"][1] == n * (n - 1) // 2
