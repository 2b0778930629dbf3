"""Sums over edges and dot products along edges: the kernel against plain torch, and plain torch against a loop."""

from contextlib import nullcontext

import pytest
import torch
from common import both_precisions
from synthetic import needs_kernel
from torch import Tensor

from psigraph.models.kernels.edge_sum import edge_dot, edge_sum, kernel, pair_silu

#: Groups and columns of each: with and without code of their own.
SHAPES = [(64, 1), (8, 8), (16, 3), (4, 2), (2, 8), (5, 3), (1, 6)]
RECEIVERS, SENDERS = 13, 17


def random(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, dtype=dtype, generator=generator, requires_grad=True)


def random_ends(edges: int) -> tuple[Tensor, Tensor]:
    """Some receivers have many edges, some none; some edges stand twice."""
    generator = torch.Generator().manual_seed(edges)
    receivers = torch.randint(0, RECEIVERS - 2, (edges,), generator=generator)
    return receivers, torch.randint(0, SENDERS, (edges,), generator=generator)


def results(groups: int, size: int, edges: int, dtype: torch.dtype, use: bool) -> list[Tensor]:
    """Return both operators' results and all gradients of a function of them."""
    factor, values = random(edges, groups, dtype=dtype), random(SENDERS, groups * size, dtype=dtype)
    left, ends = random(RECEIVERS, groups * size, dtype=dtype), random_ends(edges)
    with kernel() if use else nullcontext():
        summed = edge_sum(factor, values, *ends, RECEIVERS)
        dots = edge_dot(left, values, *ends, groups)
    total = summed.sin().sum() + (dots * factor).cos().sum()
    return [summed, dots, *torch.autograd.grad(total, (factor, values, left))]


@needs_kernel
@both_precisions
@pytest.mark.parametrize("edges", [0, 1, 200])
@pytest.mark.parametrize(("groups", "size"), SHAPES)
def test_kernel_equals_plain_torch(groups: int, size: int, edges: int, dtype: torch.dtype) -> None:
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-13}[dtype]
    fast, slow = (results(groups, size, edges, dtype, use) for use in (True, False))
    for one, other in zip(fast, slow, strict=True):
        assert one.shape == other.shape and one.dtype == dtype
        torch.testing.assert_close(one, other, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize(("groups", "size"), SHAPES)
def test_plain_torch_equals_a_loop(groups: int, size: int) -> None:
    factor, values, ends = random(9, groups), random(SENDERS, groups * size), random_ends(9)
    left = random(RECEIVERS, groups * size)
    summed, dots = torch.zeros(RECEIVERS, size, groups).double(), torch.zeros(9, groups).double()
    with torch.no_grad():
        for edge, (r, s) in enumerate(zip(*ends, strict=True)):
            for g in range(groups):
                for c in range(size):
                    summed[r, c, g] += factor[edge, g] * values[s, c * groups + g]
                    dots[edge, g] += left[r, c * groups + g] * values[s, c * groups + g]
        torch.testing.assert_close(edge_sum(factor, values, *ends, RECEIVERS), summed.flatten(1))
        torch.testing.assert_close(edge_dot(left, values, *ends, groups), dots)


def random_messages(pairs: int, width: int, dtype: torch.dtype, largest: float = 1.0) -> tuple[Tensor, ...]:
    """Return nodes, shift, gate and pairs; arguments of SiLU go up to about `largest`."""
    ends = torch.randint(0, RECEIVERS - 2, (pairs, 2), generator=torch.Generator().manual_seed(pairs))
    nodes, *others = (
        random(rows, n, dtype=dtype) for rows, n in ((RECEIVERS, 2 * width), (pairs, width), (pairs, width))
    )
    return (largest * nodes.detach()).requires_grad_(), *others, ends


@needs_kernel
@both_precisions
@pytest.mark.parametrize("largest", [1.0, 1e3])
@pytest.mark.parametrize(("pairs", "width"), [(0, 8), (1, 5), (90, 64)])
def test_messages_of_the_kernel_equal_plain_torch(pairs: int, width: int, largest: float, dtype: torch.dtype) -> None:
    tolerance = {torch.float32: 2e-6, torch.float64: 1e-14}[dtype]
    *arrays, ends = random_messages(pairs, width, dtype, largest)
    found = []
    for use in (True, False):
        with kernel() if use else nullcontext():
            out = pair_silu(arrays[0], arrays[1], arrays[2], ends)
        found.append((out, *torch.autograd.grad((out / largest).sin().sum(), arrays)))
    for fast, slow in zip(*found, strict=True):
        scale = float(slow.detach().abs().max()) if slow.numel() else 0.0
        torch.testing.assert_close(fast, slow, rtol=0, atol=30 * tolerance * max(scale, 1.0))


def test_messages_in_plain_torch_equal_a_loop() -> None:
    nodes, shift, gate, pairs = random_messages(7, 3, torch.float64)
    expected = torch.zeros(RECEIVERS, 3, dtype=torch.float64)
    with torch.no_grad():
        for p, pair in enumerate(pairs):
            for r, s in (pair, pair.flip(0)):
                x = nodes[r, :3] + nodes[s, 3:] + shift[p]
                expected[r] += x / (1 + torch.exp(-x)) * gate[p]
        torch.testing.assert_close(pair_silu(nodes, shift, gate, pairs), expected)


@needs_kernel
def test_rows_of_a_wider_array_and_expanded_gradients() -> None:
    """Parts of a split have rows that do not touch; the gradient of a sum has no rows at all."""
    wide, values, ends = random(50, 24), random(SENDERS, 16), random_ends(50)
    outcomes = []
    for use in (True, False):
        _, part = wide.split([16, 8], 1)
        with kernel() if use else nullcontext():
            total = edge_sum(part, values, *ends, RECEIVERS).sum()
        outcomes.append((total, *torch.autograd.grad(total, (wide, values))))
    for fast, slow in zip(*outcomes, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)


@needs_kernel
def test_gradients_of_gradients() -> None:
    factor, values, left, ends = random(6, 4), random(SENDERS, 8), random(RECEIVERS, 8), random_ends(6)

    def call(factor: Tensor, values: Tensor, left: Tensor) -> Tensor:
        with kernel():
            return edge_sum(factor * edge_dot(left, values, *ends, 4), values, *ends, RECEIVERS)

    assert torch.autograd.gradcheck(call, (factor, values, left))
    assert torch.autograd.gradgradcheck(call, (factor, values, left))


@needs_kernel
def test_any_number_of_threads_gives_the_same_bytes() -> None:
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 7):
            torch.set_num_threads(threads)
            *arrays, ends = random_messages(90, 12, torch.float32)
            with kernel():
                messages = pair_silu(arrays[0], arrays[1], arrays[2], ends)
            gradients = torch.autograd.grad(messages.sin().sum(), arrays)
            found.append([*results(8, 4, 300, torch.float32, True), messages, *gradients])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


@needs_kernel
def test_groups_that_do_not_divide_the_columns_are_refused() -> None:
    with kernel(), pytest.raises(ValueError, match="3 groups do not divide 16 columns"):
        edge_sum(random(5, 3), random(SENDERS, 16), *random_ends(5), RECEIVERS)
