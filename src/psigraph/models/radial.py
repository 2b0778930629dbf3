"""Radial basis of distances (spec/delta.md §4.4) and a smooth count of neighbours."""

import math

import torch
from torch import Tensor, nn

from psigraph.models.shapes import check_positive


class RadialBesselBasisLayer(nn.Module):
    """sin(w_k r)/(w_k r) × ½(1 + cos(πr/c)) with w_k = kπ/c, for k = 1..num_rbf; exactly 0 from the cutoff c on.

    At r = 0 every function is exactly 1 (torch.sinc), and value and slope vanish at the cutoff.
    """

    orders: Tensor

    def __init__(self, num_rbf: int, cutoff: float) -> None:
        super().__init__()
        check_positive("cutoff", cutoff)
        self.cutoff = float(cutoff)
        self.register_buffer("orders", torch.arange(1, num_rbf + 1, dtype=torch.get_default_dtype()), persistent=False)

    def forward(self, r: Tensor) -> Tensor:
        """Return the basis (P, num_rbf) of distances (P,), both in the unit of the cutoff."""
        x = (r / self.cutoff).clamp(max=1.0).unsqueeze(-1)  # (P, 1)
        return torch.sinc(x * self.orders) * (0.5 * (1 + torch.cos(math.pi * x)))  # (P, num_rbf)


def membership(r: Tensor, cutoff: float, taper: float) -> Tensor:
    """Return how much neighbours at distances r (P,) count: 1, falling smoothly to 0 in the last `taper` of the cutoff.

    A mean over neighbours that counts each as one jumps when an atom crosses the cutoff, however smooth the messages
    are: the divisor changes by one. With `taper` 0 this is that plain count.
    """
    if taper == 0:
        return torch.ones_like(r)
    x = ((r / cutoff - (1 - taper)) / taper).clamp(0, 1)
    return 0.5 * (1 + torch.cos(math.pi * x))
