import json
import subprocess
import sys
from dataclasses import replace

import pytest
from molecule_maker import LEVEL

from psigraph.config.graphsets import RegionalGraphset
from psigraph.graphs.molecule_settings import MoleculeSettings
from psigraph.graphs.regional_table import KNOWN, PER
from psigraph.graphs.settings import GraphSettings, settings_of
from psigraph.models.regional.inputs import FeatureColumns, Target
from psigraph.quantum.table import FEATURES


def test_defaults_without_a_level_need_no_psi4():
    settings = MoleculeSettings()
    assert settings.needed("psi4", "pyscf") == () and settings.molecule_features == ()
    assert {"stereocentres", "cip_label", "dihedral"} <= set(settings.needed("rdkit"))
    assert [name for name, *_ in settings.identity()["bond_features"]] == [
        "bond_length", "rdkit_order", "resonance_order", "dihedral",
    ]  # fmt: skip


def test_defaults_with_a_level():
    settings = MoleculeSettings(level=LEVEL)
    assert {"npa_charge", "npa_valence", "density_at_nucleus"} <= set(settings.atom_features)
    assert {"charge", "polarisation", "density"} <= set(settings.region_features)
    assert settings.molecule_features == ("energy", "orbital_energies", "dipole")
    assert "nmr_shielding" not in settings.needed()
    assert all(FEATURES[name].default for name in settings.needed("psi4"))  # every level computes them by default


def test_identity_says_all_and_is_read_back():
    settings = MoleculeSettings(regions="k_hop", hops=3, level=LEVEL, level_name="hf", bond_features=["nmr_shielding"])
    identity = json.loads(json.dumps(settings.identity()))
    assert MoleculeSettings.from_identity(identity, "hf") == settings == settings_of(identity, level_name="hf")
    assert identity["bond_features"] == [["nmr_shielding", 2, True]]
    for change in (
        {"cutoff": 4.0}, {"region_cutoff": 12.0}, {"hops": 4}, {"regions": "bonded"}, {"level": None,
        "bond_features": None}, {"atom_features": ["aromatic"]},
    ):  # fmt: skip
        assert replace(settings, **{"atom_features": None, "region_features": None, "molecule_features": None, **change}
                       ).identity() != identity  # fmt: skip


def test_what_has_no_say_does_not_count():
    assert MoleculeSettings(hops=5, patch_atoms=9) == MoleculeSettings()
    assert MoleculeSettings(regions="patches", hops=5) == MoleculeSettings(regions="patches")


def test_settings_of_a_section_of_either_family():
    section = {"family": "regional", "datasets": ["a"], "shards": 2, "level": "hf", "cutoff": 4.0, "regions": "patches"}
    found = settings_of(section, LEVEL)
    assert isinstance(found, MoleculeSettings) and found.cutoff == 4.0 and found.level_name == "hf"
    assert isinstance(settings_of({"family": "delta", "datasets": ["a"], "v0": "zero"}), GraphSettings)
    with pytest.raises(ValueError, match="unknown family 'rna'; known: delta, regional"):
        settings_of({"family": "rna"})
    with pytest.raises(ValueError, match="level 'hf' comes without its settings"):
        settings_of(section)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"cutoff": 0.0}, "cutoff must be positive and finite, got 0"),
        ({"region_cutoff": float("inf")}, "region_cutoff must be positive and finite"),
        ({"regions": "rings"}, "unknown regions 'rings'; known: bonded, k_hop, patches"),
        ({"regions": "k_hop", "hops": 0}, "hops must be at least 1, got 0"),
        ({"level": "hf"}, "level 'hf' comes without its settings"),
        ({"atom_features": ["hybridization"]}, "atom_features: no 'hybridization'.*did you mean 'hybridisation'"),
        ({"bond_features": ["dihedral", "dihedral"]}, "bond_features name a feature twice"),
        ({"region_features": ["charge"]}, "region_features: charge needs a level of theory; name one"),
        ({"molecule_features": ["energy"]}, "molecule_features: energy needs a level of theory"),
    ],
)
def test_errors_name_the_value(changes, message):
    with pytest.raises(ValueError, match=message):
        MoleculeSettings(**changes)


def test_the_configuration_asks_for_what_the_graphs_need():
    section = {"family": "regional", "datasets": ["a"], "level": "hf", "bond_features": ["nmr_shielding"]}
    entry = RegionalGraphset.model_validate(section)
    assert entry.needed_features() == MoleculeSettings(level=LEVEL, bond_features=["nmr_shielding"]).needed()
    assert RegionalGraphset.model_validate({**section, "level": None, "bond_features": None}).needed_features() == (
        MoleculeSettings().needed()
    )
    with pytest.raises(ValueError, match="bond_features: nmr_shielding needs a level"):
        RegionalGraphset.model_validate({**section, "level": None})
    with pytest.raises(ValueError, match="given is for dimers"):
        RegionalGraphset.model_validate({**section, "level": "given"})


def test_inputs_of_models():
    targets = [Target("u0", "eV", True)]
    inputs = MoleculeSettings(level=LEVEL, cutoff=4.0).inputs(targets)
    assert inputs.targets == tuple(targets) and (inputs.cutoff, inputs.region_cutoff) == (4.0, 15.0)
    assert FeatureColumns("hybridisation", 7, False) in inputs.atoms
    assert FeatureColumns("bond_nbo", 3, True) in inputs.bonds and FeatureColumns("dipole", 1, True) in inputs.molecules


def test_every_column_is_described_and_made_of_features_of_the_table():
    for per in PER:
        for name, item in KNOWN[per].items():
            assert name == item.name and item.width > 0 and item.unit
            assert all(need in FEATURES for need in item.needs)
            assert "chirality" not in item.described() or "absolute" in item.described()


def test_the_snakefile_needs_no_numpy(repository):
    code = "import sys, psigraph.graphs.molecule_settings; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(repository / "src")}).returncode == 0
