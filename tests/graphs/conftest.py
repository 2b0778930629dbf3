"""Small dimers with made-up features, and a graphset's files written by the stages' own writers."""

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pytest
import torch

from psigraph.config import Level
from psigraph.graphs.settings import GraphSettings
from psigraph.quantum.model import Result
from psigraph.quantum.store import write_quantum
from psigraph.structures.model import Structure
from psigraph.structures.store import read_structures, write_structures

torch.set_num_threads(1)

LEVEL = Level().identity()
FEATURES = (
    "energy",
    "interaction_energy",
    "interaction_energy_mp2",
    "sapt0",
    "dipole",
    "quadrupole",
    "mulliken_spd",
    "mulliken_charge",
    "participation_ratio",
)
DESCRIPTORS = ("dispersion_d4", "stereocentres", "hybridisation", "free_atom_valence")


class Maker:
    """Random dimers and features; everything follows from the seed."""

    level = LEVEL
    features = FEATURES
    descriptor_names = DESCRIPTORS

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)

    def structure(self, id: str, n: int = 7, **changes) -> Structure:
        n_a = n // 2
        positions = self.rng.normal(size=(n, 3)) + np.where(np.arange(n) < n_a, 0.0, 4.0)[:, None] * [0, 0, 1]
        values = {
            "z": self.rng.integers(1, 9, n),
            "positions": positions,
            "fragment": (np.arange(n) >= n_a).astype(np.uint8),
            "v_ref": float(self.rng.normal()),
            "group": f"g-{id}",
            "system": f"s-{id}",
            "source": "test",
        }
        return Structure(id=id, **{**values, **changes})

    def result(self, structure: Structure, status: str = "ok") -> Result:
        """Return random values of FEATURES, as a calculation of a dimer gives them."""
        n = structure.n_atoms
        if status != "ok":
            return Result(status, "it did not converge", n_atoms=n, n_systems=3)
        quadrupole = self.rng.normal(size=(3, 3, 3))
        quadrupole = quadrupole + quadrupole.transpose(0, 2, 1)
        quadrupole -= np.trace(quadrupole, axis1=1, axis2=2)[:, None, None] * np.eye(3) / 3
        values = {
            "energy": self.rng.normal(size=3),
            "interaction_energy": np.array(self.rng.normal() * 1e-3),
            "interaction_energy_mp2": np.array(self.rng.normal() * 1e-3),
            "sapt0": self.rng.normal(size=5) * 1e-3,
            "dipole": self.rng.normal(size=(3, 3)),
            "quadrupole": quadrupole,
            "mulliken_spd": self.rng.random((n, 3)),
            "mulliken_charge": self.rng.normal(size=n),
            "participation_ratio": np.array(1 + self.rng.random()),
        }
        origin = structure.positions.mean(axis=0)
        return Result("ok", values=values, origin=origin, psi4_version="1.3.2", n_atoms=n, n_systems=3)

    def descriptors(self, structure: Structure) -> Result:
        n = structure.n_atoms
        values = {
            "dispersion_d4": np.array(-abs(self.rng.normal()) * 1e-3),
            "stereocentres": np.zeros(3),
            "hybridisation": self.rng.integers(0, 5, n).astype(np.uint8),
            "free_atom_valence": self.rng.integers(0, 5, (n, 4)).astype(np.uint8),
        }
        return Result("ok", values=values, origin=structure.positions.mean(axis=0), n_atoms=n, n_systems=3)

    def structures_file(self, path, structures, unit="kcal/mol"):
        write_structures(path, structures, unit=unit, settings={"source": "test"})
        return path

    def quantum_files(self, folder, structures_path, *, batches=2, failures=(), level=LEVEL):
        """Write quantum files with random features for all structures of a store; return paths and results."""
        structures = read_structures(structures_path)
        results = [
            self.result(structures.structure(i), "convergence" if i in failures else "ok")
            for i in range(len(structures))
        ]
        paths = []
        for batch in range(batches):
            rows = list(range(batch, len(structures), batches))
            paths.append(folder / f"{structures_path.stem}-{batch}.h5")
            write_quantum(
                paths[-1],
                ids=[structures.ids[i] for i in rows],
                index=rows,
                results=[results[i] for i in rows],
                names=FEATURES,
                level=level,
                structures_digest=structures.digest,
            )
        return paths, results

    def descriptor_file(self, path, structures_path):
        """Write a file with random descriptors for all structures of a store; return path and results."""
        structures = read_structures(structures_path)
        results = [self.descriptors(structures.structure(i)) for i in range(len(structures))]
        write_quantum(
            path,
            ids=structures.ids,
            index=range(len(structures)),
            results=results,
            names=DESCRIPTORS,
            level=None,
            structures_digest=structures.digest,
            program="rdkit",
        )
        return path, results


@pytest.fixture
def maker() -> Maker:
    return Maker()


@pytest.fixture
def hf_settings() -> GraphSettings:
    return GraphSettings(level=LEVEL, level_name="hf-def2svp", v0="hf", cutoff=6.0)


@pytest.fixture
def no_level() -> GraphSettings:
    return GraphSettings(level=None, v0="zero", cutoff=4.0)


@pytest.fixture
def shard_paths(tmp_path, maker, hf_settings):
    """Two shards of a graphset of nine dimers of 2 to 12 atoms, one of which failed."""
    from psigraph.graphs.build import build_shard

    structures = [maker.structure(f"d{i}", n) for i, n in enumerate([7, 2, 12, 3, 5, 9, 4, 6, 8])]
    store = maker.structures_file(tmp_path / "dimers.h5", structures)
    quantum, _ = maker.quantum_files(tmp_path, store, failures=(4,))
    paths = [tmp_path / "graphs" / f"{k}.h5" for k in range(2)]
    for k, path in enumerate(paths):
        build_shard(
            {"dimers": store},
            {"dimers": quantum},
            path,
            path.with_suffix(".skipped.csv"),
            hf_settings,
            name="set",
            shard=k,
            shards=2,
        )
    return paths
