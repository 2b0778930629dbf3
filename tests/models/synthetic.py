"""Synthetic dimers with a physical-looking target, as graphs, samples, batches and shards: no data files needed."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from psigraph.graphs.data import DimerData, dimer_data
from psigraph.graphs.graph import Graph
from psigraph.graphs.multipoles import field_representation
from psigraph.graphs.neighbours import pair_distances, pairs_within
from psigraph.graphs.settings import GraphSettings
from psigraph.graphs.shard_writer import write_shard
from psigraph.models.kernels.pair_sum import available

SCALE = 0.1
CUTOFF = 12.0  # Å
SETTINGS = GraphSettings(cutoff=CUTOFF, length_scale=SCALE, level=None, v0="column", unit="kcal/mol")


def random_graph(
    rng: np.random.Generator, number: int = 0, atoms: int = 8, group: str | None = None, width: int = 3
) -> Graph:
    """Return a dimer of two random clouds of atoms with `width` features each; ΔV depends on separation and dipole."""
    half = atoms // 2
    separation = rng.uniform(3.0, 6.0)
    positions = np.concatenate([_cloud(rng, half), _cloud(rng, atoms - half) + [0, 0, separation + 2]])
    dipole = rng.normal(size=3) * 0.1
    v_0 = rng.normal()
    delta = -3 * np.exp(-separation / 3) + 2 * float(dipole @ dipole)
    return Graph(
        id=f"dimer-{number}",
        group=group or f"group-{number // 2}",
        system=f"system-{number}",
        source="synthetic",
        z_atoms=rng.choice([1, 1, 6, 7, 8], size=atoms).astype(np.uint8),
        pos_atoms=positions * SCALE,
        fragment=(np.arange(atoms) >= half).astype(np.uint8),
        charge=(0, number % 2),
        atomic_node_attr=rng.uniform(0, 4, size=(atoms, width)),
        field_node_features=np.concatenate([dipole, rng.normal(size=5) * 0.02]),
        u=np.array([separation * SCALE, rng.uniform(0, np.pi / 2), v_0, rng.uniform(1, 2)]),
        y=delta,
        y_true_vref=v_0 + delta,
        R_internal_val=separation * SCALE,
        theta_defined=True,
        pairs=pairs_within(positions, CUTOFF).astype(np.uint16),
    )


def _cloud(rng: np.random.Generator, atoms: int) -> np.ndarray:
    points: list[np.ndarray] = []
    while len(points) < atoms:
        point = rng.uniform(-2, 2, size=3)
        if all(np.linalg.norm(point - other) > 0.8 for other in points):
            points.append(point)
    return np.array(points)


def random_graphs(n: int, seed: int = 0, atoms: tuple[int, int] = (5, 10), width: int = 3) -> list[Graph]:
    rng = np.random.default_rng(seed)
    return [random_graph(rng, i, int(rng.integers(atoms[0], atoms[1] + 1)), width=width) for i in range(n)]


def moved(graph: Graph, matrix: np.ndarray, shift: np.ndarray | None = None) -> Graph:
    """Return the dimer under an orthogonal matrix (3, 3), a reflection included, and a shift (3,) [internal]."""
    shift = np.zeros(3) if shift is None else shift
    field = field_representation(matrix[None])[0] @ graph.field_node_features
    return replace(graph, pos_atoms=graph.pos_atoms @ matrix.T + shift, field_node_features=field)


def permuted(graph: Graph, order: np.ndarray) -> Graph:
    """Return the dimer with its atoms in another order: new atom k is old atom order[k]."""
    place = np.argsort(order)
    pairs = np.sort(place[graph.pairs.astype(int)], axis=1)
    return replace(
        graph,
        z_atoms=graph.z_atoms[order],
        pos_atoms=graph.pos_atoms[order],
        fragment=graph.fragment[order],
        atomic_node_attr=graph.atomic_node_attr[order],
        pairs=pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))],
    )


def reconnected(graph: Graph) -> Graph:
    """Return the dimer with the pairs that its positions have within the cutoff."""
    return replace(graph, pairs=pairs_within(graph.pos_atoms, CUTOFF * SCALE).astype(np.uint16))


def sample(graph: Graph, dtype: torch.dtype = torch.float32, spherical_harmonics: bool = False) -> DimerData:
    names = ("z_atoms", "pos_atoms", "atomic_node_attr", "field_node_features", "u", "y", "y_true_vref")
    fields = {name: getattr(graph, name) for name in (*names, "R_internal_val")}
    pairs = graph.pairs.astype(np.int64)
    return dimer_data(
        **fields,
        pairs=pairs,
        distances=pair_distances(graph.pos_atoms, pairs),
        index=0,
        graph_id=graph.id,
        dtype=dtype,
        spherical_harmonics=spherical_harmonics,
    )


def batch(graphs: Sequence[Graph], dtype: torch.dtype = torch.float32, spherical_harmonics: bool = False) -> Any:
    samples = [sample(graph, dtype, spherical_harmonics) for graph in graphs]
    return Batch.from_data_list(samples, follow_batch=["z_atoms"])


def training_arrays(graphs: Sequence[Graph]) -> dict[str, torch.Tensor]:
    """Return what `fit_normalisation` takes."""
    together = batch(graphs, torch.float64)
    return {name: together[name] for name in ("u", "y", "atomic_node_attr", "field_node_features")}


def write_shards(
    folder: Path, graphs: Sequence[Graph], shards: int = 2, settings: GraphSettings = SETTINGS
) -> list[Path]:
    """Write the graphs to shards as the graphs stage does, and return their paths."""
    paths = []
    for k in range(shards):
        paths.append(folder / f"{k}.h5")
        part = graphs[k * len(graphs) // shards : (k + 1) * len(graphs) // shards]
        write_shard(paths[-1], part, settings, shard=k, shards=shards)
    return paths


#: What needs the fused kernel; set-up builds it where there is a compiler.
needs_kernel = pytest.mark.skipif(
    not available(torch.device("cpu"), torch.float32), reason="no kernel was built: no C++ compiler at set-up"
)
