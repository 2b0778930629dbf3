import csv

import numpy as np
import pytest

from psigraph.fields import FIELD_RANGE, SHARD_FIELDS
from psigraph.graphs.build import build_shard
from psigraph.graphs.features import Features, SkippedStructure, given_features
from psigraph.graphs.graph import graph_from_structure
from psigraph.graphs.multipoles import field_features, shift_moments
from psigraph.graphs.settings import GraphSettings
from psigraph.graphs.shards import read_shard, read_shards
from psigraph.stores import StoreError
from psigraph.structures.geometry import dimer_geometry
from psigraph.units import HARTREE_EV, energy_factor


def skipped_rows(path):
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["id", "source", "reason"]
    return rows[1:]


def build(tmp_path, structures, settings, quantum=None, shards=1, **options):
    """Build all shards of a graphset; return their paths and the rows that were left out."""
    paths, left_out = [tmp_path / f"shard{k}.h5" for k in range(shards)], []
    for k, path in enumerate(paths):
        table = path.with_suffix(".csv")
        build_shard(structures, quantum or {}, path, table, settings, shard=k, shards=shards, **options)
        left_out += skipped_rows(table)
    return paths, left_out


def test_numbers_come_from_structure_and_quantum(tmp_path, maker, hf_settings):
    structures = [maker.structure("a", 6, charge=(1, 0)), maker.structure("b", 9)]
    store = maker.structures_file(tmp_path / "d.h5", structures, unit="eV")
    quantum, results = maker.quantum_files(tmp_path, store)
    (path,), left_out = build(tmp_path, {"d": store}, hf_settings, {"d": quantum})
    shard = read_shard(path)
    assert left_out == []
    factor = energy_factor("eV", "kcal/mol")
    for i, (s, result) in enumerate(zip(structures, results, strict=True)):
        atoms = slice(*shard["offsets"][i : i + 2])
        found = dimer_geometry(s.z, s.positions, s.fragment)
        v_0 = result.values["interaction_energy"] * HARTREE_EV * factor
        np.testing.assert_array_equal(shard["z_atoms"][atoms], s.z)
        np.testing.assert_allclose(shard["pos_atoms"][atoms], s.positions * 0.1, rtol=1e-15)
        np.testing.assert_array_equal(shard["fragment"][atoms], s.fragment)
        np.testing.assert_array_equal(shard["atomic_node_attr"][atoms], result.values["mulliken_spd"])
        expected = field_features(result.values["dipole"][0], result.values["quadrupole"][0], 0.1)
        np.testing.assert_allclose(shard["field_node_features"][i], expected, atol=1e-14)
        u = [found.separation * 0.1, found.theta, v_0, result.values["participation_ratio"]]
        np.testing.assert_allclose(shard["u"][i], u, rtol=1e-12)
        np.testing.assert_allclose(shard["y_true_vref"][i], s.v_ref * factor, rtol=1e-12)
        np.testing.assert_allclose(shard["y"][i], s.v_ref * factor - v_0, rtol=1e-12)
        assert shard["R_internal_val"][i] == shard["u"][i, 0]
        assert shard["theta_defined"][i] == found.theta_defined
    assert shard["ids"].tolist() == ["a", "b"] and shard["group"].tolist() == ["g-a", "g-b"]
    assert shard["system"].tolist() == ["s-a", "s-b"] and shard["source"].tolist() == ["test", "test"]


def test_shard_has_the_listed_fields_with_their_types_and_units(shard_paths):
    for path in shard_paths:
        shard = read_shard(path)
        assert shard.attributes["atom_features"].startswith("mulliken_spd (3,) [electrons]: Mulliken populations")
        n, atoms, pairs = len(shard["ids"]), int(shard["offsets"][-1]), int(shard["pair_offsets"][-1])
        sizes = {"n": n, "n+1": n + 1, "ΣN": atoms, "ΣP": pairs, "K": 3}
        assert set(shard.columns) == {field.name for field in SHARD_FIELDS}
        for field in SHARD_FIELDS:
            shape, dtype = field.shard
            expected = tuple(sizes.get(part) or int(part) for part in shape.strip("()").split(",") if part)
            assert shard[field.name].shape == expected, field.name
            assert dtype == "text" or shard[field.name].dtype in dtype.split(" or "), field.name
            assert shard.columns[field.name].unit == field.unit_of("kcal/mol"), field.name
            assert shard.columns[field.name].description == field.description
        assert shard.attributes["cutoff"] == 6.0 and shard.attributes["length_scale"] == 0.1
        assert shard.attributes["unit"] == "kcal/mol" and shard.attributes["family"] == "delta"


def test_pairs_are_all_pairs_within_the_cutoff(shard_paths):
    shards = read_shards(shard_paths)
    for i in range(len(shards)):
        positions = shards["pos_atoms"][shards["offsets"][i] : shards["offsets"][i + 1]]
        distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
        expected = [
            (a, b) for a in range(len(positions)) for b in range(a + 1, len(positions)) if distances[a, b] <= 0.6
        ]
        pairs = shards["pairs"][shards["pair_offsets"][i] : shards["pair_offsets"][i + 1]]
        assert [tuple(pair) for pair in pairs.tolist()] == expected
    assert 0 < len(shards["pairs"]) < sum(n * (n - 1) // 2 for n in np.diff(shards["offsets"]))


def test_shards_take_contiguous_ranges_of_all_datasets(tmp_path, maker, no_level):
    first = maker.structures_file(tmp_path / "one.h5", [maker.structure(f"x{i}", group="shared") for i in range(5)])
    second = maker.structures_file(
        tmp_path / "two.h5", [maker.structure(f"x{i}", group="shared") for i in range(4)], unit="eV"
    )
    paths, _ = build(tmp_path, {"one": first, "two": second}, no_level, shards=4)
    ids = [read_shard(path)["ids"].tolist() for path in paths]
    assert [len(part) for part in ids] == [2, 2, 2, 3]
    together = read_shards(paths[::-1])
    assert together["ids"].tolist() == sum(ids, [])
    assert together["ids"].tolist() == [f"one/x{i}" for i in range(5)] + [f"two/x{i}" for i in range(4)]
    assert set(together["group"]) == {"shared"}
    assert len(together["pairs"]) == together["pair_offsets"][-1]


def test_same_input_same_bytes(tmp_path, maker, hf_settings):
    store = maker.structures_file(tmp_path / "d.h5", [maker.structure(f"d{i}") for i in range(4)])
    quantum, _ = maker.quantum_files(tmp_path, store)
    contents = []
    for name in ("a.h5", "b.h5"):
        build_shard({"d": store}, {"d": quantum}, tmp_path / name, tmp_path / f"{name}.csv", hf_settings)
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]


def test_order_of_quantum_files_does_not_matter(tmp_path, maker, hf_settings):
    store = maker.structures_file(tmp_path / "d.h5", [maker.structure(f"d{i}") for i in range(5)])
    quantum, _ = maker.quantum_files(tmp_path, store, batches=3)
    (a,), _ = build(tmp_path, {"d": store}, hf_settings, {"d": quantum})
    first = read_shard(a)
    (b,), _ = build(tmp_path, {"d": store}, hf_settings, {"d": quantum[::-1]})
    assert read_shard(b).digest == first.digest and read_shard(b).inputs == first.inputs


def test_what_becomes_no_graph_is_listed_with_its_reason(tmp_path, maker, hf_settings):
    far = maker.structure("far")
    far.positions[-1] += [0, 0, 70.0]
    structures = [maker.structure("good"), maker.structure("failed"), maker.structure("blank", v_ref=np.nan), far]
    store = maker.structures_file(tmp_path / "d.h5", structures)
    quantum, _ = maker.quantum_files(tmp_path, store, failures=(1,))
    (path,), left_out = build(tmp_path, {"d": store}, hf_settings, {"d": quantum})
    assert read_shard(path)["ids"].tolist() == ["good"]
    assert [row[:2] for row in left_out] == [["failed", "test"], ["blank", "test"], ["far", "test"]]
    assert left_out[0][2] == "quantum calculation failed (convergence): it did not converge"
    assert left_out[1][2] == "no reference V_ref"
    assert left_out[2][2].endswith(f"field edges reach {FIELD_RANGE:g} Å")


def test_unlabelled_dimers_are_kept_for_prediction(tmp_path, maker, no_level):
    store = maker.structures_file(tmp_path / "d.h5", [maker.structure("new", v_ref=np.nan)])
    (path,), left_out = build(tmp_path, {"d": store}, no_level, allow_unlabelled=True)
    assert left_out == [] and np.isnan(read_shard(path)["y"]).all() and read_shard(path)["u"][0, 2] == 0


def test_nothing_left_gives_an_empty_shard(tmp_path, maker, no_level):
    store = maker.structures_file(tmp_path / "d.h5", [maker.structure("x", v_ref=np.nan)])
    (path,), left_out = build(tmp_path, {"d": store}, no_level)
    shard = read_shard(path)
    assert len(left_out) == 1 and len(shard["ids"]) == 0
    assert shard["pos_atoms"].shape == (0, 3) and shard["offsets"].tolist() == [0]


def test_a_set_without_structures(tmp_path, maker, no_level):
    paths, left_out = build(tmp_path, {"d": maker.structures_file(tmp_path / "d.h5", [])}, no_level, shards=2)
    assert left_out == [] and len(read_shards(paths)) == 0


def test_columns_of_the_raw_data_come_before_computed_ones(maker, hf_settings):
    s = maker.structure("x", separation=5.5, theta=0.3, pr=1.25)
    features = Features(np.ones((7, 3)), np.zeros(3), np.zeros((3, 3)), np.zeros(3), -0.002, 1.9)
    graph = graph_from_structure(s, hf_settings, features, unit="kcal/mol")
    v_0 = -0.002 * energy_factor("hartree", "kcal/mol")
    np.testing.assert_allclose(graph.u, [0.55, 0.3, v_0, 1.25], rtol=1e-12)
    assert graph.theta_defined


def test_level_none_gives_zeros(maker, no_level):
    graph = graph_from_structure(maker.structure("x"), no_level, None, unit="kcal/mol")
    assert not graph.atomic_node_attr.any() and not graph.field_node_features.any()
    assert graph.u[2] == graph.u[3] == 0 and graph.y == graph.y_true_vref


def test_given_features_are_shifted_to_the_centroid_of_a_charged_dimer(maker):
    settings = GraphSettings(level="given", v0="column", unit="meV")
    s = maker.structure("x", charge=(1, 1), v_0=0.5, pr=1.5, has_given=True, given_mulliken_spd=np.ones((7, 3)))
    s.given_dipole, s.given_origin = np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.0, -1.0])
    s.given_quadrupole = np.diag([1.0, 1.0, -2.0])
    graph = graph_from_structure(s, settings, given_features(s, settings), unit="eV")
    moments = shift_moments(2.0, s.given_dipole, s.given_quadrupole, s.positions.mean(axis=0) - s.given_origin)
    np.testing.assert_allclose(graph.field_node_features, field_features(*moments, 0.1))
    assert graph.u[2] == 500.0 and graph.u[3] == 1.5 and np.isclose(graph.y, s.v_ref * 1000 - 500)
    s.pr = np.nan
    with pytest.raises(SkippedStructure, match=r"no PR in the raw data \(level: given\)"):
        graph_from_structure(s, settings, given_features(s, settings), unit="eV")


def test_rows_without_given_features_are_left_out(tmp_path, maker):
    settings = GraphSettings(level="given", v0="zero")
    store = maker.structures_file(tmp_path / "d.h5", [maker.structure("x")])
    _, left_out = build(tmp_path, {"d": store}, settings)
    assert left_out == [["x", "test", "the raw data gives no populations and moments (level: given)"]]


def test_a_missing_baseline_is_a_reason(maker):
    settings = GraphSettings(level=None, v0="column")
    with pytest.raises(SkippedStructure, match="no V0 in the raw data"):
        graph_from_structure(maker.structure("x"), settings, None, unit="eV")


def test_quantum_of_another_level_is_refused_and_nothing_is_left_behind(tmp_path, maker, hf_settings):
    store = maker.structures_file(tmp_path / "d.h5", [maker.structure("x")])
    quantum, _ = maker.quantum_files(tmp_path, store, batches=1, level={**maker.level, "basis": "sto-3g"})
    with pytest.raises(StoreError, match=r"d-0\.h5.*'sto-3g', expected 'def2-svp'.*snakemake --cores 8 features"):
        build(tmp_path, {"d": store}, hf_settings, {"d": quantum})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d-0.h5", "d.h5"]


def test_quantum_of_other_structures_is_refused(tmp_path, maker, hf_settings):
    store = maker.structures_file(tmp_path / "d.h5", [maker.structure("x")])
    quantum, _ = maker.quantum_files(tmp_path, store)
    maker.structures_file(store, [maker.structure("y")])
    with pytest.raises(StoreError, match="made from a structure file with digest"):
        build(tmp_path, {"d": store}, hf_settings, {"d": quantum})


def test_missing_quantum_files_are_named(tmp_path, maker, hf_settings):
    store = maker.structures_file(tmp_path / "d.h5", [maker.structure("x")])
    with pytest.raises(StoreError, match="dataset d: no quantum files were given; make them with: snakemake"):
        build(tmp_path, {"d": store}, hf_settings)


@pytest.mark.parametrize("shard, shards", [(2, 2), (-1, 2)])
def test_shard_numbers(tmp_path, maker, no_level, shard, shards):
    store = maker.structures_file(tmp_path / "d.h5", [maker.structure("x")])
    with pytest.raises(ValueError, match="shards are counted from 0 to 1"):
        build_shard({"d": store}, {}, tmp_path / "o.h5", tmp_path / "o.csv", no_level, shard=shard, shards=shards)


def test_damage_in_the_middle_leaves_nothing_behind(tmp_path, maker, hf_settings, monkeypatch):
    monkeypatch.setattr("psigraph.graphs.blocks._MOST_ROWS", 2)
    store = maker.structures_file(tmp_path / "d.h5", [maker.structure(f"d{i}") for i in range(400)])
    quantum, results = maker.quantum_files(tmp_path, store)
    body = bytearray(quantum[1].read_bytes())
    body[body.index(results[399].values["mulliken_spd"].tobytes())] ^= 1
    quantum[1].write_bytes(body)
    with pytest.raises(StoreError, match=r"d-1\.h5: its content does not match its digest.*snakemake --cores 8 feat"):
        build(tmp_path, {"d": store}, hf_settings, {"d": quantum})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d-0.h5", "d-1.h5", "d.h5"]
    build_shard({"d": store}, {"d": quantum}, tmp_path / "0.h5", tmp_path / "0.csv", hf_settings, shard=0, shards=2)
    assert len(read_shard(tmp_path / "0.h5")["ids"]) == 200, "a shard that reads nothing of the damaged rows"


def test_long_work_says_how_far_it_is(tmp_path, maker, no_level, monkeypatch, caplog):
    monkeypatch.setattr("psigraph.graphs.blocks._MOST_ROWS", 2)
    monkeypatch.setattr("psigraph.graphs.build._LOG_INTERVAL", 0.0)
    store = maker.structures_file(tmp_path / "d.h5", [maker.structure(f"d{i}") for i in range(5)])
    with caplog.at_level("INFO", logger="psigraph.graphs.build"):
        build(tmp_path, {"d": store}, no_level)
    assert [m for m in caplog.messages if " of 5 structures" in m] == ["2 of 5 structures", "4 of 5 structures"]


def test_quantum_files_of_more_structures_are_refused(tmp_path, maker, hf_settings):
    store = maker.structures_file(tmp_path / "d.h5", [maker.structure(f"d{i}") for i in range(3)])
    quantum, _ = maker.quantum_files(tmp_path, store)
    with pytest.raises(StoreError, match="row 1 is in no batch"):
        build(tmp_path, {"d": store}, hf_settings, {"d": quantum[:1]})
