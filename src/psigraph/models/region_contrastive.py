"""`region_contrastive` (spec/regional.md, architecture 6): regions first learn to tell themselves from others."""

from typing import Any

from psigraph.models.regional.inputs import MoleculeInputs
from psigraph.models.regional.tiers import TieredModel


class RegionContrastive(TieredModel):
    """The encoder of `tiered_layers`, whose tiers repeat over `layers` layers, begun with the objective "contrast"."""

    own_objective = "contrast"

    def __init__(
        self, inputs: MoleculeInputs, *, layers: int, tiers: list[str], pretraining_share: float, **settings: Any
    ) -> None:
        super().__init__(inputs, layers=[[tiers[k % len(tiers)]] for k in range(layers)], **settings)
        self.pretraining_share = pretraining_share
        self.hyperparameters = {
            "layers": layers,
            "tiers": list(tiers),
            "pretraining_share": pretraining_share,
            **settings,
        }
