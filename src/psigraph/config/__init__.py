"""The configuration: one typed schema for what people write in config.yaml.

Its classes are the only source of defaults, of `docs/config.md` and of `docs/config.schema.json`. Imports pydantic and
PyYAML only, because every cluster job parses the Snakefile, which imports this package.
"""

from psigraph.config.architectures import ARCHITECTURES, ArchitectureSettings
from psigraph.config.base import ConfigError, Section, did_you_mean
from psigraph.config.datasets import (
    DATABASES,
    JOB_KEYS,
    SOURCES,
    ComplexDataset,
    ComplexFolder,
    Conformers,
    Dataset,
    ExcitonPairs,
    MoleculeFolder,
    OpenmmForcefields,
    Pdbbind,
    Property,
    Psi4Databases,
    Qm9,
    RawFolder,
    XyzFolder,
)
from psigraph.config.experiments import Experiment, Only, base_architecture
from psigraph.config.graphsets import AffinityGraphset, DeltaGraphset, Graphset, RegionalGraphset
from psigraph.config.levels import Level, Quantum
from psigraph.config.reading import Config, load_config, validate_config
from psigraph.config.training import Split, Training

__all__ = [
    "ARCHITECTURES",
    "DATABASES",
    "JOB_KEYS",
    "SOURCES",
    "AffinityGraphset",
    "ArchitectureSettings",
    "ComplexDataset",
    "ComplexFolder",
    "Config",
    "ConfigError",
    "Conformers",
    "Dataset",
    "DeltaGraphset",
    "ExcitonPairs",
    "Experiment",
    "Graphset",
    "Level",
    "MoleculeFolder",
    "Only",
    "OpenmmForcefields",
    "Pdbbind",
    "Property",
    "Psi4Databases",
    "Qm9",
    "Quantum",
    "RawFolder",
    "RegionalGraphset",
    "Section",
    "Split",
    "Training",
    "XyzFolder",
    "base_architecture",
    "did_you_mean",
    "load_config",
    "validate_config",
]
