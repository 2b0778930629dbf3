import dataclasses

import pytest

from psigraph.graphs.build import build_shard
from psigraph.graphs.settings import GraphSettings
from psigraph.graphs.shards import FORMAT, VERSION, check_shards, read_shard, read_shards
from psigraph.stores import Column, StoreError, read_store, write_store

REMEDY = "snakemake --cores 1 graphs"


def test_matching_shards_pass(shard_paths, hf_settings):
    check_shards(shard_paths, hf_settings.identity())
    shards = read_shards(shard_paths, hf_settings.identity())
    assert len(shards) == 8 and shards.level_name == "hf-def2svp"
    assert shards.settings == hf_settings.identity()
    assert set(shards.inputs) == {"structures/dimers", "quantum/dimers"}


@pytest.mark.parametrize(
    "change, found, asked",
    [
        ({"cutoff": 10.0}, "cutoff 6.0 Å", "10.0 Å"),
        ({"length_scale": 1.0}, "length_scale 0.1", "1.0"),
        ({"unit": "meV"}, "unit kcal/mol", "meV"),
        ({"v0": "zero"}, "v0 hf", "zero"),
        ({"level": None, "v0": "zero"}, "level {basis: def2-svp", "none"),
        ({"level": "given", "v0": "column"}, "level {basis: def2-svp", "given"),
        ({"atom_features": ["mulliken_charge"]}, r"atom_features [mulliken_spd]", "[mulliken_charge]"),
        ({"atom_features": []}, r"atom_features [mulliken_spd]", "[]"),
        ({"multipoles": False}, "multipoles True", "False"),
        ({"participation": False}, "participation True", "False"),
    ],
)
def test_shards_of_other_settings_are_refused(shard_paths, hf_settings, change, found, asked):
    expected = dataclasses.replace(hf_settings, **change).identity()
    with pytest.raises(StoreError) as error:
        check_shards(shard_paths, expected)
    message = str(error.value)
    assert message.startswith(f"{shard_paths[0]}: was built with {found}")
    assert f"but this run asks for {asked}; rebuild the shards with: {REMEDY}" in message


def test_another_basis_is_another_level(shard_paths, hf_settings):
    level = {**hf_settings.level, "basis": "def2-tzvp"}
    with pytest.raises(StoreError, match=r"basis: def2-svp.*this run asks for .*basis: def2-tzvp"):
        check_shards(shard_paths, {"level": level})


def test_spelling_of_the_basis_does_not_matter(shard_paths, hf_settings):
    check_shards(shard_paths, {"level": {**hf_settings.level, "basis": "Def2-SVP"}})


def test_an_incomplete_set_is_refused(shard_paths):
    with pytest.raises(StoreError, match=r"has shards 0 to 1, but shards \[1\] were given"):
        check_shards(shard_paths[1:])
    with pytest.raises(StoreError, match=r"but shards \[0, 0, 1\] were given"):
        check_shards([shard_paths[0], *shard_paths])
    with pytest.raises(StoreError, match="no shards were given"):
        check_shards([])


def test_shards_of_different_graphsets_do_not_mix(tmp_path, shard_paths, maker):
    store = maker.structures_file(tmp_path / "other.h5", [maker.structure("x")])
    settings = GraphSettings(level=None, v0="zero", cutoff=5.0)
    other = tmp_path / "other-1.h5"
    build_shard({"other": store}, {}, other, tmp_path / "o.csv", settings, shard=1, shards=2)
    with pytest.raises(StoreError, match=rf"other-1\.h5: was built with cutoff 5.0 Å, but {shard_paths[0]} has 6.0 Å"):
        check_shards([shard_paths[0], other])


def test_shards_of_different_inputs_do_not_mix(tmp_path, maker, no_level):
    paths = []
    for k in range(2):
        store = maker.structures_file(tmp_path / "d.h5", [maker.structure(f"x{k}{i}") for i in range(4)])
        paths.append(tmp_path / f"s{k}.h5")
        build_shard({"d": store}, {}, paths[-1], tmp_path / "o.csv", no_level, shard=k, shards=2)
    with pytest.raises(StoreError, match="was built from another version of structures/d than"):
        check_shards(paths)


@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_a_torch_cache_is_refused(tmp_path, suffix):
    cache = tmp_path / f"cached_graphs{suffix}"
    cache.write_bytes(b"PK\x03\x04")
    with pytest.raises(StoreError, match=rf"cached_graphs{suffix}: a torch cache is not read.*{REMEDY}"):
        read_shards([cache])


def test_a_missing_shard_names_the_command(tmp_path):
    with pytest.raises(StoreError, match=rf"none.h5: no such file; make it with: {REMEDY}"):
        read_shard(tmp_path / "none.h5")


def test_a_truncated_shard_is_refused(shard_paths):
    content = shard_paths[0].read_bytes()
    shard_paths[0].write_bytes(content[: len(content) // 2])
    with pytest.raises(StoreError, match=rf"{shard_paths[0]}: .*{REMEDY}"):
        read_shards(shard_paths)


def test_a_changed_number_is_refused(shard_paths):
    store = read_shard(shard_paths[0])
    content, needle = bytearray(shard_paths[0].read_bytes()), store["pos_atoms"].tobytes()[:24]
    content[content.index(needle)] ^= 1
    shard_paths[0].write_bytes(content)
    with pytest.raises(StoreError, match=rf"does not match its digest.*{REMEDY}"):
        read_shards(shard_paths)


def test_another_version_is_refused(shard_paths):
    store = read_shard(shard_paths[0])
    write_store(shard_paths[0], format=FORMAT, version=VERSION + 1, columns=store.columns, settings=store.settings)
    with pytest.raises(StoreError, match=rf"version {VERSION + 1}, expected {FORMAT!r} version {VERSION}.*{REMEDY}"):
        read_shards(shard_paths)


def test_units_and_fields_are_checked(shard_paths):
    store = read_shard(shard_paths[0])
    columns = dict(store.columns)
    columns["y"] = Column(store["y"], "eV")
    rewrite = {"format": FORMAT, "version": VERSION, "settings": store.settings}
    write_store(shard_paths[0], columns=columns, **rewrite)
    with pytest.raises(StoreError, match="field y is in 'eV', expected 'kcal/mol'"):
        read_shard(shard_paths[0])
    del columns["y"]
    write_store(shard_paths[0], columns=columns, **rewrite)
    with pytest.raises(StoreError, match="lacks the field y"):
        read_shard(shard_paths[0])


def test_shards_are_read_without_this_project(shard_paths):
    """The generic reader sees units and settings; nothing but HDF5 is needed."""
    store = read_store(shard_paths[0], format=FORMAT, version=VERSION, remedy="")
    assert store.settings["shards"] == 2 and store.columns["pos_atoms"].unit == "Å × length_scale"


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"cutoff": float("nan")}, "cutoff must be positive and finite, got nan"),
        ({"cutoff": 0}, "cutoff must be positive and finite, got 0"),
        ({"length_scale": -1.0}, "length_scale must be positive"),
        ({"unit": "kcal"}, "unknown unit 'kcal'"),
        ({"v0": "mp3"}, "unknown v0 'mp3'; known: hf, hf-d4, mp2, sapt0, column, zero"),
        ({"v0": "hf"}, "v0 'hf' needs a level of theory"),
        ({"v0": "hf-d4"}, "v0 'hf-d4' needs a level of theory"),
        ({"atom_features": ["npa_charges"]}, r"'npa_charges' is no feature of atoms \(did you mean 'npa_charge'\?\)"),
        ({"atom_features": ["dipole"]}, "'dipole' is no feature of atoms"),
        ({"atom_features": ["aromatic", "aromatic"]}, "'aromatic' stands there more than once"),
        ({"atom_features": ["npa_charge"]}, "npa_charge needs a level of theory"),
        ({"level": "given", "atom_features": ["aromatic"]}, "the raw data give mulliken_spd alone"),
        ({"level": "hf-def2svp"}, "comes without its settings"),
    ],
)
def test_settings_that_cannot_be(changes, message):
    with pytest.raises(ValueError, match=message):
        GraphSettings(**{"level": None, "v0": "zero", **changes})


def test_settings_survive_their_identity(hf_settings):
    changes = {"atom_features": ["hybridisation", "mulliken_spd"], "multipoles": False, "v0": "hf-d4"}
    settings = dataclasses.replace(hf_settings, **changes)
    assert settings.identity()["atom_features"] == [["hybridisation", 1], ["mulliken_spd", 3]]
    assert settings.atom_width == 4
    again = GraphSettings.from_identity({**settings.identity(), "further": 1}, settings.level_name)
    assert again == settings


def test_features_by_program(hf_settings):
    settings = dataclasses.replace(
        hf_settings, atom_features=["nmr_shielding", "hybridisation", "npa_charge"], v0="hf-d4", multipoles=False
    )
    psi4 = ("interaction_energy", "participation_ratio", "npa_charge")
    assert settings.needed("psi4") == psi4
    assert settings.needed("rdkit", "dftd4") == ("dispersion_d4", "stereocentres", "hybridisation")
    assert settings.needed("pyscf") == ("nmr_shielding",) and len(settings.needed()) == 7
    assert set(hf_settings.needed()) == {
        *("interaction_energy", "participation_ratio", "dipole", "quadrupole", "mulliken_spd")
    }
    assert GraphSettings(v0="zero").needed() == () and GraphSettings(level="given", v0="zero").needed() == ()


def test_settings_from_a_config_entry(hf_settings):
    section = {"level": "hf-def2svp", "cutoff": 6, "v0": "hf", "unit": "kcal/mol", "datasets": ["d"], "shards": 3}
    assert GraphSettings.from_config(section, hf_settings.level).identity() == hf_settings.identity()
    given = GraphSettings.from_config({"level": "given", "v0": "column"}, None)
    assert given.level == "given" and given.level_name == "given"
    with pytest.raises(ValueError, match="level 'hf-def2svp' comes without its settings"):
        GraphSettings.from_config(section, None)
