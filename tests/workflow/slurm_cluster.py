"""A real Slurm on this machine for tests: one controller, a CPU node and two GPU nodes whose GPUs are device files.

Needs root, Debian's slurmctld, slurmd, slurm-client and munge, and writes /etc/slurm: it refuses to touch a
configuration that it has not written itself. Slurm reads /etc/slurm alone: Snakemake's job step drops SLURM_CONF.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

MARK = "# written by psigraph's tests\n"
ETC = Path("/etc/slurm")
NODES = {"cpu01": "", "gpu01": "/dev/null", "gpu02": "/dev/null,/dev/zero"}


def why_not() -> str | None:
    """The reason why no cluster can be started here, or None."""
    if os.environ.get("PSIGRAPH_TEST_SLURM") != "1":
        return "set PSIGRAPH_TEST_SLURM=1 to let the tests start a Slurm on this machine (writes /etc/slurm)"
    missing = [name for name in ("slurmctld", "slurmd", "sbatch", "munged") if shutil.which(name, path=_path()) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (envs/setup.sh slurm)"
    if os.geteuid() != 0:
        return "starting slurmd needs root"
    conf = ETC / "slurm.conf"
    if conf.exists() and not conf.read_text().startswith(MARK):
        return f"{conf} belongs to somebody else"
    return None


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


class Cluster:
    """Context manager: starts the cluster, and ends it with its jobs."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __enter__(self) -> "Cluster":
        self._configure()
        self._start_munge()
        self._run("slurmctld")
        for node in NODES:
            self._run("slurmd", "-N", node)
        self._wait_until_idle()
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["scancel", "-u", "root"], check=False, capture_output=True)
        for pid_file in [*self.root.glob("slurmd-*.pid"), self.root / "slurmctld.pid"]:
            _terminate(pid_file)
        for name in ("slurm.conf", "gres.conf"):
            (ETC / name).unlink(missing_ok=True)

    def jobs(self) -> list[str]:
        """One `scontrol` line for each job that the controller remembers."""
        answer = subprocess.run(["scontrol", "-o", "show", "job"], check=True, capture_output=True, text=True)
        return [line for line in answer.stdout.splitlines() if line.startswith("JobId=")]

    def _run(self, *command: str) -> None:
        program = shutil.which(command[0], path=_path())
        subprocess.run([program or command[0], *command[1:]], check=True, capture_output=True)

    def _start_munge(self) -> None:
        if Path("/run/munge/munge.socket.2").exists() and _alive(Path("/run/munge/munged.pid")):
            return
        folder = Path("/run/munge")
        folder.mkdir(exist_ok=True)
        shutil.chown(folder, "munge", "munge")
        munged = shutil.which("munged", path=_path())
        subprocess.run(["runuser", "-u", "munge", "--", str(munged)], check=True, capture_output=True)

    def _configure(self) -> None:
        ETC.mkdir(exist_ok=True)
        host = socket.gethostname().split(".")[0]
        ports = {node: 17001 + i for i, node in enumerate(NODES)}
        for node in ("ctld", *NODES):
            (self.root / "spool" / node).mkdir(parents=True, exist_ok=True)
        nodes = "\n".join(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[node]}"
            + (f" Gres=gpu:{len(devices.split(','))}" if devices else "")
            for node, devices in NODES.items()
        )
        settings = {
            "ClusterName": "psigraph-tests",
            "SlurmctldHost": f"{host}(127.0.0.1)",
            "SlurmctldPort": 16817,
            "SlurmUser": "root",
            "SlurmdUser": "root",
            "AuthType": "auth/munge",
            "CredType": "cred/munge",
            "StateSaveLocation": self.root / "spool" / "ctld",
            "SlurmdSpoolDir": self.root / "spool" / "%n",
            "SlurmctldPidFile": self.root / "slurmctld.pid",
            "SlurmdPidFile": self.root / "slurmd-%n.pid",
            "SlurmctldLogFile": self.root / "slurmctld.log",
            "SlurmdLogFile": self.root / "slurmd-%n.log",
            "ProctrackType": "proctrack/linuxproc",
            "TaskPlugin": "task/none",
            "SwitchType": "switch/none",
            "MpiDefault": "none",
            "AccountingStorageType": "accounting_storage/none",
            "JobCompType": "jobcomp/none",
            "SelectType": "select/cons_tres",
            "SelectTypeParameters": "CR_Core_Memory",
            "SchedulerType": "sched/backfill",
            "SchedulerParameters": "sched_interval=2,bf_interval=5,batch_sched_delay=1",
            "EnforcePartLimits": "ALL",
            "GresTypes": "gpu",
            "ReturnToService": 2,
            "InactiveLimit": 0,
            "KillWait": 5,
            "MinJobAge": 3600,
            "SlurmdParameters": "config_overrides",
            "DefMemPerCPU": 500,
        }
        text = MARK + "\n".join(f"{key}={value}" for key, value in settings.items())
        shape = "CPUs=4 Boards=1 SocketsPerBoard=1 CoresPerSocket=4 ThreadsPerCore=1 RealMemory=8000"
        text += f"\nNodeName=DEFAULT {shape}\n{nodes}\n"
        text += "PartitionName=cpu Nodes=cpu01 Default=YES MaxTime=120 DefaultTime=10\n"
        text += "PartitionName=gpu Nodes=gpu01,gpu02 MaxTime=120 DefaultTime=10\n"
        (ETC / "slurm.conf").write_text(text)
        gres = [f"NodeName={node} Name=gpu File={devices}" for node, devices in NODES.items() if devices]
        (ETC / "gres.conf").write_text(MARK + "\n".join(gres) + "\n")

    def _wait_until_idle(self, seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            answer = subprocess.run(["sinfo", "-h", "-N", "-t", "idle", "-o", "%N"], capture_output=True, text=True)
            if set(answer.stdout.split()) == set(NODES):
                return
            time.sleep(0.3)
        raise RuntimeError(f"the nodes did not come up within {seconds:g} s; see {self.root}/slurmctld.log")


def _alive(pid_file: Path) -> bool:
    try:
        os.kill(int(pid_file.read_text()), 0)
    except (OSError, ValueError):
        return False
    return True


def _terminate(pid_file: Path) -> None:
    if not _alive(pid_file):
        return
    os.kill(int(pid_file.read_text()), signal.SIGTERM)
    end = time.monotonic() + 10
    while _alive(pid_file) and time.monotonic() < end:
        time.sleep(0.1)
