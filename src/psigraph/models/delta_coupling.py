"""DeltaCoupling: an equivariant network on a dimer's atoms and one field node that carries its multipoles.

spec/delta.md §4 with the decisions of spec/README.md. Shapes: B graphs, ΣN atoms, M = ΣN + B nodes (the atoms of the
batch, then its field nodes), P undirected pairs (atom pairs, then atom-field pairs), H width of the radial network.
"""

from math import sqrt
from typing import Any, NamedTuple

import torch
from e3nn import o3
from e3nn.nn import FullyConnectedNet
from torch import Tensor, nn

from psigraph.models.base import DeltaModel
from psigraph.models.equivariant import COPIES, HARMONICS, AttributeLinear, PairTensorProduct
from psigraph.models.radial import RadialBesselBasisLayer, membership
from psigraph.models.shapes import check_positive, globals_by_graph, undirected_pairs

NODE = o3.Irreps("8x0e+1x1o+1x2e")
SCALARS = 8
ATTRIBUTES = 8
MAX_Z = 86
SHORTEST = 0.01  # Å; below it harmonics fade to 0, so an atom on the centroid has no arbitrary direction
TAPER = 0.1  # share of the cutoff in which a neighbour stops counting, see radial.membership


class Edges(NamedTuple):
    """The geometry of a batch, computed once for all layers."""

    sender: Tensor  # (P, 2) nodes: first direction i -> j, second j -> i
    receiver: Tensor  # (2P,) rows of the (2M, .) sum over messages, one half for each direction
    rbf: Tensor  # (P, num_rbf)
    sh: Tensor  # (P, 16), first direction
    coupling: tuple[Tensor, Tensor]
    share: Tensor  # (M, 1), 1 / number of neighbours


class PointsConvolutionIntegrated(nn.Module):
    """out = sc(x, attr) + tanh(alpha(m, attr)) · lin2(m, attr), m the mean of the neighbours' messages (§4.4).

    A message is tp(lin1(x, attr), Y, fc(rbf)). The harmonics stand in four copies in the note, so `fc` makes 4 weights
    for each path and channel; only their sum acts, and the columns of its last layer are summed before use: exact.
    """

    def __init__(self, num_rbf: int, hidden: int) -> None:
        super().__init__()
        self.tp = PairTensorProduct(NODE)
        mid = self.tp.irreps_mid
        self.sc = AttributeLinear(NODE, ATTRIBUTES, NODE)
        self.lin1 = AttributeLinear(NODE, ATTRIBUTES, NODE)
        self.lin2 = AttributeLinear(mid, ATTRIBUTES, NODE)
        self.alpha = AttributeLinear(mid, ATTRIBUTES, o3.Irreps("1x0e"))
        self.fc = FullyConnectedNet([num_rbf, hidden, COPIES * self.tp.weight_numel], nn.functional.silu)

    def weights(self, rbf: Tensor) -> Tensor:
        """Return the tensor product's weights (P, len(tp.columns)) of the basis (P, num_rbf)."""
        last = self.fc.layer1.weight  # (H, 4 × 34)
        folded = last.view(last.shape[0], -1, COPIES).sum(2) / sqrt(COPIES * last.shape[0])  # (H, 34)
        return self.fc.layer0(rbf) @ folded[:, self.tp.columns]

    def forward(self, x: Tensor, attr: Tensor, edges: Edges) -> Tensor:
        """Return the new states (M, 16) of states (M, 16) and attributes (M, 8)."""
        h = self.lin1(x, attr)
        messages = self.tp(h[edges.sender], edges.sh, edges.coupling, self.weights(edges.rbf))  # (P, 2, 106)
        both = messages.new_zeros(2 * x.shape[0], messages.shape[2])
        both = both.index_add(0, edges.receiver, messages.flatten(0, 1))
        first, second = both.view(2, x.shape[0], -1).unbind(0)
        mean = (first + second * self.tp.sign) * edges.share  # (M, 106)
        return self.sc(x, attr) + torch.tanh(self.alpha(mean, attr)) * self.lin2(mean, attr)


def atom_attributes(width: int) -> nn.Module:
    """Return the network from an atom's features (ΣN, K) to its attributes (ΣN, 8) (§4.2)."""
    if width == 0:
        return SharedAttributes()
    last = nn.Linear(16, ATTRIBUTES)
    nn.init.normal_(last.bias)  # attributes of unit size; torch's small ones leave messages of 1e-4 beside sc
    return nn.Sequential(nn.Linear(width, 16), nn.SiLU(), last)


class SharedAttributes(nn.Module):
    """Learnt attributes that all atoms share, where atoms have no features."""

    def __init__(self) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.randn(ATTRIBUTES))

    def forward(self, features: Tensor) -> Tensor:
        """Return (ΣN, 8) for features (ΣN, 0)."""
        return self.values.expand(features.shape[0], -1)


class DeltaCoupling(DeltaModel):
    """Predict ΔV of a batch of dimers (spec/delta.md §4).

    cutoff and field_cutoff [Å]: ranges of atom-atom edges (those of the batch) and of atom-field edges; length_scale:
    internal units per Å; atom_width: columns of `atomic_node_attr` (the note's three are Mulliken populations; without
    any, all atoms share one learnt attribute); taper: see radial.membership (0 is the note's plain mean, which jumps at
    the cutoff).
    """

    def __init__(
        self,
        *,
        cutoff: float,
        length_scale: float,
        atom_width: int = 3,
        num_conv_layers: int = 6,
        num_rbf: int = 50,
        hidden: int = 64,
        field_cutoff: float = 50.0,
        taper: float = TAPER,
    ) -> None:
        super().__init__(atom_width)
        for name, value in (("cutoff", cutoff), ("field_cutoff", field_cutoff), ("length_scale", length_scale)):
            check_positive(name, value)
        self.hyperparameters = {
            "num_conv_layers": num_conv_layers,
            "num_rbf": num_rbf,
            "hidden": hidden,
            "field_cutoff": field_cutoff,
        }
        self.cutoff, self.shortest, self.taper = cutoff * length_scale, SHORTEST * length_scale, taper
        self.embedding = nn.Embedding(MAX_Z + 1, SCALARS)
        self.attributes = atom_attributes(atom_width)
        self.field_attributes = nn.Parameter(torch.randn(ATTRIBUTES))
        self.harmonics = o3.SphericalHarmonics(HARMONICS, normalize=False, normalization="component")
        self.rbf = RadialBesselBasisLayer(num_rbf, self.cutoff)
        self.rbf_field = RadialBesselBasisLayer(num_rbf, field_cutoff * length_scale)
        self.layers = nn.ModuleList(PointsConvolutionIntegrated(num_rbf, hidden) for _ in range(num_conv_layers))
        self.head = nn.Sequential(
            nn.Linear(SCALARS + 2 + 4, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 1)
        )

    def forward(self, data: Any) -> Tensor:
        """Return ΔV (B,) [V unit] of a batch made with follow_batch=["z_atoms"]."""
        graph = data.z_atoms_batch  # (ΣN,)
        graphs = data.field_node_features.numel() // 8
        u = globals_by_graph(data.u, graphs)
        x, attr = self.nodes(data, graphs)
        edges = self.edges(data, graph, graphs)
        pooled = self.pool(self.states(x, attr, edges)[-1], graph, graphs)  # (B, 16)
        scalars, vector, tensor = pooled.split([SCALARS, 3, 5], 1)
        norms = [torch.linalg.vector_norm(part, dim=1, keepdim=True) for part in (vector, tensor)]  # gradient 0 at 0
        invariants = [scalars, *norms, self.normalised_u(u)]
        return self.to_label(self.head(torch.cat(invariants, 1)).squeeze(1))

    def nodes(self, data: Any, graphs: int) -> tuple[Tensor, Tensor]:
        """Return states (M, 16) and attributes (M, 8) before the first layer (§4.2)."""
        scalars = self.embedding(data.z_atoms)  # (ΣN, 8)
        multipoles = self.normalised_multipoles(data.field_node_features.reshape(graphs, 8))
        pad = nn.functional.pad
        x = torch.cat([pad(scalars, (0, 8)), pad(multipoles, (SCALARS, 0))])
        atoms = self.attributes(self.normalised_atoms(data.atomic_node_attr))
        return x, torch.cat([atoms, self.field_attributes.to(atoms.dtype).expand(graphs, -1)])

    @torch.compiler.disable  # checks that depend on the data, and e3nn's harmonics
    def edges(self, data: Any, graph: Tensor, graphs: int) -> Edges:
        """Return the geometry: atom pairs as given, and every atom with its field node at the centroid (§4.3)."""
        position, n = data.pos_atoms, data.pos_atoms.shape[0]
        atoms = torch.arange(n, device=position.device)
        count = torch.zeros(graphs, 1, dtype=position.dtype, device=position.device)
        count = count.index_add(0, graph, position.new_ones(n, 1))  # (B, 1)
        centroid = position.new_zeros(graphs, 3).index_add(0, graph, position) / count
        order = undirected_pairs(data.edge_index_atoms, n)
        pairs = data.edge_index_atoms[:, order[:, 0]]  # (2, P_atoms)
        sender = torch.cat([pairs, torch.stack([atoms, n + graph])], 1).T.contiguous()  # (P, 2)
        place = torch.cat([position, centroid])
        vector = place[sender[:, 1]] - place[sender[:, 0]]  # (P, 3)
        r = torch.linalg.vector_norm(vector, dim=1)
        sh = self.harmonics(vector / r.clamp_min(self.shortest)[:, None])
        if "edge_attr_sh" in data:
            sh = torch.cat([data.edge_attr_sh[order[:, 0]], sh[order.shape[0] :]])
        r_atoms, r_field = r.split([order.shape[0], n])
        counts = torch.cat([membership(r_atoms, self.cutoff, self.taper), torch.ones_like(r_field)])
        neighbours = torch.zeros_like(place[:, 0]).index_add(0, sender.flatten(), counts.repeat_interleave(2))
        first: Any = self.layers[0]  # all layers have the same paths
        return Edges(
            sender=sender,
            receiver=torch.stack([sender[:, 1], sender[:, 0] + n + graphs], 1).flatten(),
            rbf=torch.cat([self.rbf(r_atoms), self.rbf_field(r_field)]),
            sh=sh,
            coupling=first.tp.coupling(sh),
            share=1 / neighbours[:, None],
        )

    def states(self, x: Tensor, attr: Tensor, edges: Edges) -> list[Tensor]:
        """Return the states (M, 16) after each layer; every second layer adds the state of two layers before."""
        out, residual = [], x
        for number, layer in enumerate(self.layers, start=1):
            x = layer(x, attr, edges)
            if number % 2 == 0:
                x = residual = x + residual
            out.append(x)
        return out

    def pool(self, x: Tensor, graph: Tensor, graphs: int) -> Tensor:
        """Return the mean (B, 16) of each graph's states, atoms and field node alike."""
        owner = torch.cat([graph, torch.arange(graphs, device=graph.device)])
        size = x.new_zeros(graphs, 1).index_add(0, owner, x.new_ones(x.shape[0], 1))
        return x.new_zeros(graphs, x.shape[1]).index_add(0, owner, x) / size
