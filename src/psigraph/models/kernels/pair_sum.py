"""Sums of messages over neighbours as a torch operator, `torch.ops.psigraph.pair_sum`, with its gradients.

Shapes: M nodes, P undirected pairs, B graphs; S = 16 numbers in a state, W = 34 weights and K = 106 numbers in a
message.
"""

import ctypes
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from psigraph.models.equivariant import NODE, PairTensorProduct
from psigraph.models.kernels.build import library
from psigraph.models.radial import Interpolation

#: Columns that `Pairs.harmonics` must have beyond the last pair: the kernel reads whole vectors of 64 bytes.
MARGIN = 16
#: Registers the operators for CUDA tensors; needs triton, so it is imported where there is a GPU only.
GPU_KERNEL = "psigraph.models.kernels.pair_sum_triton"
_TYPES = {torch.float32: "f32", torch.float64: "f64"}
#: K, the numbers in a message.
MESSAGE = PairTensorProduct(NODE).irreps_mid.dim


class Pairs(NamedTuple):
    """The undirected pairs of a batch, graph by graph: those of atoms first, then each atom with its field node.

    Nodes are the atoms of all graphs, then their field nodes. The radial weights of pair p are the rows knot[p],
    knot[p] + 1, ... of a table, mixed by the Q numbers coefficients[p].
    """

    nodes: Tensor  # (P, 2) int64, first direction 0 -> 1
    starts: Tensor  # (2, B+1) int64: each graph's first pair of atoms, and with its field node; on a GPU a plan
    harmonics: Tensor  # (16, P + MARGIN), of the first direction
    knot: Tensor  # (P,) int64
    coefficients: Tensor  # (P, Q)


def fused_pairs(nodes: Tensor, starts: Tensor, sh: Tensor, table: Interpolation | None, count: int, rows: int) -> Pairs:
    """Return `Pairs` of `count` nodes with harmonics sh (P, 16) and their places in a table of `rows` rows.

    Without a table (None) there is a row of weights for each pair.
    """
    p = len(nodes)
    if table is None:
        table = Interpolation(torch.arange(p, device=sh.device), sh.new_ones(p, 1))
    if nodes.is_cuda:
        starts = import_module(GPU_KERNEL).plan(nodes, table.first, count, rows)
    harmonics = torch.nn.functional.pad(sh.T, (0, MARGIN)).contiguous()
    return Pairs(nodes, starts, harmonics, table.first, table.coefficients)


def available(device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether the operator can compute on this device in this precision."""
    kernel = {"cpu": library, "cuda": _gpu_kernel}.get(device.type)
    return dtype in _TYPES and kernel is not None and kernel() is not None


@cache
def _gpu_kernel() -> ModuleType | None:
    return import_module(GPU_KERNEL) if find_spec("triton") else None


@torch.library.custom_op("psigraph::pair_sum", mutates_args=(), device_types="cpu")
def pair_sum(
    state: Tensor, table: Tensor, nodes: Tensor, starts: Tensor, harmonics: Tensor, knot: Tensor, coefficients: Tensor
) -> Tensor:
    """Return the sums (M, K) of the messages that the nodes receive, of states (M, S) and a table (rows, W).

    The other arguments are those of `Pairs`. A message is that of PairTensorProduct with its direction's sign.
    """
    out = state.new_empty(state.shape[0], MESSAGE)
    _call("forward", Pairs(nodes, starts, harmonics, knot, coefficients), [state, table, out])
    return out


@torch.library.custom_op("psigraph::pair_sum_backward", mutates_args=(), device_types="cpu")
def pair_sum_backward(
    grad: Tensor,
    state: Tensor,
    table: Tensor,
    nodes: Tensor,
    starts: Tensor,
    harmonics: Tensor,
    knot: Tensor,
    coefficients: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the gradients by states (M, S) and table (rows, W), of the gradient by the sums (M, K)."""
    by_state, by_table = torch.zeros_like(state), torch.zeros_like(table)
    pairs = Pairs(nodes, starts, harmonics, knot, coefficients)
    _call("backward", pairs, [state, table, grad.contiguous(), by_state, by_table])
    return by_state, by_table


@pair_sum.register_fake
def _(state: Tensor, table: Tensor, *pairs: Tensor) -> Tensor:
    return state.new_empty(state.shape[0], MESSAGE)


@pair_sum_backward.register_fake
def _(grad: Tensor, state: Tensor, table: Tensor, *pairs: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(state), torch.empty_like(table)


def _remember(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    return *pair_sum_backward(grad, *ctx.saved_tensors), None, None, None, None, None


pair_sum.register_autograd(_gradients, setup_context=_remember)


def check_layout(pairs: Pairs, arrays: list[Tensor]) -> None:
    """Raise ValueError where an argument is not laid out as the kernels expect; `arrays` begin with the states."""
    real, whole = [*arrays, pairs.harmonics, pairs.coefficients], [pairs.nodes, pairs.starts, pairs.knot]
    state, count = arrays[0], len(pairs.nodes)
    if any(t.dtype != state.dtype for t in real) or any(t.dtype != torch.int64 for t in whole):
        raise ValueError(f"pair_sum takes numbers of one type, here {state.dtype}, and indices in int64")
    if not all(t.is_contiguous() for t in real + whole) or pairs.harmonics.shape[1] < count + MARGIN:
        raise ValueError("pair_sum takes contiguous arguments, with MARGIN more columns of harmonics than pairs")


def _call(name: str, pairs: Pairs, arrays: list[Tensor]) -> None:
    """Call the C++ function of that name."""
    check_layout(pairs, arrays)
    state, table, *_ = arrays
    graphs = pairs.starts.shape[1] - 1
    function = getattr(library(), f"psigraph_{name}_{_TYPES[state.dtype]}")
    sizes = [pairs.harmonics.shape[1], graphs, state.shape[0] - graphs, pairs.coefficients.shape[1], len(table)]
    function(
        *(ctypes.c_int64(size) for size in (*sizes, torch.get_num_threads())),
        *(ctypes.c_void_p(t.data_ptr()) for t in (pairs.harmonics, *pairs[:2], *pairs[3:], *arrays)),
    )
