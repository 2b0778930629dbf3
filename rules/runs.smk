"""Helper functions of training and what follows: the files and settings of the runs of an experiment."""

from psigraph.config import ARCHITECTURES


def runs(experiment: str) -> list[str]:
    """`architecture/seedN` of every run of an experiment."""
    settings = CONFIG.experiments[experiment]
    return [f"{architecture}/seed{seed}" for architecture in settings.architectures for seed in settings.seeds]


def experiments_of_family(family: str) -> list[str]:
    return [name for name, item in CONFIG.experiments.items() if CONFIG.graphsets[item.graphset].family == family]


def model_of(experiment: str, run: str) -> str:
    return f"results/models/{experiment}/{run}/final_model_{experiment}_learning.pt"


def models_of(experiment: str) -> list[str]:
    return [model_of(experiment, run) for run in runs(experiment)]


def models_of_family(family: str) -> list[str]:
    return [model for experiment in experiments_of_family(family) for model in models_of(experiment)]


def evaluations_of(experiment: str, name: str) -> list[str]:
    return [f"results/evaluation/{experiment}/{run}/{name}" for run in runs(experiment)]


def evaluations_of_family(family: str) -> list[str]:
    return [
        file
        for experiment in experiments_of_family(family)
        for file in [*evaluations_of(experiment, "metrics.csv"), f"results/evaluation/{experiment}/comparison.csv"]
    ]


def start_of(experiment: str, architecture: str, seed: str) -> list[str]:
    """The checkpoint whose encoder a run starts from, if any."""
    first = CONFIG.experiments[experiment].start_from
    return [] if first is None else [model_of(first, f"{architecture}/seed{seed}")]


def training_modules(experiment: str) -> list[str]:
    """The library's files that training uses, but for the models and tasks of other families."""
    family = CONFIG.graphsets[CONFIG.experiments[experiment].graphset].family
    others = {settings for settings in ARCHITECTURES.values() if settings.family != family}
    foreign = {f"models/{settings.model.partition(':')[0]}.py" for settings in others}
    foreign |= {f"training/{settings.family}{part}.py" for settings in others for part in ("", "_family")}
    own = (f"models/{family}",) if (HERE / f"src/psigraph/models/{family}").is_dir() else ()
    files = modules("models", "models/kernels", *own, "training", "graphs", "fields", "metrics", "stores")
    return [file for file in files if "/".join(Path(file).parts[-2:]) not in foreign]


def run_settings(experiment: str, architecture: str) -> str:
    """What one training run depends on, as one JSON parameter value."""
    item = CONFIG.experiments[experiment]
    graphset = CONFIG.graphsets[item.graphset]
    settings = {
        "graphset": graphset.model_dump(mode="json"),
        "level": CONFIG.levels[graphset.level].identity() if graphset.level in CONFIG.levels else None,
        "hyperparameters": item.architectures[architecture].model_dump(mode="json"),
        "split": item.split.model_dump(mode="json"),
        "training": item.training.model_dump(mode="json"),
    }
    if graphset.family == "regional":
        settings |= item.model_dump(mode="json", include={"targets", "objective", "target_weights"})
    return canonical_json(settings)


def searched(search: str) -> tuple[str, str, int]:
    """Experiment, architecture and seed of a search."""
    item = CONFIG.searches[search]
    return item.experiment, item.architecture, item.seed


def training_of(search: str) -> Section:
    """How the trials of a search train."""
    return CONFIG.experiments[CONFIG.searches[search].experiment].training
