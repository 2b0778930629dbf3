"""Sums and means of rows by what they belong to.

`index_select` and `index_add` throughout: on a CPU the gradient of `x[index]` takes three times as long.
"""

import torch
from torch import Tensor


def gather(values: Tensor, index: Tensor) -> Tensor:
    """Return values[index] (X, ...) of values (Y, ...) and index (X,)."""
    return values.index_select(0, index)


def pool_sum(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Return the sums (size, ...) of the rows of values (X, ...) that share an index (X,); 0 where there are none."""
    return values.new_zeros(size, *values.shape[1:]).index_add(0, index, values)


def pool_mean(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Return the means (size, ...) of the rows of values (X, ...) that share an index (X,); 0 where there are none."""
    count = torch.bincount(index, minlength=size).clamp(min=1).to(values)
    return pool_sum(values, index, size) / count.view(-1, *[1] * (values.ndim - 1))


def centres(positions: Tensor, members: Tensor, core: Tensor, regions: int) -> Tensor:
    """Return where each region lies (ΣR, 3): the mean of its core atoms' positions (ΣN, 3)."""
    region, atom = members[core].unbind(1)
    return pool_mean(gather(positions, atom), region, regions)


def inner_bonds(bonds: Tensor, members: Tensor, atoms: int) -> tuple[Tensor, Tensor]:
    """Return (region, bond), (X,) each: every bond with both ends in a region, once for each such region.

    bonds (ΣB, 2), members (ΣM, 2) of `atoms` atoms as in a `MoleculeBatch`; sorted by bond, then region.
    """
    region, atom = members.unbind(1)
    region_of = region[atom.argsort(stable=True)]  # (ΣM,) by atom, then region
    count = torch.bincount(atom, minlength=atoms)
    first, second = bonds.unbind(1)
    each = count[first]  # (ΣB,) regions of a bond's first end
    bond = torch.repeat_interleave(each)  # (X',)
    begins = (count.cumsum(0) - count)[first] - (each.cumsum(0) - each)
    candidate = region_of[torch.arange(len(bond), device=bond.device) + begins[bond]]
    keys = (region * atoms + atom).sort().values
    wanted = candidate * atoms + second[bond]
    place = torch.searchsorted(keys, wanted).clamp(max=max(len(keys) - 1, 0))
    inside = keys[place] == wanted if len(keys) else torch.zeros_like(wanted, dtype=torch.bool)
    return candidate[inside], bond[inside]
