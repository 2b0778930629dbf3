"""What rows that edges join do together: sums over a row's edges, dot products along edges, sums of gated messages.

The first two are each other's gradient, so they can be differentiated any number of times. In C++ nothing of the size
of the edges times the columns is written down; in plain torch it is, several times over.

Legend: E edges from a sender to a receiver, R rows that receive and S that send; a row has d columns of each of G
groups, in the order (d, G).
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from psigraph.models.kernels.build import library

_TYPES = {torch.float32: "f32", torch.float64: "f64"}
_enabled = False


@contextmanager
def kernel() -> Iterator[None]:
    """Use the C++ functions, where they can compute, in what is computed inside; elsewhere it is plain torch."""
    global _enabled
    before, _enabled = _enabled, True
    try:
        yield
    finally:
        _enabled = before


def available(device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether the C++ functions can compute on this device in this precision."""
    return device.type == "cpu" and dtype in _TYPES and library() is not None


def edge_sum(factor: Tensor, values: Tensor, receivers: Tensor, senders: Tensor, count: int) -> Tensor:
    """Return Σ_e factor_e ⊙ values of e's sender over the edges of each of `count` receivers, (count, d G).

    factor (E, G), each number for a group of the columns of values (S, d G); receivers and senders (E,) int64.
    """
    if _by_kernel(factor, values):
        found: Tensor = _Sum.apply(factor, values, receivers, senders, count)
        return found
    if factor.shape[1] != values.shape[1]:
        factor = factor @ _columns(factor.shape[1], values)
    message = factor * values.index_select(0, senders)
    return message.new_zeros(count, message.shape[1]).index_add(0, receivers, message)


def edge_dot(left: Tensor, right: Tensor, receivers: Tensor, senders: Tensor, groups: int) -> Tensor:
    """Return each edge's dot products (E, G) of its receiver's row of left (R, d G) and its sender's of right (S, d G).

    Plain torch sums within groups by products with a matrix of 0 and 1: several times faster, above all backwards.
    """
    if _by_kernel(left, right):
        found: Tensor = _Dot.apply(left, right, receivers, senders, groups)
        return found
    product = left.index_select(0, receivers) * right.index_select(0, senders)
    return product if groups == left.shape[1] else product @ _columns(groups, left).T


def pair_silu(nodes: Tensor, shift: Tensor, gate: Tensor, pairs: Tensor) -> Tensor:
    """Return the sums (N, D) of the messages silu(A x_i + B x_j + shift_p) ⊙ gate_p to i, both ways along pairs (P, 2).

    nodes (N, 2 D) holds A x and B x of every node; shift and gate (P, D) stand once for a pair.
    """
    if _by_kernel(nodes, shift) and gate.dtype == shift.dtype:
        found: Tensor = _Silu.apply(nodes, shift, gate, pairs)
        return found
    i, j = pairs.unbind(1)
    (to_i, from_i), (to_j, from_j) = (nodes.index_select(0, ends).chunk(2, 1) for ends in (i, j))
    silu = torch.nn.functional.silu
    out = nodes.new_zeros(len(nodes), gate.shape[1])
    return out.index_add(0, i, silu(to_i + from_j + shift) * gate).index_add(0, j, silu(to_j + from_i + shift) * gate)


def _columns(groups: int, like: Tensor) -> Tensor:
    """Return the matrix (G, d G) that gives each group's number to its columns."""
    one = torch.eye(groups, dtype=like.dtype, device=like.device)
    return one.repeat(1, like.shape[1] // groups)


def _by_kernel(first: Tensor, second: Tensor) -> bool:
    alike = first.dtype == second.dtype and not torch.is_autocast_enabled(first.device.type)
    return _enabled and alike and available(first.device, first.dtype)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, factor: Tensor, values: Tensor, receivers: Tensor, senders: Tensor, count: int) -> Tensor:
        ctx.save_for_backward(factor, values, receivers, senders)
        out = values.new_zeros(count, values.shape[1])
        _edge_call("edge_sum", factor.shape[1], values.shape[1], (receivers, senders), (factor, values, out))
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        factor, values, receivers, senders = ctx.saved_tensors
        return (
            _Dot.apply(grad, values, receivers, senders, factor.shape[1]) if ctx.needs_input_grad[0] else None,
            _Sum.apply(factor, grad, senders, receivers, len(values)) if ctx.needs_input_grad[1] else None,
            *(None, None, None),
        )


class _Dot(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, receivers: Tensor, senders: Tensor, groups: int) -> Tensor:
        ctx.save_for_backward(left, right, receivers, senders)
        out = left.new_zeros(len(receivers), groups)
        _edge_call("edge_dot", groups, left.shape[1], (receivers, senders), (left, right, out))
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        left, right, receivers, senders = ctx.saved_tensors
        return (
            _Sum.apply(grad, right, receivers, senders, len(left)) if ctx.needs_input_grad[0] else None,
            _Sum.apply(grad, left, senders, receivers, len(right)) if ctx.needs_input_grad[1] else None,
            *(None, None, None),
        )


class _Silu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, nodes: Tensor, shift: Tensor, gate: Tensor, pairs: Tensor) -> Tensor:
        ctx.save_for_backward(nodes, shift, gate, pairs)
        out = nodes.new_zeros(len(nodes), gate.shape[1])
        _call("pair_silu", (len(pairs), gate.shape[1]), (pairs,), (nodes, shift, gate, out))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        nodes, shift, gate, pairs = ctx.saved_tensors
        found = [torch.zeros_like(array, memory_format=torch.contiguous_format) for array in (nodes, shift, gate)]
        _call("pair_silu_backward", (len(pairs), gate.shape[1]), (pairs,), (nodes, shift, gate, grad, *found))
        return *found, None


def _edge_call(name: str, groups: int, columns: int, ends: tuple[Tensor, Tensor], arrays: tuple[Tensor, ...]) -> None:
    """Call the C++ function of that name; the last array takes the result."""
    if columns % max(groups, 1):
        raise ValueError(f"{groups} groups do not divide {columns} columns")
    _call(name, (len(ends[0]), len(arrays[-1]), groups, columns // max(groups, 1)), ends, arrays)


def _call(name: str, sizes: tuple[int, ...], indices: tuple[Tensor, ...], arrays: tuple[Tensor, ...]) -> None:
    """Call the C++ function of that name: with sizes, threads, strides of rows, indices and arrays."""
    assert len({array.dtype for array in arrays}) == 1 and len({len(index) for index in indices}) == 1
    rows = [array if array.stride(-1) == 1 else array.contiguous() for array in arrays]
    places = [index.contiguous() for index in indices]
    function = getattr(library(), f"psigraph_{name}_{_TYPES[rows[0].dtype]}")
    function(
        *(ctypes.c_int64(size) for size in (*sizes, torch.get_num_threads(), *(array.stride(0) for array in rows))),
        *(ctypes.c_void_p(array.data_ptr()) for array in (*places, *rows)),
    )
