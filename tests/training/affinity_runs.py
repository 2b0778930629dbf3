"""Small runs of the family affinity: shards of made-up complexes, and the JSON of a run."""

import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "graphs"))

from complex_maker import complexes, complexes_file

from psigraph.graphs.build import build_shard
from psigraph.graphs.complex_settings import ComplexSettings

#: Hyperparameters of a small model of each architecture.
SMALL: dict[str, dict[str, Any]] = {
    "transformer_cnn": {"grid_points": 8, "spacing": 3.0, "width": 2.0, "dim": 16, "blocks": 1, "heads": 2},
    "hybrid_cnn_gnn": {"grid_points": 8, "spacing": 3.0, "width": 2.0, "graph_dim": 8, "graph_layers": 1, "heads": 2},
    "residual_transformer_cnn": {"grid_points": 8, "spacing": 3.0, "width": 2.0, "dim": 16, "heads": 2},
}


def write_complex_shards(folder: Path, n: int = 24, targets: int = 6) -> list[Path]:
    """Write two shards of n complexes."""
    store = complexes_file(folder / "structures.h5", complexes(n, targets))
    paths = [folder / f"{k}.h5" for k in range(2)]
    for k, path in enumerate(paths):
        build_shard({"made_up": store}, {}, path, path.with_suffix(".csv"), ComplexSettings(), shard=k, shards=2)
    return paths


def affinity_settings(architecture: str = "transformer_cnn", by: str = "random", **training: Any) -> dict[str, Any]:
    """Return the settings of a run, as the workflow gives them."""
    given = {"epochs": 2, "batch_size": 4, "lr": 1e-3, "log_every": 1, "patience": 100, **training}
    sides = {} if by == "given" else {"validation": 0.2, "test": 0.2}
    return {
        "graphset": {"family": "affinity", "datasets": ["made_up"]},
        "hyperparameters": SMALL[architecture],
        "split": {"by": by, "draw": 0, **sides},
        "training": given,
    }
