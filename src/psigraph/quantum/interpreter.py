"""Finds the Python interpreter that can import Psi4; the rest of psigraph runs in another one. Standard library only.

Order: the environment variable PSIGRAPH_PSI4_PYTHON; the current interpreter (a rule's conda environment); the
interpreter beside the `psi4` command with the path that `psi4 --psiapi-path` prints (Debian's /usr/bin/python3).
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

VARIABLE = "PSIGRAPH_PSI4_PYTHON"
TESTED_VERSION = "1.3.2"
INSTALL = (
    "install it with `apt-get install psi4 psi4-data python3-h5py libopenblas0-openmp` (Debian 12), "
    f"or with conda from envs/psi4.yaml; or set {VARIABLE} to a Python interpreter that can import psi4 and h5py"
)
#: One process uses one thread; the batch is the unit of parallelism.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_PROBE_TIMEOUT = 180  # s
_MARK = "psigraph-probe:"
_PROBE = f"""
import json, os, re
import psi4, numpy, h5py
maps = "/proc/self/maps"
libraries = sorted({{line.split()[-1] for line in open(maps) if "/" in line}}) if os.path.exists(maps) else []
libraries = [l for l in libraries if re.search("blas|mkl_rt|mkl_core|blis|atlas|Accelerate", os.path.realpath(l))]
print("{_MARK}" + json.dumps({{"version": psi4.__version__, "numpy": numpy.__version__, "h5py": h5py.__version__,
                              "libraries": [os.path.realpath(l) for l in libraries]}}))
"""


class InterpreterError(RuntimeError):
    """No interpreter with Psi4 was found; the message says where it was looked for and how to install it."""


@dataclass(frozen=True)
class Psi4Interpreter:
    """A working Psi4 interpreter."""

    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)  # what must be added to the environment
    version: str = ""
    numpy: str = ""
    h5py: str = ""
    blas: str = "unknown"
    found_by: str = ""

    def warnings(self) -> list[str]:
        """Return what a user should know before jobs start."""
        result = []
        if self.version != TESTED_VERSION:
            result.append(f"Psi4 {self.version} is untested with psigraph; tested is {TESTED_VERSION}")
        if self.blas == "reference":
            result.append(
                "Psi4 runs on the reference BLAS, 4 to 7 times slower than OpenBLAS; "
                "install OpenBLAS with `apt-get install libopenblas0-openmp`"
            )
        return result

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "warnings": self.warnings()}

    @classmethod
    def read(cls, path: Path) -> "Psi4Interpreter":
        """Read what `to_json` gave. Raises InterpreterError naming the file where it cannot be used."""
        try:
            data = json.loads(path.read_text())
            found = cls(**{key: data[key] for key in cls.__dataclass_fields__})
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = f"cannot be read ({type(error).__name__}: {error})"
        else:
            if shutil.which(found.command[0]):
                return found
            reason = f"names the interpreter {found.command[0]}, which is not on this machine"
        raise InterpreterError(f"{path}: {reason}; write it anew with: python scripts/psi4_probe.py --output {path}")


def blas_kind(libraries: list[str]) -> str:
    """Return which BLAS stands behind the loaded shared libraries: openblas, mkl, blis, atlas, reference or unknown."""
    for kind in ("openblas", "mkl", "blis", "atlas", "accelerate"):
        if any(kind in library.lower() for library in libraries):
            return kind
    return "reference" if any("libblas" in Path(library).name for library in libraries) else "unknown"


def clean_environment(additions: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without what belongs to its own interpreter, plus `additions`."""
    dropped = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    return {**kept, "PYTHONNOUSERSITE": "1", **ONE_THREAD, **additions}


def find_interpreter() -> Psi4Interpreter:
    """Return the first interpreter, in the module's order, that imports psi4, numpy and h5py.

    Raises InterpreterError; where PSIGRAPH_PSI4_PYTHON is set, nothing else is tried.
    """
    chosen = os.environ.get(VARIABLE)
    tried: list[str] = []
    for found_by, command, environment in _candidates(chosen):
        result = _probe(command, environment, found_by)
        if isinstance(result, Psi4Interpreter):
            return result
        tried.append(f"{' '.join(command)} ({found_by}): {result}")
    if chosen:
        raise InterpreterError(f"{VARIABLE}={chosen!r} cannot be used: {tried[0]}; correct or unset it, or {INSTALL}")
    if not shutil.which("psi4"):
        tried.append("no `psi4` command on PATH")
    raise InterpreterError(f"Psi4 was not found. Tried: {'; '.join(tried)}. To go on, {INSTALL}")


def _candidates(chosen: str | None) -> list[tuple[str, list[str], dict[str, str]]]:
    """List (how it was found, command, additions to the environment)."""
    if chosen:
        _, python_path = _psiapi_path()
        alone = (VARIABLE, [chosen], dict[str, str]())
        return [alone, (f"{VARIABLE} and psi4 --psiapi-path", [chosen], python_path)] if python_path else [alone]
    own = {"PYTHONPATH": os.environ["PYTHONPATH"]} if os.environ.get("PYTHONPATH") else {}
    candidates = [("the current interpreter", [sys.executable], own)]
    bin_folder, python_path = _psiapi_path()
    if bin_folder:
        beside = [str(path) for path in (bin_folder / "python3", Path("/usr/bin/python3")) if path.exists()]
        candidates += [("psi4 --psiapi-path", [python], python_path) for python in dict.fromkeys(beside)]
    return candidates


def _psiapi_path() -> tuple[Path | None, dict[str, str]]:
    """Return the folder and the PYTHONPATH that `psi4 --psiapi-path` prints, or (None, {}) without a psi4 command."""
    psi4 = shutil.which("psi4")
    if psi4 is None:
        return None, {}
    try:
        run = subprocess.run(
            [psi4, "--psiapi-path"],
            capture_output=True,
            text=True,
            timeout=_PROBE_TIMEOUT,
            check=True,
            env=clean_environment({}),
        )
    except (OSError, subprocess.SubprocessError):
        return Path(psi4).parent, {}
    exports = dict(re.findall(r"^export (\w+)=([^:\n]*)", run.stdout, flags=re.MULTILINE))
    python_path = {"PYTHONPATH": os.path.normpath(exports["PYTHONPATH"])} if exports.get("PYTHONPATH") else {}
    return Path(exports.get("PATH") or Path(psi4).parent), python_path


def _probe(command: list[str], environment: dict[str, str], found_by: str) -> Psi4Interpreter | str:
    """Import Psi4 in `command`; return the interpreter, or the reason why it cannot be used.

    Psi4 leaves a timer.dat where it stands, so it stands in a folder that is removed.
    """
    program = os.path.abspath(shutil.which(command[0]) or command[0])
    try:
        with tempfile.TemporaryDirectory(prefix="psigraph-probe-") as folder:
            run = subprocess.run(
                [program, *command[1:], "-c", _PROBE],
                capture_output=True,
                text=True,
                timeout=_PROBE_TIMEOUT,
                env=clean_environment(environment),
                cwd=folder,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    line = next((line for line in run.stdout.splitlines() if line.startswith(_MARK)), None)
    if run.returncode != 0 or line is None:
        lines = [text for text in run.stderr.splitlines() if text.strip()]
        return lines[-1].strip() if lines else f"exit code {run.returncode}"
    found = json.loads(line.removeprefix(_MARK))
    return Psi4Interpreter(
        command=list(command),
        environment=dict(environment),
        version=found["version"],
        numpy=found["numpy"],
        h5py=found["h5py"],
        blas=blas_kind(found["libraries"]),
        found_by=found_by,
    )


def worker_call(interpreter: Psi4Interpreter, source: Path, arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return command line and environment of `psigraph.quantum.worker` in the Psi4 interpreter.

    `source` is the folder that holds the package psigraph (src). Raises InterpreterError where it also holds NumPy: a
    site-packages folder would hide the Psi4 interpreter's own NumPy.
    """
    if (source / "numpy").exists():
        raise InterpreterError(
            f"{source}: psigraph is installed among other packages, which Psi4's interpreter must not see; "
            "install it with `pip install -e .` from a clone"
        )
    path = os.pathsep.join(filter(None, [str(source), interpreter.environment.get("PYTHONPATH", "")]))
    environment = clean_environment({**interpreter.environment, "PYTHONPATH": path})
    return [*interpreter.command, "-m", "psigraph.quantum.worker", *arguments], environment
