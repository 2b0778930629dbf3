"""Wavefunction messages keep what every model keeps; what the approximator says is what is passed on."""

import logging
from dataclasses import replace

import pytest
import torch
from regional_suite import RegionalSuite
from synthetic_molecules import SETTINGS, TARGETS, batch, molecules

from psigraph.graphs.molecule_settings import MoleculeSettings
from psigraph.models import build_model
from psigraph.models.regional.normalisation import MoleculeStatistics
from psigraph.models.wavefunction_messages import Orbitals

BARE = MoleculeSettings(cutoff=4.0, region_cutoff=6.0)
SMALL = {"dim": 16, "heads": 4, "num_rbf": 8, "layers": 2}


class TestWavefunctionMessages(RegionalSuite):
    architecture = "wavefunction_messages"
    hyperparameters = SMALL

    def test_the_approximator_begins(self) -> None:
        model = self.untrained()
        assert model.own_objective == "quantum" and model.pretraining_share == 0.2
        assert (
            build_model(self.architecture, {**SMALL, "pretraining_share": 0.5}, inputs=model.inputs).pretraining_share
            == 0.5
        )

    def test_the_objective_trains_the_approximator_and_not_the_messages(self) -> None:
        model, data = self.fitted()
        model.objective = "quantum"
        model(data).objective.mean().backward()
        trained = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
        assert {"approximator", "creation", "objective_heads"} <= trained and not trained & {"layers", "heads"}

    def test_the_approximator_is_kept_for_another_experiment(self) -> None:
        names = self.untrained().encoder_state()
        assert any(name.startswith("approximator.") for name in names)

    def test_it_never_sees_what_it_predicts(self) -> None:
        model, data = self.model(), self.batch(molecules(), torch.float64)
        hidden = {
            f"{name}_features": getattr(data, f"{name}_features").clone()
            for name in ("atom", "bond", "region", "molecule")
        }
        for name, values in hidden.items():
            values[:, getattr(model, f"{name.removesuffix('_features')}s_is_quantum")] += 3.0
        with torch.no_grad():
            first, second = (model.approximate(d)[1] for d in (data, replace(data, **hidden)))
        assert torch.equal(first.quantities, second.quantities) and torch.equal(first.hidden, second.hidden)

    def test_learns_bond_orders(self) -> None:
        """Psi4's column of bonds replaced by a function of their length: the approximator finds it."""
        model, data = self.fitted()
        column = int(model.bonds_quantum[0])
        first, second = data.bonds.unbind(1)
        length = (data.pos_atoms[first] - data.pos_atoms[second]).norm(dim=1)
        data.bond_features[:, column] = torch.exp(-length)
        model.fit_normalisation(MoleculeStatistics.of([data]))
        model.objective = "quantum"
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(40):
            optimizer.zero_grad()
            model(data).objective.mean().backward()
            optimizer.step()
        with torch.no_grad():
            found = model.approximate(data)[1].quantities[:, 0]
        wanted = model.quantum_targets(data, "bonds")[:, 0]
        assert float((found - wanted).abs().mean()) < 0.4 * float(wanted.abs().mean())


class TestGcn(RegionalSuite):
    architecture = "wavefunction_messages"
    hyperparameters = {**SMALL, "use": "gcn"}

    def test_convolution_equals_its_dense_form(self) -> None:
        """D^-1/2 (A + I) D^-1/2 V h with the predicted bond orders in A."""
        model, data = self.model(), self.batch(molecules()[:2], torch.float64)
        with torch.no_grad():
            regions, orbitals = model.approximate(data)
            ways = model.ways(data, regions, orbitals)
            step = model.layers[0].step
            n = len(regions.states)
            weights = torch.eye(n, dtype=torch.float64)
            weights[ways.edges.receivers, ways.edges.senders] = ways.order
            scale = torch.diag(weights.sum(1).rsqrt())
            expected = step.take(torch.nn.functional.silu(scale @ weights @ scale @ step.value(regions.states)))
            assert torch.allclose(step(regions.states, ways), expected, atol=1e-10)

    def test_weights_are_bond_orders_in_their_unit(self) -> None:
        model, data = self.model(), self.batch(molecules(), torch.float64)
        column = int(model.bonds_quantum[model.order_column])
        mean, scale = model.bonds_mean[column], model.bonds_scale[column]
        quantities = torch.zeros(3, len(model.bonds_quantum), dtype=torch.float64)
        quantities[:, model.order_column] = (torch.tensor([1.5, 3.0, -8.0]).double() - mean) / scale
        order = model.bond_order(Orbitals(quantities, quantities[:, :0]))
        assert torch.allclose(order, torch.tensor([1.5, 3.0, 0.0]).double(), atol=2e-3) and bool((order > 0).all())
        assert len(data.bonds) > 0


class TestBias(RegionalSuite):
    architecture = "wavefunction_messages"
    hyperparameters = {**SMALL, "use": "bias"}


@pytest.mark.parametrize("suite", [TestWavefunctionMessages, TestGcn, TestBias])
@pytest.mark.parametrize("output", ["quantities", "hidden"])
def test_what_the_approximator_says_is_what_is_passed_on(
    suite: type, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changing its outputs changes the prediction."""
    model, data = suite().model(), suite().batch(molecules(), torch.float64)
    forward = model.approximator.forward

    def changed(*arguments: torch.Tensor) -> Orbitals:
        said = forward(*arguments)
        return replace(said, **{output: getattr(said, output) + 0.5})

    with torch.no_grad():
        before = model(data).labels
        monkeypatch.setattr(model.approximator, "forward", changed)
        change = (model(data).labels - before).abs().amax(0) / model.target_scale
    assert bool((change > 1e-5).all())


@pytest.mark.parametrize("use", ["messages", "gcn", "bias"])
def test_without_quantum_features_it_learns_from_the_properties(use: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        model = build_model("wavefunction_messages", {**SMALL, "use": use}, inputs=BARE.inputs(TARGETS))
    assert "the approximator learns from the properties alone" in caplog.text
    assert model.own_objective is None
    data = batch(molecules(), torch.float32, settings=BARE)
    model.fit_normalisation(MoleculeStatistics.of([data]))
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=2e-3), []
    for _ in range(4):
        optimizer.zero_grad()
        loss = ((model(data).labels - data.y) / model.target_scale).abs().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert all(bool(p.grad.any()) for p in model.approximator.encode.parameters())


def test_with_quantum_off_nothing_of_psi4_enters_or_is_learned() -> None:
    model = TestWavefunctionMessages().untrained(quantum=False)
    assert model.own_objective is None and not model.learns_bonds and SETTINGS.computed
    model.objective = "quantum"  # asked for by an experiment it is learned all the same, from the encoding
    data = batch(molecules(), torch.float32)
    model.fit_normalisation(MoleculeStatistics.of([data]))
    model(data).objective.mean().backward()
    assert all(bool(p.grad.any()) for p in model.layers.parameters() if p.grad is not None)
    assert len(model.measures) == len(model.atoms_quantum) + len(model.bonds_quantum)
