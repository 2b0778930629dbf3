"""kill -9 of a worker with its Psi4 at random moments: what was finished stays, and the end is as if nothing had been.

Three kills; PSIGRAPH_KILLS sets another number, PSIGRAPH_KILL_SEED other moments.
"""

import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from psigraph.quantum.journal import Journals
from psigraph.quantum.levels import normalise_level
from psigraph.quantum.store import read_quantum
from psigraph.quantum.system import systems_of
from psigraph.structures.store import read_structures

KILLS = int(os.environ.get("PSIGRAPH_KILLS", "3"))
SEED = int(os.environ.get("PSIGRAPH_KILL_SEED", "0"))


def started(log: Path) -> int:
    """SCFs that Psi4 began, by its own output, which it writes through to the file at once."""
    return log.read_text(errors="replace").count("by Justin Turney") if log.exists() else 0


def known(store: Path, level: dict) -> set[str]:
    return {key for key, _ in Journals(store, normalise_level(level))}


@pytest.fixture
def batch(structure, write_dimers, water, level, tmp_path):
    """Molecules and dimers that take some tenths of a second each; returns the keys of their systems by id."""
    none = (np.zeros(0, int), np.zeros((0, 3)))
    x = water[None] + np.array([[0, 0, 0.01 * k] for k in range(12)])[:, None] * np.array([1, 0, 0])[None, :, None]
    made = [structure(f"water{k}", [8, 1, 1], x[k], *none) for k in range(12)]
    made += [structure(f"dimer{k}", [8, 1, 1], water, [8, 1, 1], water + [0, 0, 3.0 + 0.1 * k]) for k in range(4)]
    made.insert(3, structure("fused", [8, 1, 1], water, [2], [water[1] + [0, 0, 0.01]]))
    write_dimers(made)
    stored = read_structures(tmp_path / "structures.h5")
    return {one.id: [system.key(normalise_level(level)) for system in systems_of(one)[1]] for one in stored}


def wait_for(condition, process) -> None:
    """Wait until the condition holds or the process has ended."""
    deadline = time.monotonic() + 120
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline, "the worker makes no progress"
        time.sleep(0.005)


def test_kills_at_random_moments(worker, run_worker, batch, level, tmp_path):
    """Each kill comes a random time after Psi4 began a random number of SCFs, before the first one included."""
    rng = np.random.default_rng(SEED)
    store, psi4_log, log = tmp_path / "store", tmp_path / "psi4.log", ""
    run_worker(store=tmp_path / "undisturbed", output=tmp_path / "undisturbed.h5", psi4_log=tmp_path / "u.log")
    everything, no_scf = known(tmp_path / "undisturbed", level), {batch["fused"][0]}
    scfs = len(everything - no_scf)
    assert started(tmp_path / "u.log") == scfs == 24

    lost = []
    for _ in range(KILLS):
        before, begun = known(store, level), started(psi4_log)
        process = worker(store=store, psi4_log=psi4_log)
        goal = begun + rng.integers(0, max(2, scfs // (KILLS + 1)))
        wait_for(lambda goal=goal: started(psi4_log) >= goal, process)
        time.sleep(rng.uniform(0, 0.5))
        os.killpg(process.pid, signal.SIGKILL)  # the session of worker and Psi4
        log += process.communicate(timeout=60)[1]
        assert process.returncode in (-signal.SIGKILL, 0)  # with many kills the work may be done before the last one
        after = known(store, level)
        assert before <= after, "a finished system was forgotten"
        lost.append(started(psi4_log) - begun - len(after - before - no_scf))
    assert all(0 <= n <= 1 for n in lost), lost
    for name in set(re.findall(r"(\S+): computed in", log)) - {"fused"}:
        assert set(batch[name]) <= after, f"{name} was reported as computed and is not kept"

    run_worker(store=store, psi4_log=psi4_log)
    assert known(store, level) == everything
    assert started(psi4_log) == scfs + sum(lost), "something that was finished was computed again"
    digests = [next(iter(read_quantum([tmp_path / n]).digests.values())) for n in ("out.h5", "undisturbed.h5")]
    assert digests[0] == digests[1]
