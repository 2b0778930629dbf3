"""A trained model on real dimers: turned, mirrored or renumbered, they have the same ΔV, as tensors or as raw files."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from psigraph.config import XyzFolder
from psigraph.graphs.batch import GraphBatch
from psigraph.graphs.build import build_shard
from psigraph.graphs.dataset import CachedDimerDataset
from psigraph.graphs.multipoles import field_representation
from psigraph.graphs.settings import GraphSettings
from psigraph.prediction import predict
from psigraph.structures.build import build_structures
from psigraph.structures.elements import symbol_of
from psigraph.structures.model import Structure
from psigraph.structures.store import read_structures
from psigraph.training.checkpoint import load_model

pytestmark = pytest.mark.workflow

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
ROTATION = Rotation.from_rotvec([0.7, -1.9, 0.4]).as_matrix()
MIRROR = np.diag([1.0, 1.0, -1.0])


@pytest.fixture(autouse=True)
def _exact_products() -> None:
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.fixture
def checkpoint(undisturbed: Path) -> Path:
    return undisturbed / "results/models/delta/delta_coupling/seed0/final_model_delta_learning.pt"


def trained(checkpoint: Path, dtype: torch.dtype) -> torch.nn.Module:
    return load_model(checkpoint).model.to(dtype).eval()


def assert_equal(model: torch.nn.Module, first: torch.Tensor, second: torch.Tensor) -> None:
    scale = max(float(first.abs().max()), float(model.delta_scale))
    assert float(first.std()) > 0.002 * scale, "a constant prediction proves nothing"
    assert float((first - second).abs().max()) <= TOLERANCE[first.dtype] * scale


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("matrix", [ROTATION, MIRROR, MIRROR @ ROTATION], ids=["rotation", "reflection", "both"])
def test_rotated_and_mirrored_dimers(
    undisturbed: Path, checkpoint: Path, dtype: torch.dtype, matrix: np.ndarray
) -> None:
    data = CachedDimerDataset(sorted(undisturbed.glob("results/graphs/tiny/*.h5")), dtype=torch.float64)
    batch = data.batch(range(len(data)))
    moved = replace(
        batch,
        pos_atoms=batch.pos_atoms @ torch.from_numpy(matrix).T,
        field_node_features=batch.field_node_features @ torch.from_numpy(field_representation(matrix[None])[0]).T,
    )
    model = trained(checkpoint, dtype)
    with torch.no_grad():
        assert_equal(model, *(model(_cast(item, dtype)) for item in (batch, moved)))


def _cast(batch: GraphBatch, dtype: torch.dtype) -> GraphBatch:
    """Return the batch with its floating-point tensors in `dtype`."""
    values = {field.name: batch[field.name] for field in fields(batch)}
    floating = {name: v for name, v in values.items() if torch.is_tensor(v) and v.is_floating_point()}
    return replace(batch, **{name: value.to(dtype) for name, value in floating.items()})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_renumbered_atoms(undisturbed: Path, checkpoint: Path, dtype: torch.dtype) -> None:
    data = CachedDimerDataset(sorted(undisturbed.glob("results/graphs/tiny/*.h5")), dtype=dtype)
    batch = data.batch(range(len(data)))
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(batch.z_atoms)))
    order = order[torch.argsort(batch.z_atoms_batch[order], stable=True)]  # graphs stay in their places
    assert not torch.equal(order, torch.arange(len(order)))
    by_atom = {name: batch[name][order] for name in ("z_atoms", "pos_atoms", "atomic_node_attr")}
    moved = replace(batch, **by_atom, pairs=torch.argsort(order)[batch.pairs])
    model = trained(checkpoint, dtype)
    with torch.no_grad():
        assert_equal(model, model(batch), model(moved))


def write_xyz(path: Path, structure: Structure, matrix: np.ndarray, order: np.ndarray) -> None:
    """Write a dimer with every digit of its coordinates, turned by `matrix` and with its atoms in `order`."""
    positions = structure.positions @ matrix.T + [1.0, -2.0, 3.0] * np.array(not np.array_equal(matrix, np.eye(3)))
    lines = [f"{symbol_of(int(structure.z[i]))} {' '.join(repr(float(x)) for x in positions[i])}" for i in order]
    path.write_text("\n".join([str(len(order)), "charge=0,0 multiplicity=1,1", *lines]) + "\n")


def folders(undisturbed: Path, tmp_path: Path, n: int) -> tuple[Path, Path]:
    """Write the n smallest dimers twice: as they are, and turned, shifted and renumbered; with labels."""
    structures = read_structures(undisturbed / "results/structures/tiny.h5")
    smallest = sorted(range(structures.n), key=lambda i: structures.structure(i).n_atoms)[:n]
    found = []
    for name, matrix in (("original", np.eye(3)), ("moved", ROTATION)):
        folder = tmp_path / name
        folder.mkdir()
        labels = ["file,fragment_a,Vref [kcal/mol],V0 [kcal/mol]"]
        for i in smallest:
            s = structures.structure(i)
            a, b = np.flatnonzero(s.fragment == 0), np.flatnonzero(s.fragment == 1)
            order = np.concatenate([a, b] if name == "original" else [a[::-1], b[::-1]])
            write_xyz(folder / f"{s.id}.xyz", s, matrix, order)
            labels.append(f"{s.id}.xyz,1-{len(a)},{s.v_ref},{s.v_ref + 1.0}")
        (folder / "labels.csv").write_text("\n".join(labels) + "\n")
        found.append(folder)
    return found[0], found[1]


def test_rotated_raw_files_through_structures_and_graphs(undisturbed: Path, checkpoint: Path, tmp_path: Path) -> None:
    settings = GraphSettings(family="delta", cutoff=6.0, length_scale=0.1, level=None, v0="column", unit="kcal/mol")
    model, predicted = trained(checkpoint, torch.float64), []
    for folder in folders(undisturbed, tmp_path, 12):
        store, shard = tmp_path / f"{folder.name}.h5", tmp_path / f"{folder.name}-graphs.h5"
        dataset = XyzFolder(source="xyz_folder", path=folder)
        build_structures(dataset, folder.name, store, tmp_path / "rejected.csv")
        built, skipped = build_shard({folder.name: store}, {}, shard, tmp_path / "skipped.csv", settings)
        assert (built, skipped) == (12, 0)
        data = CachedDimerDataset([shard], dtype=torch.float64)
        order = np.argsort(data.ids)
        with torch.no_grad():
            predicted.append(model(data.batch(order)))
    assert_equal(model, *predicted)


def test_rotated_raw_files_through_psi4(undisturbed: Path, checkpoint: Path, tmp_path: Path) -> None:
    tables = []
    for folder in folders(undisturbed, tmp_path, 3):
        table, rejected = predict([checkpoint], folder, tmp_path / f"{folder.name}.csv")
        assert not rejected
        tables.append(table.sort_values("id"))
    model = trained(checkpoint, torch.float32)
    assert_equal(model, *(torch.tensor(table["delta_v"].to_numpy(), dtype=torch.float32) for table in tables))
    assert list(tables[0]["id"]) == list(tables[1]["id"])
