"""Finding the Psi4 interpreter, and what is said when there is none."""

import json
import os
import subprocess
import sys

import pytest

from psigraph.quantum import interpreter
from psigraph.quantum.interpreter import InterpreterError, Psi4Interpreter, blas_kind, find_interpreter, worker_call


def can_import_psi4() -> bool:
    """Whether the interpreter that runs the tests has Psi4 itself."""
    return subprocess.run([sys.executable, "-c", "import psi4"], capture_output=True).returncode == 0


def script(repository, name, *arguments, **variables) -> subprocess.CompletedProcess:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", interpreter.VARIABLE)}
    return subprocess.run(
        [sys.executable, str(repository / "scripts" / name), *map(str, arguments)],
        env={**environment, **variables},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("name", ["psi4_probe.py", "quantum.py"])
def test_missing_psi4_says_how_to_install_it(repository, tmp_path, name):
    if can_import_psi4():
        pytest.skip("Psi4 is in the interpreter that runs the tests, so it cannot be hidden")
    run = script(repository, name, "--output", tmp_path / "probe.json", PATH=str(tmp_path))
    assert run.returncode == 1
    assert "Psi4 was not found" in run.stderr and "no `psi4` command on PATH" in run.stderr
    assert "apt-get install psi4 psi4-data python3-h5py libopenblas0-openmp" in run.stderr
    assert "envs/psi4.yaml" in run.stderr and "Traceback" not in run.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["/nowhere/python", sys.executable])
def test_wrong_variable_is_named_and_nothing_else_is_tried(repository, tmp_path, value):
    """Neither a path that does not exist nor an interpreter without Psi4 is passed over in silence."""
    if value == sys.executable and can_import_psi4():
        pytest.skip("Psi4 is in the interpreter that runs the tests")
    run = script(
        repository, "psi4_probe.py", "--output", tmp_path / "p.json", PSIGRAPH_PSI4_PYTHON=value, PATH=str(tmp_path)
    )
    assert run.returncode == 1 and not (tmp_path / "p.json").exists()
    assert f"PSIGRAPH_PSI4_PYTHON='{value}' cannot be used" in run.stderr
    assert "correct or unset it" in run.stderr and "apt-get install" in run.stderr


def test_probe_writes_what_was_found(repository, tmp_path, psi4_interpreter):
    run = script(repository, "psi4_probe.py", "--output", tmp_path / "deep" / "probe.json")
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "deep" / "probe.json").read_text())
    assert Psi4Interpreter.read(tmp_path / "deep" / "probe.json") == psi4_interpreter
    assert found["version"] and found["blas"] in ("openblas", "mkl", "blis", "atlas", "reference")


def test_variable_wins(psi4_interpreter, monkeypatch):
    monkeypatch.setenv(interpreter.VARIABLE, psi4_interpreter.command[0])
    assert find_interpreter().found_by.startswith(interpreter.VARIABLE)


def test_blas_is_told_from_the_loaded_libraries():
    debian = "/usr/lib/x86_64-linux-gnu"
    assert blas_kind([f"{debian}/blas/libblas.so.3.11.0", f"{debian}/lapack/liblapack.so.3"]) == "reference"
    assert blas_kind([f"{debian}/openblas-openmp/libblas.so.3", f"{debian}/libc.so"]) == "openblas"
    assert blas_kind(["/opt/conda/lib/libmkl_rt.so.2"]) == "mkl"
    assert blas_kind([]) == "unknown"


def test_warnings():
    assert Psi4Interpreter(["python"], version="1.3.2", blas="openblas").warnings() == []
    version, blas = Psi4Interpreter(["python"], version="1.9.1", blas="reference").warnings()
    assert "1.9.1 is untested" in version
    assert "reference BLAS" in blas and "libopenblas0-openmp" in blas


def test_worker_sees_its_own_packages_only(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere/else")
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    found = Psi4Interpreter(["/usr/bin/python3"], {"PYTHONPATH": "/psi4"})
    command, environment = worker_call(found, tmp_path, ["--batch", "0"])
    assert command == ["/usr/bin/python3", "-m", "psigraph.quantum.worker", "--batch", "0"]
    assert environment["PYTHONPATH"] == f"{tmp_path}{os.pathsep}/psi4"
    assert environment["OMP_NUM_THREADS"] == "1"
    (tmp_path / "numpy").mkdir()
    with pytest.raises(InterpreterError, match="pip install -e"):
        worker_call(found, tmp_path, [])


@pytest.mark.parametrize("text", ["{}", "no JSON", json.dumps(Psi4Interpreter(["/nowhere/python"]).to_json())])
def test_broken_probe_file_is_named(repository, tmp_path, text):
    (tmp_path / "probe.json").write_text(text)
    run = script(repository, "quantum.py", "--interpreter", tmp_path / "probe.json", "--batch", 0)
    assert run.returncode == 1
    assert str(tmp_path / "probe.json") in run.stderr and "Traceback" not in run.stderr
    assert "psi4_probe.py --output" in run.stderr
