"""TransformerCNN: convolutions at several scales, then transformer blocks over the grid.

AdvancedTransformerCNN of spec/affinity.md (1.A, 3.A, 3.B, 3.C).
"""

import torch
from torch import Tensor, nn

from psigraph.graphs.complex_batch import ComplexBatch
from psigraph.models.affinity.attention import TransformerBlock
from psigraph.models.affinity.base import AffinityModel
from psigraph.models.affinity.convolution import Halving, MultiScaleBlock, Stem, tokens_of
from psigraph.models.affinity.positions import grid_positions
from psigraph.models.affinity.voxels import CHANNELS, COMPONENTS

#: Channels at half and at a quarter of the grid's points along each axis.
_HALF, _QUARTER = 48, 128
_HEAD = (960, 512, 256, 128, 64)


class TransformerCNN(AffinityModel):
    """Multi-scale blocks with channel and spatial attention, of the components side by side as channels.

    Their (G/4)³ tokens with positions go through `blocks` transformer blocks; the head takes mean and maximum of them.
    """

    def __init__(
        self,
        *,
        targets: int = 1,
        grid_points: int,
        spacing: float,
        width: float,
        dropout: float,
        dim: int,
        blocks: int,
        heads: int,
    ) -> None:
        super().__init__(
            targets=targets,
            grid_points=grid_points,
            spacing=spacing,
            width=width,
            dropout=dropout,
            features=2 * dim,
            head_widths=_HEAD,
        )
        self.cnn = nn.Sequential(
            Stem(len(COMPONENTS) * len(CHANNELS), _HALF),
            MultiScaleBlock(_HALF, _HALF),
            MultiScaleBlock(_HALF, _HALF),
            Halving(_HALF, _QUARTER),
            MultiScaleBlock(_QUARTER, _QUARTER),
            nn.Conv3d(_QUARTER, dim, 1),
        )
        self.transformer = nn.Sequential(
            *(TransformerBlock(dim, heads, dropout) for _ in range(blocks)), nn.LayerNorm(dim)
        )

    def encode(self, grid: Tensor, batch: ComplexBatch, atom_weights: Tensor | None) -> Tensor:
        """Return features (B, 2 dim) of densities (B, 3, 12, G, G, G)."""
        found = self.cnn(grid.flatten(1, 2))  # (B, dim, G/4, G/4, G/4)
        tokens = tokens_of(found)  # (B, (G/4)³, dim)
        tokens = tokens + grid_positions(found.shape[2:], tokens.shape[2], like=tokens)
        tokens = self.transformer(tokens)
        return torch.cat([tokens.mean(1), tokens.amax(1)], 1)
