"""ResidualTransformerCNN: a residual CNN for each component, then attention between the components.

ResidualTransformerCNN of spec/affinity.md (1.C).
"""

import torch
from torch import Tensor, nn

from psigraph.graphs.complex_batch import ComplexBatch
from psigraph.models.affinity.attention import CrossBlock
from psigraph.models.affinity.base import AffinityModel
from psigraph.models.affinity.convolution import Halving, ResidualBlock, Stem, tokens_of
from psigraph.models.affinity.positions import grid_positions
from psigraph.models.affinity.voxels import CHANNELS, COMPONENTS

#: Channels of each component at half and at a quarter of the grid's points along each axis.
_HALF, _QUARTER = 24, 72
#: Tokens of a component along each axis.
TOKENS_ALONG = 4
_HEAD = (512, 384, 256, 128, 64)


class ResidualTransformerCNN(AffinityModel):
    """Protein, pocket and ligand have a residual CNN each, which ends in 4³ tokens with their positions.

    In each of `blocks` blocks the tokens of each component attend to those of the other two. The head takes the mean of
    each component's tokens.
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
            features=len(COMPONENTS) * dim,
            head_widths=_HEAD,
        )
        self.cnn = nn.ModuleList(_component(dim) for _ in COMPONENTS)
        self.transformer = nn.Sequential(*(CrossBlock(dim, heads, dropout) for _ in range(blocks)), nn.LayerNorm(dim))

    def encode(self, grid: Tensor, batch: ComplexBatch, atom_weights: Tensor | None) -> Tensor:
        """Return features (B, 3 dim) of densities (B, 3, 12, G, G, G)."""
        found = [network(part) for network, part in zip(self.cnn, grid.unbind(1), strict=True)]
        sets = torch.stack([tokens_of(part) for part in found], 1)  # (B, 3, 64, dim)
        sets = sets + grid_positions(found[0].shape[2:], sets.shape[3], like=sets)
        return self.transformer(sets).mean(2).flatten(1)


def _component(dim: int) -> nn.Sequential:
    """Return the network of one component: (B, 12, G, G, G) to (B, dim, 4, 4, 4)."""
    return nn.Sequential(
        Stem(len(CHANNELS), _HALF),
        ResidualBlock(_HALF),
        ResidualBlock(_HALF),
        Halving(_HALF, _QUARTER),
        ResidualBlock(_QUARTER),
        nn.Conv3d(_QUARTER, dim, 1),
        nn.AdaptiveAvgPool3d(TOKENS_ALONG),
    )
