"""DeltaCoupling: the inherited suite, and what spec/delta.md §4 and its decisions ask of this model."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from e3nn import o3
from e3nn.nn import FullyConnectedNet
from suite import ModelSuite
from synthetic import CUTOFF, SCALE, batch, needs_kernel, random_graph, random_graphs, reconnected, training_arrays
from torch_geometric.utils import scatter

from psigraph.models.delta_coupling import ATTRIBUTES, NODE, DeltaCoupling, PointsConvolutionIntegrated

NOTE_HARMONICS = o3.Irreps("4x0e+4x1o+4x2e+4x3o")


class TestDeltaCoupling(ModelSuite):
    architecture = "delta_coupling"
    hyperparameters = {"num_conv_layers": 3, "num_rbf": 8, "hidden": 16}


class TestWithoutAtomFeatures(TestDeltaCoupling):
    atom_features = ()


class TestWithManyAtomFeatures(TestDeltaCoupling):
    """Twelve columns."""

    atom_features = ("mulliken_spd", "npa_spd", "free_atom_valence", "npa_charge", "hybridisation")


def small(dtype: torch.dtype = torch.float64, **changes: object) -> DeltaCoupling:
    torch.manual_seed(0)
    settings = {"num_conv_layers": 2, "num_rbf": 8, "hidden": 16, **changes}
    model = DeltaCoupling(cutoff=CUTOFF, length_scale=SCALE, **settings).to(dtype)
    model.fit_normalisation(training_arrays(random_graphs(20, seed=1)))
    return model


def slow_layer(layer: PointsConvolutionIntegrated, x, attr, src, dst, vector, rbf) -> torch.Tensor:
    """The convolution block as §4.4 writes it, in e3nn's own modules, with all four copies of each harmonic."""
    mid, instructions = [], []
    for i, (mul, ir_in) in enumerate(NODE):
        for j, (_, ir_sh) in enumerate(NOTE_HARMONICS):
            for ir in ir_in * ir_sh:
                if ir in NODE:
                    instructions.append((i, j, len(mid), "uvu", True))
                    mid.append((mul, ir))
    mid, place, _ = o3.Irreps(mid).sort()
    instructions = [(i, j, place[k], mode, has) for i, j, k, mode, has in instructions]
    tp = o3.TensorProduct(NODE, NOTE_HARMONICS, mid, instructions, internal_weights=False, shared_weights=False)
    assert tp.weight_numel == 136
    attributes = o3.Irreps(f"{ATTRIBUTES}x0e")
    slow = {
        "sc": o3.FullyConnectedTensorProduct(NODE, attributes, NODE),
        "lin1": o3.FullyConnectedTensorProduct(NODE, attributes, NODE),
        "lin2": o3.FullyConnectedTensorProduct(mid, attributes, NODE),
        "alpha": o3.FullyConnectedTensorProduct(mid, attributes, "0e"),
    }
    for name, module in slow.items():
        module.to(x.dtype).load_state_dict({"weight": getattr(layer, name).weight.data}, strict=False)
    fc = FullyConnectedNet(layer.fc.hs, torch.nn.functional.silu).to(x.dtype)
    fc.load_state_dict(layer.fc.state_dict())
    sh = o3.spherical_harmonics(NOTE_HARMONICS, vector, normalize=True, normalization="component")
    messages = tp.to(x.dtype)(slow["lin1"](x, attr)[src], sh, fc(rbf))
    mean = scatter(messages, dst, dim=0, dim_size=x.shape[0], reduce="mean")
    return slow["sc"](x, attr) + torch.tanh(slow["alpha"](mean, attr)) * slow["lin2"](mean, attr)


@pytest.mark.parametrize("kernel", [False, pytest.param(True, marks=needs_kernel)])
def test_layer_equals_plain_e3nn_with_four_copies(kernel: bool) -> None:
    """Outputs and gradients, on a batch's own edges; with taper 0 the mean is the note's plain scatter-mean."""
    torch.set_default_dtype(torch.float64)  # e3nn's constants in double precision
    try:
        model = small(taper=0.0)
        model.kernel = kernel
        data = batch(random_graphs(3), torch.float64)
        graphs, n = 3, data.pos_atoms.shape[0]
        x, attr = model.nodes(data, graphs)
        x, attr = (torch.randn_like(t).requires_grad_(True) for t in (x, attr))
        edges, layer = model.edges(data, data.z_atoms_batch, graphs), model.layers[0]
        first, second = edges.nodes.T
        src, dst = torch.cat([first, second]), torch.cat([second, first])
        centroids = scatter(data.pos_atoms, data.z_atoms_batch, dim=0, reduce="mean")
        place = torch.cat([data.pos_atoms, centroids])
        assert src.shape[0] == data.edge_index_atoms.shape[1] + 2 * n
        expected = slow_layer(layer, x, attr, src, dst, place[dst] - place[src], edges.rbf.repeat(2, 1))
        actual = layer(x, attr, edges)
        assert (edges.fused is not None) == kernel
        assert torch.allclose(actual, expected, rtol=0, atol=1e-12)
        probe = torch.randn_like(expected)
        for a, b in zip(*(torch.autograd.grad((o * probe).sum(), [x, attr]) for o in (actual, expected)), strict=True):
            assert torch.allclose(a, b, rtol=0, atol=1e-11)
    finally:
        torch.set_default_dtype(torch.float32)


def test_weights_per_edge_and_their_fold() -> None:
    layer = small().layers[0]
    assert layer.fc.hs == [8, 16, 136] and layer.tp.weight_numel == 34
    rbf = torch.rand(5, 8, dtype=torch.float64)
    full = layer.fc(rbf).view(5, 34, 4).sum(2) / 2  # e3nn divides a path of four copies by sqrt(4)
    assert torch.allclose(layer.weights(rbf), full, atol=1e-12)
    assert torch.allclose(layer.weights(rbf, layer.tp.columns), full[:, layer.tp.columns], atol=1e-12)


def test_node_layout() -> None:
    """§4.2: atoms fill the scalars from Z alone, the field node fills vector and tensor from its moments."""
    model, graphs = small(), random_graphs(2)
    data = batch(graphs, torch.float64)
    x, attr = model.nodes(data, 2)
    n = len(data.z_atoms)
    assert str(NODE) == "8x0e+1x1o+1x2e" and x.shape == (n + 2, 16) and attr.shape == (n + 2, 8)
    assert torch.equal(x[:n, :8], model.embedding(data.z_atoms)) and not x[:n, 8:].any()
    assert not x[n:, :8].any() and torch.equal(x[n:, 8:], model.normalised_multipoles(data.field_node_features))
    assert torch.equal(attr[n], attr[n + 1]) and torch.equal(attr[n], model.field_attributes)
    assert model.embedding.num_embeddings == 87


def test_edges_and_field_node_at_the_centroid() -> None:
    model, graphs = small(), random_graphs(2)
    data = batch(graphs, torch.float64)
    edges = model.edges(data, data.z_atoms_batch, 2)
    n, pairs = len(data.z_atoms), data.edge_index_atoms.shape[1] // 2
    assert edges.nodes.shape == (pairs + n, 2)
    atom = len(graphs[0].z_atoms)  # first atom of the second graph
    row = pairs + atom
    assert edges.nodes[row].tolist() == [atom, n + 1]
    centre = torch.tensor(graphs[1].pos_atoms.mean(0))
    vector = centre - data.pos_atoms[atom]
    direct = o3.spherical_harmonics("1x0e+1x1o+1x2e+1x3o", vector, normalize=True, normalization="component")
    assert torch.allclose(edges.sh[row], direct, atol=1e-12)
    assert torch.allclose(edges.rbf[row], model.rbf_field(vector.norm()[None])[0], atol=1e-12)
    assert model.rbf_field.cutoff == pytest.approx(5.0) and model.rbf.cutoff == pytest.approx(1.2)


def test_multipoles_reach_every_atom_in_the_first_layer() -> None:
    """Also atoms 20 Å from the centroid, which are beyond the atoms' cutoff of 12 Å."""
    graph = random_graph(np.random.default_rng(0), atoms=8)
    position = graph.pos_atoms - graph.pos_atoms.mean(0)
    position[0] += [0, 0, -2.3]  # internal units: 23 Å
    position[-1] += [0, 0, 2.3]
    graph = reconnected(replace(graph, pos_atoms=position - position.mean(0)))
    distance = np.linalg.norm(graph.pos_atoms, axis=1) / SCALE
    assert (distance > 20).sum() == 2 and distance.max() < 30
    model = small()
    for changed in (slice(0, 3), slice(3, 8)):
        features = graph.field_node_features.copy()
        features[changed] *= 1.5
        states = []
        for g in (graph, replace(graph, field_node_features=features)):
            data = batch([g], torch.float64)
            x, attr = model.nodes(data, 1)
            states.append(model.states(x, attr, model.edges(data, data.z_atoms_batch, 1))[0])
        change = (states[0] - states[1]).abs().amax(1)[:-1]  # the field node itself left out
        assert (change > 1e-6).all()


def test_residual_every_two_layers() -> None:
    model, data = small(num_conv_layers=5), batch(random_graphs(1), torch.float64)
    x, attr = model.nodes(data, 1)
    edges = model.edges(data, data.z_atoms_batch, 1)
    states = model.states(x, attr, edges)
    one = model.layers[0](x, attr, edges)
    two = model.layers[1](one, attr, edges) + x
    three = model.layers[2](two, attr, edges)
    four = model.layers[3](three, attr, edges) + two
    for state, expected in zip(states, [one, two, three, four, model.layers[4](four, attr, edges)], strict=True):
        assert torch.equal(state, expected)


def test_pooling_is_the_mean_over_atoms_and_field_node() -> None:
    model, data = small(), batch(random_graphs(2), torch.float64)
    n = len(data.z_atoms)
    x = torch.randn(n + 2, 16, dtype=torch.float64)
    own = torch.cat([x[:n][data.z_atoms_batch == 1], x[n + 1 :]])
    assert torch.allclose(model.pool(x, data.z_atoms_batch, 2)[1], own.mean(0))


def test_flat_globals_are_reshaped() -> None:
    model, data = small(), batch(random_graphs(3), torch.float64)
    expected = model(data)
    data.u = data.u.flatten()
    assert torch.equal(model(data), expected)
    data.u = data.u[:-1]
    with pytest.raises(ValueError, match="u holds 11 numbers for 3 graphs; expected 4 a graph"):
        model(data)


def test_given_harmonics_are_used_and_equal() -> None:
    model, graphs = small(), random_graphs(3)
    given = batch(graphs, torch.float64, spherical_harmonics=True)
    expected = model(batch(graphs, torch.float64))
    assert torch.allclose(model(given), expected, atol=1e-12)
    given.edge_attr_sh = torch.zeros_like(given.edge_attr_sh)
    assert not torch.allclose(model(given), expected, atol=1e-6)


def test_order_of_edges_does_not_matter_and_both_directions_must_be_there() -> None:
    model, data = small(), batch(random_graphs(2), torch.float64)
    expected = model(data)
    edges = data.edge_index_atoms
    data.edge_index_atoms = edges[:, torch.randperm(edges.shape[1])]
    assert torch.allclose(model(data), expected, atol=1e-12)
    data.edge_index_atoms = edges[:, 1:]
    with pytest.raises(ValueError, match="each pair must stand in both directions"):
        model(data)
    one_way = edges.clone()
    one_way[:, -1] = one_way[:, -1].flip(0)
    data.edge_index_atoms = one_way
    with pytest.raises(ValueError, match="has no opposite in edge_index_atoms"):
        model(data)


def test_dimer_without_atom_pairs() -> None:
    """Two atoms further apart than the cutoff still exchange through the field node."""
    graph = random_graph(np.random.default_rng(0), atoms=2)
    far = reconnected(replace(graph, pos_atoms=np.array([[0, 0, 0], [0, 0, 2.0]])))
    assert len(far.pairs) == 0
    assert torch.isfinite(small()(batch([far, graph], torch.float64))).all()


@pytest.mark.parametrize("offset", [0.0, 1e-9, 1e-6])
def test_atom_on_the_centroid_has_no_arbitrary_direction(offset: float) -> None:
    """The harmonics of a vector that is rounding noise would turn with the noise; they fade to 0 instead."""
    graph = random_graph(np.random.default_rng(0), atoms=5)
    position = np.array([[0.1, 0, 0], [-0.1, 0, 0], [0, 0.12, 0], [0, -0.12, 0], [0, 0, 0.0]])
    model, out = small(), []
    for direction in np.eye(3):
        moved = position.copy()
        moved[4] += offset * direction
        out.append(model(batch([reconnected(replace(graph, pos_atoms=moved))], torch.float64)))
    spread = float((torch.cat(out) - out[0]).detach().abs().max())
    assert spread <= 1e4 * offset * float(model.delta_scale)


def test_plain_mean_jumps_at_the_cutoff_and_the_tapered_one_does_not() -> None:
    """Why the mean over neighbours counts an atom less and less in the last tenth of the cutoff."""
    graph = random_graphs(1)[0]
    jumps = []
    for taper in (0.0, 0.1):
        model, values = small(taper=taper), []
        for z in (CUTOFF * SCALE - 1e-9, CUTOFF * SCALE + 1e-9):
            position = graph.pos_atoms.copy()
            position[-1] = position[0] + [0, 0, z]
            data = batch([reconnected(replace(graph, pos_atoms=position))], torch.float64)
            values.append(float(model(data).detach()))
        jumps.append(abs(values[0] - values[1]) / float(model.delta_scale))
    assert jumps[0] > 1e-7 and jumps[0] > 1000 * jumps[1]


def test_gradient_is_finite_where_pooled_tensors_vanish() -> None:
    model, data = small(num_conv_layers=1), batch(random_graphs(1), torch.float64)
    data.field_node_features = torch.zeros_like(data.field_node_features)
    for parameter in model.layers[0].parameters():
        torch.nn.init.zeros_(parameter)
    model(data).sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


def test_autocast_to_bfloat16_stays_close() -> None:
    """What mixed precision on a GPU does, on the CPU: same result within bfloat16's eight bits, finite gradients."""
    model, data = small(torch.float32), batch(random_graphs(4))
    expected = model(data)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = model(data)
    assert out.dtype == torch.float32
    assert float((out - expected).abs().max()) < 0.1 * float(model.delta_scale)
    out.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_parameters_of_the_notes_defaults() -> None:
    """Recipe: 6 layers, 50 radial functions, 64 wide, as configs/delta-note.yaml."""
    model = DeltaCoupling(cutoff=12.0, length_scale=0.1)
    assert model.hyperparameters == {"num_conv_layers": 6, "num_rbf": 50, "hidden": 64, "field_cutoff": 50.0}
    layer = 8 * (64 + 1 + 1) * 2 + 8 * (10 * 8 + 12 + 12 + 10) + 50 * 64 + 64 * 136
    head = (14 * 64 + 64) + (64 * 64 + 64) + 65
    rest = 87 * 8 + (3 * 16 + 16 + 16 * 8 + 8) + 8
    assert sum(p.numel() for p in model.parameters()) == 6 * layer + head + rest


def test_without_features_all_atoms_share_a_learnt_attribute() -> None:
    torch.manual_seed(0)
    model = DeltaCoupling(cutoff=CUTOFF, length_scale=SCALE, atom_width=0, num_conv_layers=1, num_rbf=4, hidden=8)
    data = batch(random_graphs(2, width=0))
    n = len(data.z_atoms)
    assert data.atomic_node_attr.shape == (n, 0)
    _, attr = model.nodes(data, 2)
    assert torch.equal(attr[:n], model.attributes.values.expand(n, -1)) and not torch.equal(attr[0], attr[n])
    model(data).sum().backward()
    assert float(model.attributes.values.grad.abs().max()) > 0


@pytest.mark.parametrize("name", ["cutoff", "field_cutoff", "length_scale"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_lengths_must_be_positive(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be positive and finite"):
        DeltaCoupling(**{"cutoff": 12.0, "length_scale": 0.1, name: value})


def test_equal_to_its_seed() -> None:
    first, second = small(torch.float32), small(torch.float32)
    data = batch(random_graphs(2))
    assert torch.equal(first(data), second(data))
