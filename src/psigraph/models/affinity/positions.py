"""Sinusoidal positions on a grid of three axes (spec/affinity.md, 3D positional encoding)."""

import torch
from torch import Tensor

#: Wavelengths go from 2π to 2π times this many points; a grid has tens of points along an axis, text has thousands.
LONGEST = 100.0


def grid_positions(shape: tuple[int, int, int], width: int, like: Tensor) -> Tensor:
    """Return the encodings (D·H·W, width) of the points of a grid (D, H, W), of the type and device of `like`.

    Each axis has a third of the columns, the first ones one more where `width` is no multiple of 3; in them
    sin(p / LONGEST^(2k/K)) and cos(p / LONGEST^(2k/K)) take turns, of the point's number p along the axis (A. Vaswani
    et al., NeurIPS 2017, section 3.5, arXiv:1706.03762).
    """
    thirds = [(width + 2 - axis) // 3 for axis in range(3)]
    parts = []
    for axis, (points, columns) in enumerate(zip(shape, thirds, strict=True)):
        view = [1, 1, 1, columns]
        view[axis] = points
        parts.append(axis_positions(points, columns, like).view(view).expand(*shape, columns))
    return torch.cat(parts, 3).flatten(0, 2)  # (D H W, width)


def axis_positions(points: int, columns: int, like: Tensor) -> Tensor:
    """Return the encodings (points, columns) along one axis."""
    numbers = torch.arange(points, dtype=like.dtype, device=like.device)
    turns = torch.arange(columns, dtype=like.dtype, device=like.device)
    angle = numbers[:, None] * LONGEST ** -(2 * (turns // 2) / max(columns, 1))  # (points, columns)
    return torch.where(turns % 2 == 0, angle.sin(), angle.cos())
