"""Running real Snakemake in a copy of the repository, and killing it at a chosen moment."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

TINY = "tests/configs/tiny.yaml"
SCRIPTS = Path(sys.executable).parent


def copy_repository(source: Path, target: Path) -> Path:
    """Copy what git tracks or would track, as a fresh clone would hold it."""
    listing = ["git", "-C", str(source), "ls-files", "-co", "--exclude-standard", "-z"]
    names = subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (source / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, target / name)
    return target


def environment(folder: Path, *, slurm: bool = False) -> dict[str, str]:
    """The user's environment with the tests' Python first and, unless a cluster runs, Slurm's client out of the way."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    paths = [str(SCRIPTS)]
    if not slurm:  # with the client installed and no controller up, every snakemake call waits 10 s for it
        blocked = folder / ".no-slurm"
        blocked.mkdir(exist_ok=True)
        (blocked / "scontrol").write_text("#!/bin/sh\nexit 1\n")
        (blocked / "scontrol").chmod(0o755)
        paths.insert(0, str(blocked))
    env["PATH"] = os.pathsep.join([*paths, env["PATH"]])
    env.pop("PYTHONPATH", None)
    return env


def command(*arguments: str, config: str = TINY) -> list[str]:
    return [sys.executable, "-m", "snakemake", "--cores", "2", *arguments, "--configfile", config]


def snakemake(folder: Path, *arguments: str, config: str = TINY, **env: str) -> subprocess.CompletedProcess[str]:
    """Run Snakemake to its end in `folder`; standard output and error together."""
    return subprocess.run(
        command(*arguments, config=config),
        cwd=folder,
        env={**environment(folder), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(folder: Path, *arguments: str, config: str = TINY) -> str:
    """Run Snakemake and return its output; a failure shows it."""
    result = snakemake(folder, *arguments, config=config)
    assert result.returncode == 0, result.stdout + logs(folder)
    return result.stdout


def logs(folder: Path) -> str:
    """The rules' logs, for the message of a failed test."""
    return "\n".join(f"--- {p}\n{p.read_text()[-3000:]}" for p in sorted(folder.glob("results/logs/**/*.log")))


def planned(output: str) -> dict[str, int]:
    """Jobs by rule in the table of a dry run."""
    table = output.split("Job stats:")[1]
    return {m[1]: int(m[2]) for m in re.finditer(r"^(\w+) +(\d+)$", table, re.MULTILINE) if m[1] != "total"}


def tree(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def kill_tree(process: psutil.Process) -> None:
    """SIGKILL to Snakemake and every descendant; all are frozen first, so that none can start another."""
    victims = tree(process)
    for action in (signal.SIGSTOP, signal.SIGKILL):
        for victim in victims:
            _signal(victim, action)
    psutil.wait_procs(victims, timeout=10)


def run_and_kill(folder: Path, job: str, ready: Callable[[], bool], *targets: str) -> None:
    """Start Snakemake, kill its whole tree once `ready()` holds while a process whose command line has `job` lives.

    That process is let go in steps of a few milliseconds, so that even a short job is caught in the act.
    """
    with open(folder / "killed-run.log", "w") as log:
        started = subprocess.Popen(
            command(*targets), cwd=folder, env=environment(folder), stdout=log, stderr=log, start_new_session=True
        )
    root = psutil.Process(started.pid)
    end = time.monotonic() + 300
    try:
        while time.monotonic() < end:
            assert started.poll() is None, (
                "the run ended before it could be killed:\n" + (folder / "killed-run.log").read_text()
            )
            if _step(root, job, ready):
                return
        raise AssertionError("the moment to kill at never came:\n" + logs(folder))
    finally:
        kill_tree(root)
        started.wait()


def _step(root: psutil.Process, job: str, ready: Callable[[], bool]) -> bool:
    """Freeze the matching processes, look, and let them go on for a moment unless the time has come."""
    workers = [p for p in _living(root) if job in " ".join(_command_line(p))]
    if not workers:
        time.sleep(0.01)
        return False
    for worker in workers:
        _signal(worker, signal.SIGSTOP)
    if ready() and all(worker.is_running() for worker in workers):
        return True
    for worker in workers:
        _signal(worker, signal.SIGCONT)
    time.sleep(0.002)
    return False


def _living(root: psutil.Process) -> list[psutil.Process]:
    try:
        return root.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def _signal(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)
