"""Parts of the worker that need no Psi4: progress, the cache of basis functions, scratch folders of dead workers."""

import os
import re
import subprocess
import sys
import time

import numpy as np
import pytest

from psigraph.quantum.element_cache import known_functions
from psigraph.quantum.model import Result
from psigraph.quantum.progress import Progress
from psigraph.quantum.scratch import Scratch, remove_stale


def test_progress_counts_and_estimates():
    """2 of 4 structures done, one computed at cost 1 in 60 s, cost 5 to go: 300 s."""
    progress = Progress(np.array([1.0, 3.0, 2.0, 3.0]), clock=time.monotonic() - 60)
    assert progress.line() == "done 0/4, known 0, failed 0"
    progress.report("a", Result("input", "fused"), known=False)
    progress.report("b", Result("ok"), known=True)
    assert [name for name, _ in progress.failures] == ["a"]
    found = re.fullmatch(r"done 2/4, known 1, failed 1, (\d\.\d) per minute, about (\d\.\d) min left", progress.line())
    assert float(found[1]) == pytest.approx(1, abs=0.1) and float(found[2]) == pytest.approx(5, abs=0.3)


def test_functions_are_asked_for_once(tmp_path):
    asked = []

    def ask(numbers):
        asked.append(numbers)
        return {number: 5 * number for number in numbers if number != 92}

    assert known_functions(tmp_path, "def2-svp", np.array([8, 1, 92, 1]), ask) == {1: 5, 8: 40}
    assert known_functions(tmp_path, "def2-svp", [92, 8], ask) == {8: 40}
    assert asked == [[1, 8, 92]]
    assert known_functions(tmp_path, "def2-svp", [1, 6], ask) == {1: 5, 6: 30}
    assert known_functions(tmp_path, "def2-svp(x)", [1], ask) == {1: 5}
    assert asked == [[1, 8, 92], [6], [1]]
    for file in (tmp_path / "functions").iterdir():
        file.write_text("{damaged")
    assert known_functions(tmp_path, "def2-svp", [1, 92], ask) == {1: 5}
    assert asked[3:] == [[1, 92]]


def test_scratch_of_dead_workers_only_is_removed(tmp_path, monkeypatch, repository):
    monkeypatch.setenv("PSI_SCRATCH", str(tmp_path))
    program = (
        "import os, time; from psigraph.quantum.scratch import Scratch; s = Scratch(); print(s.path, flush=True); "
    )
    environment = {**os.environ, "PYTHONPATH": str(repository / "src")}
    dead = subprocess.run(
        [sys.executable, "-c", program + "os._exit(1)"], env=environment, capture_output=True, text=True
    ).stdout.strip()
    living = subprocess.Popen(
        [sys.executable, "-c", program + "time.sleep(60)"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        alive = living.stdout.readline().strip()
        own, foreign = Scratch(), tmp_path / "psigraph-psi4-elsewhere-1-x"
        foreign.mkdir()
        assert os.path.isdir(dead) and os.path.isdir(alive)
        assert remove_stale() == 1
        assert not os.path.exists(dead) and os.path.isdir(alive) and own.path.is_dir() and foreign.is_dir()
        renamed = own.path.with_name(re.sub(r"-\d+-", "-99999999-", own.path.name))
        own.path.rename(renamed)  # a number that looks dead, as of a worker in another container
        assert remove_stale() == 0 and renamed.is_dir()
    finally:
        living.kill()
        living.wait()
    own.remove()
    assert remove_stale() == 2  # the other one has died as well
