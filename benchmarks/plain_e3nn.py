"""DeltaCoupling as spec/delta.md writes it, in e3nn's own modules: what the speed of psigraph's is compared with.

It has psigraph's weights and gives the same numbers, which `delta_step.py` checks before it measures.
"""

from typing import Any

import torch
from e3nn import o3
from e3nn.nn import FullyConnectedNet
from torch import Tensor, nn
from torch_geometric.utils import scatter

from psigraph.models.delta_coupling import ATTRIBUTES, DeltaCoupling, PointsConvolutionIntegrated
from psigraph.models.equivariant import COPIES, HARMONICS, NODE


class PlainDeltaCoupling(DeltaCoupling):
    """The model with e3nn's layers on directed edges; `copies` of each harmonic: 4 in the note, 1 is enough."""

    def __init__(self, copies: int, **settings: Any) -> None:
        super().__init__(taper=0.0, **settings)
        self.irreps_sh = o3.Irreps([(copies, ir) for _, ir in HARMONICS])
        self.layers = nn.ModuleList(PlainLayer(layer, self.irreps_sh, copies) for layer in self.layers)

    def edges(self, data: Any, graph: Tensor, graphs: int) -> Any:
        """Return senders and receivers (E,), harmonics and radial basis of all directed edges."""
        n = data.pos_atoms.shape[0]
        centroid = scatter(data.pos_atoms, graph, dim=0, dim_size=graphs, reduce="mean")
        place, atoms = torch.cat([data.pos_atoms, centroid]), torch.arange(n, device=graph.device)
        src = torch.cat([data.edge_index_atoms[0], atoms, n + graph])
        dst = torch.cat([data.edge_index_atoms[1], n + graph, atoms])
        vector = place[dst] - place[src]
        r_atoms, r_field = vector.norm(dim=1).split([data.edge_index_atoms.shape[1], 2 * n])
        sh = o3.spherical_harmonics(self.irreps_sh, vector, normalize=True, normalization="component")
        return src, dst, sh, torch.cat([self.rbf(r_atoms), self.rbf_field(r_field)])


class PlainLayer(nn.Module):
    """PointsConvolutionIntegrated (§4.4) in e3nn's modules, with the weights of psigraph's layer."""

    def __init__(self, layer: PointsConvolutionIntegrated, irreps_sh: o3.Irreps, copies: int) -> None:
        super().__init__()
        paths = [
            (i, j, ir)
            for i, (_, ir_in) in enumerate(NODE)
            for j, (_, ir_sh) in enumerate(irreps_sh)
            for ir in ir_in * ir_sh
            if ir in NODE
        ]
        mid, place, _ = o3.Irreps([(NODE[i].mul, ir) for i, _, ir in paths]).sort()
        instructions = [(i, j, place[k], "uvu", True) for k, (i, j, _) in enumerate(paths)]
        self.tp = o3.TensorProduct(NODE, irreps_sh, mid, instructions, internal_weights=False, shared_weights=False)
        attributes = o3.Irreps(f"{ATTRIBUTES}x0e")
        self.sc = o3.FullyConnectedTensorProduct(NODE, attributes, NODE)
        self.lin1 = o3.FullyConnectedTensorProduct(NODE, attributes, NODE)
        self.lin2 = o3.FullyConnectedTensorProduct(mid, attributes, NODE)
        self.alpha = o3.FullyConnectedTensorProduct(mid, attributes, "0e")
        for name in ("sc", "lin1", "lin2", "alpha"):
            getattr(self, name).weight.data.copy_(getattr(layer, name).weight.data)
        self.fc = FullyConnectedNet([*layer.fc.hs[:2], self.tp.weight_numel], nn.functional.silu)
        first, last = layer.fc.layer0.weight.data, layer.fc.layer1.weight.data
        self.fc.layer0.weight.data.copy_(first)
        folded = last if copies == COPIES else last.view(len(last), -1, COPIES).sum(2) / COPIES**0.5
        self.fc.layer1.weight.data.copy_(folded)

    def forward(self, x: Tensor, attr: Tensor, edges: Any) -> Tensor:
        """Return the new states (M, 16) of states (M, 16) and attributes (M, 8)."""
        src, dst, sh, rbf = edges
        messages = self.tp(self.lin1(x, attr)[src], sh, self.fc(rbf))
        mean = scatter(messages, dst, dim=0, dim_size=x.shape[0], reduce="mean")
        return self.sc(x, attr) + torch.tanh(self.alpha(mean, attr)) * self.lin2(mean, attr)
