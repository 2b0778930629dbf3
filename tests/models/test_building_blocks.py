"""Radial basis, normalisation and edge pairing, against formulas and numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch
from synthetic import batch, random_graphs, training_arrays
from torch_geometric.data import Data

from psigraph.models.base import DeltaModel
from psigraph.models.delta_coupling import DeltaCoupling
from psigraph.models.radial import RadialBesselBasisLayer, interpolation, membership
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


def test_pairs_of_an_edge_index_in_any_order() -> None:
    """As a GraphBatch holds them: i < j, each once, graph by graph."""
    graphs = random_graphs(3)
    data, expected = batch(graphs), []
    for first, graph in zip(data.z_atoms_ptr.tolist(), graphs, strict=False):
        expected += [(first + int(i), first + int(j)) for i, j in graph.pairs]
    view = Data(edge_index_atoms=data.edge_index_atoms)
    for _ in range(3):
        pairs, begins = undirected_pairs(view, data.z_atoms_batch, 3)
        assert sorted(map(tuple, pairs.tolist())) == expected
        assert begins.tolist() == np.cumsum([0, *(len(g.pairs) for g in graphs)]).tolist()
        owner = data.z_atoms_batch[pairs[:, 0]]
        assert bool((owner.diff() >= 0).all())
        view.edge_index_atoms = view.edge_index_atoms[:, torch.randperm(view.edge_index_atoms.shape[1])]


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([[0, 1, 2], [1, 0, 1]], "holds 3 edges; each pair must stand in both directions"),
        ([[0, 1, 1, 2], [1, 0, 2, 0]], "edge 1 -> 2 has no opposite"),
        ([[0, 1, 2, 2], [1, 0, 2, 2]], "edge 2 -> 2 has no opposite"),
        ([[0, 0, 1, 0, 1, 2], [1, 1, 0, 2, 0, 0][::1]], None),
        ([[0, 0, 0, 2], [1, 1, 2, 0]], "edge 0 -> 1 has no opposite"),
    ],
)
def test_edges_without_opposite(edges: list[list[int]], message: str | None) -> None:
    data, graph = Data(edge_index_atoms=torch.tensor(edges)), torch.zeros(3, dtype=torch.int64)
    if message is None:
        assert len(undirected_pairs(data, graph, 1)[0]) == 3
        return
    with pytest.raises(ValueError, match=message):
        undirected_pairs(data, graph, 1)


def test_edge_between_two_graphs_is_refused() -> None:
    data, graph = Data(edge_index_atoms=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])), torch.tensor([0, 0, 1])
    with pytest.raises(ValueError, match="edge 1 -> 2 joins atoms of two graphs"):
        undirected_pairs(data, graph, 2)


def test_interpolation_is_exact_for_polynomials_of_degree_five_and_its_gradient_for_all() -> None:
    x = torch.tensor([0.0, 1e-9, 0.013, 0.5, 0.77, 1 - 1e-9, 1.0], dtype=torch.float64)
    knots = torch.linspace(0, 1, 40, dtype=torch.float64)
    table = torch.stack([knots**5 - knots**2, 3 * knots**4 - 1], 1).requires_grad_(True)
    places = interpolation(x, 40)
    mixed = places(table)
    assert torch.allclose(mixed, torch.stack([x**5 - x**2, 3 * x**4 - 1], 1), atol=1e-14)
    dense = torch.zeros(len(x), 40, dtype=torch.float64)
    for q in range(6):
        dense[torch.arange(len(x)), places.first + q] += places.coefficients[:, q]
    assert torch.allclose(mixed, dense @ table, atol=1e-14)
    probe = torch.randn_like(mixed)
    (gradient,) = torch.autograd.grad((mixed * probe).sum(), table)
    assert torch.allclose(gradient, dense.T @ probe, atol=1e-14)


@pytest.mark.parametrize(("growth", "error"), [(1.0, 5e-8), (3.0, 1e-6), (5.0, 1e-5)])
def test_error_of_the_radial_table(growth: float, error: float) -> None:
    """Relative to the largest weight, at the note's sizes. Training hardly changes the scale of the first layer.

    Its weights start with variance 1; the default models' stay within a factor of 1.1.
    """
    torch.manual_seed(0)
    model = DeltaCoupling(cutoff=12.0, length_scale=0.1, num_conv_layers=1).double()
    layer, r = model.layers[0], torch.rand(5000, dtype=torch.float64) * 1.2
    with torch.no_grad():
        layer.fc.layer0.weight *= growth
        exact = layer.weights(model.rbf(r))
        knots = torch.linspace(0, 1.2, model.knots, dtype=torch.float64)
        mixed = interpolation(r / 1.2, model.knots)(layer.weights(model.rbf(knots)))
    assert model.knots == 1200 and 0 < float((mixed - exact).abs().max()) < error * float(exact.abs().max())
