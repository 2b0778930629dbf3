"""A project of 30 dimers without Psi4: V_0 and V_ref come with the XYZ files; one row is unreadable, one is skipped."""

from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from psigraph.config import Config, validate_config
from psigraph.evaluation.experiment import compare_experiment
from psigraph.evaluation.report import Run, runs_of
from psigraph.evaluation.run import evaluate_run
from psigraph.graphs.build import build_shard
from psigraph.graphs.settings import GraphSettings
from psigraph.structures.build import build_structures
from psigraph.training.engine import train_run

torch.set_num_threads(1)

#: Monomers: symbols and coordinates [Å], near their equilibrium geometries.
MONOMERS = {
    "water": ("OHH", [[0, 0, 0.12], [0, 0.76, -0.47], [0, -0.76, -0.47]]),
    "hydrogen_fluoride": ("FH", [[0, 0, 0], [0, 0, 0.92]]),
    "ammonia": ("NHHH", [[0, 0, 0.12], [0, 0.94, -0.27], [0.81, -0.47, -0.27], [-0.81, -0.47, -0.27]]),
    "nitrogen": ("NN", [[0, 0, -0.55], [0, 0, 0.55]]),
    "methane": (
        "CHHHH",
        [[0, 0, 0], [0.63, 0.63, 0.63], [-0.63, -0.63, 0.63], [0.63, -0.63, -0.63], [-0.63, 0.63, -0.63]],
    ),
    "hydrogen_cyanide": ("CNH", [[0, 0, 0], [0, 0, 1.16], [0, 0, -1.07]]),
}


def xyz(a: str, b: str, separation: float, comment: str = "") -> str:
    """Return an XYZ file of two monomers, B moved along x by `separation` [Å]."""
    lines = []
    for name, shift in ((a, 0.0), (b, separation)):
        symbols, positions = MONOMERS[name]
        for symbol, (x, y, z) in zip(symbols, positions, strict=True):
            lines.append(f"{symbol} {x + shift:.4f} {y:.4f} {z:.4f}")
    return "\n".join([str(len(lines)), comment, *lines]) + "\n"


class SmallProject:
    """Folders and files as the workflow lays them out, below `root`."""

    def __init__(self, root: Path, seeds: tuple[int, ...] = (0, 1)) -> None:
        self.root, self.seeds = root, seeds
        self.results = root / "results"

    @cached_property
    def config(self) -> Config:
        return validate_config(
            {
                "datasets": {
                    "pairs": {"source": "xyz_folder", "path": str(self.root / "raw"), "unit": "kcal/mol", "batches": 1}
                },
                "graphsets": {
                    "pairs": {
                        "family": "delta",
                        "datasets": ["pairs"],
                        "level": None,
                        "v0": "column",
                        "cutoff": 6.0,
                        "shards": 2,
                    }
                },
                "experiments": {
                    "delta": {
                        "graphset": "pairs",
                        "architectures": {"delta_coupling": {"num_conv_layers": 1, "num_rbf": 4, "hidden": 8}},
                        "seeds": list(self.seeds),
                        "split": {"validation": 0.15, "test": 0.3},
                        "training": {"epochs": 3, "batch_size": 8, "lr": 0.005},
                    }
                },
            }
        )

    @property
    def runs(self) -> list[Run]:
        return runs_of(self.config, self.results)

    @property
    def shards(self) -> list[Path]:
        return [self.results / "graphs" / "pairs" / f"{i}.h5" for i in range(2)]

    def checkpoint(self, run: Run) -> Path:
        return run.model / "final_model_delta_learning.pt"

    def compute(self) -> None:
        self.write_raw()
        store = self.results / "structures" / "pairs.h5"
        build_structures(self.config.datasets["pairs"], "pairs", store, store.with_suffix(".rejected.csv"))
        settings = GraphSettings.from_config(self.config.graphsets["pairs"].model_dump(mode="json"), None)
        for number, shard in enumerate(self.shards):
            build_shard(
                {"pairs": store},
                {},
                shard,
                shard.with_suffix(".skipped.csv"),
                settings,
                name="pairs",
                shard=number,
                shards=2,
            )
        for run in self.runs:
            self.train(run)
            self.evaluate(run)
        compare_experiment(
            "delta",
            [run.evaluation / "predictions.csv" for run in self.runs],
            [run.model / "history.csv" for run in self.runs],
            output=self.results / "evaluation" / "delta" / "comparison.csv",
            plots=self.results / "plots" / "delta" / "all",
        )

    def write_raw(self) -> None:
        """30 readable dimers, of which one has no V0; one file that is no XYZ."""
        rng = np.random.default_rng(0)
        folder = self.root / "raw"
        folder.mkdir(parents=True)
        rows = ["file,V0,Vref"]
        names = list(MONOMERS)
        for n in range(30):
            a, b = names[n % 6], names[(n // 6 + n) % 6]
            separation = 3.4 + 0.08 * n
            (folder / f"dimer{n}.xyz").write_text(xyz(a, b, separation))
            v_0 = -20.0 / separation**2 + rng.normal(scale=0.1)
            v_ref = v_0 - 60.0 / separation**3 + rng.normal(scale=0.1)
            rows.append(f"dimer{n}.xyz,{'' if n == 29 else v_0},{v_ref}")
        (folder / "broken.xyz").write_text("three atoms\n\nO 0 0 0\n")
        rows.append("broken.xyz,-1.0,-2.0")
        (folder / "labels.csv").write_text("\n".join(rows) + "\n")

    def train(self, run: Run) -> None:
        experiment = self.config.experiments[run.experiment]
        train_run(
            self.shards,
            run.model,
            experiment=run.experiment,
            architecture=run.architecture,
            seed=run.seed,
            settings={
                "graphset": self.config.graphsets["pairs"].model_dump(mode="json"),
                "level": None,
                "hyperparameters": experiment.architectures[run.architecture].model_dump(mode="json"),
                "split": experiment.split.model_dump(mode="json"),
                "training": experiment.training.model_dump(mode="json"),
            },
        )

    def evaluate(self, run: Run, **changes: Path) -> None:
        """Evaluate a run; keywords replace the files that are read or written."""
        files = {
            "checkpoint": self.checkpoint(run),
            "split_csv": run.model / "split.csv",
            "history_csv": run.model / "history.csv",
            "predictions_csv": run.evaluation / "predictions.csv",
            "metrics_csv": run.evaluation / "metrics.csv",
            "plots": run.plots,
            **changes,
        }
        evaluate_run(shards=self.shards, **files)
