"""Helper functions of all stages: the validated configuration and the files up to the graphs; of runs: runs.smk."""

import fcntl

from psigraph.config import JOB_KEYS, Config, ConfigError, Section, validate_config
from psigraph.descriptors import SHIELDING_VERSION
from psigraph.quantum import FEATURE_VERSION
from psigraph.quantum.table import FEATURES
from psigraph.stores import canonical_json
from psigraph.structures.sources import StructureError, files_of

try:
    CONFIG: Config = validate_config(config, ", ".join(map(str, workflow.configfiles)) or "config")
except ConfigError as error:
    raise WorkflowError(str(error)) from None


#: Families with targets train_FAMILY and evaluate_FAMILY.
FAMILIES = ("delta", "regional", "affinity")


def hold_results() -> None:
    """Hold results/ for this process; a second live run gets an error. The kernel releases it when the process ends."""
    global _held
    Path("results").mkdir(exist_ok=True)
    _held = open("results/.running", "a+")
    try:
        fcntl.flock(_held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _held.seek(0)
        raise WorkflowError(
            f"another snakemake (process {_held.read().strip() or 'unknown'}) is writing to results/; "
            "wait for it, stop it, or run in another folder with --directory"
        ) from None
    _held.truncate(0)
    _held.write(str(os.getpid()))
    _held.flush()


def as_json(section: Section, without: frozenset[str] = frozenset()) -> str:
    """A section of the configuration as one parameter value; editing the keys left out reruns nothing."""
    return canonical_json(section.model_dump(mode="json", exclude=set(without)))


#: This clone, relative to the working folder: a moved clone has the same inputs, so it reruns nothing.
HERE = Path(os.path.relpath(workflow.basedir))


def modules(*names: str) -> list[str]:
    """Source files of modules and packages of the library, so that editing one reruns the rules that use it."""
    source = HERE / "src" / "psigraph"
    patterns = ("{}.py", "{}/*.py", "{}/*.cpp")
    files = [file for name in names for pattern in patterns for file in sorted(source.glob(pattern.format(name)))]
    if len(files) < len(names):
        raise WorkflowError(f"rules: one of the modules {', '.join(names)} does not exist under {source}")
    return [str(file) for file in files]


def script(name: str) -> str:
    return str(HERE / "scripts" / name)


def raw_inputs(wildcards) -> list[str]:
    """The files a dataset is read from."""
    try:
        return [str(file) for file in files_of(CONFIG.datasets[wildcards.dataset])]
    except StructureError as error:
        raise WorkflowError(str(error)) from None


def quantum_files(dataset: str, level: str, kind: str = "quantum") -> list[str]:
    """The files of all batches; `kind` is quantum or shieldings."""
    batches = CONFIG.datasets[dataset].batches
    return [f"results/{kind}/{dataset}/{level}/{batch}.h5" for batch in range(batches)]


def quantum_files_of(graphset: str) -> dict[str, list[str]]:
    """Quantum files by dataset; empty where the graphset takes no features from Psi4."""
    settings = CONFIG.graphsets[graphset]
    if settings.level in (None, "given") or not takes_from(graphset, "psi4"):
        return {}
    return {dataset: quantum_files(dataset, settings.level) for dataset in settings.computed_datasets}


def takes_from(graphset: str, *programs: str) -> bool:
    """Whether graphs of a graphset are made of features that one of these programs computes."""
    return any(FEATURES[name].program in programs for name in CONFIG.graphsets[graphset].needed_features())


def level_of(graphset: str) -> str:
    """Settings of a graphset's level of theory as JSON; `null` where Psi4 computes nothing."""
    level = CONFIG.graphsets[graphset].level
    return canonical_json(CONFIG.levels[level].identity()) if level in CONFIG.levels else "null"


def features_of(level: str, program: str) -> str:
    """Names of the features that `program` computes at a level, with commas."""
    return ",".join(name for name in CONFIG.levels[level].computed() if FEATURES[name].program == program)


def descriptor_files_of(graphset: str) -> dict[str, str]:
    """Descriptor files by dataset; empty where the graphset takes nothing from them."""
    if not takes_from(graphset, "rdkit", "dftd4"):
        return {}
    return {dataset: f"results/descriptors/{dataset}.h5" for dataset in CONFIG.graphsets[graphset].datasets}


def shielding_files_of(graphset: str) -> dict[str, list[str]]:
    """Files of magnetic shieldings by dataset; empty where the graphset takes none."""
    settings = CONFIG.graphsets[graphset]
    if not takes_from(graphset, "pyscf"):
        return {}
    return {dataset: quantum_files(dataset, settings.level, "shieldings") for dataset in settings.computed_datasets}


def all_quantum_files() -> list[str]:
    return sorted({file for name in CONFIG.graphsets for files in quantum_files_of(name).values() for file in files})


def all_shielding_files() -> list[str]:
    """Shieldings of every dataset at the levels that ask for them."""
    return sorted(
        {
            file
            for item in CONFIG.graphsets.values()
            if item.level in CONFIG.levels and "nmr_shielding" in CONFIG.levels[item.level].computed()
            for dataset in item.computed_datasets
            for file in quantum_files(dataset, item.level, "shieldings")
        }
    )


def all_descriptor_files() -> list[str]:
    return sorted({file for name in CONFIG.graphsets for file in descriptor_files_of(name).values()})


#: Modules of the library that make graphs: of every family, and of one.
GRAPH_MODULES = {
    "": "build columns blocks block_features dense geometry graph neighbours settings shard_writer shards features",
    "delta": "multipoles",
    "regional": "hops molecule_blocks molecule_columns molecule_graphs molecule_settings patches region_pairs "
    "regional_table regions draws",
    "affinity": "complex_blocks complex_settings molecule_blocks",
}


def graph_modules(graphset: str) -> list[str]:
    """Source files that decide what stands in the shards of a graphset."""
    family = CONFIG.graphsets[graphset].family
    names = f"{GRAPH_MODULES['']} {GRAPH_MODULES[family]}".split()
    others = ("quantum/store_reader", "quantum/table", "structures/geometry", "fields", "stores", "units")
    radii = ("descriptors/radii",) if family == "regional" else ()
    around = ("structures/complexes",) if family == "affinity" else ()
    return modules(*(f"graphs/{name}" for name in names), *others, *radii, *around)


def shards(graphset: str) -> list[str]:
    return [f"results/graphs/{graphset}/{shard}.h5" for shard in range(CONFIG.graphsets[graphset].shards)]


def used_datasets() -> list[str]:
    return list(dict.fromkeys(name for graphset in CONFIG.graphsets.values() for name in graphset.datasets))


def all_shards() -> list[str]:
    return [shard for graphset in CONFIG.graphsets for shard in shards(graphset)]
