"""Every quantum feature, once: what it belongs to, shape, unit, definition, source, and which program gives it.

Names in config are names of this table. Uses only the standard library: the Snakefile checks names with it. The
functions that compute features register themselves under these names, see `registry.py`.

Legend of shapes: the shape of one atom, bond, ... The leading axis is what the feature belongs to:

system      what one SCF sees: a molecule; or a dimer, A with B's functions, B with A's functions
structure   the molecule or dimer as a whole
atom, bond  of the structure; bonds are pairs i < j by distance (`System.bonds`)
nbo         natural bond orbitals of the structure, all Lewis-type and non-Lewis ones, by spin, type and atoms
donation    donor-acceptor pairs of NBOs
element     elements of the density-matrix blocks of bonds, row by row
"""

from dataclasses import dataclass

SCOPES = ("system", "structure", "atom", "bond", "nbo", "donation", "element")
PROGRAMS = ("psi4", "rdkit", "dftd4", "pyscf")


@dataclass(frozen=True)
class Feature:
    """One feature. `rank` is the number of trailing Cartesian axes, which turn with the molecule; 0 does not turn."""

    name: str
    per: str
    shape: tuple[int, ...]
    unit: str
    definition: str
    citation: str
    rank: int = 0
    program: str = "psi4"
    default: bool = False
    dtype: str = "float64"
    ends: bool = False  # of a bond: the first axis is its two atoms i and j
    implies: tuple[str, ...] = ()  # features that are stored with it, because it has no meaning without them

    def __post_init__(self) -> None:
        if self.per not in SCOPES or self.program not in PROGRAMS:
            raise ValueError(f"feature {self.name}: unknown scope {self.per!r} or program {self.program!r}")


# fmt: off
_ROOTHAAN = "C. C. J. Roothaan, Rev. Mod. Phys. 23, 69 (1951)"
_BOYS = "S. F. Boys, F. Bernardi, Mol. Phys. 19, 553 (1970)"
_LOEWDIN = "P.-O. Loewdin, J. Chem. Phys. 18, 365 (1950)"
_MULLIKEN = "R. S. Mulliken, J. Chem. Phys. 23, 1833 (1955)"
_NPA = "A. E. Reed, R. B. Weinstock, F. Weinhold, J. Chem. Phys. 83, 735 (1985)"
_RDKIT = (
    "RDKit, https://www.rdkit.org, on bonds perceived by Y. Kim, W. Y. Kim, Bull. Korean Chem. Soc. 36, 1769 "
    "(2015)"
)
_CIP = (
    "R. S. Cahn, C. Ingold, V. Prelog, Angew. Chem. Int. Ed. 5, 385 (1966); algorithm: R. M. Hanson et al., J. Chem. "
    "Inf. Model. 58, 1755 (2018)"
)
_NIST = "NIST Atomic Spectra Database, ground states"
_WIBERG = "K. B. Wiberg, Tetrahedron 24, 1083 (1968)"
_NBO = "J. P. Foster, F. Weinhold, J. Am. Chem. Soc. 102, 7211 (1980)"
_DONATION = "A. E. Reed, L. A. Curtiss, F. Weinhold, Chem. Rev. 88, 899 (1988), eq. 30"

_LIST = (
    Feature(
        "energy", "system", (), "hartree",
        "total energy of the level's method (HF); A and B of a dimer in the dimer's basis",
        _ROOTHAAN, default=True,
    ),
    Feature(
        "energy_components", "system", (4,), "hartree",
        "nuclear repulsion; kinetic energy; attraction of electrons by nuclei, core potentials included; repulsion "
        "of electrons by electrons, exchange included. They add to the energy",
        _ROOTHAAN, default=True,
    ),
    Feature(
        "orbital_energies", "system", (3,), "hartree",
        "highest occupied and lowest unoccupied orbital energy of either spin, and their gap; unoccupied in a "
        "restricted open shell: without any electron; NaN where there is none",
        "T. Koopmans, Physica 1, 104 (1934)", default=True,
    ),
    Feature(
        "dipole", "system", (3,), "e·Å",
        "dipole moment about the centroid of the structure's atoms",
        "A. J. Stone, The Theory of Intermolecular Forces, 2nd ed. (2013), ch. 2", rank=1, default=True,
    ),
    Feature(
        "quadrupole", "system", (3, 3), "e·Å²",
        "Q_ab = sum of q (r_a r_b - delta_ab r^2/3) about the centroid, traceless",
        "A. J. Stone, The Theory of Intermolecular Forces, 2nd ed. (2013), ch. 2, without the factor 3/2",
        rank=2, default=True,
    ),
    Feature(
        "octupole", "system", (3, 3, 3), "e·Å³",
        "O_abc = sum of q (r_a r_b r_c - r^2 (r_a delta_bc + r_b delta_ac + r_c delta_ab)/5) about the centroid, "
        "traceless in every pair of indices",
        "A. J. Stone, The Theory of Intermolecular Forces, 2nd ed. (2013), ch. 2, without the factor 5/2", rank=3,
    ),
    Feature(
        "electronic_extent", "system", (), "Å²",
        "sum over electrons of <r^2> about the centroid of the structure's atoms",
        "R. Ditchfield, W. J. Hehre, J. A. Pople, J. Chem. Phys. 54, 724 (1971)", default=True,
    ),
    Feature(
        "polarizability", "system", (3, 3), "Å³",
        "static dipole polarisability by coupled-perturbed Hartree-Fock, as a volume (alpha / 4 pi epsilon_0); of "
        "restricted closed and unrestricted open shells",
        "J. Gerratt, I. M. Mills, J. Chem. Phys. 49, 1719 (1968)", rank=2,
    ),
    Feature(
        "mp2_correlation", "system", (), "hartree",
        "second-order correlation energy, density-fitted (the basis set's RI fitting set), orbitals of the noble gas "
        "below each atom frozen whatever the charge",
        "C. Moller, M. S. Plesset, Phys. Rev. 46, 618 (1934)",
    ),
    Feature(
        "interaction_energy", "structure", (), "hartree",
        "energy(dimer) - energy(A) - energy(B), counterpoise-corrected; of dimers only",
        _BOYS, default=True,
    ),
    Feature(
        "interaction_energy_mp2", "structure", (), "hartree",
        "interaction_energy with mp2_correlation added to each energy",
        _BOYS, implies=("mp2_correlation", "interaction_energy"),
    ),
    Feature(
        "sapt0", "structure", (5,), "hartree",
        "SAPT0: electrostatics, exchange, induction (with delta HF), dispersion, total; in the dimer's basis, frozen "
        "core; of dimers of closed shells without core potentials; NaN for molecules",
        "B. Jeziorski, R. Moszynski, K. Szalewicz, Chem. Rev. 94, 1887 (1994); T. M. Parker et al., J. Chem. "
        "Phys. 140, 094106 (2014)",
    ),
    Feature(
        "participation_ratio", "structure", (), "1",
        "1/sum of p_m^2, p_m: Loewdin share of monomer m in the dimer's HOMO; between 1 and 2; of dimers only",
        _LOEWDIN, default=True,
    ),
    Feature(
        "dispersion_d4", "structure", (), "hartree",
        "D4 dispersion energy with the parameters for HF; of a dimer the interaction: dimer - A - B",
        "E. Caldeweyher et al., J. Chem. Phys. 150, 154122 (2019)", program="dftd4", default=True,
    ),
    Feature(
        "stereocentres", "structure", (3,), "1",
        "number of stereocentres labelled R, labelled S, and neither (r, s, or not decided); NaN where there is no "
        "Lewis structure",
        _CIP, program="rdkit", default=True,
    ),
    Feature(
        "mulliken_spd", "atom", (3,), "electrons",
        "Mulliken populations in s, p and d functions",
        _MULLIKEN, default=True,
    ),
    Feature(
        "mulliken_f", "atom", (), "electrons",
        "Mulliken population in f functions",
        _MULLIKEN,
    ),
    Feature(
        "mulliken_charge", "atom", (), "e",
        "Mulliken charge, functions of every l taken in",
        _MULLIKEN, default=True,
    ),
    Feature(
        "lowdin_charge", "atom", (), "e",
        "charge from populations of symmetrically orthogonalised functions, Cartesian ones shell by shell first, so "
        "that it does not depend on how the molecule lies",
        _LOEWDIN + "; I. Mayer, Chem. Phys. Lett. 393, 209 (2004)", default=True,
    ),
    Feature(
        "npa_charge", "atom", (), "e",
        "natural charge",
        _NPA, default=True,
    ),
    Feature(
        "npa_spd", "atom", (3,), "electrons",
        "natural populations in s, p and d orbitals, core and Rydberg included",
        _NPA, default=True,
    ),
    Feature(
        "npa_valence", "atom", (3,), "electrons",
        "natural populations in the valence s, p and d orbitals alone",
        _NPA, default=True,
    ),
    Feature(
        "density_at_nucleus", "atom", (), "electrons/Å³",
        "electron density at the nucleus, in this basis (no cusp), without a core that a potential replaces",
        "T. Kato, Commun. Pure Appl. Math. 10, 151 (1957), on what a Gaussian basis misses", default=True,
    ),
    Feature(
        "nmr_shielding", "atom", (), "ppm",
        "isotropic magnetic shielding by gauge-including orbitals, HF",
        "K. Wolinski, J. F. Hinton, P. Pulay, J. Am. Chem. Soc. 112, 8251 (1990)", program="pyscf",
    ),
    Feature(
        "hybridisation", "atom", (), "1",
        "0 unknown, 1 s, 2 sp, 3 sp2, 4 sp3, 5 sp3d, 6 sp3d2; by the Lewis structure and conjugation",
        _RDKIT, program="rdkit", dtype="uint8", default=True,
    ),
    Feature(
        "aromatic", "atom", (), "1",
        "whether the atom is aromatic",
        _RDKIT, program="rdkit", dtype="uint8", default=True,
    ),
    Feature(
        "ring_size", "atom", (), "1",
        "size of the smallest ring the atom is in; 0: none",
        _RDKIT, program="rdkit", dtype="uint8", default=True,
    ),
    Feature(
        "formal_charge", "atom", (), "e",
        "formal charge in the Lewis structure, averaged over atoms that elements and bonds do not tell apart (an "
        "oxygen of a carboxylate: -0.5); NaN where there is no Lewis structure",
        _RDKIT, program="rdkit", default=True,
    ),
    Feature(
        "cip_label", "atom", (), "1",
        "chirality: 1 R, -1 S, 0 no stereocentre, not labelled, or r and s, which a mirror does not change",
        _CIP, program="rdkit", dtype="int8", default=True,
    ),
    Feature(
        "valence_electrons", "atom", (), "electrons",
        "valence electrons of the neutral free atom: the sum of free_atom_valence",
        _NIST, program="rdkit", dtype="uint8", default=True,
    ),
    Feature(
        "principal_quantum_number", "atom", (), "1",
        "n of the free atom's valence s and p shell: the row of the periodic table",
        _NIST, program="rdkit", dtype="uint8", default=True,
    ),
    Feature(
        "free_atom_valence", "atom", (4,), "electrons",
        "valence electrons of the free atom by l: s, p, d, f; a full d or f shell counts up to Zn, Cd, Hg and Yb, not "
        "beyond",
        _NIST, program="rdkit", dtype="uint8", default=True,
    ),
    Feature(
        "buried_volume", "atom", (), "1",
        "share of a sphere of 3.5 Å around the atom that the other atoms fill, radii 1.17 times Bondi's, hydrogens and "
        "the other monomer included; exact, without a grid",
        "A. Poater et al., Eur. J. Inorg. Chem. 2009, 1759, who leave hydrogens out", program="rdkit", default=True,
    ),
    Feature(
        "accessible_area", "atom", (), "Å²",
        "area of the atom's sphere, Bondi's radius and 1.4 Å for the probe, outside all other such spheres; exact",
        "B. Lee, F. M. Richards, J. Mol. Biol. 55, 379 (1971)", program="rdkit", default=True,
    ),
    Feature(
        "bonds", "bond", (2,), "1",
        "atoms i < j of the bond, from 0: at most 1.3 times the sum of their covalent radii apart",
        "B. Cordero et al., Dalton Trans. 2008, 2832", dtype="int32", default=True,
    ),
    Feature(
        "bond_length", "bond", (), "Å",
        "distance of the two atoms",
        "geometry", default=True,
    ),
    Feature(
        "mayer_index", "bond", (), "1",
        "bond order: sum over functions m of i and n of j of (PS)_mn (PS)_nm + (QS)_mn (QS)_nm, P the density of both "
        "spins, Q that of alpha less beta",
        "I. Mayer, Chem. Phys. Lett. 97, 270 (1983); Int. J. Quantum Chem. 29, 477 (1986)", default=True,
    ),
    Feature(
        "wiberg_lowdin", "bond", (), "1",
        "sum over functions m of i and n of j of P_mn^2 + Q_mn^2 in the Loewdin basis, P and Q as in mayer_index",
        _WIBERG, default=True,
    ),
    Feature(
        "wiberg_nao", "bond", (), "1",
        "sum over natural atomic orbitals m of i and n of j of P_mn^2 + Q_mn^2, P and Q as in mayer_index",
        _WIBERG, default=True,
    ),
    Feature(
        "midpoint_density", "bond", (), "electrons/Å³",
        "electron density halfway between the two atoms",
        "R. F. W. Bader, Atoms in Molecules (1990), on the density between bonded atoms", default=True,
    ),
    Feature(
        "bond_nbo", "bond", (3,), "1, electrons, electrons",
        "natural bond orbitals between the two atoms: how many (of one spin alone: half), electrons in them, electrons "
        "in their antibonds; mean over bonds that symmetry makes equal (each of benzene's: 1.5)",
        _NBO, default=True,
    ),
    Feature(
        "bond_hybrid", "bond", (2, 2), "1",
        "for i and j: share of the atom in the bond's orbitals (polarisation, mean of |c|^2), and the s character of "
        "its hybrid in the orbital where both hybrids have most of it (sigma); 0 where the bond has none",
        _NBO, default=True, ends=True,
    ),
    Feature(
        "bond_donation", "bond", (2,), "kcal/mol",
        "largest stabilisation E(2) from a bond orbital of this bond, and into an antibond of it",
        _DONATION, default=True,
    ),
    Feature(
        "block_shape", "bond", (2,), "1",
        "rows and columns of the bond's density-matrix block: basis functions of i and of j",
        _LOEWDIN, dtype="int32", ends=True,
    ),
    Feature(
        "rdkit_order", "bond", (), "1",
        "bond order of one Lewis structure, aromatic bonds 1.5, averaged over bonds that elements and connectivity do "
        "not tell apart; 0 where it has no bond although the distance is short, NaN where there is no Lewis structure",
        _RDKIT, program="rdkit", default=True,
    ),
    Feature(
        "resonance_order", "bond", (), "1",
        "bond order averaged over RDKit's resonance structures (at most 1000, with equal weight, charge-separated ones "
        "included)",
        _RDKIT, program="rdkit", default=True,
    ),
    Feature(
        "dihedral", "bond", (2,), "1",
        "cosine and sine of the torsion angle about the bond, times the sines of both bond angles, averaged over all "
        "pairs of further neighbours of its ends with the product of their atomic numbers as weight; 0, 0 where an end "
        "has no further neighbour",
        "IUPAC Compendium of Chemical Terminology, torsion angle", program="rdkit", default=True,
    ),
    Feature(
        "nbo_type", "nbo", (), "1",
        "0 core, 1 lone pair, 2 bond, 3 antibond, 4 Rydberg, 5 lone vacancy; of one best Lewis structure: where "
        "several are equal (benzene), of the one that comes first by the order of atoms",
        _NBO, dtype="uint8", default=True,
        implies=("nbo_atoms", "nbo_spin", "nbo_occupancy", "nbo_energy", "nbo_share", "nbo_character"),
    ),
    Feature(
        "nbo_atoms", "nbo", (2,), "1",
        "atoms of the orbital from 0; the second is -1 for one centre",
        _NBO, dtype="int32", default=True,
    ),
    Feature(
        "nbo_spin", "nbo", (), "1",
        "0 both spins (closed shell), 1 alpha, -1 beta: an open shell has orbitals of its own for each spin",
        _NBO, dtype="int8", default=True,
    ),
    Feature(
        "nbo_occupancy", "nbo", (), "electrons",
        "electrons in the orbital",
        _NBO, default=True,
    ),
    Feature(
        "nbo_energy", "nbo", (), "hartree",
        "diagonal element of the Fock matrix",
        _NBO, default=True,
    ),
    Feature(
        "nbo_share", "nbo", (2,), "1",
        "|c|^2 on the two atoms (polarisation)",
        _NBO, default=True,
    ),
    Feature(
        "nbo_character", "nbo", (2, 3), "1",
        "share of s, p and d in the hybrid on each of the two atoms",
        _NBO, default=True,
    ),
    Feature(
        "donation_nbos", "donation", (2,), "1",
        "donor and acceptor, rows of the structure's NBOs",
        _DONATION, dtype="int32", default=True, implies=("donation_energy", "nbo_type"),
    ),
    Feature(
        "donation_energy", "donation", (), "kcal/mol",
        "second-order stabilisation E(2) = q F_ij^2 / (e_j - e_i), above 0.05 kcal/mol, at most 50, strongest "
        "first; orbitals of equal kind, atoms, occupancy and energy are summed over, at the first one",
        _DONATION, default=True,
    ),
    Feature(
        "density_block", "element", (), "electrons",
        "density-matrix blocks of both spins between the functions of bonded atoms in the Loewdin basis, rows i, "
        "columns j. Functions stand by shell, and in a shell of l as real spherical harmonics m = 0, +1, -1, +2, -2, "
        "... (p: z, x, y); a turned molecule has D_i B D_j^T, D made of the real Wigner matrices of the shells' l. "
        "For basis sets of spherical harmonics",
        _LOEWDIN, implies=("block_shape",),
    ),
)
# fmt: on

FEATURES: dict[str, Feature] = {feature.name: feature for feature in _LIST}
