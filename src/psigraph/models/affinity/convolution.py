"""Convolutions on grids: the stem, blocks at several scales, residual blocks, and halving.

Norms are over groups of channels of one complex, so a batch in parts, or of one complex, gives the same results.
Legend of shapes: B complexes, C channels, D, H, W points along the axes.
"""

import math

import torch
from torch import Tensor, nn

from psigraph.models.affinity.attention import ChannelAttention, SpatialAttention

#: Groups of channels a norm is over, at most.
GROUPS = 8
#: Steps between the points of the dilated path of `MultiScale`: it reaches farther than the path with 5³ points.
DILATION = 3


def norm(channels: int) -> nn.GroupNorm:
    """Return a group norm of so many channels."""
    return nn.GroupNorm(math.gcd(channels, GROUPS), channels)


class Stem(nn.Sequential):
    """The first convolution, which halves the grid: (B, inputs, D, H, W) to (B, outputs, D/2, H/2, W/2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv3d(inputs, outputs, 4, stride=2, padding=1, bias=False), norm(outputs), nn.GELU())


class Halving(nn.Sequential):
    """Halves a grid, eight points to one: (B, inputs, D, H, W) to (B, outputs, D/2, H/2, W/2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv3d(inputs, outputs, 2, stride=2, bias=False), norm(outputs))


class MultiScale(nn.Module):
    """Parallel convolutions with 1³, 3³ and 5³ points and with 3³ points `DILATION` apart, side by side, then a norm.

    `outputs` must be a multiple of 4: each path has a quarter of the channels.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        if outputs % 4:
            raise ValueError(f"the four paths share the channels; got {outputs}, which is no multiple of 4")
        width = outputs // 4
        self.paths = nn.ModuleList(
            [nn.Conv3d(inputs, width, kernel, padding=kernel // 2, bias=False) for kernel in (1, 3, 5)]
        )
        self.paths.append(nn.Conv3d(inputs, width, 3, padding=DILATION, dilation=DILATION, bias=False))
        self.norm = norm(outputs)

    def forward(self, grid: Tensor) -> Tensor:
        """Return (B, outputs, D, H, W) for a grid (B, inputs, D, H, W)."""
        return self.norm(torch.cat([path(grid) for path in self.paths], 1))


class MultiScaleBlock(nn.Module):
    """`MultiScale`, then channel and spatial attention, added to what went in (by a 1³ convolution if it is wider)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.scales = MultiScale(inputs, outputs)
        self.channel, self.spatial = ChannelAttention(outputs), SpatialAttention()
        self.skip = nn.Identity() if inputs == outputs else nn.Conv3d(inputs, outputs, 1, bias=False)

    def forward(self, grid: Tensor) -> Tensor:
        """Return (B, outputs, D, H, W) for a grid (B, inputs, D, H, W)."""
        told = self.spatial(self.channel(nn.functional.gelu(self.scales(grid))))
        return self.skip(grid) + told


class ResidualBlock(nn.Module):
    """Two convolutions with 3³ points, added to what went in (K. He et al., CVPR 2016, doi:10.1109/CVPR.2016.90)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv3d(channels, channels, 3, padding=1, bias=False),
            norm(channels),
            nn.GELU(),
            nn.Conv3d(channels, channels, 3, padding=1, bias=False),
            norm(channels),
        )

    def forward(self, grid: Tensor) -> Tensor:
        """Return (B, C, D, H, W) for a grid (B, C, D, H, W)."""
        return nn.functional.gelu(grid + self.layers(grid))


def tokens_of(grid: Tensor) -> Tensor:
    """Return the points of a grid (B, C, D, H, W) as tokens (B, D·H·W, C)."""
    return grid.flatten(2).transpose(1, 2)
