"""The report's part on provenance: versions, digests, settings, and the literature the work rests on."""

import importlib.metadata
import platform
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import yaml

from psigraph import __version__
from psigraph.config import AffinityGraphset, Config, Graphset, Psi4Databases, Qm9, RegionalGraphset
from psigraph.evaluation import report_data
from psigraph.evaluation.report_tables import Table, require, table
from psigraph.graphs.molecule_settings import MoleculeSettings
from psigraph.quantum.table import FEATURES
from psigraph.stores import digest_of
from psigraph.structures.psi4_databases import REFERENCES

if TYPE_CHECKING:
    from psigraph.evaluation.report import Run

PACKAGES = ("torch", "e3nn", "torch-geometric", "lightning", "numpy", "rdkit", "snakemake")
FOREST_PACKAGE = "scikit-learn"  # of the floors of affinities

METHODS = {
    "Bootstrap": "B. Efron, R. J. Tibshirani, An Introduction to the Bootstrap, Chapman & Hall, 1993",
}
DELTA_METHODS = {
    "Δ-learning": "R. Ramakrishnan, P. O. Dral, M. Rupp, O. A. von Lilienfeld, J. Chem. Theory Comput. 2015, 11, "
    "2087–2096, doi:10.1021/acs.jctc.5b00099",
    "Equivariant networks (e3nn)": "M. Geiger, T. Smidt, e3nn: Euclidean Neural Networks, 2022, arXiv:2207.09453",
}
REGIONAL_METHODS = {
    "PAMNet": "S. Zhang, Y. Liu, L. Xie, Sci. Rep. 2023, 13, 19171, doi:10.1038/s41598-023-46382-8",
    "Ridge regression": "A. E. Hoerl, R. W. Kennard, Technometrics 1970, 12, 55–67, doi:10.1080/00401706.1970.10488634",
}
AFFINITY_METHODS = {
    "Forest on contacts (RF-Score)": "P. J. Ballester, J. B. O. Mitchell, Bioinformatics 2010, 26, 1169–1175, "
    "doi:10.1093/bioinformatics/btq112",
    "Random forests": "L. Breiman, Mach. Learn. 2001, 45, 5–32, doi:10.1023/A:1010933404324",
    "Circular fragments": "D. Rogers, M. Hahn, J. Chem. Inf. Model. 2010, 50, 742–754, doi:10.1021/ci100050t",
}
QM9 = "R. Ramakrishnan, P. O. Dral, M. Rupp, O. A. von Lilienfeld, Sci. Data 2014, 1, 140022, doi:10.1038/sdata.2014.22"
QUANTUM_METHODS = {
    "Psi4": "R. M. Parrish et al., J. Chem. Theory Comput. 2017, 13, 3185–3197, doi:10.1021/acs.jctc.7b00174",
    "Counterpoise correction": "S. F. Boys, F. Bernardi, Mol. Phys. 1970, 19, 553–566, doi:10.1080/00268977000101561",
}
BASIS_SETS = {
    "def2": "F. Weigend, R. Ahlrichs, Phys. Chem. Chem. Phys. 2005, 7, 3297–3305, doi:10.1039/b508541a",
}


def tables(config: Config, results: Path, runs: "list[Run]") -> list[Table]:
    """Return versions and settings, and the digest of every file between stages."""
    return [_settings(config, results), _digests(config, results, runs)]


def config_text(config: Config) -> str:
    """Return the whole configuration, defaults included, as YAML."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _settings(config: Config, results: Path) -> Table:
    packages = [*PACKAGES, *([FOREST_PACKAGE] if "affinity" in report_data.families(config) else [])]
    rows = [
        ("psigraph", __version__),
        ("configuration digest", digest_of(config.model_dump(mode="json"))),
        ("Python", platform.python_version()),
        *((name, _version(name)) for name in packages),
    ]
    for dataset, level in report_data.computed(config):
        versions = {_attribute(p, "psi4_version") for p in report_data.quantum_files(config, results, dataset, level)}
        rows.append((f"Psi4, {dataset}", ", ".join(sorted(versions))))
    for name in dict.fromkeys(level for _, level in report_data.computed(config)):
        settings = config.levels[name].model_dump(mode="json")
        rows.append((f"level of theory {name}", ", ".join(f"{k} {v}" for k, v in settings.items())))
    for name, graphset in report_data.used_graphsets(config).items():
        rows.append((f"graphset {name}", graphset_text(graphset, config)))
    return table("Versions and settings.", ("what", "value"), rows)


def graphset_text(graphset: Graphset, config: Config) -> str:
    """Return the settings of a graphset in words, with units."""
    if isinstance(graphset, RegionalGraphset):
        return molecules_text(graphset, config)
    if isinstance(graphset, AffinityGraphset):
        return (
            f"protein within {graphset.protein_radius:g} Å, pocket within {graphset.pocket_radius:g} Å, contacts "
            f"within {graphset.contact_cutoff:g} Å, charges of ligands: {graphset.charges}, "
            f"level: {graphset.level or 'none'}"
        )
    return (
        f"cutoff {graphset.cutoff:g} Å, length scale {graphset.length_scale:g} per Å, V_0: {graphset.v0}, "
        f"level: {graphset.level or 'none'}, unit of V: {graphset.unit}, "
        f"features of atoms: {', '.join(graphset.atom_features) or 'none'}, "
        f"multipoles: {'yes' if graphset.multipoles else 'no'}"
    )


def molecules_text(graphset: RegionalGraphset, config: Config) -> str:
    """Return the settings of a graphset of molecules in words, the features that are the default included."""
    level = config.levels[graphset.level].identity() if graphset.level in config.levels else None
    settings = MoleculeSettings.from_config(graphset.model_dump(mode="json"), level)
    size = {"k_hop": f" ({graphset.hops} bonds)", "patches": f" (about {graphset.patch_atoms} atoms)"}
    features = "; ".join(
        f"{per}s: {', '.join(item.name for item in settings.columns(per)) or 'none'}"
        for per in ("atom", "bond", "region", "molecule")
    )
    return (
        f"cutoff {graphset.cutoff:g} Å, cutoff of regions {graphset.region_cutoff:g} Å, regions: {graphset.regions}"
        f"{size.get(graphset.regions, '')}, level: {graphset.level or 'none'}, features of {features}"
    )


def _digests(config: Config, results: Path, runs: "list[Run]") -> Table:
    """Content digests of the stores: equal digests mean equal content."""
    files = [results / "structures" / f"{d}.h5" for d in report_data.used_datasets(config)]
    for dataset, level in report_data.computed(config):
        files += report_data.quantum_files(config, results, dataset, level)
    files += [results / "descriptors" / f"{dataset}.h5" for dataset in report_data.described(config)]
    for name in report_data.used_graphsets(config):
        files += report_data.shard_files(config, results, name)
    rows = [(path.relative_to(results), _attribute(path, "digest")) for path in files]
    return table("SHA-256 of the content of each file between stages.", ("file", "digest"), rows)


def _attribute(path: Path, name: str) -> str:
    with h5py.File(require(path), "r") as file:
        return str(file.attrs.get(name, "unknown"))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def references(config: Config) -> list[tuple[str, str]]:
    """Return (what, citation) of the databases and methods that this configuration uses."""
    cited: dict[str, str] = {}
    for name in report_data.used_datasets(config):
        dataset = config.datasets[name]
        if isinstance(dataset, Psi4Databases):
            cited |= {database: str(REFERENCES[database]) for database in dataset.databases}
        if isinstance(dataset, Qm9):
            cited["QM9"] = QM9
    for graphset in report_data.used_graphsets(config).values():
        if graphset.level in config.levels:
            names = graphset.needed_features()
            cited |= {f"Feature {name}": FEATURES[name].citation for name in names if FEATURES[name].citation}
    levels = [config.levels[level] for _, level in report_data.computed(config)]
    if levels:
        cited |= QUANTUM_METHODS
    for level in levels:
        for prefix, citation in BASIS_SETS.items():
            if level.basis.lower().startswith(prefix):
                cited[level.basis] = citation
    families = report_data.families(config)
    cited |= DELTA_METHODS if "delta" in families else {}
    cited |= REGIONAL_METHODS if "regional" in families else {}
    cited |= AFFINITY_METHODS if "affinity" in families else {}
    return list((cited | METHODS).items())
