"""The content-addressed store of Psi4 results: one small HDF5 file per dimer, named by what was computed.

A result is found again whatever its dataset is called and wherever it stands there. Results and deterministic failures
(input, convergence) are kept; lack of resources and random failures are not.
"""

import faulthandler
import hashlib
import logging
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from psigraph.quantum import FEATURE_VERSION
from psigraph.quantum.errors import DETERMINISTIC
from psigraph.quantum.model import OK, Dimer, DimerResult
from psigraph.stores import Column, Store, StoreError, canonical_json, read_store, write_store

FORMAT = "psigraph-quantum-record"
VERSION = 1
#: A dimer on which Psi4 crashed this often (segmentation fault or abort) is not tried again.
MAX_CRASHES = 2
_FATAL = "Fatal Python error"

log = logging.getLogger(__name__)

#: name, unit and description of every number of a result, for records and quantum stores alike.
NUMBERS = (
    ("energy", "hartree", "HF energy of the dimer, of A and of B, both in the dimer's basis"),
    ("interaction_energy", "hartree", "counterpoise-corrected HF interaction energy"),
    ("dipole", "e·Å", "dipole moment of dimer, A and B about origin"),
    ("quadrupole", "e·Å²", "sum of q (r_a r_b - delta_ab r^2/3) of dimer, A and B about origin"),
    ("origin", "Å", "unweighted centroid of the dimer's atoms"),
    ("mulliken_spd", "electrons", "Mulliken populations of the dimer's atoms in s, p and d functions"),
    ("mulliken_charge", "e", "Mulliken charges of the dimer's atoms"),
    ("participation_ratio", "1", "1/sum of p_m^2, p_m: Lowdin share of monomer m in the dimer's HOMO"),
    ("wall_time", "s", "time the three SCFs took"),
)
UNTRACKED = ("wall_time",)


def record_key(dimer: Dimer, level: Mapping[str, Any]) -> str:
    """Return the SHA-256 over elements, positions, fragments, charges, multiplicities, level and FEATURE_VERSION."""
    h = hashlib.sha256()
    positions = np.asarray(dimer.positions, dtype="<f8") + 0.0  # −0.0 becomes 0.0
    for array in (np.asarray(dimer.z, dtype="<i8"), np.asarray(dimer.fragment, dtype="<i8"), positions):
        h.update(struct.pack("<q", array.size))
        h.update(np.ascontiguousarray(array).tobytes())
    h.update(
        canonical_json(
            {
                "charges": [int(c) for c in dimer.charges],
                "multiplicities": [int(m) for m in dimer.multiplicities],
                "level": dict(level),
                "feature_version": FEATURE_VERSION,
            }
        ).encode()
    )
    return h.hexdigest()


class Records:
    """The records of one level in one folder."""

    def __init__(self, folder: Path, level: Mapping[str, Any]) -> None:
        self.folder = folder
        self.level = dict(level)

    def path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.h5"

    def get(self, key: str, n_atoms: int) -> DimerResult | None:
        """Return the result kept under `key`, or None; a damaged record is reported and counts as none."""
        path = self.path(key)
        if not path.exists():
            return None
        try:
            store = read_store(path, format=FORMAT, version=VERSION, remedy="running the same job again")
            return _result(store, n_atoms)
        except (StoreError, KeyError, IndexError, ValueError) as error:
            log.warning("record %s cannot be used and is computed again: %s", path, error)
            return None

    def put(self, key: str, result: DimerResult) -> None:
        """Keep a result or a deterministic failure; other failures are left out."""
        if not result.ok and result.status not in DETERMINISTIC:
            return
        columns = {name: Column(np.atleast_1d(getattr(result, name)), unit, text) for name, unit, text in NUMBERS}
        columns["status"] = Column(np.array([result.status]), "", "ok, or the failure class")
        columns["message"] = Column(np.array([result.message]), "", "why it failed")
        write_store(
            self.path(key),
            format=FORMAT,
            version=VERSION,
            columns=columns,
            settings={"key": key, "level": self.level, "feature_version": FEATURE_VERSION},
            attributes={"psi4_version": result.psi4_version},
            untracked=UNTRACKED,
        )

    def _crash_file(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.crash"

    def crashes(self, key: str) -> tuple[int, str]:
        """Return how often Psi4 crashed on `key`, and the message for a dimer that is not tried again."""
        path = self._crash_file(key)
        if not path.exists():
            return 0, ""
        lines = [line for line in path.read_text(errors="replace").splitlines() if _FATAL in line]
        kinds = ", ".join(dict.fromkeys(line.split(":", 1)[-1].strip() for line in lines))
        return len(lines), f"Psi4 crashed {len(lines)} times ({kinds}); to try again, delete {path}"

    @contextmanager
    def watch(self, key: str) -> Iterator[None]:
        """Note a crash (segmentation fault, abort) of the code inside, so that a later run learns of it.

        A plain kill leaves an empty file, which counts as no note; success removes the notes of earlier runs.
        """
        path = self._crash_file(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a") as handle:
            faulthandler.enable(handle)
            try:
                yield
            except BaseException:
                if path.stat().st_size == 0:
                    path.unlink()
                raise
            finally:
                faulthandler.disable()
        path.unlink(missing_ok=True)


def _result(store: Store, n_atoms: int) -> DimerResult:
    """Turn a record into a result. Raises ValueError where its shapes do not fit."""
    shapes = {
        "energy": (3,),
        "interaction_energy": (1,),
        "dipole": (3, 3),
        "quadrupole": (3, 3, 3),
        "origin": (3,),
        "mulliken_spd": (n_atoms, 3),
        "mulliken_charge": (n_atoms,),
        "participation_ratio": (1,),
        "wall_time": (1,),
    }
    values: dict[str, Any] = {}
    for name, shape in shapes.items():
        if store[name].shape != shape:
            raise ValueError(f"{name} has shape {store[name].shape}, expected {shape}")
        values[name] = float(store[name][0]) if shape == (1,) else store[name]
    status = str(store["status"][0])
    if status != OK and status not in DETERMINISTIC:
        raise ValueError(f"unknown status {status!r}")
    version = str(store.attributes.get("psi4_version", ""))
    return DimerResult(status=status, message=str(store["message"][0]), psi4_version=version, **values)
