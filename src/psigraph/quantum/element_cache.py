"""How many basis functions each element has, kept beside the journals: a dataset that is known needs no Psi4 at all."""

import json
import logging
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from psigraph.stores import atomic_path, digest_of

log = logging.getLogger(__name__)


def known_functions(
    folder: Path, basis: str, numbers: Iterable[int], ask: Callable[[list[int]], dict[int, int]]
) -> dict[int, int]:
    """Return the functions of an atom by atomic number; elements that `basis` lacks are left out.

    `ask` is called with the atomic numbers that the file under `folder` does not know yet, if any; it leaves out what
    the basis lacks. A damaged file is written anew.
    """
    path = folder / "functions" / f"{re.sub(r'[^a-z0-9-]', '_', basis)}-{digest_of(basis)[:8]}.json"
    known = _read(path)
    wanted = sorted({int(number) for number in numbers})
    missing = [number for number in wanted if number not in known]
    if missing:
        found = ask(missing)
        known |= {number: found.get(number, 0) for number in missing}
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps({str(number): known[number] for number in sorted(known)}))
    return {number: known[number] for number in wanted if known[number]}


def _read(path: Path) -> dict[int, int]:
    """Return what the file says; 0 stands for an element that the basis lacks."""
    try:
        return {int(number): int(functions) for number, functions in json.loads(path.read_text()).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        log.warning("%s cannot be read and is written anew: %s", path, error)
        os.unlink(path)
        return {}
