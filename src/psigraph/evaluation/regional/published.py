"""Published errors on QM9, from texts that were read; what could not be read is not here.

All are test MAEs as their authors give them, with their own training sets and splits. Energies are atomisation
energies, as in the source `qm9`.
"""

from dataclasses import dataclass

from psigraph.config import Config


@dataclass(frozen=True)
class Published:
    """A published test MAE: of which model, in the target's unit, and where it stands."""

    model: str
    mae: float
    unit: str
    citation: str


_MEGNET = (
    "C. Chen, W. Ye, Y. Zuo, C. Zheng, S. P. Ong, Chem. Mater. 31, 3564, 2019, doi:10.1021/acs.chemmater.9b01294; "
    "read in the authors' repository materialsvirtuallab/megnet, mvl_models/qm9-2018.6.1/README.md, table Performance"
)

#: By name of the target in the source `qm9`.
QM9: dict[str, Published] = {
    name: Published("MEGNet", mae, unit, _MEGNET)
    for name, mae, unit in (
        ("mu", 0.05, "D"),
        ("alpha", 0.081, "bohr³"),
        ("homo", 0.043, "eV"),
        ("lumo", 0.044, "eV"),
        ("gap", 0.066, "eV"),
        ("r2", 0.302, "bohr²"),
        ("zpve", 0.00143, "eV"),
        ("u0", 0.012, "eV"),
        ("u", 0.013, "eV"),
        ("h", 0.012, "eV"),
        ("g", 0.012, "eV"),
        ("cv", 0.029, "cal/(mol K)"),
    )
}


def published_of(config: Config, experiment: str, target: str, unit: str) -> Published | None:
    """Return the published error of a target, where the experiment draws molecules of QM9 at random; else None."""
    settings = config.experiments[experiment]
    found = QM9.get(target)
    datasets = config.graphsets[settings.graphset].datasets
    alike = settings.split.by == "group" and all(config.datasets[name].source == "qm9" for name in datasets)
    return found if found is not None and alike and found.unit == unit else None
