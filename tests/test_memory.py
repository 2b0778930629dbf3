import resource
import subprocess
import sys
from pathlib import Path

import pytest

from psigraph import memory
from psigraph.memory import available_memory

GIB = 2**30


def test_there_is_some_and_no_more_than_the_machine_has():
    total = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal:"))
    assert 0 < available_memory() <= int(total.split()[1]) * 1024


def test_a_limit_on_the_address_space_counts():
    code = "import psigraph.memory as m; print(m.available_memory())"
    limit = 700 * 2**20

    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    found = int(subprocess.check_output([sys.executable, "-c", code], preexec_fn=limited, text=True))
    assert 500 * 2**20 < found < limit


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Write the files of a machine with 8 GiB to spare; return a function that adds a control group's."""
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "cgroup")

    def write(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    write("proc/meminfo", f"MemTotal: 99999999 kB\nMemAvailable: {8 * 2**20} kB\n")
    return write


def test_without_limits_it_is_the_machines(machine):
    assert available_memory() == 8 * GIB
    machine("proc/self/cgroup", "0::/user/job\n")
    machine("cgroup/user/job/memory.max", "max\n")
    machine("cgroup/user/job/memory.current", "5\n")
    assert available_memory() == 8 * GIB


@pytest.mark.parametrize("group", ["user/job", "user"])
def test_the_limit_of_a_scheduler_counts(machine, group):
    """Of the process's own group and of those above it; files in memory that can go do not."""
    machine("proc/self/cgroup", "0::/user/job\n")
    machine(f"cgroup/{group}/memory.max", f"{4 * GIB}\n")
    machine(f"cgroup/{group}/memory.current", f"{3 * GIB}\n")
    assert available_memory() == GIB
    machine(f"cgroup/{group}/memory.stat", f"anon 7\ninactive_file {2 * GIB}\n")
    assert available_memory() == 3 * GIB


def test_control_groups_of_version_1(machine):
    machine("proc/self/cgroup", "3:cpu,cpuacct:/job\n2:memory:/job\n")
    machine("cgroup/memory/job/memory.limit_in_bytes", f"{2 * GIB}\n")
    machine("cgroup/memory/job/memory.usage_in_bytes", f"{GIB // 2}\n")
    machine("cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")  # no limit
    machine("cgroup/memory/memory.usage_in_bytes", "1\n")
    assert available_memory() == 3 * GIB // 2
