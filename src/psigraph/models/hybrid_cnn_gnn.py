"""HybridCNNGNN: a CNN on the grid, graph attention on ligand and contacts, fusion, a transformer.

HybridCNNGNNTransformer of spec/affinity.md (1.B).
"""

import torch
from torch import Tensor, nn

from psigraph.graphs.complex_batch import ComplexBatch
from psigraph.models.affinity.attention import TransformerBlock
from psigraph.models.affinity.base import AffinityModel
from psigraph.models.affinity.convolution import Halving, MultiScaleBlock, Stem, tokens_of
from psigraph.models.affinity.graphs import ComplexGraphs
from psigraph.models.affinity.positions import grid_positions
from psigraph.models.affinity.voxels import CHANNELS, COMPONENTS

#: Channels at half and at a quarter of the grid's points along each axis.
_HALF, _QUARTER = 48, 144
#: The CNN's features are 256 channels of 4³ = 64 tokens, those of the graphs 64 numbers (256×64 and 64 in the note).
CHANNELS_OF_TOKENS, TOKENS_ALONG, GRAPH_FEATURES = 256, 4, 64
_HEAD = (1024, 512, 256, 128, 64)


class Fusion(nn.Module):
    """Joins the CNN's tokens and the graphs' features: these make one more token, and a shift for each channel."""

    def __init__(self, dim: int, features: int) -> None:
        super().__init__()
        self.token, self.shift = nn.Linear(features, dim), nn.Linear(features, dim)

    def forward(self, tokens: Tensor, features: Tensor) -> Tensor:
        """Return (B, 1 + T, dim) for tokens (B, T, dim) and features (B, F), the token of the graphs first."""
        return torch.cat([self.token(features)[:, None], tokens + self.shift(features)[:, None]], 1)


class HybridCNNGNN(AffinityModel):
    """Multi-scale blocks on the grid and graph attention on the ligand's bonds and contacts meet in `Fusion`.

    A transformer of `blocks` blocks follows. The head takes the token of the graphs, the mean of the others and the
    graphs' features.
    """

    groups = {"cnn": ("cnn",), "transformer": ("graphs", "fusion", "transformer"), "head": ("head",)}

    def __init__(
        self,
        *,
        targets: int = 1,
        grid_points: int,
        spacing: float,
        width: float,
        dropout: float,
        graph_dim: int,
        graph_layers: int,
        blocks: int,
        heads: int,
    ) -> None:
        dim = CHANNELS_OF_TOKENS
        super().__init__(
            targets=targets,
            grid_points=grid_points,
            spacing=spacing,
            width=width,
            dropout=dropout,
            features=2 * dim + GRAPH_FEATURES,
            head_widths=_HEAD,
        )
        self.cnn = nn.Sequential(
            Stem(len(COMPONENTS) * len(CHANNELS), _HALF),
            MultiScaleBlock(_HALF, _HALF),
            MultiScaleBlock(_HALF, _HALF),
            Halving(_HALF, _QUARTER),
            MultiScaleBlock(_QUARTER, dim),
            nn.AdaptiveAvgPool3d(TOKENS_ALONG),
        )
        self.graphs = ComplexGraphs(graph_dim, graph_layers, heads, GRAPH_FEATURES, dropout)
        self.fusion = Fusion(dim, GRAPH_FEATURES)
        self.transformer = nn.Sequential(
            *(TransformerBlock(dim, heads, dropout) for _ in range(blocks)), nn.LayerNorm(dim)
        )

    def encode(self, grid: Tensor, batch: ComplexBatch, atom_weights: Tensor | None) -> Tensor:
        """Return features (B, 2·256 + 64) of densities (B, 3, 12, G, G, G) and of the graphs."""
        found = self.cnn(grid.flatten(1, 2))  # (B, 256, 4, 4, 4)
        tokens = tokens_of(found)  # (B, 64, 256)
        tokens = tokens + grid_positions(found.shape[2:], tokens.shape[2], like=tokens)
        features = self.graphs(batch, atom_weights)  # (B, 64)
        tokens = self.transformer(self.fusion(tokens, features))  # (B, 65, 256)
        return torch.cat([tokens[:, 0], tokens[:, 1:].mean(1), features], 1)
