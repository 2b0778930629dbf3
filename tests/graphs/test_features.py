"""What graphs take from quantum stores, descriptors and shieldings: columns of atoms, multipoles, V_0."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from psigraph.graphs.build import build_shard
from psigraph.graphs.features import SkippedStructure, given_features
from psigraph.graphs.graph import graph_from_structure
from psigraph.graphs.settings import GraphSettings
from psigraph.graphs.shards import read_shard
from psigraph.quantum.model import Result
from psigraph.quantum.store import write_quantum
from psigraph.stores import StoreError
from psigraph.structures.store import read_structures
from psigraph.units import energy_factor


@pytest.fixture
def made(tmp_path, maker):
    """A structure store of four dimers with its quantum files and descriptors, and what these hold."""
    store = maker.structures_file(tmp_path / "d.h5", [maker.structure(f"d{i}", n) for i, n in enumerate((5, 8, 3, 6))])
    quantum, results = maker.quantum_files(tmp_path, store)
    descriptors, values = maker.descriptor_file(tmp_path / "descriptors.h5", store)
    return {"store": store, "quantum": quantum, "results": results, "descriptors": descriptors, "described": values}


@pytest.fixture
def build(tmp_path, made):
    """Build one shard of the four dimers with these settings; return the shard and the reasons of those left out."""

    def call(settings, **files):
        sources = {"quantum": made["quantum"], "descriptors": [made["descriptors"]], **files}
        path = tmp_path / "shard.h5"
        build_shard(
            {"d": made["store"]},
            {"d": sources["quantum"]},
            path,
            path.with_suffix(".csv"),
            settings,
            descriptors={"d": sources["descriptors"]},
            shieldings={"d": sources.get("shieldings", [])},
        )
        with open(path.with_suffix(".csv"), newline="") as file:
            return read_shard(path), [row["reason"] for row in csv.DictReader(file)]

    return call


def shieldings_file(path, made, maker, level=None, broken=()):
    structures = read_structures(made["store"])
    results = [
        Result("ok", values={"nmr_shielding": np.full(n, np.nan) if i in broken else 100.0 + np.arange(n)}, n_atoms=n)
        for i, n in enumerate(structures.n_atoms)
    ]
    write_quantum(
        path,
        ids=structures.ids,
        index=range(len(results)),
        results=results,
        names=["nmr_shielding"],
        level=level or maker.level,
        structures_digest=structures.digest,
        program="pyscf",
    )
    return path


def test_columns_stand_in_the_order_asked_for(build, made, hf_settings):
    names = ["free_atom_valence", "mulliken_charge", "hybridisation", "mulliken_spd"]
    shard, left_out = build(replace(hf_settings, atom_features=names))
    assert not left_out and shard.settings["atom_features"] == [
        ["free_atom_valence", 4],
        ["mulliken_charge", 1],
        ["hybridisation", 1],
        ["mulliken_spd", 3],
    ]
    for i, (computed, described) in enumerate(zip(made["results"], made["described"], strict=True)):
        values = {**computed.values, **described.values}
        expected = np.column_stack([values[name] for name in names])
        rows = slice(*shard["offsets"][i : i + 2])
        np.testing.assert_array_equal(shard["atomic_node_attr"][rows], expected)
    assert shard["atomic_node_attr"].dtype == np.float64
    assert set(shard.inputs) == {"structures/d", "quantum/d", "descriptors/d"}


def test_no_columns(build, hf_settings):
    shard, _ = build(replace(hf_settings, atom_features=[]))
    assert shard["atomic_node_attr"].shape == (22, 0)
    assert set(shard.inputs) == {"structures/d", "quantum/d"}, "descriptors are not needed, so they are not read"


@pytest.mark.parametrize(
    "v0, parts",
    [
        ("hf", lambda q, d: q["interaction_energy"]),
        ("hf-d4", lambda q, d: q["interaction_energy"] + d["dispersion_d4"]),
        ("mp2", lambda q, d: q["interaction_energy_mp2"]),
        ("sapt0", lambda q, d: q["sapt0"][4]),
    ],
)
def test_baselines(build, made, hf_settings, v0, parts):
    shard, left_out = build(replace(hf_settings, v0=v0))
    factor = energy_factor("hartree", "kcal/mol")
    expected = [parts(q.values, d.values) * factor for q, d in zip(made["results"], made["described"], strict=True)]
    assert not left_out and shard.settings["v0"] == v0
    np.testing.assert_allclose(shard["u"][:, 2], expected, rtol=1e-13)
    np.testing.assert_allclose(shard["y"], shard["y_true_vref"] - expected, rtol=1e-12, atol=1e-12)


def test_switching_off_changes_nothing_else(build, hf_settings):
    whole, _ = build(hf_settings)
    without, _ = build(replace(hf_settings, multipoles=False, participation=False))
    assert whole["field_node_features"].all() and (whole["u"][:, 3] >= 1).all()
    assert not without["field_node_features"].any() and not without["u"][:, 3].any()
    for name in ("atomic_node_attr", "pos_atoms", "y", "y_true_vref", "pairs"):
        np.testing.assert_array_equal(without[name], whole[name])
    np.testing.assert_array_equal(without["u"][:, :3], whole["u"][:, :3])


def test_descriptors_need_no_level(build, made):
    settings = GraphSettings(level=None, v0="zero", atom_features=["hybridisation", "mulliken_spd"])
    shard, left_out = build(settings, quantum=[])
    assert not left_out and shard["atomic_node_attr"].shape == (22, 4)
    described = np.concatenate([d.values["hybridisation"] for d in made["described"]])
    np.testing.assert_array_equal(shard["atomic_node_attr"][:, 0], described)
    assert not shard["atomic_node_attr"][:, 1:].any() and not shard["field_node_features"].any()


def test_shieldings_come_from_their_own_files(build, made, maker, hf_settings, tmp_path):
    settings = replace(hf_settings, atom_features=["mulliken_charge", "nmr_shielding"])
    path = shieldings_file(tmp_path / "nmr.h5", made, maker, broken=(2,))
    shard, left_out = build(settings, shieldings=[path])
    assert left_out == ["nmr_shielding holds values that are not finite"]
    assert shard["ids"].tolist() == ["d0", "d1", "d3"]
    np.testing.assert_array_equal(shard["atomic_node_attr"][:5, 1], 100.0 + np.arange(5))
    with pytest.raises(StoreError, match="no shieldings files were given; make them with: snakemake"):
        build(settings)
    other = shieldings_file(tmp_path / "other.h5", made, maker, level={**maker.level, "basis": "sto-3g"})
    with pytest.raises(StoreError, match=r"other\.h5.*'sto-3g', expected 'def2-svp'"):
        build(settings, shieldings=[other])


def rewritten(path, made, maker, change):
    """Write the quantum results again as one file after `change(results)`; return its path."""
    structures = read_structures(made["store"])
    results = list(made["results"])
    change(results)
    write_quantum(
        path,
        ids=structures.ids,
        index=range(len(results)),
        results=results,
        names=maker.features,
        level=maker.level,
        structures_digest=structures.digest,
    )
    return path


def with_value(result, name, value):
    return replace(result, values={**result.values, name: np.asarray(value)})


@pytest.mark.parametrize(
    "name, value, reason",
    [
        ("mulliken_spd", np.full((8, 3), np.nan), "mulliken_spd holds values that are not finite"),
        ("dipole", np.full((3, 3), np.inf), "dipole holds values that are not finite"),
        ("interaction_energy", np.nan, "no interaction_energy and dispersion_d4 (v0: hf-d4)"),
        ("participation_ratio", np.nan, "no participation ratio"),
    ],
)
def test_a_value_that_is_missing_is_a_reason(build, made, maker, hf_settings, tmp_path, name, value, reason):
    def change(results):
        results[1] = with_value(results[1], name, value)

    path = rewritten(tmp_path / "again.h5", made, maker, change)
    shard, left_out = build(replace(hf_settings, v0="hf-d4"), quantum=[path])
    assert left_out == [reason] and shard["ids"].tolist() == ["d0", "d2", "d3"]


def test_what_is_not_used_may_be_missing(build, made, maker, hf_settings, tmp_path):
    def change(results):
        for name, value in (("dipole", np.full((3, 3), np.nan)), ("participation_ratio", np.nan)):
            results[0] = with_value(results[0], name, value)

    path = rewritten(tmp_path / "again.h5", made, maker, change)
    settings = replace(hf_settings, multipoles=False, participation=False, atom_features=["mulliken_charge"])
    shard, left_out = build(settings, quantum=[path])
    assert not left_out and len(shard["ids"]) == 4


@pytest.mark.parametrize(
    "changed, features, reason",
    [
        (
            lambda r: Result("input", "no Lewis structure", n_atoms=r.n_atoms, n_systems=3),
            ["free_atom_valence"],
            "descriptors failed (input): no Lewis structure",
        ),
        (
            lambda r: replace(with_value(r, "stereocentres", np.full(3, np.nan)), message="A: no bonds"),
            ["free_atom_valence", "hybridisation"],
            "no Lewis structure, so no hybridisation: A: no bonds",
        ),
        (
            lambda r: replace(with_value(r, "stereocentres", np.full(3, np.nan)), message="A: no bonds"),
            ["free_atom_valence"],
            None,
        ),
    ],
)
def test_failed_descriptors_are_a_reason(build, made, maker, hf_settings, tmp_path, changed, features, reason):
    structures = read_structures(made["store"])
    results = list(made["described"])
    results[3] = changed(results[3])
    path = tmp_path / "failed.h5"
    write_quantum(
        path,
        ids=structures.ids,
        index=range(4),
        results=results,
        names=maker.descriptor_names,
        level=None,
        structures_digest=structures.digest,
        program="rdkit",
    )
    _, left_out = build(replace(hf_settings, atom_features=features), descriptors=[path])
    assert left_out == ([reason] if reason else [])


def test_a_feature_that_was_not_computed_is_an_error(build, hf_settings, tmp_path):
    with pytest.raises(StoreError, match=r"does not hold feature 'npa_charge'.*add npa_charge to levels\..*\.features"):
        build(replace(hf_settings, atom_features=["npa_charge"]))
    with pytest.raises(StoreError, match=r"does not hold feature 'aromatic'.*run: snakemake"):
        build(replace(hf_settings, atom_features=["aromatic"]))
    with pytest.raises(StoreError, match="dataset d: no descriptors files were given; make them with: snakemake"):
        build(replace(hf_settings, v0="hf-d4"), descriptors=[])
    assert not list(tmp_path.glob("shard*"))


def test_given_data_without_multipoles(maker):
    settings = GraphSettings(level="given", v0="column", multipoles=False)
    s = maker.structure("x", v_0=0.5, pr=1.5, has_given=True, given_mulliken_spd=np.ones((7, 3)))
    s.given_dipole = np.full(3, np.nan)
    graph = graph_from_structure(s, settings, given_features(s, settings), unit="kcal/mol")
    assert graph.atomic_node_attr.all() and not graph.field_node_features.any()
    with pytest.raises(SkippedStructure, match="dipole holds values that are not finite"):
        given_features(s, replace(settings, multipoles=True))
    none = replace(settings, atom_features=[])
    assert given_features(s, none).atoms.shape == (7, 0)
