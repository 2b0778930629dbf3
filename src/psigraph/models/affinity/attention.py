"""Attention: over the channels and the points of a grid, within a set of tokens, and between sets of tokens.

Legend of shapes: B complexes, C channels, D, H, W points along the axes of a grid, T and S tokens.
"""

import torch
from torch import Tensor, nn


class ChannelAttention(nn.Module):
    """Weighs the channels of a grid (S. Woo et al., CBAM, ECCV 2018, equation 2, doi:10.1007/978-3-030-01234-2_1).

    The weights are sigmoid(MLP(mean over points) + MLP(maximum over points)), with one MLP for both.
    """

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(channels // reduction, 1)
        self.layers = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))

    def forward(self, grid: Tensor) -> Tensor:
        """Return the grid (B, C, D, H, W) with its channels weighed."""
        points = grid.flatten(2)  # (B, C, D H W)
        weight = torch.sigmoid(self.layers(points.mean(2)) + self.layers(points.amax(2)))  # (B, C)
        return grid * weight[:, :, None, None, None]


class SpatialAttention(nn.Module):
    """Weighs the points of a grid (S. Woo et al., CBAM, ECCV 2018, equation 3, doi:10.1007/978-3-030-01234-2_1).

    The weights are the sigmoid of a convolution of two grids: mean and maximum over the channels.
    """

    def __init__(self, kernel: int = 7) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(2, 1, kernel, padding=kernel // 2)

    def forward(self, grid: Tensor) -> Tensor:
        """Return the grid (B, C, D, H, W) with its points weighed."""
        told = torch.cat([grid.mean(1, keepdim=True), grid.amax(1, keepdim=True)], 1)  # (B, 2, D, H, W)
        return grid * torch.sigmoid(self.convolution(told))


class SelfAttention(nn.Module):
    """The tokens of a set attend to each other."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, T, dim) for tokens (B, T, dim)."""
        return self.attention(tokens, tokens, tokens, need_weights=False)[0]


class CrossAttention(nn.Module):
    """The tokens of one set attend to those of another: queries from the former, keys and values from the latter."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)

    def forward(self, tokens: Tensor, others: Tensor) -> Tensor:
        """Return (B, T, dim) for tokens (B, T, dim) that attend to others (B, S, dim)."""
        return self.attention(tokens, others, others, need_weights=False)[0]


class FeedForward(nn.Module):
    """Two layers for each token by itself, four times as wide in between, behind a layer norm."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, T, dim) for tokens (B, T, dim)."""
        return self.layers(tokens)


class TransformerBlock(nn.Module):
    """Self-attention, then a feed-forward network, each normed before and added to what went in.

    (R. Xiong et al., ICML 2020, figure 1b, arXiv:2002.04745.) Dropout leaves out parts of what is added.
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, heads)
        self.feed_forward = FeedForward(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, T, dim) for tokens (B, T, dim)."""
        tokens = tokens + self.dropout(self.attention(self.norm(tokens)))
        return tokens + self.dropout(self.feed_forward(tokens))


class CrossBlock(nn.Module):
    """As `TransformerBlock`, with cross-attention: each set of tokens attends to the tokens of all the other sets."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = CrossAttention(dim, heads)
        self.feed_forward = FeedForward(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, sets: Tensor) -> Tensor:
        """Return (B, K, T, dim) for K sets of tokens (B, K, T, dim), K at least 2."""
        count, kinds, size, dim = sets.shape
        normed = self.norm(sets)
        others = [torch.cat([normed[:, other] for other in range(kinds) if other != own], 1) for own in range(kinds)]
        told = self.attention(
            normed.reshape(count * kinds, size, dim),
            torch.stack(others, 1).view(count * kinds, (kinds - 1) * size, dim),
        )
        sets = sets + self.dropout(told.view(count, kinds, size, dim))
        return sets + self.dropout(self.feed_forward(sets))
