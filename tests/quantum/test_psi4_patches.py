"""What is changed in Psi4: ghosts without effective core potentials, and a parser with a memory.

That results stay right is tested against PySCF in test_pyscf.py (HI-He, HI-HI); here are the functions by themselves.
"""

import pytest

from psigraph.quantum.basis_cache import cache_basis_parser
from psigraph.quantum.ghosts import strip_ghosts

IODINE_SHELLS = [[0, (1.5, 1.0)], [1, (0.7, 1.0)]]
IODINE_ECP = [[-3, (19.4, -21.8, 2)], [0, (40.0, 49.9, 2)]]


def iodine_and_hydrogen() -> dict:
    return {
        "name": "DEF2-SVP",
        "shell_map": [["I_A", "aa", *IODINE_SHELLS], ["I_B", "aa", *IODINE_SHELLS], ["H_B", "bb", [0, (1.0, 1.0)]]],
        "ecp_shell_map": [["I_A", "aa", 28, *IODINE_ECP], ["I_B", "aa", 28, *IODINE_ECP], ["H_B", "bb", 0]],
    }


def test_ghost_keeps_functions_and_loses_potential():
    given = iodine_and_hydrogen()
    found = strip_ghosts(given, [25.0, 0.0, 0.0])
    assert found["ecp_shell_map"] == [["I_A", "aa", 28, *IODINE_ECP], ["I_B", "aa-ghost", 0], ["H_B", "bb", 0]]
    assert found["shell_map"][1] == ["I_B", "aa-ghost", *IODINE_SHELLS]
    assert [found["shell_map"][i] for i in (0, 2)] == [given["shell_map"][i] for i in (0, 2)]
    assert given == iodine_and_hydrogen(), "the argument was changed"


def test_real_atoms_and_light_basis_sets_are_left_alone():
    given = iodine_and_hydrogen()
    assert strip_ghosts(given, [25.0, 25.0, 1.0]) == given
    light = {"shell_map": given["shell_map"]}
    assert strip_ghosts(light, [0.0, 0.0, 0.0]) is light


def test_parser_reads_once_and_gives_copies():
    class Parser:
        """Counts how often it reads; answers depend on everything they depend on in Psi4."""

        reads = 0

        def __init__(self, cartesian: bool = False) -> None:
            self.force_puream_or_cartesian = cartesian
            self.forced_is_puream = False

        def parse(self, symbol, dataset):
            type(self).reads += 1
            return [symbol, list(dataset), self.force_puream_or_cartesian]

    cache_basis_parser(Parser)
    cache_basis_parser(Parser)
    first = Parser().parse("H", ["a", "b"])
    first[1].append("changed by the caller")
    assert Parser().parse("H", ["a", "b"]) == ["H", ["a", "b"], False]
    assert Parser.reads == 1
    for answer, expected in (
        (Parser().parse("HE", ["a", "b"]), ["HE", ["a", "b"], False]),
        (Parser().parse("H", ["a", "c"]), ["H", ["a", "c"], False]),
        (Parser(cartesian=True).parse("H", ["a", "b"]), ["H", ["a", "b"], True]),
    ):
        assert answer == expected
    assert Parser.reads == 4


@pytest.mark.parametrize("scf_type", ["df", "pk"])
def test_fragment_order_and_names_do_not_matter(psi4_jobs, level, scf_type):
    """A and B exchanged: the same numbers in exchanged places, also with a core potential on one of them."""
    common = {
        "z": [1, 53, 2],
        "positions": [[0.0, 0.0, 0.0], [0.0, 0.0, 1.609], [0.0, 2.2, 1.6]],
        "level": {**level, "scf_type": scf_type},
        "features": ["energy", "dipole"],
    }
    whole, iodide, helium = [False] * 3, [False, False, True], [True, True, False]
    jobs = [
        {**common, "fragment": fragment, "ghost": ghost}
        for fragment in ([0, 0, 1], [1, 1, 0])
        for ghost in (whole, iodide, helium)
    ]
    found = psi4_jobs(jobs)
    energies, dipoles = ([answer[name] for answer in found] for name in ("energy", "dipole"))
    assert energies[3:] == pytest.approx(energies[:3], abs=1e-8)
    for k in range(3):
        assert dipoles[k + 3] == pytest.approx(dipoles[k], abs=1e-6)
    assert abs(energies[2] + 2.8552) < 1e-3  # helium in any basis; the ghost's core potential would raise it
