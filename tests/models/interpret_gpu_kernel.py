"""Runs the GPU kernel on the CPU in Triton's interpreter and writes its largest errors as JSON, for test_kernel_gpu.py.

Needs TRITON_INTERPRET=1 from the start, so it is a program of its own. Errors are relative to the largest value.
"""

import json
import sys
from typing import Any

import torch
from synthetic import batch
from test_kernel_gpu import CASES
from test_kernels import model_pair, odd_graphs, random_pairs, slow_sum

from psigraph.models.kernels import pair_sum, pair_sum_triton

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    if actual.shape != expected.shape or actual.dtype != expected.dtype or not torch.isfinite(actual).all():
        return float("inf")
    if not expected.numel():
        return 0.0
    return float((actual - expected).detach().abs().max() / expected.detach().abs().max().clamp_min(1e-30))


def operator(dtype: str, order: int, graphs: list[int]) -> list[float]:
    """Return the errors of the sums and of the gradients by states and table."""
    state, table, pairs = random_pairs(DTYPES[dtype], graphs, order=order)
    plan = pair_sum_triton.plan(pairs.nodes, pairs.knot, len(state), len(table))
    actual = torch.ops.psigraph.pair_sum(state, table, *pairs._replace(starts=plan))
    expected = slow_sum(state, table, pairs)
    probe = torch.randn_like(expected)
    gradients = (torch.autograd.grad((out * probe).sum(), [state, table]) for out in (actual, expected))
    return [error(actual, expected), *(error(a, b) for a, b in zip(*gradients, strict=True))]


def layer() -> dict[str, float]:
    """Return the errors of a layer's states and of its parameters' gradients, on odd graphs; weights from a table."""
    _, model = model_pair(torch.float32, num_conv_layers=1)
    data, graphs = batch(odd_graphs()), 4
    x, attr = (t.detach() for t in model.nodes(data, graphs))
    slow = model.edges(data, data.z_atoms_batch, graphs)
    assert slow.table is not None and slow.fused is None
    pairs = pair_sum.fused_pairs(slow.nodes, slow.nodes, slow.sh, slow.table, len(x), len(slow.rbf))
    plan = pair_sum_triton.plan(pairs.nodes, pairs.knot, len(x), len(slow.rbf))
    fast = slow._replace(fused=pairs._replace(starts=plan))
    results: list[list[Any]] = []
    for edges in (fast, slow):
        out = model.layers[0](x, attr, edges)
        results.append([out, *torch.autograd.grad(out.square().sum(), list(model.layers[0].parameters()))])
    names = ["states", *(name for name, _ in model.layers[0].named_parameters())]
    return {name: error(a, b) for name, a, b in zip(names, *results, strict=True)}


if __name__ == "__main__":
    pair_sum.pair_sum.register_kernel("cpu")(pair_sum_triton.forward)  # in place of the one in C++
    pair_sum.pair_sum_backward.register_kernel("cpu")(pair_sum_triton.backward)
    sys.stdout.write(json.dumps({"operator": [operator(*case) for case in CASES], "layer": layer()}))
