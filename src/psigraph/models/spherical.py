"""Radial and angular functions of DimeNet (J. Gasteiger, J. Groß, S. Günnemann, ICLR 2020, arXiv:2003.03123, eqs. 6-8).

Constants come from SciPy when a basis is made; at run time there are recurrences and series, finite down to r = 0.
"""

import math
from functools import cache

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import spherical_jn
from torch import Tensor, nn

from psigraph.models.shapes import check_positive

_TERMS = 24  # of the series: below 1e-16 of the largest for the arguments it serves, up to l + 2 with l < 16
_LARGEST_ORDER = 16


def envelope(x: Tensor, p: int = 6) -> Tensor:
    """Return the polynomial that falls from 1 at x = 0 to 0 at x = 1 with two derivatives 0 there (eq. 8); 0 beyond."""
    x = x.clamp(max=1.0)
    return 1 - x**p * ((p + 1) * (p + 2) / 2 - x * (p * (p + 2) - x * (p * (p + 1) / 2)))


class BesselBasis(nn.Module):
    """√(2/c) sin(w_n r/c)/r × envelope(r/c) for n = 1..num_rbf, w_n learned and nπ at first (eq. 7); r in Å."""

    def __init__(self, num_rbf: int, cutoff: float) -> None:
        super().__init__()
        check_positive("cutoff", cutoff)
        self.cutoff = float(cutoff)
        self.frequencies = nn.Parameter(math.pi * torch.arange(1, num_rbf + 1, dtype=torch.get_default_dtype()))

    def forward(self, r: Tensor) -> Tensor:
        """Return the basis (P, num_rbf) of distances (P,), in units of √(2/c)/c; finite at 0."""
        x = (r / self.cutoff).unsqueeze(-1).clamp(max=1.0)
        return self.frequencies * torch.sinc(x * self.frequencies / math.pi) * envelope(x)


class SphericalBasis(nn.Module):
    """j_l(z_ln r/c) Y_l0(α) × envelope(r/c), normalised on the unit ball (eq. 6), for l < orders and n = 1..radial.

    z_ln is the nth zero of the spherical Bessel function j_l. Needs cos α only, so no angle is ever computed.
    """

    def __init__(self, orders: int, radial: int, cutoff: float) -> None:
        super().__init__()
        check_positive("cutoff", cutoff)
        self.orders, self.width, self.cutoff = orders, orders * radial, float(cutoff)
        self.shape = orders, radial

    def radial(self, r: Tensor) -> Tensor:
        """Return the radial parts (E, orders, radial) of distances (E,), with the constants of the angular ones."""
        x = (r / self.cutoff).view(-1, 1, 1).clamp(max=1.0)
        zeros, norms = _constants(*self.shape, r.device)
        return (spherical_bessel(x.double() * zeros) * norms).to(r.dtype) * envelope(x)

    def forward(self, radial: Tensor, cosine: Tensor) -> Tensor:
        """Return the basis (X, orders × radial) of radial parts (X, orders, radial) and cos α (X,)."""
        return (radial * legendre(cosine, self.orders)[:, :, None]).flatten(1)


def legendre(x: Tensor, orders: int) -> Tensor:
    """Return the Legendre polynomials P_0 to P_(orders-1) of x (X,) as (X, orders), by Bonnet's recurrence."""
    found = [torch.ones_like(x), x]
    for order in range(1, orders - 1):
        found.append(((2 * order + 1) * x * found[-1] - order * found[-2]) / (order + 1))
    return torch.stack(found[:orders], 1)


def spherical_bessel(x: Tensor) -> Tensor:
    """Return j_l(x) of x (E, orders, K) >= 0, float64, where l is the place in the second dimension.

    The series in x² where x < l + 2, the upward recurrence above, where it is stable.
    """
    orders = x.shape[1]
    if orders > _LARGEST_ORDER:
        raise ValueError(f"spherical Bessel functions up to l = {_LARGEST_ORDER - 1} only, got l = {orders - 1}")
    order = torch.arange(orders, dtype=x.dtype, device=x.device)[:, None]  # (orders, 1)
    small = x < order + 2
    return torch.where(small, _series(torch.where(small, x, 0.0), order), _upward(torch.where(small, order + 2, x)))


def _series(x: Tensor, order: Tensor) -> Tensor:
    """Return x^l/(2l+1)!! × Σ_k (-x²/2)^k / (k! (2l+3)(2l+5)...(2l+2k+1))."""
    half, total = -(x**2) / 2, torch.ones_like(x)
    for k in range(_TERMS, 0, -1):
        total = 1 + total * half / (k * (2 * order + 2 * k + 1))
    first = [torch.ones_like(x[:, 0])]
    for at in range(1, x.shape[1]):
        first.append(x[:, at] ** at / math.prod(range(1, 2 * at + 2, 2)))
    return total * torch.stack(first, 1)


def _upward(x: Tensor) -> Tensor:
    """Return j_l(x) from j_0 = sin x / x and j_1 = sin x / x² - cos x / x by j_(l+1) = (2l+1) j_l / x - j_(l-1)."""
    before, now = torch.sin(x) / x, torch.sin(x) / x**2 - torch.cos(x) / x
    found = [before[:, :1]]
    for order in range(1, x.shape[1]):
        found.append(now[:, order : order + 1])
        before, now = now, (2 * order + 1) * now / x - before
    return torch.cat(found, 1)


@cache
def _zeros_of(order: int, count: int) -> tuple[float, ...]:
    """Return the first zeros of j_order: each lies between two neighbouring zeros of j_(order-1)."""
    if order == 0:
        return tuple(math.pi * n for n in range(1, count + 1))
    below = _zeros_of(order - 1, count + 1)
    return tuple(
        float(brentq(lambda x: spherical_jn(order, x), low, high, xtol=1e-13))
        for low, high in zip(below, below[1:], strict=False)
    )


def bessel_zeros(orders: int, count: int) -> np.ndarray:
    """Return the first zeros (orders, count) of the spherical Bessel functions j_0 to j_(orders-1)."""
    return np.array([_zeros_of(order, count) for order in range(orders)])


@cache
def _constants(orders: int, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return zeros and norms (orders, count), float64; kept, for a copy to a GPU waits for it.

    The norms are √2 / |j_(l+1)(z_ln)| of the radial functions times √((2l+1) / 4π) of the harmonics Y_l0.
    """
    zeros, order = bessel_zeros(orders, count), np.arange(orders)[:, None]
    norms = np.sqrt(2) / np.abs(spherical_jn(order + 1, zeros)) * np.sqrt((2 * order + 1) / (4 * np.pi))
    return torch.from_numpy(zeros).to(device), torch.from_numpy(norms).to(device)
