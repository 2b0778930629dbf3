"""Psi4 in a process that may die, hang or grow: each costs the one system it was at, and has its class."""

import os
import signal
import subprocess
import time

import numpy as np
import psutil
import pytest

from psigraph.config import Level
from psigraph.quantum.supervisor import ChildDied, Limits, resident_mb

LEVEL = Level().identity()
WATER = {"z": [8, 1, 1], "positions": [[0, 0, 0], [0, 0.757, 0.587], [0, -0.757, 0.587]], "features": ["energy"]}
WATER_ENERGY = -75.96091927  # hartree, HF/def2-SVP density-fitted, this geometry


def alkane(n: int) -> dict:
    """A zigzag chain of n carbon atoms as a job."""
    z: list[int] = []
    x: list[list[float]] = []
    for k in range(n):
        side = (-1) ** k
        z += [6, 1, 1]
        x += [[1.26 * k, 0.43 * side, 0]] + [[1.26 * k, 1.06 * side, h] for h in (0.88, -0.88)]
    ends = [[-0.89, -0.2, 0], [1.26 * (n - 1) + 0.89, -0.2 * (-1) ** (n - 1), 0]]
    return {"z": [*z, 1, 1], "positions": [*x, *ends], "features": ["energy"]}


@pytest.fixture(scope="module")
def supervised(psi4_jobs):
    def call(jobs: list[dict], time_s: float = 60, memory_mb: int = 1000, **more) -> list[dict]:
        limits = {"time_s": time_s, "memory_mb": memory_mb}
        return psi4_jobs({"level": LEVEL, "limits": limits, "jobs": jobs, **more}, "supervised_jobs.py")

    return call


def check_water(answer: dict, starts: int) -> None:
    assert answer["status"] == "ok" and answer["energy"] == pytest.approx(WATER_ENERGY, abs=1e-7)
    assert answer["starts"] == starts


def test_crashes_cost_one_system(supervised):
    """One crash is made good by a fresh process; two on the same system are its end, and the next one goes on."""
    slow = alkane(6)
    segfault = {**slow, "signal": signal.SIGSEGV, "after": 0.4}
    jobs = [WATER, {**segfault, "times": 1}, segfault, WATER, {**slow, "signal": signal.SIGKILL, "after": 0.4}, WATER]
    first, once, twice, second, killed, third = supervised(jobs)
    check_water(first, 1)
    assert once["status"] == "ok" and once["starts"] == 1
    assert (twice["status"], twice["message"], twice["starts"]) == ("random", "Psi4 died of SIGSEGV", 1)
    check_water(second, 1)
    assert killed["status"] == "resources" and "SIGKILL" in killed["message"] and killed["starts"] == 1
    check_water(third, 1)
    assert twice["asked"] == ["energy"] and twice["limits"] == {"time_s": 60, "memory_mb": 1000}


def test_time_limit_ends_one_system(supervised):
    long, after = supervised([alkane(20), WATER], time_s=3)
    assert long["status"] == "resources" and long["limits"]["time_s"] == 3
    assert "longer than 3 s (quantum.time_limit_s)" in long["message"]
    assert 3 <= long["wall_time"] < 5
    check_water(after, 1)


def test_memory_limit_ends_one_system(supervised):
    """Two processes without any integral take about 150 MB."""
    large, after = supervised([alkane(8), WATER], memory_mb=200)
    assert large["status"] == "resources" and "more memory than 200 MB (quantum.memory_mb)" in large["message"]
    check_water(after, 1)


def test_a_process_that_grew_is_replaced_between_systems(supervised):
    """The first SCF leaves more than 5 MB behind, and more than half of 200 MB are in use then."""
    for answer in supervised([WATER, WATER], memory_mb=200, growth_mb=5):
        check_water(answer, 1)
    first, second = supervised([WATER, WATER], memory_mb=1000, growth_mb=5)
    check_water(first, 1)
    check_water(second, 0)


@pytest.mark.parametrize("carbons", [12, 16])
def test_memory_that_is_refused_is_no_crash(supervised, carbons):
    """The system gives less than Psi4 was told: an exception with 12 carbon atoms, an abort with 16."""
    refused, after = supervised([alkane(carbons), WATER], memory_mb=4000, address_space_mb=500)
    assert refused["status"] == "resources" and "bad_alloc" in refused["message"], refused
    assert "raise quantum.memory_mb" in refused["message"]
    check_water(after, 1)


def test_ways_to_die():
    assert str(ChildDied(-signal.SIGABRT, "a\n  what():  std::bad_alloc\nb")).startswith(
        "Psi4 died of SIGABRT: std::bad_alloc; raise quantum.memory_mb"
    )
    assert (ChildDied(-11, "").status, str(ChildDied(-11, ""))) == ("random", "Psi4 died of SIGSEGV")
    assert str(ChildDied(3, "")) == "Psi4 ended with code 3"
    assert ChildDied(-signal.SIGKILL, "").status == "resources"


def test_limits_and_memory_of_a_process():
    assert Limits(1.0, 2000).psi4_memory_mb == 1440
    assert Limits(1.0, 100).psi4_memory_mb == 250
    block = np.ones(200_000_000, dtype=np.uint8)
    assert 200 < resident_mb(os.getpid()) == pytest.approx(psutil.Process().memory_info().rss / 1e6, rel=0.05)
    assert block[-1] == 1
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert resident_mb(gone.pid) == 0


def test_psi4_dies_with_its_parent(worker, write_dimers, structure):
    """kill -9 of the worker alone, while Psi4 computes."""
    z, x = alkane(14)["z"], np.array(alkane(14)["positions"])
    write_dimers([structure("long", z, x, [2], [[0, 0, 6.0]])])
    process = worker()
    parent = psutil.Process(process.pid)
    deadline = time.monotonic() + 60
    while not parent.children() and time.monotonic() < deadline:
        time.sleep(0.05)
    child = parent.children()[0]
    time.sleep(1.5)
    assert child.is_running()
    process.kill()
    process.wait()
    gone, alive = psutil.wait_procs([child], timeout=5)
    assert not alive
