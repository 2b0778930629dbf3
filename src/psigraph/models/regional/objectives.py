"""What an encoder can learn without a property: what Psi4 says of its atoms and bonds, or telling regions apart."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from psigraph.graphs.molecule_batch import MoleculeBatch
from psigraph.models.radial import RadialBesselBasisLayer
from psigraph.models.regional.inputs import FeatureColumns, MoleculeInputs
from psigraph.models.regional.pooling import gather, pool_mean, pool_sum

#: Of the contrast between regions: temperature, regions of a batch that are compared, and what a view changes.
TEMPERATURE = 0.1
MOST_REGIONS = 512
JITTER = 0.05  # Å, standard deviation
HIDDEN = 0.15  # share of atoms, bonds and regions whose element and features are hidden
BOND_RANGE = 5.0  # Å, of the distance that a head on bonds sees


class QuantumHeads(nn.Module):
    """Heads that predict the quantum columns of atoms and of bonds from the atoms' states.

    The loss is the mean absolute error over known values, in standard deviations of each column; `measures` are the
    errors by column. The encoder does not see these columns meanwhile.
    """

    def __init__(self, dim: int, inputs: MoleculeInputs, num_rbf: int = 8) -> None:
        super().__init__()
        atoms, bonds = quantum_names(inputs.atoms), quantum_names(inputs.bonds)
        if not atoms and not bonds:
            raise ValueError(
                "the objective quantum needs features of atoms or bonds from Psi4, and the graphs have none; "
                "name a level in the graphset"
            )
        self.measures = (*atoms, *bonds)
        self.rbf = RadialBesselBasisLayer(num_rbf, BOND_RANGE)
        self.atoms = _mlp(dim, dim, len(atoms)) if atoms else None
        self.bonds = _mlp(2 * dim + num_rbf, dim, len(bonds)) if bonds else None

    def predictions(self, states: Tensor, batch: MoleculeBatch) -> tuple[Tensor, Tensor]:
        """Return the normalised columns of atoms (ΣN, QA) and bonds (ΣB, QB) that follow from states (ΣN, dim)."""
        atoms = self.atoms(states) if self.atoms is not None else states.new_zeros(len(states), 0)
        if self.bonds is None:
            return atoms, states.new_zeros(len(batch.bonds), 0)
        i, j = batch.bonds.unbind(1)
        x, y = gather(states, i), gather(states, j)
        length = (gather(batch.pos_atoms, j) - gather(batch.pos_atoms, i)).norm(dim=1)
        return atoms, self.bonds(torch.cat([x + y, x * y, self.rbf(length)], 1))

    def predicted(self, model: Any, batch: MoleculeBatch) -> tuple[Tensor, Tensor]:
        """Return `predictions` from a model's encoding of a batch; a subclass may take them from elsewhere."""
        return self.predictions(model.encode(batch).atoms, batch)

    def forward(self, model: Any, batch: MoleculeBatch) -> tuple[Tensor, Tensor]:
        """Return each molecule's loss (B,) and measures (B, F)."""
        predicted = self.predicted(model, batch)
        bonds_batch = gather(batch.atoms_batch, batch.bonds[:, 0])
        errors = []
        for name, values, molecule in zip(("atoms", "bonds"), predicted, (batch.atoms_batch, bonds_batch), strict=True):
            errors.append(column_errors(values, model.quantum_targets(batch, name), molecule, batch.num_graphs))
        measures = torch.cat(errors, 1)  # (B, QA + QB)
        known = torch.isfinite(measures)
        loss = measures.masked_fill(~known, 0.0).sum(1) / known.sum(1).clamp(min=1)
        return loss, measures.detach()


class Contrast(nn.Module):
    """InfoNCE between the regions of two views of a batch (van den Oord, Li, Vinyals, arXiv:1807.03748, eq. 4).

    A view jitters positions and hides some elements and features. A region's two views belong together; all other
    regions of the batch are the negatives. Views are drawn from torch's generator in training, from a fixed one else.
    """

    measures = ("accuracy", "chance")

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.projection = _mlp(dim, dim, dim)

    def forward(self, model: Any, batch: MoleculeBatch) -> tuple[Tensor, Tensor]:
        """Return each molecule's loss (B,) and measures (B, F)."""
        generator = None if self.training else torch.Generator().manual_seed(0)
        regions = len(batch.region_features)
        views = [self.projection(model.encode(view(batch, generator)).regions) for _ in range(2)]
        drawn = torch.randperm(regions, generator=generator)[:MOST_REGIONS].sort().values.to(batch.regions_batch.device)
        first, second = (nn.functional.normalize(gather(states, drawn), dim=1) for states in views)
        similar = first @ second.T / TEMPERATURE  # (S, S)
        own = torch.arange(len(drawn), device=drawn.device)
        sides = [nn.functional.cross_entropy(side, own, reduction="none") for side in (similar, similar.T)]
        found = (similar.argmax(1) == own).to(similar)
        molecule = gather(batch.regions_batch, drawn)
        accuracy = pool_mean(found, molecule, batch.num_graphs)
        chance = torch.full_like(accuracy, 1 / max(len(drawn), 1))
        return pool_mean((sides[0] + sides[1]) / 2, molecule, batch.num_graphs), torch.stack(
            [accuracy, chance], 1
        ).detach()


def view(batch: MoleculeBatch, generator: torch.Generator | None) -> MoleculeBatch:
    """Return a batch with jittered positions and some of its elements and features hidden."""
    noise = torch.randn(batch.pos_atoms.shape, generator=generator).to(batch.pos_atoms)

    def hidden(rows: Tensor) -> Tensor:
        return (torch.rand(len(rows), generator=generator) < HIDDEN).to(rows.device)

    atoms = hidden(batch.z_atoms)
    return replace(
        batch,
        pos_atoms=batch.pos_atoms + JITTER * noise,
        z_atoms=batch.z_atoms.masked_fill(atoms, 0),
        atom_features=batch.atom_features.masked_fill(atoms[:, None], torch.nan),
        bond_features=batch.bond_features.masked_fill(hidden(batch.bonds)[:, None], torch.nan),
        region_features=batch.region_features.masked_fill(hidden(batch.region_features)[:, None], torch.nan),
    )


def column_errors(predicted: Tensor, wanted: Tensor, molecule: Tensor, molecules: int) -> Tensor:
    """Return mean absolute errors (B, Q) of values (X, Q) over each molecule's known ones, NaN where it has none."""
    known = torch.isfinite(wanted)
    errors = (predicted - torch.nan_to_num(wanted)).abs().masked_fill(~known, 0.0)
    count = pool_sum(known.to(errors), molecule, molecules)
    return pool_sum(errors, molecule, molecules) / count.clamp(min=1) + torch.where(count > 0, 0.0, torch.nan)


def quantum_names(columns: Sequence[FeatureColumns]) -> list[str]:
    """Return a name for each quantum column: the feature's, with a number where it has several."""
    return [
        column.name if column.width == 1 else f"{column.name}_{k}"
        for column in columns
        if column.quantum
        for k in range(column.width)
    ]


def _mlp(width: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.SiLU(), nn.Linear(hidden, out))
