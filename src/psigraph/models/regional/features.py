"""How features of atoms, bonds, regions and molecules enter a model: normalised, and with or without Psi4's."""

from typing import Literal

import torch
from torch import Tensor, nn

from psigraph.graphs.molecule_batch import MoleculeBatch
from psigraph.models.regional.inputs import FeatureColumns, MoleculeInputs
from psigraph.models.regional.normalisation import GROUPS, MAX_Z, Moments
from psigraph.models.regional.pooling import gather, inner_bonds, pool_mean
from psigraph.models.shapes import check_positive

Objective = Literal["properties", "quantum", "contrast"]
#: Elements are vectors of this width, mapped to dim: as expressive as a table for data of as many elements.
ELEMENT_WIDTH = 16
#: Standard deviations at which a feature is cut off: a category that training hardly had would be hundreds away.
FARTHEST = 10.0


class FeatureModel(nn.Module):
    """A model with the columns that `inputs` names and their normalisation as buffers.

    With `quantum` off the columns Psi4 computed do not enter.
    """

    def __init__(self, inputs: MoleculeInputs, *, dim: int, quantum: bool) -> None:
        super().__init__()
        check_positive("dim", dim)
        self.inputs, self.dim, self.quantum = inputs, dim, quantum
        self._objective: Objective = "properties"
        self._register(inputs)
        self.elements = nn.Embedding(MAX_Z + 1, ELEMENT_WIDTH)  # row 0: an element that is hidden
        self.element = nn.Linear(ELEMENT_WIDTH, dim, bias=False)
        nn.init.normal_(self.element.weight, std=ELEMENT_WIDTH**-0.5)  # states of unit variance
        width = self._width("atoms") + self._width("molecules")
        self.features = nn.Linear(width, dim, bias=False) if width else None

    def _register(self, inputs: MoleculeInputs) -> None:
        """Make the buffers of the normalisation, and the places of all columns and of the quantum ones."""
        for name in GROUPS:
            columns: tuple[FeatureColumns, ...] = getattr(inputs, name)
            quantum = [column.quantum for column in columns for _ in range(column.width)]
            used = [i for i, flag in enumerate(quantum) if self.quantum or not flag]
            for key, places in (("used", used), ("quantum", [i for i, flag in enumerate(quantum) if flag])):
                self.register_buffer(f"{name}_{key}", torch.tensor(places, dtype=torch.int64), persistent=False)
            self.register_buffer(f"{name}_is_quantum", torch.tensor(quantum, dtype=torch.bool), persistent=False)
            self.register_buffer(f"{name}_mean", torch.zeros(len(quantum)))
            self.register_buffer(f"{name}_scale", torch.ones(len(quantum)))

    @torch.no_grad()
    def fit_columns(self, name: str, moments: Moments) -> None:
        """Set the normalisation of a group's columns. Raises ValueError where there are others."""
        mean = getattr(self, f"{name}_mean")
        if moments.mean.shape != mean.shape:
            raise ValueError(f"{moments.mean.size} feature columns of {name}, the model expects {mean.numel()}")
        mean.copy_(torch.from_numpy(moments.mean))
        getattr(self, f"{name}_scale").copy_(torch.from_numpy(moments.scale))

    def embed_atoms(self, batch: MoleculeBatch, quantum: bool = True) -> Tensor:
        """Return first states of atoms (ΣN, dim): of the element, the atom's features and its molecule's.

        Here and below: with `quantum` False what Psi4 computed counts as not known; the width is the same.
        """
        states = gather(self.element(self.elements.weight), batch.z_atoms)
        if self.features is None:
            return states
        molecules = gather(self._inputs(batch, "molecules", quantum), batch.atoms_batch)
        return states + self.features(torch.cat([self._inputs(batch, "atoms", quantum), molecules], 1))

    @property
    def bond_width(self) -> int:
        return self._width("bonds")

    @property
    def region_width(self) -> int:
        return self._width("regions")

    @property
    def quantum_width(self) -> int:
        """Columns of `quantum_of_regions`; 0 where `quantum` is off or the graphs have none."""
        return sum(len(getattr(self, f"{name}_quantum")) for name in GROUPS) if self.quantum else 0

    def bond_inputs(self, batch: MoleculeBatch, quantum: bool = True) -> Tensor:
        """Return the normalised features of bonds (ΣB, bond_width); 0 where one is not known."""
        return self._inputs(batch, "bonds", quantum)

    def region_inputs(self, batch: MoleculeBatch, quantum: bool = True) -> Tensor:
        """Return the normalised features of regions (ΣR, region_width); 0 where one is not known."""
        return self._inputs(batch, "regions", quantum)

    def quantum_of_regions(self, batch: MoleculeBatch) -> Tensor:
        """Return what Psi4 says of each region (ΣR, quantum_width), normalised.

        A region's own columns, the means of its atoms' and of its inner bonds' columns, and its molecule's.
        """
        regions = len(batch.region_features)
        if not self.quantum_width:
            return batch.region_features.new_zeros(regions, 0)
        own, atoms, bonds, molecules = (
            self._normalised(batch, name).index_select(1, getattr(self, f"{name}_quantum"))
            for name in ("regions", "atoms", "bonds", "molecules")
        )
        region, atom = batch.members.unbind(1)
        parts = [own, pool_mean(gather(atoms, atom), region, regions)]
        if bonds.shape[1]:
            region_of, bond = inner_bonds(batch.bonds, batch.members, len(batch.z_atoms))
            parts.append(pool_mean(gather(bonds, bond), region_of, regions))
        return torch.cat([*parts, gather(molecules, batch.regions_batch)], 1)

    def _width(self, name: str) -> int:
        return len(getattr(self, f"{name}_used"))

    def _normalised(self, batch: MoleculeBatch, name: str, quantum: bool = True) -> Tensor:
        """Return all columns of a group, at most FARTHEST; 0, the mean, where not known or to be learned."""
        values = self._standardised(batch, name).clamp(-FARTHEST, FARTHEST)
        if self._objective == "quantum" or not quantum:
            values = values.masked_fill(getattr(self, f"{name}_is_quantum"), 0.0)
        return torch.nan_to_num(values)

    def quantum_targets(self, batch: MoleculeBatch, name: str) -> Tensor:
        """Return the normalised quantum columns of a group ("atoms", "bonds"), NaN where not known."""
        return self._standardised(batch, name).index_select(1, getattr(self, f"{name}_quantum"))

    def _standardised(self, batch: MoleculeBatch, name: str) -> Tensor:
        values: Tensor = getattr(batch, GROUPS[name])
        return (values - getattr(self, f"{name}_mean")) / getattr(self, f"{name}_scale")

    def _inputs(self, batch: MoleculeBatch, name: str, quantum: bool) -> Tensor:
        values = self._normalised(batch, name, quantum)
        return values if self._width(name) == values.shape[1] else values.index_select(1, getattr(self, f"{name}_used"))
