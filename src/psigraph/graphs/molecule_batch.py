"""Batches of molecules with their regions: what models of the family `regional` take.

Legend of shapes: B molecules, ΣN atoms, ΣB bonds, ΣP pairs of atoms, ΣR regions, ΣM memberships, ΣQ pairs of regions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from psigraph.graphs.parts import GRAPHS, Batch, Bounds, Rows


@dataclass
class MoleculeBatch(Batch):
    """B molecules by the names of `psigraph.fields`. Numbers of atoms and regions count in the whole batch.

    Floating-point tensors are of one dtype; a feature or target that is not known is NaN. Bonds and pairs stand once
    each, molecule by molecule. The core of a region is its centre, of a patch every atom.
    """

    z_atoms: Annotated[Tensor, Rows("atoms_ptr")]  # (ΣN,) int64
    pos_atoms: Annotated[Tensor, Rows("atoms_ptr")]  # (ΣN, 3) Å
    atom_features: Annotated[Tensor, Rows("atoms_ptr")]  # (ΣN, KA)
    bonds: Annotated[Tensor, Rows("bonds_ptr", within="atoms_ptr")]  # (ΣB, 2) int64, atoms i < j
    bond_features: Annotated[Tensor, Rows("bonds_ptr")]  # (ΣB, KB)
    pairs: Annotated[Tensor, Rows("pairs_ptr", within="atoms_ptr")]  # (ΣP, 2) int64, atoms i < j within the cutoff
    members: Annotated[Tensor, Rows("members_ptr", within=("regions_ptr", "atoms_ptr"))]  # (ΣM, 2) int64: region, atom
    core: Annotated[Tensor, Rows("members_ptr")]  # (ΣM,) bool: whether the atom says where the region lies
    region_features: Annotated[Tensor, Rows("regions_ptr")]  # (ΣR, KR)
    region_pairs: Annotated[Tensor, Rows("region_pairs_ptr", within="regions_ptr")]  # (ΣQ, 2) int64, I < J in reach
    region_pair_features: Annotated[Tensor, Rows("region_pairs_ptr")]  # (ΣQ, 5), see psigraph.fields
    molecule_features: Annotated[Tensor, Rows()]  # (B, KM)
    y: Annotated[Tensor, Rows()]  # (B, T)
    atoms_batch: Annotated[Tensor, Rows("atoms_ptr", within=GRAPHS)]  # (ΣN,) int64, the molecule of each atom
    regions_batch: Annotated[Tensor, Rows("regions_ptr", within=GRAPHS)]  # (ΣR,) int64, the molecule of each region
    atoms_ptr: Annotated[Tensor, Bounds()]  # (B+1,) int64, where each molecule's atoms begin; the others likewise
    bonds_ptr: Annotated[Tensor, Bounds()]  # (B+1,)
    pairs_ptr: Annotated[Tensor, Bounds()]  # (B+1,)
    members_ptr: Annotated[Tensor, Bounds()]  # (B+1,)
    regions_ptr: Annotated[Tensor, Bounds()]  # (B+1,)
    region_pairs_ptr: Annotated[Tensor, Bounds()]  # (B+1,)
    index: Annotated[Tensor, Rows()]  # (B,) int64, rows in the graphset
    global_size: int
    names: Callable[[list[int]], list[str]] | None = None
