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
from psigraph.models.equivariant import COPIES, HARMONICS, NODE, AttributeLinear, PairTensorProduct, joint_maps
from psigraph.models.kernels.pair_sum import Pairs, available, fused_pairs, pair_sum
from psigraph.models.radial import Interpolation, RadialBesselBasisLayer, interpolation, membership
from psigraph.models.shapes import check_positive, globals_by_graph, one_direction, undirected_pairs

SCALARS = 8
ATTRIBUTES = 8
MAX_Z = 86
SHORTEST = 0.01  # Å; below it harmonics fade to 0, so an atom on the centroid has no arbitrary direction
KNOTS = 24  # of the radial weights' table, for each radial function: see test_error_of_the_radial_table
TAPER = 0.1  # share of the cutoff in which a neighbour stops counting, see radial.membership


class Edges(NamedTuple):
    """The geometry of a batch, computed once for all layers: pairs of atoms first, then atom-field pairs."""

    nodes: Tensor  # (P, 2): first direction i -> j, second j -> i
    sh: Tensor  # (P, 16), first direction
    share: Tensor  # (M, 1), 1 / number of neighbours
    rbf: Tensor  # (R, num_rbf): of each pair (R = P), or of the knots of a table of radial weights
    table: Interpolation | None  # where each pair lies in that table
    fused: Pairs | None  # what the kernel takes; None in plain torch
    coupling: tuple[Tensor, Tensor] | None  # what plain torch takes


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

    def weights(self, rbf: Tensor, columns: Tensor | None = None) -> Tensor:
        """Return the tensor product's weights (R, 34), one for each path and channel, of the basis (R, num_rbf).

        With `columns` they come in that order, each as often as it stands there.
        """
        last = self.fc.layer1.weight  # (H, 4 × 34)
        folded = last.view(last.shape[0], -1, COPIES).sum(2) / sqrt(COPIES * last.shape[0])  # (H, 34)
        return self.fc.layer0(rbf) @ (folded if columns is None else folded.index_select(1, columns))

    def forward(self, x: Tensor, attr: Tensor, edges: Edges) -> Tensor:
        """Return the new states (M, 16) of states (M, 16) and attributes (M, 8)."""
        own, h = joint_maps([self.sc, self.lin1], x, attr)
        mean = self.sum_messages(h, edges) * edges.share  # (M, 106)
        message, gate = joint_maps([self.lin2, self.alpha], mean, attr)
        return own + torch.tanh(gate) * message

    def sum_messages(self, h: Tensor, edges: Edges) -> Tensor:
        """Return the sum (M, 106) of the messages that arrive at each node, of states h (M, 16)."""
        if edges.fused is not None:
            kind = edges.sh.dtype  # not lower under autocast
            return pair_sum(h.to(kind), self.weights(edges.rbf).to(kind), *edges.fused)
        weights = self.weights(edges.rbf, self.tp.columns)
        weights = weights if edges.table is None else edges.table(weights)
        both = h.index_select(0, edges.nodes.flatten()).view(-1, 2, h.shape[1])
        messages = self.tp(both, edges.sh, edges.coupling, weights)  # (P, 2, 106)
        sums = messages.new_zeros(2, h.shape[0], messages.shape[2])
        first = sums[0].index_add(0, edges.nodes[:, 1], messages[:, 0])
        second = sums[1].index_add(0, edges.nodes[:, 0], messages[:, 1])
        return first + second * self.tp.sign


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

    knots_rbf: Tensor

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
        self.kernel = True  # use it where it was built
        self.cutoff, self.shortest, self.taper = cutoff * length_scale, SHORTEST * length_scale, taper
        self.embedding = nn.Embedding(MAX_Z + 1, SCALARS)
        self.attributes = atom_attributes(atom_width)
        self.field_attributes = nn.Parameter(torch.randn(ATTRIBUTES))
        self.harmonics = o3.SphericalHarmonics(HARMONICS, normalize=False, normalization="component")
        self.rbf = RadialBesselBasisLayer(num_rbf, self.cutoff)
        self.rbf_field = RadialBesselBasisLayer(num_rbf, field_cutoff * length_scale)
        self.knots = KNOTS * num_rbf
        knots_rbf = self.rbf(torch.linspace(0, self.cutoff, self.knots))  # (knots, num_rbf)
        self.register_buffer("knots_rbf", knots_rbf, persistent=False)
        self.layers = nn.ModuleList(PointsConvolutionIntegrated(num_rbf, hidden) for _ in range(num_conv_layers))
        self.head = nn.Sequential(
            nn.Linear(SCALARS + 2 + 4, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 1)
        )

    def has_kernel(self, device: torch.device) -> bool:
        """Return whether the fused kernel can compute this model on a device."""
        return available(device, self.field_attributes.dtype)

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
        pairs, pair_ptr = undirected_pairs(data, graph, graphs)  # (P_atoms, 2), (B+1,)
        size = graph.new_zeros(graphs).index_add(0, graph, torch.ones_like(graph))  # bincount waits for a GPU
        centroid = position.new_zeros(graphs, 3).index_add(0, graph, position) / size[:, None]
        field = torch.stack([torch.arange(n, device=graph.device), n + graph], 1)
        nodes = torch.cat([pairs, field])  # (P, 2)
        first, second = torch.cat([position, centroid]).index_select(0, nodes.T.flatten()).view(2, -1, 3).unbind(0)
        vector = second - first
        r = torch.linalg.vector_norm(vector, dim=1)  # (P,)
        sh = self.harmonics(vector / r.clamp_min(self.shortest)[:, None])
        if "edge_attr_sh" in data:  # a PyG batch that brings its harmonics
            given = data.edge_attr_sh[one_direction(data.edge_index_atoms, graph)]
            sh = torch.cat([given, sh[len(pairs) :]])
        r_atoms, r_field = r.split([len(pairs), n])
        counts = torch.cat([membership(r_atoms, self.cutoff, self.taper), torch.ones_like(r_field)])
        neighbours = r.new_zeros(n + graphs).index_add(0, nodes[:, 0], counts).index_add(0, nodes[:, 1], counts)
        rbf, table = self.radial(r_atoms, r_field)
        geometry = {"nodes": nodes, "sh": sh, "share": 1 / neighbours[:, None], "rbf": rbf, "table": table}
        if self.kernel and not position.requires_grad and available(position.device, position.dtype):
            starts = torch.stack([pair_ptr, len(pairs) + nn.functional.pad(size.cumsum(0), (1, 0))])
            return Edges(**geometry, fused=fused_pairs(nodes, starts, sh, table, n + graphs, len(rbf)), coupling=None)
        first_layer: Any = self.layers[0]  # all layers have the same paths
        return Edges(**geometry, fused=None, coupling=first_layer.tp.coupling(sh))

    def radial(self, r_atoms: Tensor, r_field: Tensor) -> tuple[Tensor, Interpolation | None]:
        """Return the radial basis (R, num_rbf) of the pairs, or of a table's knots with the pairs' places in it.

        A table is taken where it is smaller, in float32. A basis is the same function of r / cutoff for pairs of atoms
        and for atom-field pairs, so that one serves both.
        """
        exact = r_atoms.dtype == torch.float64 or len(r_atoms) + len(r_field) <= self.knots
        if exact or r_atoms.requires_grad:
            return torch.cat([self.rbf(r_atoms), self.rbf_field(r_field)]), None
        x = torch.cat([r_atoms / self.rbf.cutoff, r_field / self.rbf_field.cutoff])
        return self.knots_rbf, interpolation(x, self.knots)

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
