"""The parts of the models of affinity, each against its formula written out slowly."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from common import both_precisions
from pydantic import ValidationError
from synthetic_complexes import Sample, batch, complexes
from torch import Tensor, nn

from psigraph.models import build_model
from psigraph.models.affinity.attention import (
    ChannelAttention,
    CrossAttention,
    CrossBlock,
    SelfAttention,
    SpatialAttention,
    TransformerBlock,
)
from psigraph.models.affinity.base import Amounts
from psigraph.models.affinity.convolution import (
    DILATION,
    Halving,
    MultiScale,
    MultiScaleBlock,
    ResidualBlock,
    Stem,
    norm,
    tokens_of,
)
from psigraph.models.affinity.graphs import RADIAL, RANGE, ComplexGraphs, GraphLayer, contacts_of, radial
from psigraph.models.affinity.head import BatchNorm, Head
from psigraph.models.affinity.positions import LONGEST, grid_positions
from psigraph.models.affinity.voxels import CHANNELS


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


class TestPositions:
    @pytest.mark.parametrize("width", [1, 2, 3, 7, 32, 48])
    def test_formula(self, width: int) -> None:
        """Point by point and column by column."""
        shape = (2, 3, 4)
        found = grid_positions(shape, width, like=random(1)).view(*shape, width)
        sizes = [len(part) for part in np.array_split(np.arange(width), 3)]
        for point in np.ndindex(shape):
            expected = []
            for axis, size in enumerate(sizes):
                for column in range(size):
                    angle = point[axis] / LONGEST ** (2 * (column // 2) / size)
                    expected.append(math.sin(angle) if column % 2 == 0 else math.cos(angle))
            assert found[point].tolist() == pytest.approx(expected, abs=1e-12)

    def test_points_differ(self) -> None:
        found = grid_positions((6, 6, 6), 32, like=random(1))
        distance = torch.cdist(found, found) + 10 * torch.eye(216)
        assert float(distance.min()) > 0.5


class TestAttention:
    def test_channels(self) -> None:
        layer, grid = ChannelAttention(16).double(), random(2, 16, 3, 4, 5)
        first, _, last = layer.layers
        for b in range(2):
            means, maxima = (torch.stack([how(grid[b, c]) for c in range(16)]) for how in (torch.mean, torch.max))
            score = sum(last.weight @ (first.weight @ told + first.bias).relu() + last.bias for told in (means, maxima))
            expected = grid[b] * torch.sigmoid(score)[:, None, None, None]
            assert torch.allclose(layer(grid)[b], expected)

    def test_space(self) -> None:
        """At a corner, where the convolution sees points outside of the grid as 0."""
        layer, grid = SpatialAttention(3).double(), random(1, 5, 4, 4, 4)
        told = torch.stack([grid[0].mean(0), grid[0].amax(0)])
        kernel, bias = layer.convolution.weight[0], layer.convolution.bias
        corner = torch.sigmoid((kernel[:, 1:, 1:, 1:] * told[:, :2, :2, :2]).sum() + bias)
        middle = torch.sigmoid((kernel * told[:, 1:4, :3, :3]).sum() + bias)
        assert torch.allclose(layer(grid)[0, :, 0, 0, 0], grid[0, :, 0, 0, 0] * corner)
        assert torch.allclose(layer(grid)[0, :, 2, 1, 1], grid[0, :, 2, 1, 1] * middle)

    @pytest.mark.parametrize("cross", [False, True])
    def test_softmax_written_out(self, cross: bool) -> None:
        dim, heads = 8, 2
        tokens, others = random(3, 5, dim), random(3, 4, dim)
        layer: Any = (CrossAttention if cross else SelfAttention)(dim, heads).double()
        found = layer(tokens, others) if cross else layer(tokens)
        expected = _attention(layer.attention, tokens, others if cross else tokens, heads)
        assert torch.allclose(found, expected)

    def test_block_adds_to_what_went_in(self) -> None:
        block, tokens = TransformerBlock(8, 2, 0.5).double().eval(), random(2, 5, 8)
        first = tokens + block.attention(block.norm(tokens))
        assert torch.allclose(block(tokens), first + block.feed_forward(first))
        assert not torch.allclose(block.train()(tokens), first + block.feed_forward(first), atol=1e-3), "dropout"

    def test_sets_attend_to_the_others_only(self) -> None:
        block, sets = CrossBlock(8, 2, 0.0).double(), random(2, 3, 5, 8)
        normed = block.norm(sets)
        for own, others in ((0, (1, 2)), (1, (0, 2)), (2, (0, 1))):
            told = block.attention(normed[:, own], torch.cat([normed[:, other] for other in others], 1))
            first = sets[:, own] + told
            assert torch.allclose(block(sets)[:, own], first + block.feed_forward(first))


def _attention(layer: nn.MultiheadAttention, tokens: Tensor, others: Tensor, heads: int) -> Tensor:
    """Return softmax(q k / √d) v, head by head and query by query."""
    assert layer.in_proj_bias is not None
    weights, biases = layer.in_proj_weight.chunk(3), layer.in_proj_bias.chunk(3)
    q, k, v = (x @ w.T + b for x, w, b in zip((tokens, others, others), weights, biases, strict=True))
    size, out = q.shape[2] // heads, torch.zeros_like(q)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        for b, i in np.ndindex(q.shape[:2]):
            share = torch.softmax(k[b, :, part] @ q[b, i, part] / math.sqrt(size), 0)
            out[b, i, part] = share @ v[b, :, part]
    return layer.out_proj(out)


class TestConvolution:
    def test_scales_side_by_side(self) -> None:
        """Each path alone, as the sum over a kernel's points, in the middle of the grid."""
        layer, grid = MultiScale(3, 8).double(), random(1, 3, 9, 9, 9)
        seen: list[Tensor] = []
        layer.norm.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        layer(grid)
        paths = zip(layer.paths, (1, 3, 5, 3), (1, 1, 1, DILATION), seen[0].chunk(4, 1), strict=True)
        for path, points, step, found in paths:
            reach = step * (points // 2)
            near = grid[0, :, 4 - reach : 5 + reach : step, 4 - reach : 5 + reach : step, 4 - reach : 5 + reach : step]
            assert near.shape[1:] == path.weight.shape[2:] and found.shape == (1, 2, 9, 9, 9)
            assert torch.allclose(found[0, :, 4, 4, 4], torch.einsum("oixyz,ixyz->o", path.weight, near))

    def test_the_dilated_path_reaches_farthest(self) -> None:
        assert 1 + 2 * DILATION > 5

    @pytest.mark.parametrize(
        ("layer", "shape"),
        [
            (Stem(3, 8), (8, 4, 4, 4)),
            (Halving(3, 8), (8, 4, 4, 4)),
            (MultiScaleBlock(3, 8), (8, 8, 8, 8)),
            (ResidualBlock(3), (3, 8, 8, 8)),
        ],
    )
    def test_shapes(self, layer: nn.Module, shape: tuple[int, ...]) -> None:
        assert layer(torch.randn(2, 3, 8, 8, 8)).shape == (2, *shape)

    def test_residual_blocks_add(self) -> None:
        """With the last norm at 0 nothing is added."""
        block, grid = ResidualBlock(8), torch.randn(2, 8, 4, 4, 4)
        assert not torch.allclose(block(grid), nn.functional.gelu(grid), atol=1e-2)
        nn.init.zeros_(block.layers[4].weight)
        assert torch.allclose(block(grid), nn.functional.gelu(grid))
        scales = MultiScaleBlock(8, 8)
        assert not torch.allclose(scales(grid), grid, atol=1e-2)
        nn.init.zeros_(scales.scales.norm.weight)
        assert torch.allclose(scales(grid), grid)

    def test_paths_share_the_channels(self) -> None:
        with pytest.raises(ValueError, match="got 10, which is no multiple of 4"):
            MultiScale(4, 10)

    def test_norm_takes_any_number_of_channels(self) -> None:
        for channels in (3, 12, 24, 48):
            assert norm(channels)(torch.randn(2, channels, 2, 2, 2)).shape[1] == channels

    def test_tokens_are_points(self) -> None:
        """In the order of `grid_positions`."""
        grid = random(2, 5, 2, 3, 4)
        tokens = tokens_of(grid).view(2, 2, 3, 4, 5)
        for point in np.ndindex(2, 3, 4):
            assert torch.equal(tokens[(slice(None), *point)], grid[(slice(None), slice(None), *point)])


class TestAmounts:
    def test_sums_over_the_ligand_written_out(self) -> None:
        samples = complexes(5)
        amounts = Amounts().double()
        many = batch(samples)
        alone = [batch([sample]) for sample in samples]
        sums = torch.stack([amounts.channels(one.z_atoms, one.atom_features).sum(0) for one in alone])
        expected = (sums - sums.mean(0)) / (sums.var(0, unbiased=False) + 1).sqrt()
        assert torch.allclose(amounts(many), expected)
        weights = torch.rand(len(many.z_atoms), dtype=torch.float64)
        assert not torch.allclose(amounts(many, weights), expected)

    def test_a_channel_that_no_training_ligand_has_stays_small(self) -> None:
        """One atom of an element never seen, after many batches without it."""
        amounts = Amounts().double()
        data = batch(complexes(4))
        data.z_atoms[:] = 6
        for _ in range(500):
            amounts(data)
        data.z_atoms[0] = 15
        assert amounts.eval()(data)[0, CHANNELS.index("P")] == pytest.approx(1.0, rel=1e-6)

    def test_the_head_is_told_of_them(self) -> None:
        """Without a grid that tells anything, twice as many atoms are still another ligand."""
        model = build_model("transformer_cnn", {"grid_points": 8, "spacing": 2.0, "width": 1.5, "blocks": 1}).eval()
        data = batch(complexes(3), torch.float32)
        encode = torch.zeros(3, model.head.layers[0].in_features - len(CHANNELS))
        model.encode = lambda *_: encode
        with torch.no_grad():
            once = model(data).labels
            twice = model(data, torch.full((len(data.z_atoms),), 2.0)).labels
        assert not torch.allclose(once, twice, atol=1e-6)


class TestHead:
    def test_six_layers_with_batch_norms(self) -> None:
        head = Head(12, 2, 0.1, (8, 8, 8, 8, 4))
        kinds = [type(module) for module in head.modules()]
        assert kinds.count(nn.Linear) == 6 and kinds.count(BatchNorm) == 5
        assert head(torch.randn(3, 12)).shape == (3, 2)

    def test_no_dropout_in_front_of_a_norm(self) -> None:
        kinds = [type(module) for module in Head(12, 1, 0.1, (8, 8, 8, 8, 4)).layers]
        assert kinds.count(nn.Dropout) == 1 and kinds[-1] is nn.Dropout

    @both_precisions
    def test_norm_of_one_complex_uses_running_statistics(self, dtype: torch.dtype) -> None:
        own, plain = BatchNorm(4).to(dtype), nn.BatchNorm1d(4).to(dtype)
        many, one = torch.randn(9, 4, dtype=dtype), torch.randn(1, 4, dtype=dtype)
        assert torch.equal(own(many), plain(many))
        before = own.running_mean.clone()
        assert torch.allclose(own(one), plain.eval()(one)) and torch.equal(own.running_mean, before)
        assert torch.equal(own.eval()(many), plain(many))


class TestGraphs:
    def test_contacts(self) -> None:
        """Both directions of each contact, with the distance of its atoms; only atoms that touch are nodes."""
        samples = complexes(2)
        data = batch(samples)
        found = contacts_of(data)
        atoms, sites = (np.cumsum([0, *(len(getattr(s, name)) for s in samples)]) for name in ("z", "site_z"))
        expected = set()
        for k, sample in enumerate(samples):
            for atom, site in sample.contacts.tolist():
                distance = float(np.linalg.norm(sample.positions[atom] - sample.site_positions[site]))
                ends = ("ligand", atom + atoms[k]), ("site", site + sites[k])
                expected |= {(*ends, round(distance, 9)), (*ends[::-1], round(distance, 9))}
        names = [("ligand", i) for i in range(atoms[-1])] + [("site", int(i)) for i in found.touched]
        edges = zip(found.edges.T.tolist(), found.distance.tolist(), strict=True)
        assert {(names[a], names[b], round(d, 9)) for (a, b), d in edges} == expected
        assert found.edges.shape[1] == len(expected)

    def test_radial_functions(self) -> None:
        distance = torch.linspace(0, RANGE, RADIAL, dtype=torch.float64)
        found = radial(distance)
        assert found.shape == (RADIAL, RADIAL) and torch.allclose(found.diagonal(), found.new_ones(RADIAL))
        step = RANGE / (RADIAL - 1)
        assert float(found[3, 5]) == pytest.approx(math.exp(-0.5 * (2 * step / step) ** 2))
        assert float(radial(torch.tensor([RANGE + 10.0])).max()) < 1e-12

    def test_attention_written_out(self) -> None:
        """GATv2: weights softmax_j a·LeakyReLU(L h_j + R h_i + E e_ij) over the neighbours, of the values L h_j."""
        dim, heads, nodes = 6, 2, 5
        layer = GraphLayer(dim, heads, 3, 0.0).double()
        states, edges, features = random(nodes, dim), torch.tensor([[0, 2, 3, 1], [1, 1, 1, 4]]), random(4, 3)
        conv, normed = layer.attention, layer.norm(states)
        nn.init.normal_(conv.bias)
        left, right, told = conv.lin_l(normed), conv.lin_r(normed), conv.lin_edge(features)
        expected = conv.bias.expand(nodes, dim).clone()
        for node in range(nodes):
            incoming = [e for e in range(4) if edges[1, e] == node]
            for head in range(heads) if incoming else ():
                part = slice(3 * head, 3 * head + 3)
                sums = torch.stack([(left[edges[0, e]] + right[node] + told[e])[part] for e in incoming])
                share = torch.softmax(nn.functional.leaky_relu(sums, 0.2) @ conv.att[0, head], 0)
                values = torch.stack([left[edges[0, e], part] for e in incoming])
                expected[node, part] += share @ values
        assert torch.allclose(layer(states, edges, features), states + nn.functional.gelu(expected))

    def test_a_batch_without_bonds_and_contacts(self) -> None:
        sample = complexes(1)[0].without_protein()
        graphs = ComplexGraphs(8, 2, 2, 5, 0.0).double()
        found = graphs(batch([sample, sample]))
        assert found.shape == (2, 5) and bool(torch.isfinite(found).all()) and torch.allclose(found[0], found[1])

    def test_bonds_go_both_ways(self) -> None:
        """The first atom's charge reaches the last one along the chain, and the last one's the first."""
        graphs = ComplexGraphs(8, 6, 2, 5, 0.0).double()
        sample = complexes(1, atoms=6)[0]
        states: list[Tensor] = []
        graphs.read[0].register_forward_pre_hook(lambda module, inputs: states.append(inputs[0].detach()))
        for atom in (None, 0, len(sample.z) - 1):
            graphs(batch([_charged(sample, atom)]))
        reference, first, last = states
        assert not torch.allclose(first[len(sample.z) - 1], reference[len(sample.z) - 1], atol=1e-9)
        assert not torch.allclose(last[0], reference[0], atol=1e-9)


def _charged(sample: Sample, atom: int | None) -> Sample:
    """Return the ligand alone with its bonds, one of its atoms charged."""
    alone = sample.without_protein()
    features = sample.features.copy()
    if atom is not None:
        features[atom, 4] += 1.0
    return Sample(**{**vars(alone), "bonds": sample.bonds, "bond_features": sample.bond_features, "features": features})


class TestNormalisation:
    def test_targets_without_spread_keep_their_unit(self) -> None:
        model: Any = build_model("residual_transformer_cnn", {"grid_points": 8}, targets=2)
        model.fit_normalisation(SimpleNamespace(y_mean=np.array([6.5, -2.0]), y_scale=np.array([1e-12, 3.0])))
        assert model.target_mean.tolist() == [6.5, -2.0] and model.target_scale.tolist() == [1.0, 3.0]

    def test_another_number_of_targets_is_refused(self) -> None:
        model: Any = build_model("residual_transformer_cnn", {"grid_points": 8})
        with pytest.raises(ValueError, match="2 means and 2 scales of targets, the model predicts 1"):
            model.fit_normalisation(SimpleNamespace(y_mean=np.zeros(2), y_scale=np.ones(2)))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("transformer_cnn", {"heads": 7}, "heads must divide dim; got 7 heads and dim 256"),
        ("hybrid_cnn_gnn", {"graph_dim": 12}, "heads must divide graph_dim; got 8 heads and graph_dim 12"),
        ("hybrid_cnn_gnn", {"graph_dim": 12, "heads": 3}, "heads must divide the transformer's width; got 3 heads"),
        ("residual_transformer_cnn", {"dim": 20}, "heads must divide dim; got 8 heads and dim 20"),
    ],
)
def test_heads_that_do_not_divide_are_refused(name: str, values: dict[str, int], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        build_model(name, values)
