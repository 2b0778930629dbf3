"""Every architecture: its hyperparameters, its family, and where its model is.

`model` names module and class below `psigraph.models`; the class is called with what the graphs give (see
`psigraph.models.build_model`) and with the hyperparameters as keywords.
"""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from psigraph.config.base import Section


class ArchitectureSettings(Section):
    family: ClassVar[str]
    model: ClassVar[str]  # module:class


class DeltaCouplingSettings(ArchitectureSettings):
    """Hyperparameters of `delta_coupling`."""

    family = "delta"
    model = "delta_coupling:DeltaCoupling"

    num_conv_layers: int = Field(6, ge=1, description="convolution blocks")
    num_rbf: int = Field(50, ge=1, description="radial basis functions")
    hidden: int = Field(64, ge=1, description="width of the radial network and of the readout")
    field_cutoff: float = Field(50.0, ge=50, le=1000, description="range of the field edges' radial basis [Å]")


Attention = Literal["full", "grouped_query", "multi_query"]
Paradigm = Literal["inner", "neighbour", "global", "global_cross"]


class RegionalSettings(ArchitectureSettings):
    """What every architecture of the family `regional` has."""

    family = "regional"
    dim: int = Field(64, ge=4, description="width of the states of atoms and regions")
    quantum: bool = Field(True, description="whether the graphs' features from Psi4 enter")
    intensive: Literal["mean", "sum"] = Field("mean", description="pooling of targets that do not grow with size")


class PamnetSettings(RegionalSettings):
    """Hyperparameters of `pamnet` (S. Zhang, Y. Liu, L. Xie, Sci. Rep. 13, 19171, 2023)."""

    model = "pamnet:PAMNet"
    layers: int = Field(6, ge=1, description="pairs of a global and a local message passing layer")
    intensive: Literal["mean", "sum"] = Field("sum", description="pooling of targets that do not grow with size")


class RegionsSettings(RegionalSettings):
    """What the architectures on regions share."""

    num_rbf: int = Field(16, ge=2, description="radial basis functions of distances")
    heads: int = Field(8, ge=1, description="attention heads; must divide dim")
    attention: Attention | dict[Paradigm, Attention] = Field(
        "full", description="keys and values for each head, for groups of heads, or one for all; or by tier"
    )
    region_encoders: Literal["shared", "by_class"] = Field(
        "shared", description="one encoder for all regions, or one for each class of centre (H, C, N, O, others)"
    )

    @model_validator(mode="after")
    def _heads(self) -> "RegionsSettings":
        if self.dim % self.heads:
            raise ValueError(f"heads must divide dim; got {self.heads} heads and dim {self.dim}")
        return self


class TieredSettings(RegionsSettings):
    """What the architectures in layers of tiers share."""

    tiers: list[Paradigm] = Field(
        ["inner", "neighbour", "global"],
        min_length=1,
        description="what is attended to, in this order: inner, a region's atoms; neighbour, regions that share an "
        "atom with it or that a bond joins; global, all in reach; global_cross, those of them without a common atom",
    )
    angles: bool = Field(True, description="whether regions carry vectors, whose products tell angles")


class TieredLayersSettings(TieredSettings):
    """Hyperparameters of `tiered_layers`: one layer for each of `tiers`."""

    model = "tiered_layers:TieredLayers"


class TieredHeadsSettings(TieredSettings):
    """Hyperparameters of `tiered_heads`: all `tiers` side by side in every layer."""

    model = "tiered_heads:TieredHeads"
    layers: int = Field(3, ge=1, description="layers")
    combine: Literal["heads", "gate"] = Field(
        "heads", description="heads: the tiers share the heads; gate: each has all heads, weighed for each region"
    )

    @model_validator(mode="after")
    def _shares(self) -> "TieredHeadsSettings":
        if self.combine == "heads" and self.heads < len(self.tiers):
            raise ValueError(
                f"{self.heads} heads cannot be shared by {len(self.tiers)} tiers; raise heads, or take combine: gate"
            )
        if len(set(self.tiers)) != len(self.tiers):
            raise ValueError(f"tiers name a tier twice: {', '.join(self.tiers)}; a layer attends to each once")
        return self


class RegionCoarseningSettings(RegionsSettings):
    """Hyperparameters of `region_coarsening`: the nearest regions are joined, step by step, until one is left."""

    model = "region_coarsening:RegionCoarsening"
    layers: int = Field(1, ge=1, description="attention layers between neighbouring regions, before the first join")


class RegionMergingSettings(RegionsSettings):
    """Hyperparameters of `region_merging`: each region chooses by attention which one it joins."""

    model = "region_merging:RegionMerging"
    layers: int = Field(1, ge=1, description="attention layers between neighbouring regions, before the first join")
    sequential: bool = Field(
        False, description="take the regions one after another along the chain instead, from both ends"
    )


class WavefunctionMessagesSettings(RegionsSettings):
    """Hyperparameters of `wavefunction_messages`: learned orbital quantities of bonds are the messages.

    `heads` and `attention` have a say with `use: bias`.
    """

    model = "wavefunction_messages:WavefunctionMessages"
    layers: int = Field(4, ge=1, description="message passing layers")
    use: Literal["messages", "gcn", "bias"] = Field(
        "messages", description="outputs are the messages, the edge weights of a GCN, or biases of attention"
    )
    pretraining_share: float = Field(0.2, ge=0, lt=1, description="first share of the epochs: the approximator alone")


class RegionContrastiveSettings(TieredSettings):
    """Hyperparameters of `region_contrastive`: regions are told apart first (InfoNCE), then the heads are trained."""

    model = "region_contrastive:RegionContrastive"
    layers: int = Field(3, ge=1, description="attention layers; the tiers take turns")
    pretraining_share: float = Field(0.05, ge=0, lt=1, description="first share of the epochs: the contrast alone")


def _check_heads(heads: int, **widths: int) -> None:
    """Raise ValueError unless the heads divide these widths, given by name."""
    for name, width in widths.items():
        if width % heads:
            raise ValueError(f"heads must divide {name}; got {heads} heads and {name} {width}")


class AffinitySettings(ArchitectureSettings):
    """What every architecture of the family `affinity` has: the grid it sees and how it is regularised."""

    family = "affinity"
    grid_points: int = Field(24, ge=8, le=96, multiple_of=4, description="grid points along each edge of the box")
    spacing: float = Field(1.0, gt=0, description="distance of grid points [Å]")
    width: float = Field(1.0, gt=0, description="SD of the Gaussian density of each atom [Å]")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of the activations that training leaves out")


class TransformerCnnSettings(AffinitySettings):
    """Hyperparameters of `transformer_cnn`: multi-scale convolutions, then transformer blocks over the grid."""

    model = "transformer_cnn:TransformerCNN"
    dim: int = Field(256, ge=16, description="width of the transformer")
    blocks: int = Field(4, ge=1, description="transformer blocks")
    heads: int = Field(8, ge=1, description="attention heads; must divide dim")

    @model_validator(mode="after")
    def _heads(self) -> "TransformerCnnSettings":
        _check_heads(self.heads, dim=self.dim)
        return self


class HybridCnnGnnSettings(AffinitySettings):
    """Hyperparameters of `hybrid_cnn_gnn`: a CNN, graph attention on ligand and contacts, fusion, a transformer."""

    model = "hybrid_cnn_gnn:HybridCNNGNN"
    graph_dim: int = Field(64, ge=8, description="width of the graph attention")
    graph_layers: int = Field(3, ge=1, description="layers of graph attention")
    blocks: int = Field(4, ge=1, description="blocks of the final transformer")
    heads: int = Field(8, ge=1, description="attention heads; must divide graph_dim and 256, the transformer's width")

    @model_validator(mode="after")
    def _heads(self) -> "HybridCnnGnnSettings":
        _check_heads(self.heads, graph_dim=self.graph_dim, **{"the transformer's width": 256})
        return self


class ResidualTransformerCnnSettings(AffinitySettings):
    """Hyperparameters of `residual_transformer_cnn`: a residual CNN for each component, then cross attention."""

    model = "residual_transformer_cnn:ResidualTransformerCNN"
    dim: int = Field(192, ge=16, description="width of the cross-component transformer")
    blocks: int = Field(3, ge=1, description="blocks of the cross-component transformer")
    heads: int = Field(8, ge=1, description="attention heads; must divide dim")

    @model_validator(mode="after")
    def _heads(self) -> "ResidualTransformerCnnSettings":
        _check_heads(self.heads, dim=self.dim)
        return self


#: Hyperparameters by architecture.
ARCHITECTURES: dict[str, type[ArchitectureSettings]] = {
    "delta_coupling": DeltaCouplingSettings,
    "pamnet": PamnetSettings,
    "tiered_layers": TieredLayersSettings,
    "tiered_heads": TieredHeadsSettings,
    "region_coarsening": RegionCoarseningSettings,
    "region_merging": RegionMergingSettings,
    "wavefunction_messages": WavefunctionMessagesSettings,
    "region_contrastive": RegionContrastiveSettings,
    "transformer_cnn": TransformerCnnSettings,
    "hybrid_cnn_gnn": HybridCnnGnnSettings,
    "residual_transformer_cnn": ResidualTransformerCnnSettings,
}
