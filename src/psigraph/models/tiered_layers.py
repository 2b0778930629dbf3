"""`tiered_layers` (spec/regional.md, architecture 1): each layer attends to one tier, near to far."""

from typing import Any

from psigraph.models.regional.inputs import MoleculeInputs
from psigraph.models.regional.tiers import TieredModel


class TieredLayers(TieredModel):
    """Layers in the order of `tiers`; the answer of one is what the next asks with."""

    def __init__(self, inputs: MoleculeInputs, *, tiers: list[str], **settings: Any) -> None:
        super().__init__(inputs, layers=[[tier] for tier in tiers], **settings)
        self.hyperparameters = {"tiers": list(tiers), **settings}
