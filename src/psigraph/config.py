"""The configuration: one typed schema for what people write in config.yaml.

The classes below are the only source of defaults, of `docs/config.md` and of `docs/config.schema.json`. Imports
pydantic and PyYAML only, because every cluster job parses the Snakefile, which imports this module.
"""

import difflib
import math
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from psigraph.graphs.settings import BASELINES, features_of_graphs
from psigraph.quantum.levels import check_level
from psigraph.quantum.registry import select
from psigraph.quantum.table import FEATURES
from psigraph.units import ENERGY_UNITS

EnergyUnit = Literal["kcal/mol", "kJ/mol", "eV", "meV", "hartree"]
if set(get_args(EnergyUnit)) != set(ENERGY_UNITS):
    raise AssertionError("EnergyUnit and units.ENERGY_UNITS list different units")

#: Databases of psi4-data that carry real reference interaction energies.
DATABASES = ("A24", "BBI", "HBC6", "JSCH", "NBC10", "RGC10", "S22by5", "S66by8", "SSI")
MAX_CUTOFF = 50.0  # Å

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class ConfigError(ValueError):
    """The configuration cannot be used; the message names the file, the key, the value and the remedy."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatasetBase(Section):
    batches: int = Field(8, ge=1, description="number of Psi4 jobs the dataset is divided into")
    max_per_group: int | None = Field(
        None, ge=1, description="keep at most so many structures of a group, evenly spread"
    )
    max_structures: int | None = Field(None, ge=1, description="keep at most so many structures, spread over groups")
    max_rejected: float = Field(0.5, ge=0, le=1, description="stop where a larger share of the rows is unreadable")


class Psi4Databases(DatasetBase):
    """Dimers with reference interaction energies from the benchmark databases of Debian's psi4-data."""

    source: Literal["psi4_databases"]
    databases: list[str] = Field(min_length=1, description=f"any of {', '.join(DATABASES)}")
    min_atoms: int = Field(2, ge=2, description="smallest dimer, in atoms")
    max_atoms: int | None = Field(None, ge=2, description="largest dimer, in atoms")
    neutral_closed_shell: bool = Field(False, description="keep only dimers of two neutral singlets")
    exclude_elements: list[str] = Field([], description="leave out dimers that contain one of these elements")

    @field_validator("databases")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in DATABASES:
                raise ValueError(
                    f"unknown database {name!r}{did_you_mean(name, DATABASES)}; known: {', '.join(DATABASES)}"
                )
        return names


class RawFolder(DatasetBase):
    """A folder with meta.xlsx or meta.csv, pairs of PDB files and optionally one NPZ per dimer."""

    source: Literal["raw_folder"]
    path: Path = Field(description="the folder")
    placement: Literal["stacked", "as_given"] = Field(
        description="stacked: each monomer centred, B moved along +z by R; as_given: positions as they are"
    )
    unit: EnergyUnit | None = Field(None, description="unit of V0 and Vref, where the column names do not say it")


class XyzFolder(DatasetBase):
    """A folder of XYZ files with labels.csv."""

    source: Literal["xyz_folder"]
    path: Path = Field(description="the folder")
    unit: EnergyUnit | None = Field(None, description="unit of Vref, where the column name does not say it")
    fragment_a: str | None = Field(
        None, description="atoms of fragment A as 1-based ranges, for example 1-6,9; default: connected components"
    )


class Qm9(DatasetBase):
    """Molecules of QM9 (R. Ramakrishnan et al., Sci. Data 1, 140022, 2014) from the package qm9pack."""

    source: Literal["qm9"]
    path: Path | None = Field(None, description="folder with qm9_part1.csv, ...; default: that of qm9pack")
    min_heavy_atoms: int = Field(1, ge=1, description="smallest molecule, in atoms that are not hydrogen")
    max_heavy_atoms: int | None = Field(None, ge=1, description="largest molecule, in atoms that are not hydrogen")


class ExcitonPairs(DatasetBase):
    """Chromophore pairs with exciton couplings: pairs.csv.gz and geom.npz; the target is |J_exc| [meV]."""

    source: Literal["exciton_pairs"]
    path: Path = Field(description="the folder")


#: Values of `source`; pydantic inserts them into the location of an error.
_SOURCES = ("psi4_databases", "raw_folder", "xyz_folder", "exciton_pairs", "qm9")

Dataset = Annotated[Psi4Databases | RawFolder | XyzFolder | ExcitonPairs | Qm9, Field(discriminator="source")]


class Level(Section):
    """A level of theory for Psi4."""

    method: Literal["hf"] = Field("hf", description="electronic structure method")
    basis: str = Field("def2-svp", min_length=1, description="orbital basis set, by its Psi4 name")
    scf_type: Literal["df", "pk", "direct"] = Field("df", description="two-electron integrals: density-fitted or exact")
    e_convergence: float = Field(1e-8, gt=0, le=1e-4, description="SCF energy convergence [hartree]")
    d_convergence: float = Field(1e-8, gt=0, le=1e-4, description="SCF density convergence (RMS orbital gradient)")
    max_iterations: int = Field(100, ge=1, description="SCF iterations before other settings are tried")
    reference: Literal["auto", "rohf"] = Field(
        "auto", description="auto: RHF for singlets, UHF for the rest; rohf: ROHF for the rest"
    )
    features: list[str] = Field(
        ["default"],
        description="names of docs/features.md; `default` stands for those that cost next to nothing beside the SCF. "
        "Not part of a level's identity: what is computed already is kept when the list changes",
    )

    @model_validator(mode="after")
    def _possible(self) -> "Level":
        check_level(self.identity(), self.computed())
        return self

    def identity(self) -> dict[str, Any]:
        """What results are found again by: all settings but the list of features."""
        return self.model_dump(mode="json", exclude={"features"})

    def computed(self) -> tuple[str, ...]:
        """The features that Psi4 and PySCF compute at this level. Raises ValueError for an unknown name."""
        return tuple(name for name in select(self.features) if FEATURES[name].program in ("psi4", "pyscf"))


class Quantum(Section):
    """How Psi4 jobs run; none of it changes a result."""

    store: Path = Field(Path("results/quantum/store"), description="content-addressed store of Psi4 results")
    memory_mb: int = Field(2000, ge=450, description="memory of one Psi4 job [MB]")
    time_limit_s: float = Field(3600, gt=0, description="longest time for one SCF with its features [s]")
    file47: Path | None = Field(None, description="folder for input files of the NBO program (FILE47); null: none")
    runtime_min: int = Field(120, ge=1, description="time limit of one batch on a cluster [min]")
    max_failed: float = Field(0.2, ge=0, le=1, description="stop where a larger share of a batch fails")


class Graphset(Section):
    """Graphs of one kind: which structures, which features, which cutoff."""

    family: Literal["delta"] = Field(description="learning task")
    datasets: list[Name] = Field(min_length=1, description="names of datasets, concatenated")
    level: str | None = Field(description="a level of `levels`; `given` for features in the raw data; null for none")
    v0: Literal["hf", "hf-d4", "mp2", "sapt0", "column", "zero"] = Field(
        "hf",
        description="baseline V_0: the counterpoise-corrected interaction energy by HF, HF with D4 or MP2, the "
        "one by SAPT0, the raw data's column, or 0",
    )
    atom_features: list[str] = Field(
        ["mulliken_spd"], description="features of atoms that models see, in this order; names of docs/features.md"
    )
    multipoles: bool = Field(True, description="whether the field node carries the dimer's dipole and quadrupole")
    participation: bool = Field(True, description="whether u carries the participation ratio PR; 0 if not")
    unit: EnergyUnit = Field("kcal/mol", description="unit of V in shards, models and reports")
    cutoff: float = Field(12.0, description="neighbour cutoff between atoms [Å]")
    length_scale: float = Field(0.1, gt=0, description="internal length unit per Å")
    shards: int = Field(4, ge=1, description="number of HDF5 files")

    @field_validator("cutoff")
    @classmethod
    def _cutoff(cls, value: float) -> float:
        if not math.isfinite(value) or not 0 < value <= MAX_CUTOFF:
            raise ValueError(f"cutoff must be above 0 and at most {MAX_CUTOFF:g} Å, got {value}")
        return value

    @field_validator("atom_features")
    @classmethod
    def _atom_features(cls, names: list[str]) -> list[str]:
        of_atoms = [name for name, feature in FEATURES.items() if feature.per == "atom"]
        for name in names:
            if name not in of_atoms:
                raise ValueError(f"no feature of atoms {name!r}{did_you_mean(name, of_atoms)}; see docs/features.md")
        if len(set(names)) != len(names):
            raise ValueError(f"atom_features name a feature twice: {', '.join(names)}")
        return names

    @model_validator(mode="after")
    def _baseline(self) -> "Graphset":
        if BASELINES[self.v0] and self.level in (None, "given"):
            raise ValueError(
                f"v0: {self.v0} needs a level of theory that Psi4 computes; name one, or take v0: column or zero"
            )
        return self

    def needed_features(self) -> tuple[str, ...]:
        """The features its graphs are made of, where its level is one that Psi4 computes."""
        return features_of_graphs(self.atom_features, self.v0, self.multipoles, self.participation)


class Split(Section):
    """Who trains, validates and tests; one group never stands on two sides. Each seed draws its own split."""

    by: Literal["group", "system"] = Field("group", description="what stays together: monomer pair, or database system")
    validation: float = Field(0.1, ge=0, lt=1, description="share of the groups for validation")
    test: float = Field(0.2, ge=0, lt=1, description="share of the groups for testing; ignored with folds")
    folds: int | None = Field(
        None, ge=2, description="cross-validation: seed s tests fold s mod folds of shuffle s div folds"
    )

    @model_validator(mode="after")
    def _shares(self) -> "Split":
        if self.validation + self.test >= 1:
            raise ValueError(f"validation {self.validation} and test {self.test} leave nothing to train on")
        return self


class Training(Section):
    """The optimisation of one run, the same for every architecture."""

    epochs: int = Field(1500, ge=1, description="passes over the training set")
    batch_size: int = Field(5, ge=1, description="graphs per optimisation step, over all processes together")
    accumulate: int = Field(1, ge=1, description="parts a batch is computed in, to save memory; changes no result")
    lr: float = Field(1e-3, gt=0, description="maximum learning rate")
    schedule: Literal["one_cycle", "warm_restarts"] = Field(
        "one_cycle", description="one_cycle: OneCycleLR; warm_restarts: cosines from `lr` to 0, over and over"
    )
    pct_start: float = Field(0.3, gt=0, lt=1, description="one_cycle: share of the steps in which the rate rises")
    min_scheduler_steps: int = Field(20, ge=1, description="one_cycle: smallest number of steps it is laid out for")
    restart_epochs: int = Field(50, ge=1, description="warm_restarts: epochs of the first cosine")
    restart_factor: int = Field(2, ge=1, description="warm_restarts: length of each cosine over the one before")
    clip_norm: float | None = Field(None, gt=0, description="largest norm of the gradient; null: not clipped")
    ema_decay: float | None = Field(
        None, gt=0, lt=1, description="decay of the average over steps of the weights, which is then kept; null: none"
    )
    patience: int = Field(250, ge=1, description="epochs without improvement before training stops")
    monitor: Literal["mape", "mae"] = Field("mape", description="validation metric that selects and stops")
    mape_epsilon: float = Field(0.1, gt=0, description="smallest |V_ref| in the denominator of MAPE [unit of V]")
    distance_power: float = Field(1.0, ge=0, description="p of the loss weight (R/mean R)^p; 0 switches it off")
    rotate: bool = Field(True, description="rotate every training dimer at random, afresh each epoch")
    jitter: float = Field(0.01, ge=0, description="SD of the Gaussian noise on training positions [Å]; 0: none")
    log_every: int = Field(10, ge=1, description="epochs between log lines")
    precision: Literal["auto", "float32", "float64", "bfloat16", "float16"] = Field(
        "auto",
        description="auto: bfloat16 on GPUs of capability 8.0 and above, else float16 with scaling, float32 on CPU",
    )
    execution: Literal["auto", "kernel", "compile", "torch"] = Field(
        "auto",
        description="how models are computed: kernel (fused, built at set-up), compile (torch.compile) or plain torch; "
        "auto: the fastest there is; all give the same to rounding, and what fails falls back to plain torch",
    )
    max_bad_batches: float = Field(0.01, ge=0, le=1, description="stop where more of an epoch's batches fail")
    checkpoint_minutes: float = Field(10, gt=0, description="time between checkpoints within an epoch [min]")
    threads: int = Field(1, ge=1, description="CPU threads of one training job")
    memory_mb: int = Field(4000, ge=500, description="memory of one training job [MB]")
    runtime_min: int = Field(120, ge=1, description="time limit of one training job on a cluster [min]")


class DeltaCouplingSettings(Section):
    """Hyperparameters of `delta_coupling`."""

    num_conv_layers: int = Field(6, ge=1, description="convolution blocks")
    num_rbf: int = Field(50, ge=1, description="radial basis functions")
    hidden: int = Field(64, ge=1, description="width of the radial network and of the readout")
    field_cutoff: float = Field(50.0, ge=50, le=1000, description="range of the field edges' radial basis [Å]")


#: Hyperparameters by architecture; `psigraph.models` registers a model under each of these names.
ARCHITECTURES: dict[str, type[Section]] = {"delta_coupling": DeltaCouplingSettings}


class Experiment(Section):
    """A learning task on a graphset: one training job for each architecture and seed."""

    graphset: Name = Field(description="name of a graphset")
    architectures: dict[str, Any] = Field(min_length=1, description="architecture: hyperparameters ({} for defaults)")
    seeds: list[int] = Field([0, 1, 2], min_length=1, description="one run each; a seed draws weights, order and split")
    split: Split = Split()
    training: Training = Training()

    @field_validator("architectures")
    @classmethod
    def _hyperparameters(cls, value: dict[str, Any]) -> dict[str, Any]:
        checked: dict[str, Any] = {}
        for name, settings in value.items():
            if name not in ARCHITECTURES:
                known = ", ".join(ARCHITECTURES)
                raise ValueError(f"unknown architecture {name!r}{did_you_mean(name, ARCHITECTURES)}; known: {known}")
            checked[name] = ARCHITECTURES[name].model_validate(settings or {})
        return checked

    @field_validator("seeds")
    @classmethod
    def _seeds(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) != len(seeds) or min(seeds) < 0:
            raise ValueError(f"seeds must be different numbers from 0 up, got {seeds}")
        return seeds


class Config(Section):
    """config.yaml."""

    datasets: dict[Name, Dataset] = Field(min_length=1, description="named sources of structures")
    levels: dict[Name, Level] = Field({}, description="named levels of theory")
    quantum: Quantum = Quantum()
    graphsets: dict[Name, Graphset] = Field(min_length=1, description="named kinds of graphs")
    experiments: dict[Name, Experiment] = Field(min_length=1, description="named learning tasks")

    @model_validator(mode="after")
    def _references(self) -> "Config":
        for name, graphset in self.graphsets.items():
            for dataset in graphset.datasets:
                _must_exist(f"graphsets.{name}.datasets", dataset, self.datasets)
            if graphset.level not in (None, "given"):
                _must_exist(f"graphsets.{name}.level", str(graphset.level), self.levels)
                _must_compute(name, graphset, self.levels[str(graphset.level)])
        for name, experiment in self.experiments.items():
            _must_exist(f"experiments.{name}.graphset", experiment.graphset, self.graphsets)
        if "given" in self.levels:
            raise ValueError("levels: the name 'given' means the raw data's own features; choose another")
        return self


def did_you_mean(word: str, known: Any) -> str:
    """Return ` (did you mean 'x'?)`, or nothing where no known word is close."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _must_exist(where: str, name: str, known: Any) -> None:
    if name not in known:
        raise ValueError(f"{where}: no entry {name!r}{did_you_mean(name, known)}; known: {', '.join(known) or 'none'}")


def _must_compute(name: str, graphset: Graphset, level: Level) -> None:
    computed = level.computed()
    missing = [n for n in graphset.needed_features() if FEATURES[n].program in ("psi4", "pyscf") and n not in computed]
    if missing:
        raise ValueError(
            f"graphsets.{name}: level {graphset.level!r} does not compute {', '.join(missing)}; "
            f"add to levels.{graphset.level}.features"
        )


def load_config(path: str | Path) -> Config:
    """Read and validate a configuration file. Raises ConfigError naming the file, key, value and remedy."""
    path = Path(path)
    try:
        raw = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    return validate_config(raw, str(path))


def validate_config(raw: Any, where: str = "config") -> Config:
    """Validate a configuration that was read already, files it names included; `where` is named in errors."""
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        lines = [_explain(item, raw) for item in error.errors()]
        raise ConfigError(f"{where}: " + f"\n{where}: ".join(dict.fromkeys(lines))) from None
    for name, dataset in config.datasets.items():
        folder = getattr(dataset, "path", None)
        if folder is not None and not Path(folder).is_dir():
            raise ConfigError(f"{where}: datasets.{name}.path: no folder {str(folder)!r}; correct the path")
    return config


def _explain(item: Any, raw: Any) -> str:
    """One line for one pydantic error: key, message and, for an unknown key, the nearest known one."""
    parts = [str(p) for p in item["loc"] if p not in _SOURCES]
    key = ".".join(parts)
    if item["type"] == "extra_forbidden":
        return f"unknown key {key!r} (value {item['input']!r}){did_you_mean(parts[-1], _siblings(item['loc']))}"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "value_error":
        return f"{key}: {message}" if key and not message.startswith(key) else message
    return f"{key}: {message}, got {item['input']!r}" if item["type"] != "missing" else f"{key}: {message}"


def _siblings(loc: tuple[Any, ...]) -> list[str]:
    """Known keys that an unknown one at `loc` may have meant: those of Config at the top, else of every section."""
    if len(loc) == 1:
        return list(Config.model_fields)
    return sorted({key for section in _SECTIONS for key in section.model_fields})


_SECTIONS: tuple[type[Section], ...] = (
    Psi4Databases,
    RawFolder,
    XyzFolder,
    ExcitonPairs,
    Qm9,
    Level,
    Quantum,
    Graphset,
    Split,
    Training,
    Experiment,
    *ARCHITECTURES.values(),
)
