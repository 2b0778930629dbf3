"""Takes effective core potentials (ECPs) off ghost atoms, which Psi4 1.3.2 leaves on.

A ghost carries basis functions only, but Psi4 gives it the ECP of the missing atom too: helium beside a ghost xenon at
1 Å is 0.04 hartree too high (https://github.com/psi4/psi4/issues/1968, open in 2024). Psi4's Python part hands each
atom's shells to its C++ part through `BasisSet.construct_from_pydict`; here ghosts lose their ECP on that way.
"""

from typing import Any

_DONE = "_psigraph_ghosts"
_LABEL_HASH_CORE = 3  # an entry is [label, hash of the shells, electrons in the core, ECP shells...]


def strip_ghosts(basis: dict[str, Any], charges: list[float]) -> dict[str, Any]:
    """Return `basis` (Psi4's description of a basis set) without ECPs on atoms of nuclear charge 0.

    `charges` is by atom. Psi4 finds shells by their hash and the size of a core by the atom's label. A ghost therefore
    gets a hash of its own here, and the runner labels the atoms of A and B differently: else a ghost would share both
    with a real atom of its kind.
    """
    if "ecp_shell_map" not in basis:
        return basis
    orbital, ecp = [], []
    for entry, core, charge in zip(basis["shell_map"], basis["ecp_shell_map"], charges, strict=True):
        if charge == 0 and len(core) > _LABEL_HASH_CORE:
            name = core[1] + "-ghost"
            entry, core = [entry[0], name, *entry[2:]], [core[0], name, 0]
        orbital.append(entry)
        ecp.append(core)
    return {**basis, "shell_map": orbital, "ecp_shell_map": ecp}


def remove_ghost_ecps(psi4: Any) -> None:
    """Make this process's Psi4 leave ECPs off ghosts. Does nothing when called again."""
    cls = psi4.core.BasisSet
    if getattr(cls, _DONE, False):
        return
    original = cls.construct_from_pydict

    def construct_from_pydict(molecule: Any, basis: dict[str, Any], puream: int) -> Any:
        n_atoms = molecule.natom()
        if n_atoms > 1:  # single atoms are the guess's business
            basis = strip_ghosts(basis, [molecule.Z(i) for i in range(n_atoms)])
        return original(molecule, basis, puream)

    cls.construct_from_pydict = staticmethod(construct_from_pydict)
    setattr(cls, _DONE, True)
