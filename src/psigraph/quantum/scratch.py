"""Scratch folders of Psi4 that do not outlive their workers, whatever ends these.

A folder is named after machine and process, and its worker holds a lock on a file inside. A worker that was killed
leaves the folder behind, without the lock; the next one removes it.
"""

import fcntl
import os
import platform
import re
import shutil
import tempfile
from pathlib import Path

_PREFIX = "psigraph-psi4-"
_LOCK = ".lock"


def _base() -> Path:
    return Path(os.environ.get("PSI_SCRATCH") or tempfile.gettempdir())


def _name() -> str:
    return re.sub(r"[^\w.]", "_", platform.node())


class Scratch:
    """A new folder in PSI_SCRATCH, else in the system's temporary folder."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{_name()}-{os.getpid()}-", dir=_base()))
        self._lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        """Remove the folder with everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def remove_stale() -> int:
    """Remove folders of this machine whose workers are dead; return how many there were."""
    pattern = re.compile(re.escape(f"{_PREFIX}{_name()}-") + r"(\d+)-")
    removed = 0
    for folder in _base().glob(f"{_PREFIX}*"):
        found = pattern.match(folder.name)
        if found and _dead(int(found[1])) and _unlocked(folder / _LOCK):
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed


def _dead(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _unlocked(path: Path) -> bool:
    """Whether nobody holds the lock; a worker in another container has a number that looks dead here."""
    try:
        with open(path, "r+") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
