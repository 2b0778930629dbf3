"""Features of standard residues: published typing of well-known atoms."""

import numpy as np
import pytest

from psigraph.structures.residue_templates import template_of, templates

HISTIDINE = frozenset("N H CA HA CB HB2 HB3 CG ND1 CD2 CE1 NE2 C O".split())  # noqa: SIM905
DONOR, ACCEPTOR, AROMATIC, HYDROPHOBIC, CHARGE = range(5)


def with_flag(residue: str, flag: int) -> set[str]:
    return {atom for atom, features in templates()[residue].items() if features[flag]}


@pytest.mark.parametrize(
    ("residue", "donors", "acceptors", "aromatic", "hydrophobic"),
    [
        ("ALA", "N", "O", "", "CB"),
        ("PRO", "", "O", "", "CB CG"),
        ("SER", "N OG", "O OG", "", ""),
        ("ASP", "N", "O OD1 OD2", "", "CB"),
        ("ASH", "N OD2", "O OD1 OD2", "", "CB"),
        ("ASN", "N ND2", "O OD1", "", "CB"),
        ("LYS", "N NZ", "O", "", "CB CG CD"),
        ("ARG", "N NE NH1 NH2", "O", "", "CB CG"),
        ("MET", "N", "O", "", "CB CG CE"),
        ("PHE", "N", "O", "CG CD1 CD2 CE1 CE2 CZ", "CB CG CD1 CD2 CE1 CE2 CZ"),
        ("TYR", "N OH", "O OH", "CG CD1 CD2 CE1 CE2 CZ", "CB CG CD1 CD2 CE1 CE2"),
        ("TRP", "N NE1", "O", "CG CD1 NE1 CE2 CD2 CE3 CZ3 CH2 CZ2", "CB CG CD2 CE3 CZ3 CH2 CZ2"),
        ("HID", "N ND1", "O NE2", "CG ND1 CD2 CE1 NE2", "CB"),
        ("HIE", "N NE2", "O ND1", "CG ND1 CD2 CE1 NE2", "CB"),
        ("HIP", "N ND1 NE2", "O", "CG ND1 CD2 CE1 NE2", "CB"),
        ("CHIE", "N NE2", "O OXT ND1", "CG ND1 CD2 CE1 NE2", "CB"),
        ("ACE", "", "O", "", "CH3"),
        ("NME", "N", "", "", ""),
    ],
)
def test_flags_of_residues(residue, donors, acceptors, aromatic, hydrophobic):
    expected = [set(text.split()) for text in (donors, acceptors, aromatic, hydrophobic)]
    assert [with_flag(residue, flag) for flag in range(4)] == expected


@pytest.mark.parametrize(
    ("residue", "charge"),
    [("ALA", 0), ("ASP", -1), ("ASH", 0), ("GLU", -1), ("GLH", 0), ("LYS", 1), ("LYN", 0), ("ARG", 1), ("HID", 0)]
    + [("HIP", 1), ("CYS", 0), ("CYM", -1), ("NALA", 1), ("CALA", -1), ("NLYS", 2), ("CASP", -2), ("ACE", 0)],
)
def test_charges_add_up_to_that_of_the_residue(residue, charge):
    assert sum(features[CHARGE] for features in templates()[residue].values()) == pytest.approx(charge, abs=1e-4)


def test_charges_have_those_of_hydrogens_in_them():
    """Of serine: N -0.4157, H 0.2719; OG -0.6546, HG 0.4275 (Maier et al. 2015, from Cornell et al. 1995)."""
    serine = templates()["SER"]
    np.testing.assert_allclose(serine["N"][CHARGE], -0.4157 + 0.2719, atol=1e-6)
    np.testing.assert_allclose(serine["OG"][CHARGE], -0.6546 + 0.4275, atol=1e-6)


@pytest.mark.parametrize(
    ("hydrogens", "stated", "form"),
    [("HD1", "", "HID"), ("HE2", "", "HIE"), ("HD1 HE2", "", "HIP"), ("HE2", "HID", "HIE")],
)
def test_hydrogens_tell_the_form_of_histidine(hydrogens, stated, form):
    assert template_of("HIS", HISTIDINE | set(hydrogens.split()), stated) is templates()[form]


def test_without_hydrogens_the_name_tells_it():
    bare = frozenset(name for name in HISTIDINE if not name.startswith("H"))
    assert template_of("HIS", bare, "HIP") is templates()["HIP"]
    assert template_of("HIS", bare) is templates()["HIE"]
    assert template_of("ALA", frozenset({"N", "CA", "C", "O", "CB"}), first=True) is templates()["NALA"]


@pytest.mark.parametrize(
    ("residue", "atoms", "bridged", "form"),
    [
        ("ASP", "N H CA OD1 OD2", False, "ASP"),
        ("ASP", "N H CA OD1 OD2 HD2", False, "ASH"),
        ("GLU", "N H CA HE2", False, "GLH"),
        ("LYS", "N H CA NZ HZ1 HZ2", False, "LYN"),
        ("LYS", "N H CA NZ HZ1 HZ2 HZ3", False, "LYS"),
        ("CYS", "N H CA SG HG", False, "CYS"),
        ("CYS", "N H CA SG", True, "CYX"),
        ("CYS", "N H CA SG", False, "CYM"),
        ("ALA", "N H H2 H3 CA", False, "NALA"),
        ("ALA", "N H CA OXT", False, "CALA"),
        ("ASP", "N H CA OD1 HD2 OXT", False, "CASP"),
    ],
)
def test_hydrogens_and_ends_tell_the_form(residue, atoms, bridged, form):
    assert template_of(residue, frozenset(atoms.split()), bridged=bridged) is templates()[form]


def test_unknown_residues_have_none():
    assert template_of("NAG", frozenset({"C1", "O1"})) is None
