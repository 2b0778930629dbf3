"""`levels` and `quantum`: what Psi4 computes, and how its jobs run."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from psigraph.config.base import Section
from psigraph.quantum.levels import check_level
from psigraph.quantum.registry import select
from psigraph.quantum.table import FEATURES


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
