"""What the project's note on affinities (the family's goals) sets as goals, and the published figures it refers to."""

from dataclasses import dataclass

import numpy as np

#: The note's goals for R², best first: name, least value. Its reference can only be Pearson's R, so both are compared.
GOALS = {"primary": 0.75, "secondary": 0.60, "minimum": 0.30}


@dataclass(frozen=True)
class Published:
    """Published figures and the data they were measured on."""

    r: float
    rmse: float
    mae: float
    data: str


#: The note calls 0.750 an R²; with the SD of 2.17 of the labels of that set, an RMSE of 1.436 is R² = 0.56 = 0.75².
REFERENCE = Published(r=0.750, rmse=1.436, mae=1.099, data="PDBbind 2016 core set")


def goal_met(value: float) -> str:
    """Return the highest of the note's goals that a value reaches, `none`, or nothing where there is no value."""
    if not np.isfinite(value):
        return ""
    return next((f"{least:.3f}" for least in GOALS.values() if value >= least), "none")
