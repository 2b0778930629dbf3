"""A project of 16 molecules as SMILES without Psi4: two conformers each, two properties, one unreadable row."""

from functools import cached_property
from pathlib import Path

from small_project import SmallProject

from psigraph.config import Config, validate_config
from psigraph.descriptors.build import build_descriptors
from psigraph.evaluation.experiment import compare_experiment
from psigraph.evaluation.regional.leaderboard import write_leaderboard
from psigraph.evaluation.report import Run
from psigraph.graphs.build import build_shard
from psigraph.graphs.settings import settings_of
from psigraph.structures.build import build_structures
from psigraph.training.engine import train_run

SMILES = (
    "CO", "CCO", "CCCO", "CN", "CCN", "C=O", "CC=O", "CC#N", "CF", "CCF", "COC", "C1CC1", "CC(C)O", "OCCO", "NC=O", "O"
)  # fmt: skip


class SmallMolecules(SmallProject):
    """Folders and files as the workflow lays them out, below `root`."""

    @cached_property
    def config(self) -> Config:
        run = {"architectures": {"pamnet": {"dim": 4, "layers": 1}}, "graphset": "molecules"}
        run["training"] = {"epochs": 2, "batch_size": 8, "lr": 0.005}
        split = {"validation": 4, "test": 10, "train": 14}
        return validate_config(
            {
                "datasets": {
                    "table": {
                        "source": "molecule_folder",
                        "path": str(self.root / "raw"),
                        "properties": {"energy": {"unit": "eV", "extensive": True}, "gap": {"unit": "eV"}},
                        "conformers": 2,
                        "relax": "none",
                        "batches": 1,
                    }
                },
                "graphsets": {"molecules": {"family": "regional", "datasets": ["table"], "cutoff": 4.0, "shards": 2}},
                "experiments": {
                    "properties": {**run, "seeds": list(self.seeds), "split": split},
                    "told_apart": {**run, "seeds": [0], "split": split, "objective": "contrast"},
                },
            }
        )

    @property
    def shards(self) -> list[Path]:
        return [self.results / "graphs" / "molecules" / f"{i}.h5" for i in range(2)]

    def checkpoint(self, run: Run) -> Path:
        return run.model / f"final_model_{run.experiment}_learning.pt"

    def compute(self) -> None:
        self.write_raw()
        store = self.results / "structures" / "table.h5"
        build_structures(self.config.datasets["table"], "table", store, store.with_suffix(".rejected.csv"))
        descriptors = self.results / "descriptors" / "table.h5"
        build_descriptors(store, descriptors)
        settings = settings_of(self.config.graphsets["molecules"].model_dump(mode="json"), None)
        where = {"descriptors": {"table": [descriptors]}, "name": "molecules", "shards": 2}
        for number, shard in enumerate(self.shards):
            build_shard({"table": store}, {}, shard, shard.with_suffix(".skipped.csv"), settings, shard=number, **where)
        for run in self.runs:
            self.train(run)
            self.evaluate(run)
        for name in self.config.experiments:
            runs = [run for run in self.runs if run.experiment == name]
            compare_experiment(
                name,
                [run.evaluation / "predictions.csv" for run in runs],
                [run.model / "history.csv" for run in runs],
                output=self.results / "evaluation" / name / "comparison.csv",
                plots=self.results / "plots" / name / "all",
            )
        report = self.results / "report"
        tables = {"output": report / "leaderboard.csv", "ablations": report / "ablations.csv"}
        write_leaderboard(self.config, self.results, **tables, plots=self.results / "plots" / "leaderboard")

    def write_raw(self) -> None:
        folder = self.root / "raw"
        folder.mkdir(parents=True)
        rows = [f"m{n},{smiles},{-3.0 * len(smiles)},{'' if n == 3 else 5 + n % 4}" for n, smiles in enumerate(SMILES)]
        text = "\n".join(["id,smiles,energy,gap", *rows, "broken,C(C,-1,2"])
        (folder / "molecules.csv").write_text(text + "\n")

    def train(self, run: Run) -> None:
        experiment = self.config.experiments[run.experiment]
        keys = {"split", "training", "targets", "objective", "target_weights"}
        train_run(
            self.shards,
            run.model,
            experiment=run.experiment,
            architecture=run.architecture,
            seed=run.seed,
            settings={
                "graphset": self.config.graphsets["molecules"].model_dump(mode="json"),
                "level": None,
                "hyperparameters": experiment.architectures[run.architecture].model_dump(mode="json"),
                **experiment.model_dump(mode="json", include=keys),
            },
        )
