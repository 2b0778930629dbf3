"""`tiered_heads` (spec/regional.md, architecture 2): every layer attends to all tiers side by side."""

from typing import Any

from psigraph.models.regional.inputs import MoleculeInputs
from psigraph.models.regional.tiers import TieredModel


class TieredHeads(TieredModel):
    """`layers` layers; in each, the tiers share the heads, or a gate weighs them (`combine`)."""

    def __init__(self, inputs: MoleculeInputs, *, layers: int, tiers: list[str], combine: str, **settings: Any) -> None:
        super().__init__(inputs, layers=[tiers] * layers, combine=combine, **settings)
        self.hyperparameters = {"layers": layers, "tiers": list(tiers), "combine": combine, **settings}
