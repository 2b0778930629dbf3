"""Conversion factors against published values."""

import pytest

from psigraph.units import BOHR_RADIUS, E_ANGSTROM_PER_DEBYE, HARTREE_EV, energy_factor


def test_factors_equal_published_values() -> None:
    assert energy_factor("hartree", "kcal/mol") == pytest.approx(627.5094740631, rel=1e-11)  # CODATA 2018
    assert energy_factor("eV", "kJ/mol") == pytest.approx(96.48533212331, rel=1e-11)  # Faraday constant / 1000
    assert energy_factor("eV", "meV") == 1000
    assert pytest.approx(0.20819434, abs=1e-8) == E_ANGSTROM_PER_DEBYE  # the note's factor
    assert pytest.approx(2.541746473, rel=1e-9) == BOHR_RADIUS / E_ANGSTROM_PER_DEBYE  # 1 e·bohr in Debye
    assert energy_factor("hartree", "eV") == HARTREE_EV


def test_unknown_unit_is_named() -> None:
    with pytest.raises(ValueError, match="unknown energy unit 'kcal'; known units: eV, meV"):
        energy_factor("kcal", "eV")
