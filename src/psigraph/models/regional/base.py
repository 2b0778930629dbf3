"""What every model of the family `regional` has in common: normalisation, readout and objectives."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from psigraph.graphs.molecule_batch import MoleculeBatch
from psigraph.models.kernels import edge_sum
from psigraph.models.regional.features import FeatureModel, Objective
from psigraph.models.regional.inputs import MoleculeInputs
from psigraph.models.regional.normalisation import GROUPS, MAX_Z, Baseline, MoleculeStatistics
from psigraph.models.regional.objectives import Contrast, QuantumHeads, quantum_names
from psigraph.models.regional.pooling import gather, pool_sum
from psigraph.models.regional.readout import Readout
from psigraph.models.shapes import check_positive

OBJECTIVES: tuple[Objective, ...] = ("properties", "quantum", "contrast")


@dataclass
class Encoding:
    """What an encoder makes of a batch. `readout` holds sets of states with the molecule of each."""

    atoms: Tensor  # (ΣN, dim)
    regions: Tensor  # (ΣR, dim)
    readout: list[tuple[Tensor, Tensor]]  # (X, dim), (X,)


@dataclass
class RegionalOutput:
    """Predictions of a batch; with another objective than properties `labels` is NaN and the rest is given."""

    labels: Tensor  # (B, T) in the targets' units
    objective: Tensor | None = None  # (B,) the objective's loss, 0 where nothing is known of a molecule
    accuracy: Tensor | None = None  # (B,) share of regions matched to themselves (contrast)
    measures: Tensor | None = None  # (B, F) of the names in `RegionalModel.measures`, NaN where not known


class RegionalModel(FeatureModel):
    """A model of molecular properties; subclasses give `encode`, and may replace `read`.

    `inputs` says which columns and targets there are; with `quantum` off the columns Psi4 computed do not enter.
    Targets that do not grow with the molecule are read out by `intensive` (mean or sum). `readouts` is the number of
    sets of states in an `Encoding`. Normalisation and baselines are buffers: a checkpoint carries them.
    """

    #: An objective the training begins with, for the first `pretraining_share` of the epochs.
    own_objective: Objective | None = None
    pretraining_share: float = 0.0
    #: Parts of the names of a subclass's own weights that belong to the targets.
    target_weights: ClassVar[tuple[str, ...]] = ()
    hyperparameters: dict[str, Any]
    composition: Tensor
    constant: Tensor
    target_scale: Tensor
    summed: Tensor

    def __init__(
        self,
        inputs: MoleculeInputs,
        *,
        dim: int,
        quantum: bool,
        intensive: str,
        readouts: int = 1,
    ) -> None:
        super().__init__(inputs, dim=dim, quantum=quantum)
        check_positive("cutoff", inputs.cutoff)
        check_positive("region_cutoff", inputs.region_cutoff)
        targets = len(inputs.targets)
        self.register_buffer("composition", torch.zeros(MAX_Z + 1, targets))
        self.register_buffer("constant", torch.zeros(targets))
        self.register_buffer("target_scale", torch.ones(targets))
        summed = [target.extensive or intensive == "sum" for target in inputs.targets]
        self.register_buffer("summed", torch.tensor(summed, dtype=torch.bool), persistent=False)
        self.heads = nn.ModuleList(Readout(dim, summed) for _ in range(readouts))
        self.objective_heads = nn.ModuleDict()
        self.kernel = True  # use it where it was built
        self.log_scale = nn.Parameter(torch.zeros(targets))  # of losses weighted by uncertainty
        if self.own_objective == "quantum" and not (quantum_names(inputs.atoms) or quantum_names(inputs.bonds)):
            self.own_objective = None  # the graphs have no level of theory, so there is nothing to learn
        if self.own_objective is not None:
            self._make_heads(self.own_objective)

    def encode(self, batch: MoleculeBatch) -> Encoding:
        """Return the states of atoms and regions, and those the targets are read from."""
        raise NotImplementedError

    def read(self, batch: MoleculeBatch, encoding: Encoding) -> Tensor:
        """Return the standardised targets (B, T) of an encoding."""
        if len(encoding.readout) != len(self.heads):
            raise ValueError(f"{len(encoding.readout)} sets of states to read out, but {len(self.heads)} heads")
        parts = zip(self.heads, encoding.readout, strict=True)
        return torch.stack([head(*states, batch.num_graphs) for head, states in parts]).sum(0)

    # prediction

    def has_kernel(self, device: torch.device) -> bool:
        """Return whether sums over edges have a kernel on a device, in this model's precision."""
        return edge_sum.available(device, self.target_scale.dtype)

    def forward(self, batch: MoleculeBatch) -> RegionalOutput:
        """Return the predictions of a batch, or with another objective than properties what it asks for."""
        if self.kernel:
            with edge_sum.kernel():
                return self._output(batch)
        return self._output(batch)

    def _output(self, batch: MoleculeBatch) -> RegionalOutput:
        if self._objective != "properties":
            nothing = self.target_scale.new_full((batch.num_graphs, len(self.inputs.targets)), torch.nan)
            loss, measures = self.objective_heads[self._objective](self, batch)
            accuracy = measures[:, 0] if self._objective == "contrast" else None
            return RegionalOutput(nothing, loss, accuracy, measures)
        standardised = self.read(batch, self.encode(batch))
        return RegionalOutput(self.baseline(batch) + self.target_scale * standardised)

    def baseline(self, batch: MoleculeBatch) -> Tensor:
        """Return the targets' baseline (B, T) in their units: of the elements where extensive, else the mean."""
        return self.constant + pool_sum(gather(self.composition, batch.z_atoms), batch.atoms_batch, batch.num_graphs)

    @torch.no_grad()
    def fit_normalisation(self, statistics: MoleculeStatistics) -> None:
        """Set the normalisation of features and targets from a training set.

        Raises ValueError where its columns or targets are not the model's.
        """
        for name in GROUPS:
            self.fit_columns(name, statistics.columns[name])
        targets = self.inputs.targets
        if statistics.y.shape[1] != len(targets):
            raise ValueError(f"{statistics.y.shape[1]} columns of targets, the model predicts {len(targets)}")
        fitted = Baseline.fit(statistics.counts, statistics.y, [target.extensive for target in targets])
        self.composition.copy_(torch.from_numpy(fitted.composition))
        self.constant.copy_(torch.from_numpy(fitted.constant))
        self.target_scale.copy_(torch.from_numpy(fitted.scale))

    # objectives

    @property
    def objective(self) -> Objective:
        """What `forward` computes. Setting it makes the objective's heads, so do it before an optimizer is made and
        before weights are loaded."""
        return self._objective

    @objective.setter
    def objective(self, objective: Objective) -> None:
        if objective not in OBJECTIVES:
            raise ValueError(f"unknown objective {objective!r}; known: {', '.join(OBJECTIVES)}")
        self._make_heads(objective)
        self._objective = objective

    def _make_heads(self, objective: Objective) -> None:
        if objective == "properties" or objective in self.objective_heads:
            return
        heads = self.quantum_heads() if objective == "quantum" else Contrast(self.dim)
        self.objective_heads[objective] = heads.to(self.target_scale).train(self.training)

    def quantum_heads(self) -> nn.Module:
        """Return new heads of the objective quantum: (model, batch) -> losses (B,), measures (B, F); `measures` names
        the latter. A subclass may have its own."""
        return QuantumHeads(self.dim, self.inputs)

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of what the objective measures beside its loss: quantum columns, or accuracy and chance."""
        heads: Any = self.objective_heads[self._objective] if self._objective != "properties" else None
        return () if heads is None else heads.measures

    def encoder_state(self) -> set[str]:
        """Return the names of the weights another experiment may start from: all but what belongs to the targets."""
        own = ("heads.", "objective_heads.", "composition", "constant", "target_scale", "log_scale")
        names = (name for name in self.state_dict() if not name.startswith(own))
        return {name for name in names if not any(part in name for part in self.target_weights)}
