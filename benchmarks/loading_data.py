"""Synthetic graphs for the benchmark of loading: as shards, written block by block, and as PyG samples."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from psigraph.graphs.blocks import Block
from psigraph.graphs.neighbours import batched_pairs
from psigraph.graphs.settings import GraphSettings
from psigraph.graphs.shard_writer import ShardWriter

CUTOFF, SCALE = 12.0, 0.1  # Å, internal units per Å
BLOCK = 1 << 16  # graphs in memory while shards are written


def write_shards(
    folder: Path,
    n: int,
    *,
    atoms: tuple[int, int],
    pairs: int | None = None,
    shards: int = 1,
    features: tuple[str, ...] = ("mulliken_spd",),
) -> list[Path]:
    """Write n random graphs of atoms[0] to atoms[1] atoms; return the paths.

    Each has `pairs` pairs of its atoms, or those within the cutoff, 12 Å, as a molecule has them.
    """
    given = "given" if features else None
    settings = GraphSettings(
        cutoff=CUTOFF, length_scale=SCALE, level=given, v0="column", unit="kcal/mol", atom_features=features
    )
    rng = np.random.default_rng(0)
    paths, made = [], 0
    for shard in range(shards):
        paths.append(folder / f"{shard}.h5")
        with ShardWriter(paths[-1], settings, most_atoms=atoms[1], shard=shard, shards=shards) as writer:
            last = n * (shard + 1) // shards
            while made < last:
                block = random_block(rng, made, min(last - made, BLOCK), atoms, pairs, settings.atom_width)
                writer.append(block)
                made += len(block)
            writer.finish()
    return paths


def random_block(
    rng: np.random.Generator, first: int, n: int, atoms: tuple[int, int], pairs: int | None, width: int
) -> Block:
    """Return n random graphs, numbered from `first`, as the columns of a shard."""
    sizes = rng.integers(atoms[0], atoms[1] + 1, n)
    total = int(sizes.sum())
    radius = np.repeat(2.2 * (sizes / 10) ** (1 / 3), sizes)  # Å, the density of organic molecules
    positions = rng.uniform(-1, 1, (total, 3)) * radius[:, None]
    if pairs is None:
        found, offsets = batched_pairs(positions, np.concatenate([[0], np.cumsum(sizes)]), CUTOFF)
        counts = np.diff(offsets)
    else:
        found, counts = some_pairs(sizes, pairs)
    y, v_0 = rng.normal(size=(2, n))
    separation = rng.uniform(0.3, 0.8, n)
    columns = {
        "ids": np.array([f"graph-{first + i}" for i in range(n)], dtype=object),
        **{name: np.full(n, "synthetic", dtype=object) for name in ("group", "system", "source")},
        "pairs": found,
        "z_atoms": rng.choice(np.array([1, 1, 6, 7, 8], dtype=np.uint8), total),
        "pos_atoms": positions * SCALE,
        "fragment": (rng.random(total) < 0.5).astype(np.uint8),
        "atomic_node_attr": rng.uniform(0, 4, (total, width)),
        "field_node_features": rng.normal(size=(n, 8)) * 0.1,
        "u": np.column_stack([separation, rng.uniform(0, 1.5, n), v_0, rng.uniform(1, 2, n)]),
        "y": y,
        "y_true_vref": y + v_0,
        "R_internal_val": separation,
        "charge": np.zeros((n, 2), dtype=np.int8),
        "theta_defined": np.ones(n, dtype=bool),
    }
    return Block(columns, sizes, counts, [])


def some_pairs(sizes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return `count` of each graph's pairs of atoms, or all where it has fewer, sorted; and how many these are (n,)."""
    out = [_some_pairs(n, count) for n in sizes.tolist()]
    return np.concatenate(out), np.array([len(part) for part in out])


@lru_cache(maxsize=256)
def _some_pairs(n: int, count: int) -> np.ndarray:
    table = np.stack(np.triu_indices(n, 1), axis=1)
    return table[np.sort(np.random.default_rng(n).permutation(len(table))[:count])]
