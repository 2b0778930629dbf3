"""Radial basis, normalisation and edge pairing, against formulas and numbers worked out by hand."""

import math

import pytest
import torch
from synthetic import batch, random_graphs, training_arrays

from psigraph.models.base import DeltaModel
from psigraph.models.radial import RadialBesselBasisLayer, membership
from psigraph.models.shapes import undirected_pairs


def test_basis_is_the_notes_formula() -> None:
    cutoff, r = 1.2, torch.tensor([0.05, 0.3, 0.9, 1.1], dtype=torch.float64)
    basis = RadialBesselBasisLayer(5, cutoff).double()(r)
    assert basis.shape == (4, 5)
    for i, distance in enumerate(r.tolist()):
        for k in range(1, 6):
            w = k * math.pi / cutoff
            expected = math.sin(w * distance) / (w * distance) * 0.5 * (1 + math.cos(math.pi * distance / cutoff))
            assert basis[i, k - 1].item() == pytest.approx(expected, abs=1e-12)


def test_basis_is_finite_at_zero_with_its_gradient() -> None:
    r = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    basis = RadialBesselBasisLayer(50, 1.2).double()(r)
    assert torch.equal(basis, torch.ones(1, 50, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(basis.sum(), r)
    assert gradient.item() == 0
    near = RadialBesselBasisLayer(50, 1.2).double()(torch.tensor([1e-9], dtype=torch.float64))
    assert torch.allclose(near, basis, atol=1e-12)


def test_value_and_slope_vanish_at_the_cutoff_and_beyond() -> None:
    layer = RadialBesselBasisLayer(8, 1.2).double()
    r = torch.tensor([1.2 - 1e-6, 1.2, 1.3, 100.0], dtype=torch.float64, requires_grad=True)
    basis = layer(r)
    assert basis.abs().max() < 1e-11 and not basis[1:].any()
    (gradient,) = torch.autograd.grad(basis.sum(), r)
    assert gradient.abs().max() < 1e-5


def test_membership_falls_from_one_to_zero_in_the_last_tenth() -> None:
    r = torch.tensor([0.0, 1.07, 1.08, 1.14, 1.2, 2.0], dtype=torch.float64)
    assert membership(r, 1.2, 0.1).tolist() == pytest.approx([1, 1, 1, 0.5, 0, 0])
    assert membership(r, 1.2, 0.0).tolist() == [1] * 6


def test_normalisation_by_hand() -> None:
    model = DeltaModel()
    model.fit_normalisation(
        {
            "u": torch.tensor([[1.0, 0.0, 5.0, 1.0], [3.0, 0.0, 5.0, 2.0]]),
            "y": torch.tensor([1.0, 3.0]),
            "atomic_node_attr": torch.tensor([[2.0, 0.0, 0.0], [4.0, 2.0, 0.0], [6.0, 4.0, 0.0]]),
            "field_node_features": torch.tensor([[3.0, 0, 0, 0, 0, 0, 0, 0], [0.0, 0, 3.0, 0, 0, 0, 0, 0]]),
        }
    )
    assert model.u_mean.tolist() == [2, 0, 5, 1.5] and model.u_scale.tolist() == [1, 1, 1, 0.5]
    assert model.atom_mean.tolist() == [4, 2, 0] and model.atom_scale[2] == 1, "no spread: left as it is"
    assert model.atom_scale[0].item() == pytest.approx(math.sqrt(8 / 3))
    assert (model.delta_mean.item(), model.delta_scale.item()) == (2, 1)
    assert model.multipole_scale.tolist() == pytest.approx([math.sqrt(3), 1])
    assert model.to_label(torch.tensor([0.5])).item() == 2.5
    assert set(model.state_dict()) >= {"u_mean", "atom_scale", "multipole_scale", "delta_mean", "delta_scale"}


def test_normalised_training_set_has_unit_size() -> None:
    model, arrays = DeltaModel().double(), training_arrays(random_graphs(30))
    model.fit_normalisation(arrays)
    for values in (model.normalised_u(arrays["u"]), model.normalised_atoms(arrays["atomic_node_attr"])):
        assert torch.allclose(values.mean(0), torch.zeros_like(values[0]), atol=1e-12)
        assert torch.allclose(values.std(0, correction=0), torch.ones_like(values[0]))
    field = model.normalised_multipoles(arrays["field_node_features"])
    for part in (field[:, :3], field[:, 3:]):
        assert part.square().mean().item() == pytest.approx(1)
    ratio = field[:, :3] / arrays["field_node_features"][:, :3]
    assert torch.allclose(ratio, ratio[0, 0].expand_as(ratio)), "one factor for x, y and z"


def test_both_directions_of_a_pair_are_found_in_any_order() -> None:
    edges = batch(random_graphs(3)).edge_index_atoms
    edges = edges[:, torch.randperm(edges.shape[1], generator=torch.Generator().manual_seed(0))]
    pairs = undirected_pairs(edges, 30)
    assert sorted(pairs.flatten().tolist()) == list(range(edges.shape[1]))
    assert torch.equal(edges[:, pairs[:, 0]], edges[:, pairs[:, 1]].flip(0))
