"""D4 through this project against the library's own documented values and exact limits."""

import numpy as np
import pytest

from psigraph.descriptors.dispersion import dispersion_d4
from psigraph.quantum.system import systems_of
from psigraph.structures.model import Structure
from psigraph.units import BOHR_RADIUS

pytest.importorskip("dftd4")
from dftd4.interface import DampingParam, DispersionModel


def energy(s: Structure) -> float:
    return dispersion_d4(systems_of(s)[1][0])


def test_parameters_are_the_published_ones_for_hf(molecule):
    """s8, a1, a2 of HF: E. Caldeweyher et al., J. Chem. Phys. 150, 154122 (2019), table S2 of the supplement."""
    s = molecule("CC(=O)NC")
    published = DampingParam(s6=1.0, s8=1.61679827, s9=1.0, a1=0.44959224, a2=3.35743605)
    model = DispersionModel(s.z.astype(int), s.positions / BOHR_RADIUS, charge=0.0)
    expected = model.get_dispersion(published, grad=False)["energy"]
    assert energy(s) == pytest.approx(expected, rel=1e-6) and expected < -0.005


def argon_pair(r: float) -> Structure:
    return Structure("ar2", np.array([18, 18]), np.array([[0.0, 0.0, 0.0], [0.0, 0.0, r]]), np.array([0, 1]), 0.0)


def test_far_apart_it_is_c6_over_r6():
    """Argon, as free as can be: C6 = 64.3 by oscillator strengths, A. Kumar, W. J. Meath, Mol. Phys. 54, 823 (1985)."""
    r = 25.0  # Å
    far = energy(argon_pair(r))
    assert far == pytest.approx(-64.3 / (r / BOHR_RADIUS) ** 6, rel=0.05)
    assert energy(argon_pair(r / 2)) / far == pytest.approx(64, rel=0.1)  # and a share of C8


def test_between_different_molecules_a_known_constant_remains(molecule, dimer):
    """Electronegativity equilibration lets them exchange charge at any distance; the module's docstring says so."""
    water, methane = molecule("O"), molecule("C")
    far = [energy(dimer(water, methane, (0.0, 0.0, r))) for r in (100.0, 200.0)]
    assert far[0] == pytest.approx(far[1], rel=0.02) and 1e-5 < abs(far[0]) < 1e-3


def test_the_interaction_is_dimer_minus_monomers_with_their_own_charges(molecule, dimer):
    ammonium, water = molecule("[NH4+]"), molecule("O")
    s = dimer(ammonium, water, (0.0, 0.0, 2.9))
    parts = [(s.fragment >= 0, 1.0), (s.fragment == 0, 1.0), (s.fragment == 1, 0.0)]
    energies = [
        DispersionModel(s.z[m].astype(int), s.positions[m] / BOHR_RADIUS, charge=q).get_dispersion(
            DampingParam(method="hf"), grad=False
        )["energy"]
        for m, q in parts
    ]
    assert energy(s) == pytest.approx(energies[0] - energies[1] - energies[2], abs=1e-10)  # rounded positions
    assert energy(dimer(water, ammonium, (0.0, 0.0, 2.9))) != pytest.approx(energy(s), abs=1e-9)
    swapped = Structure("s", s.z, s.positions, 1 - s.fragment, 0.0, charge=s.charge[::-1])
    assert energy(swapped) == pytest.approx(energy(s), abs=1e-14)


def test_of_a_molecule_it_is_the_whole_energy(molecule):
    s = molecule("c1ccccc1")
    model = DispersionModel(s.z.astype(int), s.positions / BOHR_RADIUS)
    assert energy(s) == pytest.approx(model.get_dispersion(DampingParam(method="hf"), grad=False)["energy"], abs=1e-10)
