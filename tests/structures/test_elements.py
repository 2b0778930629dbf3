import numpy as np
import pytest
from rdkit import Chem

from psigraph.structures.elements import COVALENT_RADII, MASSES, SYMBOLS, formula, number_of, symbol_of


def test_radii_masses_and_symbols_equal_rdkits():
    table = Chem.GetPeriodicTable()
    for number in range(1, len(SYMBOLS)):
        assert table.GetElementSymbol(number) == SYMBOLS[number]
        assert COVALENT_RADII[number] == pytest.approx(table.GetRcovalent(number), abs=1e-9)
        assert MASSES[number] == pytest.approx(table.GetAtomicWeight(number), abs=6e-4)


@pytest.mark.parametrize("text, number", [("H", 1), ("he", 2), ("CL", 17), ("Xe", 54), ("Rn", 86), ("8", 8)])
def test_symbols_in_any_case_and_numbers(text, number):
    assert number_of(text) == number


@pytest.mark.parametrize("text", ["Qq", "", "0", "87", "H1"])
def test_other_text_is_no_element(text):
    with pytest.raises(ValueError, match="unknown element"):
        number_of(text)


def test_numbers_outside_the_table_have_no_symbol():
    with pytest.raises(ValueError, match="atomic number 87"):
        symbol_of(87)


def test_formula_in_hill_order():
    assert formula(np.array([8, 1, 6, 1, 7, 1])) == "CH3NO"
    assert formula(np.array([8, 1, 1])) == "H2O"
