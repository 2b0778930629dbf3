"""Radial basis of distances (spec/delta.md §4.4) and a smooth count of neighbours."""

import math
from functools import cache
from typing import Any, NamedTuple

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


class Interpolation(NamedTuple):
    """Where distances lie in a table: row p of the result is the sum of coefficients[p, q] table[first[p] + q]."""

    first: Tensor  # (P,) int64
    coefficients: Tensor  # (P, Q)

    def __call__(self, table: Tensor) -> Tensor:
        """Return the interpolated rows (P, W) of a table (rows, W)."""
        return _Mix.apply(table, self.first, self.coefficients)


def interpolation(x: Tensor, knots: int, order: int = 6) -> Interpolation:
    """Return where x (P,) lies in a table on `knots` equal steps over [0, 1].

    The coefficients are those of Lagrange's polynomial through the `order` nearest knots.
    """
    place = x.clamp(0, 1) * (knots - 1)
    first = (place.floor().long() - (order // 2 - 1)).clamp(0, knots - order)
    offset = (place - first)[:, None] - torch.arange(order, dtype=x.dtype, device=x.device)  # (P, order)
    one = offset.new_ones(len(x), 1)
    below = torch.cat([one, offset[:, :-1]], 1).cumprod(1)  # product of the offsets before q
    above = torch.cat([one, offset[:, 1:].flip(1)], 1).cumprod(1).flip(1)  # and of those after it
    return Interpolation(first, below * above / _scales(order, x.dtype, x.device))


@cache
def _scales(order: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the denominators (order,) of Lagrange's polynomials; kept, for a copy to a GPU waits for it."""
    scales = [math.prod(q - k for k in range(order) if k != q) for q in range(order)]
    return torch.tensor(scales, dtype=dtype, device=device)


class _Mix(torch.autograd.Function):
    """Both directions are sums over bags of rows; torch's own gradient of embedding_bag takes ten times as long."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, first: Tensor, coefficients: Tensor) -> Tensor:
        ctx.save_for_backward(first, coefficients)
        ctx.rows = len(table)
        rows = first[:, None] + torch.arange(coefficients.shape[1], device=first.device)  # (P, Q)
        return nn.functional.embedding_bag(rows, table, per_sample_weights=coefficients.to(table), mode="sum")

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        first, coefficients = ctx.saved_tensors
        p, order = coefficients.shape
        pairs = first.argsort(stable=True)
        begins = torch.bincount(first, minlength=ctx.rows).cumsum(0).roll(1)
        begins[0] = 0
        by_knot = (
            nn.functional.embedding_bag(  # (Q rows, W): row r of part q is the sum of c[p, q] grad[p], first[p] = r
                pairs.repeat(order),
                grad.contiguous(),
                (begins + p * torch.arange(order, device=first.device)[:, None]).flatten(),
                per_sample_weights=coefficients[pairs].T.flatten().to(grad),
                mode="sum",
            ).view(order, ctx.rows, -1)
        )
        return sum(part.roll(q, 0) for q, part in enumerate(by_knot)), None, None
