"""How many basis functions an element has, by Psi4's own reading of its basis set files.

`python -m psigraph.quantum.basis_functions BASIS Z...` in Psi4's interpreter prints them as JSON.
"""

import argparse
import contextlib
import io
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from psigraph.quantum.levels import LevelError

#: Begins the line with the answer, for Psi4 may print lines of its own.
MARK = "psigraph-basis-functions:"


def functions_by_element(psi4: Any, basis: str, numbers: Iterable[int]) -> dict[int, int]:
    """Return the number of functions of an atom of each atomic number; elements that `basis` lacks are left out.

    `psi4` is the module. Raises what Psi4 raises where it has no such basis set at all.
    """
    from psi4.driver.qcdb.exceptions import BasisSetNotFound

    result = {}
    for number in sorted({int(n) for n in numbers}):
        atom = psi4.core.Molecule.from_arrays(
            geom=[0.0, 0.0, 0.0], elez=[number], molecular_charge=0.0, molecular_multiplicity=1 + number % 2
        )
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # Psi4 prints the error, too
                result[number] = int(psi4.core.BasisSet.build(atom, "ORBITAL", basis, quiet=True).nbf())
        except BasisSetNotFound:
            continue
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Print {atomic number: functions} and return the exit code."""
    parser = argparse.ArgumentParser(prog="psigraph.quantum.basis_functions", description=__doc__)
    parser.add_argument("basis")
    parser.add_argument("numbers", type=int, nargs="+", metavar="Z")
    a = parser.parse_args(arguments)
    from psigraph.quantum.psi4_runner import Psi4Session

    try:
        session = Psi4Session(500)
        session.check_basis(a.basis)
        found = functions_by_element(session.psi4, a.basis, a.numbers)
    except LevelError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"\n{MARK}{json.dumps(found)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
