"""What the architectures on regions are built of: tiers, encodings, attention, creation, against slow obvious forms."""

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from scipy.spatial.transform import Rotation
from synthetic_molecules import LEVEL, SETTINGS, batch, molecules, moved, water_dimer
from torch import Tensor

from psigraph.graphs.molecule_batch import MoleculeBatch
from psigraph.graphs.molecule_settings import MoleculeSettings
from psigraph.models.regional.attention import RegionAttention, key_heads
from psigraph.models.regional.creation import RegionCreation, Regions, region_classes
from psigraph.models.regional.geometry import (
    INVARIANTS,
    Edges,
    RadialBasis,
    RelativeEncoding,
    envelope,
    make_edges,
    pair_invariants,
    tier_edges,
)
from psigraph.models.regional.injection import QuantumInjection
from psigraph.models.regional.pooling import centres
from psigraph.models.regional.vectors import VectorPassing, VectorProducts

DIM, WIDTH, CUTOFF = 12, 6, 4.5
PATCHES = MoleculeSettings(
    cutoff=4.0, region_cutoff=CUTOFF, regions="patches", patch_atoms=3, level=LEVEL, level_name="test"
)
TWO_HOPS = replace(PATCHES, regions="k_hop")


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def some_edges(regions: int = 7, senders: int = 9, edges: int = 40) -> Edges:
    positions = torch.randn(regions, 3) * 2, torch.randn(senders, 3) * 2
    ends = torch.randint(regions - 1, (edges,)), torch.randint(senders, (edges,))  # the last region asks nobody
    return make_edges(*ends, positions, torch.rand(edges, INVARIANTS), CUTOFF)


def places(data: MoleculeBatch) -> Tensor:
    return centres(data.pos_atoms, data.members, data.core, len(data.regions_batch))


def creation(data: MoleculeBatch, region_encoders: str = "shared") -> RegionCreation:
    return RegionCreation(
        DIM,
        bond_width=data.bond_features.shape[1],
        region_width=data.region_features.shape[1],
        cutoff=4.0,
        num_rbf=8,
        channels=5,
        region_encoders=region_encoders,
    )


def created(model: RegionCreation, data: MoleculeBatch) -> Regions:
    torch.manual_seed(1)
    atoms = torch.randn(100, DIM)[data.z_atoms]
    return model(data, atoms, torch.nan_to_num(data.bond_features), torch.nan_to_num(data.region_features))


# geometry


@pytest.mark.parametrize("settings", [SETTINGS, TWO_HOPS, PATCHES], ids=["bonded", "k_hop", "patches"])
def test_tiers_are_what_their_names_say(settings: MoleculeSettings) -> None:
    data = batch([*molecules()[:3], water_dimer()], settings=settings)
    atoms: dict[int, set[int]] = {}
    for region, atom in data.members.tolist():
        atoms.setdefault(region, set()).add(atom)
    position, molecule = places(data), data.regions_batch.tolist()
    bonds = [set(bond) for bond in data.bonds.tolist()]
    expected: dict[str, set[tuple[int, int]]] = {"inner": {(r, a) for r in atoms for a in atoms[r]}}
    expected |= {"neighbour": set(), "global": {(r, r) for r in atoms}, "global_cross": set()}
    for i in atoms:
        for j in atoms:
            if i == j or molecule[i] != molecule[j] or float((position[i] - position[j]).norm()) > CUTOFF:
                continue
            expected["global"].add((i, j))
            shared = bool(atoms[i] & atoms[j])
            if not shared:
                expected["global_cross"].add((i, j))
            if shared or any(len(b & atoms[i]) and len(b & atoms[j]) and b <= atoms[i] | atoms[j] for b in bonds):
                expected["neighbour"].add((i, j))
    for tier, pairs in expected.items():
        edges = tier_edges(data, tier, position, CUTOFF)
        found = list(zip(edges.receivers.tolist(), edges.senders.tolist(), strict=True))
        assert len(found) == len(set(found)) and set(found) == pairs, tier
        there = data.pos_atoms if tier == "inner" else position
        assert torch.allclose(edges.distance, (there[edges.senders] - position[edges.receivers]).norm(dim=1), atol=2e-6)
    assert all(expected.values())


def test_an_unknown_tier_is_refused() -> None:
    data = batch(molecules()[:1])
    with pytest.raises(ValueError, match="unknown tier 'far'; known: inner, neighbour, global, global_cross"):
        tier_edges(data, "far", places(data), CUTOFF)


def test_envelope_and_its_slopes_vanish_at_the_cutoff() -> None:
    r = torch.tensor([0.0, 1.0, CUTOFF - 1e-4, CUTOFF, 9.0], requires_grad=True)
    value = envelope(r, CUTOFF)
    (slope,) = torch.autograd.grad(value.sum(), r)
    x = 1 / CUTOFF
    value = value.detach()
    assert value[0] == 1 and float(value[1]) == pytest.approx(1 - 10 * x**3 + 15 * x**4 - 6 * x**5)
    assert 0 <= float(value[2]) < 1e-12 and not value[3:].any() and float(slope.abs()[[0, 2, 3, 4]].max()) < 1e-7


def test_radial_basis_is_its_formula_and_tells_bond_lengths_apart() -> None:
    basis = RadialBasis(16, 15.0).double()
    r = torch.tensor([1.1, 1.2, 5.0])
    out = basis(r)
    near, far = math.exp(-0.35 * 0.7), math.exp(-0.35 * 15.0)
    step = (near - far) / 15
    for i, distance in enumerate(r.tolist()):
        for k in range(16):
            place = (math.exp(-0.35 * distance) - far - k * step) / step
            height = math.sqrt(16 / math.sqrt(math.pi))
            assert float(out[i, k]) == pytest.approx(height * math.exp(-(place**2) / 2), rel=1e-5)
    assert float((out[0] - out[1]).norm()) > 0.6


def test_invariants_of_pairs_by_hand() -> None:
    features = torch.tensor([[1.0, 2, 3, 0.5, -1], [6, 0, 0, 0, 0], [-1, 0, 0, torch.nan, 0]])
    found = pair_invariants(features)
    assert found[0].tolist() == pytest.approx([1, 0, 0, 0, 0, math.log(3), math.log(4), math.log(1.5), -1, 0])
    assert found[1, :5].tolist() == [0, 0, 0, 1, 0] and found[2, :5].tolist() == [0, 0, 0, 0, 1]
    assert torch.isfinite(found).all()


def test_encoding_of_pairs_both_ways_equals_that_of_single_edges() -> None:
    data = batch(molecules())
    model = RelativeEncoding(WIDTH, num_rbf=8, cutoff=CUTOFF, channels=5)
    vectors = torch.randn(len(data.regions_batch), 3, 5)
    for tier in ("neighbour", "global"):
        edges = tier_edges(data, tier, places(data), CUTOFF)
        assert 0 < edges.pairs <= len(edges.senders) // 2
        single = model(replace(edges, pairs=0), vectors, vectors)
        assert torch.allclose(model(edges, vectors, vectors), single, atol=1e-12)
        assert not torch.allclose(single[: edges.pairs], single[edges.pairs : 2 * edges.pairs])


def test_encoding_does_not_turn() -> None:
    turn = torch.tensor(Rotation.random(rng=1).as_matrix())
    model = RelativeEncoding(WIDTH, num_rbf=8, cutoff=CUTOFF, channels=5)
    edges = some_edges()
    here, there = torch.randn(7, 3, 5), torch.randn(9, 3, 5)
    turned = replace(edges, direction=edges.direction @ turn.T)
    first, second = model(edges, here, there), model(turned, turn @ here, turn @ there)
    assert torch.allclose(first, second, atol=1e-12)
    assert not torch.allclose(first, model(turned, here, there))


# attention


@pytest.mark.parametrize("gate", ["column", "head"])
@pytest.mark.parametrize("kind", ["full", "grouped_query", "multi_query"])
def test_attention_equals_a_loop(kind: str, gate: str) -> None:
    heads, size = 4, DIM // 4
    model = RegionAttention(DIM, heads, kind, encoding_width=WIDTH, gate=gate)
    with torch.no_grad():
        model.power.copy_(torch.linspace(-2, 2, heads))
    edges, queries, sources = some_edges(), torch.randn(7, DIM), torch.randn(9, DIM)
    encoding = torch.randn(40, WIDTH)
    groups = key_heads(heads, kind)
    keys, values = model.key_value(sources).split([groups * model.key_size, groups * size], 1)
    asked, relative = model.query(queries), model.relative(encoding)
    out = torch.zeros(7, DIM)
    for region in range(7):
        mine = [e for e in range(40) if edges.receivers[e] == region]
        for head in range(heads):
            group, weights = head * groups // heads, []
            q = asked[region, head * model.key_size : (head + 1) * model.key_size]
            for e in mine:
                k = keys[edges.senders[e], group * model.key_size : (group + 1) * model.key_size]
                score = (q @ k).item() / math.sqrt(model.key_size) + relative[e, head].item()
                weights.append(float(edges.envelope[e]) * math.exp(8 * math.tanh(score / 8)))
            total = (1 + sum(weights)) ** -torch.sigmoid(model.power[head]).item()
            for e, weight in zip(mine, weights, strict=True):
                v = values[edges.senders[e], group * size : (group + 1) * size]
                first = heads + head * (size if gate == "column" else 1)
                g = relative[e, first : first + (size if gate == "column" else 1)]
                out[region, head * size : (head + 1) * size] += weight * total * v * g
    found = model(queries, sources, edges, encoding)
    assert torch.allclose(found, model.out(out), atol=1e-12)
    assert torch.allclose(found[-1], model.out.bias), "who asks nobody hears nothing"


def test_kinds_are_equal_where_keys_and_values_of_heads_are() -> None:
    edges, queries, sources = some_edges(), torch.randn(7, DIM), torch.randn(9, DIM)
    encoding = torch.randn(40, WIDTH)
    one = RegionAttention(DIM, 4, "multi_query", encoding_width=WIDTH)
    state = one.state_dict()
    expected = one(queries, sources, edges, encoding)
    for kind, groups in (("grouped_query", 2), ("full", 4)):
        model = RegionAttention(DIM, 4, kind, encoding_width=WIDTH)
        key, value = state["key_value.weight"].split([one.key_size, one.size])
        model.load_state_dict(state | {"key_value.weight": torch.cat([key.repeat(groups, 1), value.repeat(groups, 1)])})
        assert torch.allclose(model(queries, sources, edges, encoding), expected, atol=1e-12)
    assert [key_heads(h, "grouped_query") for h in (2, 8, 12, 16)] == [1, 2, 3, 4]


def test_unusable_attention_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown attention 'sparse'; known: full, grouped_query, multi_query"):
        key_heads(4, "sparse")
    with pytest.raises(ValueError, match="heads must divide dim; got 5 heads and dim 12"):
        RegionAttention(DIM, 5, encoding_width=WIDTH)


def test_an_edge_at_the_cutoff_changes_nothing() -> None:
    model = RegionAttention(DIM, 4, encoding_width=WIDTH)
    passing = VectorPassing(DIM, 5, WIDTH)
    queries, sources, encoding, vectors = *torch.randn(2, 7, DIM), torch.randn(40, WIDTH), torch.randn(7, 3, 5)
    edges = some_edges(senders=7)
    near = edges.envelope.argmax()
    gone = replace(edges, envelope=edges.envelope.index_fill(0, near, 0.0))
    keep = torch.arange(40) != near
    names = ("receivers", "senders", "distance", "direction", "envelope", "invariants")
    less = Edges(**{name: getattr(edges, name)[keep] for name in names})
    out = model(queries, sources, less, encoding[keep])
    assert torch.allclose(model(queries, sources, gone, encoding), out)
    assert not torch.allclose(model(queries, sources, edges, encoding), out)
    assert torch.allclose(
        passing(vectors, sources, gone, encoding, 7), passing(vectors, sources, less, encoding[keep], 7)
    )


def test_memory_grows_with_edges_and_not_with_pairs_of_regions() -> None:
    model = RegionAttention(DIM, 4, encoding_width=WIDTH)

    def kept(regions: int) -> int:
        """Return the bytes that are kept for the gradient where each region asks four others."""
        receivers = torch.arange(regions).repeat(4)
        edges = make_edges(
            receivers, (receivers + 1) % regions, (torch.randn(regions, 3),) * 2, torch.zeros(4 * regions, INVARIANTS)
        )
        storages: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        states, encoding = torch.randn(regions, DIM, requires_grad=True), torch.randn(4 * regions, WIDTH)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model(states, states, edges, encoding)
        return sum(storages.values())

    assert 3.5 < kept(2000) / kept(500) < 4.5


def test_quantum_injection_is_the_identity_without_quantum_features() -> None:
    states = torch.randn(5, DIM)
    assert torch.equal(QuantumInjection(DIM, 0)(states, torch.zeros(5, 0)), states)
    assert not list(QuantumInjection(DIM, 0).parameters())
    model, quantum = QuantumInjection(DIM, 3), torch.randn(5, 3)
    gate = torch.sigmoid(model.gate(torch.cat([states, quantum], 1)))
    assert torch.allclose(model(states, quantum), states + gate * model.add(quantum))


# creation and vectors


@pytest.mark.parametrize("settings", [SETTINGS, PATCHES], ids=["bonded", "patches"])
def test_vectors_turn_and_states_do_not(settings: MoleculeSettings) -> None:
    turn = Rotation.random(rng=2).as_matrix()
    samples = molecules()[:3]
    data, turned = batch(samples, settings=settings), batch([moved(s, -turn) for s in samples], settings=settings)
    model, matrix = creation(data), torch.tensor(-turn)
    first, second = created(model, data), created(model, turned)
    assert torch.allclose(first.states, second.states, atol=1e-10)
    assert torch.allclose(matrix @ first.vectors, second.vectors, atol=1e-10)
    assert float(first.vectors.detach().norm(dim=1).max()) > 0.1 and not torch.allclose(first.vectors, second.vectors)
    passing, edges = VectorPassing(DIM, 5, WIDTH), tier_edges(data, "global", first.positions, CUTOFF)
    encoding = torch.randn(len(edges.senders), WIDTH)
    told = passing(first.vectors, first.states, edges, encoding, len(first.states))
    edges = tier_edges(turned, "global", second.positions, CUTOFF)
    again = passing(second.vectors, second.states, edges, encoding, len(first.states))
    assert torch.allclose(matrix @ told, again, atol=1e-10)
    products = VectorProducts(5)
    assert torch.allclose(products(told), products(again), atol=1e-10)


def test_vector_passing_equals_a_loop() -> None:
    model, edges = VectorPassing(DIM, 5, WIDTH), some_edges()
    vectors, sources, encoding = torch.randn(9, 3, 5), torch.randn(9, DIM), torch.randn(40, WIDTH)
    expected = torch.zeros(7, 3, 5)
    for e in range(40):
        i, j = int(edges.receivers[e]), int(edges.senders[e])
        factor = model.edge(encoding[e]) * model.sender(sources[j]) * edges.envelope[e]
        expected[i] += torch.outer(edges.direction[e], factor[:5]) + vectors[j] * factor[5:]
    assert torch.allclose(model(vectors, sources, edges, encoding, 7), expected, atol=1e-12)


def test_states_of_atoms_after_creation_equal_a_loop() -> None:
    data = batch(molecules()[:2])
    model = creation(data)
    torch.manual_seed(1)
    states = torch.randn(100, DIM)[data.z_atoms]
    by_bond, by_pair = model.send(states).chunk(2, 1)
    scalars, vectors = torch.zeros(len(states), DIM), torch.zeros(len(states), 3, 5)
    features = torch.nan_to_num(data.bond_features)
    for pairs, sent, near in ((data.bonds, by_bond, False), (data.pairs, by_pair, True)):
        for row, (a, b) in enumerate(pairs.tolist()):
            for i, j in ((a, b), (b, a)):
                step = data.pos_atoms[j] - data.pos_atoms[i]
                r = step.norm()[None]
                if near:
                    factor = model.pair_filter(model.pair_basis(r))[0] * envelope(r, 4.0)
                else:
                    factor = model.bond_filter(torch.cat([model.bond_basis(r)[0], features[row]]))
                message = factor * sent[j]
                scalars[i] += message[:DIM]
                vectors[i] += torch.outer(step / torch.sqrt(r**2 + 0.01), message[DIM:])
    change = model.update(torch.cat([states, scalars, model.products(vectors)], 1))
    found = created(model, data)
    assert torch.allclose(found.atom_vectors, vectors, atol=1e-12)
    assert torch.allclose(found.atoms, states + change, atol=1e-12)


def test_a_region_knows_its_own_surroundings_only() -> None:
    """What a region is after creation depends on atoms within the cutoff of its core, and on no others."""
    data = batch([water_dimer(7.0)])
    model = creation(data)
    before = created(model, data)
    after = created(model, replace(data, z_atoms=data.z_atoms.where(torch.arange(6) < 3, 9)))
    assert torch.equal(before.states[:3], after.states[:3])
    assert not torch.allclose(before.states[3:], after.states[3:])


def test_home_and_classes() -> None:
    data = batch([*molecules()[:2], water_dimer()])
    assert torch.equal(created(creation(data), data).home, torch.arange(len(data.z_atoms)))
    classes = {1: 0, 6: 1, 7: 2, 8: 3, 9: 4}
    assert region_classes(data).tolist() == [classes[z] for z in data.z_atoms.tolist()]
    data = batch([*molecules()[:2], water_dimer()], settings=PATCHES)
    home = created(creation(data), data).home
    for region, atom in data.members.tolist():
        assert home[atom] == region
    heaviest = [int(data.z_atoms[home == r].max()) for r in range(len(data.regions_batch))]
    assert region_classes(data).tolist() == [classes[z] for z in heaviest]


def test_encoders_by_class_with_equal_weights_are_the_shared_one() -> None:
    data = batch(molecules())
    shared, own = creation(data), creation(data, "by_class")
    state = shared.state_dict()
    copies = {name.replace("encoders.0.", f"encoders.{k}."): value for name, value in state.items() for k in range(5)}
    own.load_state_dict(copies)
    assert torch.allclose(created(shared, data).states, created(own, data).states, atol=1e-12)
    with torch.no_grad():
        own.get_parameter("encoders.0.2.bias").add_(1)
    change = created(own, data).states - created(shared, data).states
    assert torch.equal((change.abs() > 0.5).any(1), data.z_atoms == 1)
    assert torch.allclose(change[data.z_atoms != 1], torch.zeros(()), atol=1e-12)
