"""The head of all models of the family `affinity`: six layers with batch normalisation (spec/affinity.md)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

#: How much of torch's own spread the last layer's weights begin with, so that a new model predicts close to the mean.
_LAST_SPREAD = 0.1


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation of features (B, F) that takes a batch of one complex in training as well.

    One complex has no variance, so it is normalised with the running statistics, and these are left as they are.
    """

    def forward(self, features: Tensor) -> Tensor:
        if self.training and len(features) == 1:
            return nn.functional.batch_norm(
                features, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
            )
        return super().forward(features)


class Head(nn.Module):
    """Standardised targets (B, T) of features (B, F): five layers of `widths`, normed over the batch, and a last one.

    Dropout stands before the last layer only: in front of a batch norm it would make the variance in training another
    than in evaluation (X. Li et al., CVPR 2019, doi:10.1109/CVPR.2019.00279).
    """

    def __init__(self, features: int, targets: int, dropout: float, widths: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in zip((features, *widths), widths, strict=False):
            layers += [nn.Linear(inputs, outputs, bias=False), BatchNorm(outputs), nn.GELU()]
        self.layers = nn.Sequential(*layers, nn.Dropout(dropout))
        self.last = nn.Linear(widths[-1], targets)
        with torch.no_grad():
            self.last.weight.mul_(_LAST_SPREAD)
            self.last.bias.zero_()

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, T) for features (B, F)."""
        return self.last(self.layers(features))
