"""What the quantum stage costs beside Psi4 alone: python benchmarks/quantum.py [--molecules 40] [--output FILE.json]

Every figure is a ratio of two times of one run on one machine; run it on a quiet one. It measures, at HF/def2-SVP:

overhead      wall time of the whole stage, start of Psi4 included, over the summed time of bare `psi4.energy` calls
two processes rate of two batches at a time over the rate of one process
features      time of each group of features over the time of the SCFs it belongs to
PySCF         time of Psi4's SCF over PySCF's for five sizes, density fitting, one thread
time law      exponent p of t = a nbf^p over the molecules' SCF times, as `psigraph.quantum.batches` uses it
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from machine import describe

from psigraph.config import Level
from psigraph.quantum.interpreter import clean_environment, find_interpreter
from psigraph.quantum.table import FEATURES
from psigraph.structures.store import read_structures

ROOT = Path(__file__).resolve().parents[1]
LEVEL = Level(method="hf", basis="def2-svp")
MOLECULES = {"source": "qm9", "min_heavy_atoms": 5, "max_heavy_atoms": 9}
DIMERS = {
    "source": "psi4_databases",
    "databases": ["A24", "S22by5"],
    "neutral_closed_shell": True,
    "exclude_elements": ["He", "Ne", "Ar", "Kr", "Xe"],
    "max_atoms": 12,
}
SIZES = ("C", "CCO", "c1ccccc1", "CC(=O)Nc1ccccc1", "CN1CCC[C@H]1c1cccnc1")  # methane to nicotine, 5 to 26 atoms
os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Stage:
    """Runs the stage and Psi4's side of the measurements in one temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.interpreter = find_interpreter()

    def structures(self, name: str, settings: dict[str, Any], n: int) -> Path:
        """Make a structure store with n structures."""
        store = self.folder / f"{name}.h5"
        self._call(
            [sys.executable, ROOT / "scripts/structures.py", "--dataset", name],
            ["--settings", json.dumps({**settings, "max_structures": n})],
            ["--output", store, "--rejected", self.folder / f"{name}.csv"],
        )
        return store

    def start(self, structures: Path, features: str, batch: int, batches: int, label: str) -> subprocess.Popen:
        """Start one worker with an empty store of results."""
        words = {
            "structures": structures,
            "batch": batch,
            "batches": batches,
            "level": json.dumps(LEVEL.identity()),
            "features": features,
            "store": self.folder / label,
            "output": self.folder / f"{label}.{batch}.h5",
        }
        arguments = [str(part) for key, value in words.items() for part in (f"--{key}", value)]
        return subprocess.Popen(
            [sys.executable, str(ROOT / "scripts/quantum.py"), *arguments], stderr=subprocess.DEVNULL
        )

    def wall_time(self, structures: Path, batches: int, label: str) -> float:
        """Run the stage with all batches at a time, default features; return its seconds."""
        features = ",".join(name for name in LEVEL.computed() if FEATURES[name].program == "psi4")
        start = time.perf_counter()
        workers = [self.start(structures, features, batch, batches, label) for batch in range(batches)]
        codes = [worker.wait() for worker in workers]
        if any(codes):
            raise RuntimeError(f"workers ended with {codes}")
        return time.perf_counter() - start

    def psi4(self, what: str, jobs: list[dict[str, Any]]) -> Any:
        """Run psi4_side.py."""
        question, answer = self.folder / f"{what}.json", self.folder / f"{what}.answer.json"
        question.write_text(json.dumps(jobs))
        path = os.pathsep.join(filter(None, [str(ROOT / "src"), self.interpreter.environment.get("PYTHONPATH", "")]))
        self._call(
            [*self.interpreter.command, ROOT / "benchmarks/psi4_side.py", what, question, answer],
            env=clean_environment({**self.interpreter.environment, "PYTHONPATH": path}),
        )
        return json.loads(answer.read_text())

    @staticmethod
    def _call(*parts: list[Any], env: dict[str, str] | None = None) -> None:
        command = [str(word) for part in parts for word in part]
        run = subprocess.run(command, capture_output=True, text=True, env=env)
        if run.returncode:
            raise RuntimeError(f"{' '.join(command[:3])} ended with {run.returncode}: {run.stderr[-2000:]}")


def jobs_of(structures: Path, features: list[str]) -> list[dict[str, Any]]:
    """Return the structures of a store as jobs of psi4_side.py."""
    return [
        {
            "z": s.z.tolist(),
            "positions": s.positions.tolist(),
            "fragment": s.fragment.tolist(),
            "level": LEVEL.identity(),
            "features": features,
        }
        for s in read_structures(structures)
    ]


def basis_functions(z: list[int]) -> int:
    """Return the number of def2-SVP functions, H to Ar (Weigend, Ahlrichs 2005)."""
    return sum(5 if n <= 2 else 9 if n == 3 else 14 if n <= 10 else 18 for n in z)


def time_law(z: list[list[int]], seconds: list[float]) -> tuple[float, float]:
    """Return a and p of t = a nbf^p by least squares in logarithms."""
    p, log_a = np.polyfit(np.log([basis_functions(one) for one in z]), np.log(seconds), 1)
    return float(np.exp(log_a)), float(p)


def pyscf_ratios(stage: Stage) -> dict[str, float]:
    """Return Psi4's time over PySCF's by number of atoms."""
    from pyscf import gto, lib, scf
    from rdkit import Chem
    from rdkit.Chem import AllChem

    lib.num_threads(1)
    jobs = []
    for smiles in SIZES:
        molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
        AllChem.EmbedMolecule(molecule, randomSeed=1)
        AllChem.MMFFOptimizeMolecule(molecule)
        z = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
        positions = molecule.GetConformer().GetPositions().tolist()
        jobs.append({"z": z, "positions": positions, "level": LEVEL.identity(), "features": []})
    psi4 = stage.psi4("bare", [jobs[0], *jobs])[1:]  # the first one warms Psi4 up
    ratios = {}
    for job, seconds in zip([jobs[0], *jobs], [0.0, *psi4], strict=True):
        atoms = list(zip(job["z"], job["positions"], strict=True))
        start = time.perf_counter()
        mean_field = scf.RHF(gto.M(atom=atoms, basis="def2-svp", verbose=0)).density_fit(auxbasis="def2-svp-jkfit")
        mean_field.conv_tol = 1e-8
        mean_field.kernel()
        ratios[f"{len(atoms)} atoms"] = seconds / (time.perf_counter() - start)
    return ratios


def feature_ratios(stage: Stage, structures: Path, n_scf: int, features: list[str]) -> dict[str, float]:
    """Return the time of each group of features over that of `n_scf` SCFs, summed over the structures."""
    results = stage.psi4("features", jobs_of(structures, features))
    scf = n_scf * sum(result["scf"] for result in results)
    labels = {label for result in results for label in result["features"]}
    return {label: sum(result["features"].get(label, 0) for result in results) / scf for label in sorted(labels)}


def measure(folder: Path, n: int) -> dict[str, Any]:
    stage = Stage(folder)
    molecules = stage.structures("molecules", MOLECULES, n)
    few = stage.structures("few", MOLECULES, max(4, n // 8))
    dimers = stage.structures("dimers", DIMERS, 4)
    jobs = jobs_of(molecules, [])
    bare = stage.psi4("bare", jobs)
    one = stage.wall_time(molecules, 1, "one")
    two = stage.wall_time(molecules, 2, "two")
    bare_again = stage.psi4("bare", jobs)
    reference = (sum(bare) + sum(bare_again)) / 2
    a, p = time_law([job["z"] for job in jobs], np.minimum(bare, bare_again).tolist())
    of_molecules = [f.name for f in FEATURES.values() if f.program == "psi4" and f.name != "sapt0"]
    return {
        "machine": {**describe(), "psi4": stage.interpreter.version, "blas": stage.interpreter.blas},
        "molecules": len(jobs),
        "atoms": [min(len(j["z"]) for j in jobs), max(len(j["z"]) for j in jobs)],
        "seconds": {"bare": sum(bare), "bare again": sum(bare_again), "one process": one, "two processes": two},
        "ratios": {
            "stage / bare psi4.energy, one process": one / reference,
            "rate of two processes / one": one / two,
            **{f"{k} / SCF": v for k, v in feature_ratios(stage, few, 1, of_molecules).items()},
            **{f"{k} / three SCFs": v for k, v in feature_ratios(stage, dimers, 3, ["sapt0"]).items() if "sapt0" in k},
            **{f"Psi4 / PySCF, {k}": v for k, v in pyscf_ratios(stage).items()},
        },
        "time law": {"a": a, "p": p},
        "spread": h5py_wall_times(folder / "one.0.h5"),
    }


def h5py_wall_times(path: Path) -> list[float]:
    """Return the smallest, median and largest wall time of a structure [s]."""
    with h5py.File(path) as file:
        return [float(x) for x in np.quantile(file["wall_time"][...], [0, 0.5, 1])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--molecules", type=int, default=40, help="QM9 molecules, about 3 s of each core apiece")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/quantum.json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), arguments.molecules)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=2))
    print(f"{result['machine']['processor']}, {result['molecules']} molecules of {result['atoms']} atoms")
    for name, ratio in result["ratios"].items():
        print(f"{ratio:10.4f}  {name}")
    print(f"time law: t = {result['time law']['a']:.2e} s nbf^{result['time law']['p']:.2f}")
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
