import numpy as np
import pytest
from rdkit import Chem

from psigraph.descriptors.free_atoms import ROW, VALENCE
from psigraph.descriptors.radii import DEFAULT_RADIUS, VDW_RADII
from psigraph.structures.elements import MAX_NUMBER, SYMBOLS

#: RDKit takes the d shell of group 12 as core; lanthanides, which it counts otherwise, are left out.
_RDKIT_DIFFERS = {30, 48, 80}


def test_valence_and_closed_shells_make_up_pyscfs_ground_states():
    configuration = pytest.importorskip("pyscf.data.elements").CONFIGURATION
    for z in set(range(1, MAX_NUMBER + 1)) - {65}:  # Tb: 4f9 6s2 by NIST, 4f8 5d 6s2 there
        core = np.array(configuration[z]) - VALENCE[z]
        assert (core >= 0).all() and (core % [2, 6, 10, 14] == 0).all(), (SYMBOLS[z], core)


def test_valence_electrons_are_those_of_rdkit():
    table = Chem.GetPeriodicTable()
    differing = {
        z for z in range(1, MAX_NUMBER + 1) if VALENCE[z].sum() != table.GetNOuterElecs(z) and not 57 <= z <= 71
    }
    assert differing == _RDKIT_DIFFERS


def test_shells_of_single_elements():
    by_symbol = {symbol: VALENCE[z].tolist() for z, symbol in enumerate(SYMBOLS)}
    assert by_symbol["C"] == [2, 2, 0, 0] and by_symbol["He"] == [2, 0, 0, 0]
    assert by_symbol["Fe"] == [2, 0, 6, 0] and by_symbol["Pd"] == [0, 0, 10, 0]
    assert by_symbol["Eu"] == [2, 0, 0, 7] and by_symbol["Tb"] == [2, 0, 0, 9]
    assert by_symbol["Lu"] == [2, 0, 1, 0] and by_symbol["Br"] == [2, 5, 0, 0]
    assert [ROW[SYMBOLS.index(s)] for s in ("H", "Ne", "Na", "Fe", "I", "Rn")] == [1, 2, 3, 4, 5, 6]


def test_radii_are_those_of_pyscf_except_barium():
    radii = pytest.importorskip("pyscf.data.radii")
    theirs = radii.VDW[: MAX_NUMBER + 1] * 0.52917721092
    known = VDW_RADII != DEFAULT_RADIUS
    known[[0, 56]] = False  # Ba: 2.68 Å in the paper's table 12, 2.49 (strontium's) there
    assert known.sum() >= 49
    np.testing.assert_allclose(VDW_RADII[known], theirs[known], atol=1e-6)
