"""Equivariant building blocks for node states 'Ax0e + 1x1o + 1x2e', equal to e3nn's modules and faster.

Both classes keep e3nn's weights, in e3nn's order and normalisation; tests/models compare them with e3nn's modules.
Shapes: N nodes, P undirected pairs, the two directions of a pair stand beside each other as (P, 2, …).
"""

from collections.abc import Sequence
from math import sqrt
from typing import Any

import torch
from e3nn import o3
from torch import Tensor, nn

#: The state of a node in DeltaCoupling (spec/delta.md §4.2).
NODE = o3.Irreps("8x0e+1x1o+1x2e")
#: Harmonics of an edge, each once. The note's "4x0e+4x1o+4x2e+4x3o" are four copies of them.
HARMONICS = o3.Irreps("1x0e+1x1o+1x2e+1x3o")
COPIES = 4


class AttributeLinear(nn.Module):
    """o3.FullyConnectedTensorProduct(irreps_in, attributes "Vx0e", irreps_out): a linear map chosen by the attributes.

    out_w = Σ_uv W_uvw x_u a_v / sqrt(U V) within each irrep, W normal at the start.
    """

    scale: Tensor

    def __init__(self, irreps_in: o3.Irreps, attributes: int, irreps_out: o3.Irreps) -> None:
        super().__init__()
        irreps_in, irreps_out = o3.Irreps(irreps_in).simplify(), o3.Irreps(irreps_out).simplify()
        #: By irrep of the input: 2l+1, and the shape (U, V, W) of the weights; W is 0 where the output lacks the irrep.
        self.dims = [ir.dim for _, ir in irreps_in]
        self.shapes = [(mul, attributes, irreps_out.count(ir)) for mul, ir in irreps_in]
        self.sizes = [u * v * w for u, v, w in self.shapes]
        self.weight = nn.Parameter(torch.randn(sum(self.sizes)))
        scale = [1 / sqrt(u * v) for (u, v, _), size in zip(self.shapes, self.sizes, strict=True) for _ in range(size)]
        self.exact = torch.tensor(scale, dtype=torch.float64)
        self.register_buffer("scale", self.exact.to(self.weight), persistent=False)

    def _apply(self, fn: Any, recurse: bool = True) -> "AttributeLinear":
        super()._apply(fn, recurse)
        self.scale = self.exact.to(self.scale)
        return self

    def forward(self, x: Tensor, attr: Tensor) -> Tensor:
        """Return (N, irreps_out.dim) of states (N, irreps_in.dim) and attributes (N, V)."""
        return joint_maps([self], x, attr)[0]

    def matrices(self) -> list[Tensor]:
        """Return the normalised weights (U, V, W) by irrep of the input."""
        parts = (self.weight * self.scale).split(self.sizes)
        return [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]


def joint_maps(modules: Sequence[AttributeLinear], x: Tensor, attr: Tensor) -> list[Tensor]:
    """Return what each module makes of the same states (N, irreps_in.dim) and attributes (N, V), in few operations."""
    n, dims, sizes = x.shape[0], modules[0].dims, [shape[0] for shape in modules[0].shapes]
    outputs: list[list[Tensor]] = [[] for _ in modules]
    weights = zip(*(module.matrices() for module in modules), strict=True)
    parts = x.split([mul * dim for mul, dim in zip(sizes, dims, strict=True)], 1)
    for part, mul, dim, by_module in zip(parts, sizes, dims, weights, strict=True):
        counts = [w.shape[2] for w in by_module]
        weight = torch.cat(by_module, 2)  # (U, V, ΣW)
        if not any(counts):
            continue
        if dim == 1:
            pairs = (part.unsqueeze(2) * attr.unsqueeze(1)).flatten(1)  # (N, U V)
            out = pairs @ weight.flatten(0, 1)  # (N, ΣW)
        else:
            maps = (attr @ weight.transpose(0, 1).flatten(1)).view(n, mul, -1)  # (N, U, ΣW)
            out = torch.bmm(maps.transpose(1, 2), part.view(n, mul, dim)).flatten(1)  # (N, ΣW (2l+1))
        for mine, piece in zip(outputs, out.split([c * dim for c in counts], 1), strict=True):
            mine.append(piece)
    return [torch.cat(pieces, 1) for pieces in outputs]


class PairTensorProduct(nn.Module):
    """o3.TensorProduct (mode "uvu", weights from outside) of node states with an edge's harmonics, both ways at once.

    The states are 'Ax0e + 1x1o + 1x2e'; every allowed path into 0e, 1o or 2e has one weight per channel. Scalars
    multiply the harmonics. The vector and the l = 2 tensor are contracted with them through e3nn's wigner_3j; that
    contraction depends on the positions alone, so `coupling` is computed once per batch for all layers. In the opposite
    direction only the sign of the odd harmonics differs: a sign of the output, applied after summing over neighbours.
    """

    sign: Tensor
    cg: Tensor
    columns: Tensor

    def __init__(self, irreps_in: o3.Irreps) -> None:
        super().__init__()
        self.irreps_in = o3.Irreps(irreps_in)
        self.scalars = self.irreps_in.count("0e")
        if self.irreps_in != o3.Irreps(f"{self.scalars}x0e+1x1o+1x2e"):
            raise ValueError(f"states must be Ax0e+1x1o+1x2e, got {self.irreps_in}")
        paths = [
            (i, j, ir_out)
            for i, (_, ir_in) in enumerate(self.irreps_in)
            for j, (_, ir_sh) in enumerate(HARMONICS)
            for ir_out in ir_in * ir_sh
            if ir_out in self.irreps_in
        ]
        irreps_mid, places, _ = o3.Irreps([(self.irreps_in[i].mul, ir) for i, _, ir in paths]).sort()
        #: The output, one entry per path, and the paths, both as o3.TensorProduct takes them.
        self.irreps_mid = o3.Irreps(irreps_mid)
        self.instructions = [(i, j, place, "uvu", True) for (i, j, _), place in zip(paths, places, strict=True)]
        self.weight_numel = sum(self.irreps_in[i].mul for i, *_ in paths)
        sign = torch.ones(self.irreps_mid.dim)
        for _, j, place, *_ in self.instructions:
            sign[self.irreps_mid.slices()[place]] = HARMONICS[j].ir.p
        self.register_buffer("sign", sign, persistent=False)
        self._set_coupling([(i, j, ir.l) for i, j, ir in paths if i > 0])

    def _set_coupling(self, paths: list[tuple[int, int, int]]) -> None:
        """Lay out the paths (l_in > 0, l_sh, l_out) of vector and tensor, ordered by l_in, then l_out."""
        first = 3 * self.scalars  # the scalars' weights: one for each of l_sh = 0, 1, 2 and channel
        columns, blocks = list(range(first)), []
        order = sorted(range(len(paths)), key=lambda n: (paths[n][0], paths[n][2], n))
        self.widths = [[0, 0, 0], [0, 0, 0]]  # columns by l_in - 1 and l_out
        for n in order:
            l1, l2, l3 = paths[n]
            w3j = o3.wigner_3j(l1, l2, l3, dtype=torch.float64) * sqrt(2 * l3 + 1)
            block = torch.zeros(HARMONICS.dim, 2 * l1 + 1, 2 * l3 + 1, dtype=torch.float64)
            block[HARMONICS.slices()[l2]] = w3j.transpose(0, 1)
            blocks.append(block)
            columns += [first + n] * (2 * l3 + 1)
            self.widths[l1 - 1][l3] += 2 * l3 + 1
        by_input = [torch.cat([b for b in blocks if b.shape[1] == size], 2).flatten(1) for size in (3, 5)]
        self.exact = torch.cat(by_input, 1)  # (16, 3 C_1 + 5 C_2) float64
        self.register_buffer("cg", self.exact.to(torch.get_default_dtype()), persistent=False)
        #: Weight of each column that `forward` takes: repeating columns of the layer that makes them is cheaper.
        self.register_buffer("columns", torch.tensor(columns), persistent=False)

    def _apply(self, fn: Any, recurse: bool = True) -> "PairTensorProduct":
        super()._apply(fn, recurse)
        self.cg = self.exact.to(self.cg)  # a model made float64 has float64's coefficients
        return self

    def coupling(self, sh: Tensor) -> tuple[Tensor, Tensor]:
        """Return the couplings (P, 3, C_1) of vectors and (P, 5, C_2) of tensors with harmonics (P, 16)."""
        c1, c2 = (sum(w) for w in self.widths)
        vector, tensor = (sh @ self.cg).split([3 * c1, 5 * c2], 1)
        return vector.reshape(-1, 3, c1), tensor.reshape(-1, 5, c2)

    def forward(self, x: Tensor, sh: Tensor, coupling: tuple[Tensor, Tensor], weight: Tensor) -> Tensor:
        """Return messages (P, 2, irreps_mid.dim) of the sending states (P, 2, irreps_in.dim).

        sh (P, 16) are the harmonics of the first direction; weight (P, len(columns)) serves both. The message of the
        second direction still has to be multiplied by `sign`.
        """
        a = self.scalars
        s, v, t = x.split([a, 3, 5], 2)
        w0, w1, w2, wv, wt = weight.unsqueeze(1).split([a, a, a, sum(self.widths[0]), sum(self.widths[1])], 2)
        y1, y2 = sh[:, None, None, 1:4], sh[:, None, None, 4:9]
        s1 = ((s * w1).unsqueeze(3) * y1).flatten(2)  # (P, 2, 3A)
        s2 = ((s * w2).unsqueeze(3) * y2).flatten(2)  # (P, 2, 5A)
        v0, v1, v2 = (torch.bmm(v, coupling[0]) * wv).split(self.widths[0], 2)
        t0, t1, t2 = (torch.bmm(t, coupling[1]) * wt).split(self.widths[1], 2)
        return torch.cat([s * w0 * sh[:, None, :1], v0, t0, s1, v1, t1, s2, v2, t2], 2)
