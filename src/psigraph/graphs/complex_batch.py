"""Batches of complexes of a protein and a ligand: what models of the family `affinity` take.

Legend of shapes: B complexes, ΣN atoms of ligands, ΣB bonds, ΣS atoms of proteins near them, ΣC contacts, T labels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from psigraph.graphs.parts import GRAPHS, Batch, Bounds, Rows


@dataclass
class ComplexBatch(Batch):
    """B complexes by the names of `psigraph.fields`, without hydrogen. Numbers of atoms count in the whole batch.

    Floating-point tensors are of one dtype. The columns of `atom_features` and `site_features` are
    `psigraph.fields.COMPLEX_ATOM_FEATURES`; bonds stand once each, complex by complex.
    """

    z_atoms: Annotated[Tensor, Rows("atoms_ptr")]  # (ΣN,) int64
    pos_atoms: Annotated[Tensor, Rows("atoms_ptr")]  # (ΣN, 3) Å
    atom_features: Annotated[Tensor, Rows("atoms_ptr")]  # (ΣN, 5)
    bonds: Annotated[Tensor, Rows("bonds_ptr", within="atoms_ptr")]  # (ΣB, 2) int64, atoms i < j of the ligand
    bond_features: Annotated[Tensor, Rows("bonds_ptr")]  # (ΣB, 3)
    site_z: Annotated[Tensor, Rows("sites_ptr")]  # (ΣS,) int64
    site_pos: Annotated[Tensor, Rows("sites_ptr")]  # (ΣS, 3) Å
    site_features: Annotated[Tensor, Rows("sites_ptr")]  # (ΣS, 5)
    in_pocket: Annotated[Tensor, Rows("sites_ptr")]  # (ΣS,) bool
    contacts: Annotated[Tensor, Rows("contacts_ptr", within=("atoms_ptr", "sites_ptr"))]  # (ΣC, 2) int64
    y: Annotated[Tensor, Rows()]  # (B, T)
    atoms_batch: Annotated[Tensor, Rows("atoms_ptr", within=GRAPHS)]  # (ΣN,) int64, the complex of each atom
    sites_batch: Annotated[Tensor, Rows("sites_ptr", within=GRAPHS)]  # (ΣS,) int64
    atoms_ptr: Annotated[Tensor, Bounds()]  # (B+1,) int64, where each complex's rows begin; the others likewise
    bonds_ptr: Annotated[Tensor, Bounds()]  # (B+1,)
    sites_ptr: Annotated[Tensor, Bounds()]  # (B+1,)
    contacts_ptr: Annotated[Tensor, Bounds()]  # (B+1,)
    index: Annotated[Tensor, Rows()]  # (B,) int64, rows in the graphset
    global_size: int
    names: Callable[[list[int]], list[str]] | None = None
