"""PAMNet as it is usually written: a network on [x_i, x_j, e] for every directed edge.

`plain(model)` has the weights of a psigraph PAMNet, so both must give the same numbers.
"""

import torch
from torch import Tensor, nn

from psigraph.graphs.molecule_batch import MoleculeBatch
from psigraph.models.pamnet import FusedEncoding, GlobalLayer, LocalLayer, PAMNet, fuse


class PlainGlobalLayer(nn.Module):
    def __init__(self, layer: GlobalLayer) -> None:
        super().__init__()
        self.first, self.gate, self.update = layer.first, layer.gate, layer.update
        self.message = joined(layer.nodes.weight, layer.edges)

    def forward(self, x: Tensor, edges: Tensor, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        before, x = x, self.first(x)
        m = self.message(torch.cat([x.index_select(0, target), x.index_select(0, source), edges], 1)) * self.gate(edges)
        return self.update(x.index_add(0, target, m), before)


class PlainLocalLayer(nn.Module):
    def __init__(self, layer: LocalLayer) -> None:
        super().__init__()
        self.first, self.gate, self.update = layer.first, layer.gate, layer.update
        own, other = layer.nodes.weight.chunk(2)
        self.own, self.other = joined(own, layer.own), joined(other, layer.other)
        self.other_gate, self.angle = layer.other_gate, layer.angle

    def forward(
        self, x: Tensor, edges: Tensor, angles: Tensor, sender: Tensor, receiver: Tensor, source: Tensor, target: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        before, x = x, self.first(x)
        m = torch.cat([x.index_select(0, target), x.index_select(0, source), edges], 1)
        other = self.other(m) * self.other_gate(edges)
        m = self.own(m).index_add(0, receiver, other.index_select(0, sender) * self.angle(angles))
        return self.update(x.index_add(0, target, m * self.gate(edges)), before)


class PlainPAMNet(nn.Module):
    """The same model from the same weights; parameters that both forms have are shared."""

    def __init__(self, model: PAMNet) -> None:
        super().__init__()
        self.model = model
        self.global_layers = nn.ModuleList(PlainGlobalLayer(layer) for layer in model.global_layers)
        self.local_layers = nn.ModuleList(PlainLocalLayer(layer) for layer in model.local_layers)
        model.global_layers = model.local_layers = nn.ModuleList()  # their weights are here now

    def forward(self, batch: MoleculeBatch) -> Tensor:
        """Return the labels (B, K)."""
        model, pos = self.model, batch.pos_atoms
        x = model.first_states(batch)
        source, target = both_directions(batch.pairs)
        pairs = nn.functional.silu(model.embed_pairs(model.global_basis(distance(pos, source, target))))
        from_atom, to_atom = both_directions(batch.bonds)
        length = distance(pos, from_atom, to_atom)
        inputs = [model.local_basis(length), model.bond_inputs(batch).repeat(2, 1)]
        bonds = nn.functional.silu(model.embed_bonds(torch.cat(inputs, 1)))
        hops = [one_hop(from_atom, to_atom), two_hop(from_atom, to_atom)]
        embedded = []
        for part, (sender, receiver) in enumerate(hops):
            weight, bias = (value.chunk(2)[part] for value in (model.embed_angles.weight, model.embed_angles.bias))
            cosine = angle(pos, sender, receiver, from_atom, to_atom).cos()
            basis = model.spherical(model.spherical.radial(length).index_select(0, sender), cosine)
            embedded.append(nn.functional.silu(nn.functional.linear(basis, weight, bias)))
        angles = torch.cat(embedded)
        senders, receivers = (torch.cat(ends) for ends in zip(*hops, strict=True))
        fused = 0
        for far, near in zip(self.global_layers, self.local_layers, strict=True):
            x, *outer = far(x, pairs, source, target)
            x, *inner = near(x, bonds, angles, senders, receivers, from_atom, to_atom)
            fused = fused + fuse(*zip(outer, inner, strict=True))
        standardised = model.read(batch, FusedEncoding(x, x, [], fused))
        return model.baseline(batch) + model.target_scale * standardised


def plain(model: PAMNet) -> PlainPAMNet:
    """Return the unfactorised form; the model given loses its layers."""
    return PlainPAMNet(model)


def joined(nodes: Tensor, edges: nn.Linear) -> nn.Sequential:
    """Return the layer on [x_i, x_j, e] of node parts [A; B] (2D, D) and edge part C, b."""
    linear = nn.Linear(3 * nodes.shape[1], edges.out_features, dtype=nodes.dtype, device=nodes.device)
    with torch.no_grad():
        linear.weight.copy_(torch.cat([*nodes.chunk(2), edges.weight], 1))
        linear.bias.copy_(edges.bias)
    return nn.Sequential(linear, nn.SiLU())


def both_directions(pairs: Tensor) -> tuple[Tensor, Tensor]:
    return torch.cat([pairs[:, 0], pairs[:, 1]]), torch.cat([pairs[:, 1], pairs[:, 0]])


def distance(pos: Tensor, source: Tensor, target: Tensor) -> Tensor:
    return (pos.index_select(0, source) - pos.index_select(0, target)).norm(dim=1)


def one_hop(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the edges (sender, receiver) that end in the same atom."""
    return _where((target[:, None] == target) & (source[:, None] != source))


def two_hop(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the edges (sender, receiver) where the receiver begins at the sender's end and does not go back."""
    return _where((target[:, None] == source) & (source[:, None] != target))


def _where(matrix: Tensor) -> tuple[Tensor, Tensor]:
    sender, receiver = matrix.nonzero().unbind(1)
    return sender, receiver


def angle(pos: Tensor, sender: Tensor, receiver: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Return the angle at the atom in which the sender ends, between its source and the receiver's other atom."""
    centre = target[sender]
    other = torch.where(source[receiver] == centre, target[receiver], source[receiver])
    a, b = pos[source[sender]] - pos[centre], pos[other] - pos[centre]
    return torch.atan2(torch.linalg.cross(a, b, dim=1).norm(dim=1), (a * b).sum(1))
