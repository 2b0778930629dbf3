"""A project of 30 made-up complexes of five targets: two experiments, trained and evaluated by the library."""

from functools import cached_property
from pathlib import Path

from affinity_runs import SMALL, affinity_settings
from complex_maker import complexes, complexes_file
from small_project import SmallProject

from psigraph.config import Config, validate_config
from psigraph.evaluation.affinity.leaderboard import write_leaderboard
from psigraph.evaluation.experiment import compare_experiment
from psigraph.evaluation.report import Run
from psigraph.graphs.build import build_shard
from psigraph.graphs.complex_settings import ComplexSettings
from psigraph.structures.reading import write_rejected
from psigraph.training.engine import train_run


class SmallComplexes(SmallProject):
    """Folders and files as the workflow lays them out, below `root`."""

    @cached_property
    def config(self) -> Config:
        names = ("transformer_cnn", "residual_transformer_cnn")
        split = {"draw": 0, "validation": 0.2, "test": 0.4}
        training = {"epochs": 1, "batch_size": 8, "log_every": 1}
        run = {"graphset": "complexes", "training": training}
        return validate_config(
            {
                "datasets": {"made_up": {"source": "openmmforcefields", "batches": 1}},
                "graphsets": {"complexes": {"family": "affinity", "datasets": ["made_up"], "shards": 2}},
                "experiments": {
                    "targets": {
                        **run,
                        "architectures": {name: SMALL[name] for name in names},
                        "seeds": [0, 1],
                        "split": {"by": "group", **split},
                    },
                    "ligands": {
                        **run,
                        "architectures": {names[1]: SMALL[names[1]]},
                        "seeds": [0],
                        "split": {"by": "random", "train": 10, **split},
                    },
                },
            }
        )

    @property
    def shards(self) -> list[Path]:
        return [self.results / "graphs" / "complexes" / f"{i}.h5" for i in range(2)]

    def checkpoint(self, run: Run) -> Path:
        return run.model / f"final_model_{run.experiment}_learning.pt"

    def compute(self) -> None:
        store = self.results / "structures" / "made_up.h5"
        store.parent.mkdir(parents=True)
        complexes_file(store, complexes(30, 5))
        write_rejected(store.with_suffix(".rejected.csv"), [])
        for number, shard in enumerate(self.shards):
            shard.parent.mkdir(parents=True, exist_ok=True)
            skipped = shard.with_suffix(".skipped.csv")
            build_shard({"made_up": store}, {}, shard, skipped, ComplexSettings(), shard=number, shards=2)
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
        report, plots = self.results / "report", self.results / "plots" / "leaderboard_affinity"
        tables = {"output": report / "leaderboard_affinity.csv", "ablations": report / "ablations_affinity.csv"}
        write_leaderboard(self.config, self.results, **tables, plots=plots)

    def train(self, run: Run) -> None:
        experiment = self.config.experiments[run.experiment]
        settings = affinity_settings(run.architecture) | {
            "graphset": self.config.graphsets["complexes"].model_dump(mode="json"),
            "hyperparameters": experiment.architectures[run.architecture].model_dump(mode="json"),
            **experiment.model_dump(mode="json", include={"split", "training"}),
        }
        who = {"experiment": run.experiment, "architecture": run.architecture, "seed": run.seed}
        train_run(self.shards, run.model, **who, settings=settings)
