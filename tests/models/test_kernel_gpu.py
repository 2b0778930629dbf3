"""The GPU kernel: its arithmetic in Triton's interpreter, its compilation without a GPU, and all of it on a GPU."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from synthetic import batch, random_graphs
from test_kernels import (
    TOLERANCE,
    assert_close,
    both_precisions,
    compare,
    model_pair,
    odd_graphs,
    random_pairs,
    slow_sum,
)

#: Precision, order of the table's mixing, atoms of each graph.
CASES: list[tuple[str, int, list[int]]] = [
    ("float32", 6, [5, 1, 2, 9]),
    ("float32", 1, [34]),  # more pairs and a node with more neighbours than a block holds
    ("float32", 6, [1]),
    ("float32", 6, []),
    ("float64", 6, [5, 1, 6]),
    ("float64", 1, [4, 3]),
]

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed (extra dev)")
needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available() or find_spec("triton") is None, reason="no GPU, or triton is not installed"
)


@pytest.fixture(scope="module")
def interpreted() -> dict[str, Any]:
    """Errors of the kernel in Triton's interpreter, see interpret_gpu_kernel.py."""
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parents[1] / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": path}
    command = [sys.executable, str(here / "interpret_gpu_kernel.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_triton
@pytest.mark.parametrize("case", range(len(CASES)), ids=[f"{dtype}-{order}-{g}" for dtype, order, g in CASES])
def test_operator_in_the_interpreter_equals_plain_torch(interpreted: dict[str, Any], case: int) -> None:
    output, *gradients = interpreted["operator"][case]
    limits = TOLERANCE[getattr(torch, CASES[case][0])]
    assert output <= limits[0] and max(gradients) <= limits[1]


@needs_triton
def test_layer_in_the_interpreter_equals_plain_torch(interpreted: dict[str, Any]) -> None:
    """No pair of atoms, one atom, a pair at the cutoff, more pairs than a block holds; weights from a table."""
    errors = interpreted["layer"]
    assert errors.pop("states") <= 1e-5
    assert max(errors.values()) <= 1e-4, errors


@needs_triton
@pytest.mark.parametrize(("dtype", "capability"), [("fp32", 80), ("fp64", 90)])
def test_kernels_compile_without_a_gpu(
    dtype: str, capability: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Triton's own ptxas makes machine code; no kernel needs more numbers than registers hold."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from psigraph.models.kernels import pair_sum_triton as kernels

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    kinds = {"stride": "i32", "count": "i32", "ORDER": "constexpr"}
    kinds |= dict.fromkeys(("nodes", "order", "begins", "knot"), "*i64")
    for kernel, warps in ((kernels.receive, 1), (kernels.send, 1), (kernels.mix, 4), (kernels.collect, 4)):
        signature = {name: kinds.get(name, f"*{dtype}") for name in kernel.arg_names}
        constants = {"ORDER": 6} if "ORDER" in signature else {}
        source = ASTSource(kernel, signature, constexprs=constants)
        made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": warps})
        cubin = tmp_path / "kernel.cubin"
        cubin.write_bytes(made.asm["cubin"])
        command = [triton.knobs.nvidia.cuobjdump.path, "-res-usage", str(cubin)]
        usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "STACK:0 " in usage and "LOCAL:0 " in usage, usage


def on_gpu(*tensors: torch.Tensor) -> list[torch.Tensor]:
    return [t.detach().cuda().requires_grad_(t.requires_grad) for t in tensors]


def operator_inputs(dtype: torch.dtype, graphs: list[int], order: int) -> tuple[Any, Any, Any]:
    """Return states, table and pairs on the GPU, the pairs with their plan."""
    from psigraph.models.kernels.pair_sum_triton import plan

    state, table, pairs = random_pairs(dtype, graphs, order=order)
    state, table = on_gpu(state, table)
    pairs = type(pairs)(*(t.cuda() for t in pairs))
    return state, table, pairs._replace(starts=plan(pairs.nodes, pairs.knot, len(state), len(table)))


@needs_gpu
@both_precisions
@pytest.mark.parametrize("order", [1, 6])
@pytest.mark.parametrize("graphs", [[5, 9, 1, 12], [1], [40], [1, 1, 1], []], ids=str)
def test_operator_on_a_gpu_equals_plain_torch_and_itself(dtype: torch.dtype, order: int, graphs: list[int]) -> None:
    state, table, pairs = operator_inputs(dtype, graphs, order)
    plain_state, plain_table, plain_pairs = random_pairs(dtype, graphs, order=order)
    expected = slow_sum(plain_state, plain_table, plain_pairs)
    probe = torch.randn_like(expected)
    gradients = torch.autograd.grad((expected * probe).sum(), [plain_state, plain_table])
    results = []
    for _ in range(2):
        out = torch.ops.psigraph.pair_sum(state, table, *pairs)
        results.append([out, *torch.autograd.grad((out * probe.cuda()).sum(), [state, table])])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert_close(results[0][0].cpu(), expected, TOLERANCE[dtype][0])
    for a, b in zip(results[0][1:], gradients, strict=True):
        assert_close(a.cpu(), b, TOLERANCE[dtype][1])


@needs_gpu
def test_operator_never_waits_for_the_gpu() -> None:
    """What a CUDA graph asks for; the first call may wait, it compiles."""
    state, table, pairs = operator_inputs(torch.float32, [5, 9], 6)
    for mode in ("default", "error"):
        torch.cuda.set_sync_debug_mode(mode)
        try:
            torch.ops.psigraph.pair_sum(state, table, *pairs).sum().backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")


@needs_gpu
@both_precisions
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_model_on_a_gpu_with_kernel_equals_model_without(dtype: torch.dtype, compiled: bool) -> None:
    fast, slow = (model.cuda() for model in model_pair(dtype))
    slow.knots = 10**9
    graphs = [*odd_graphs(), *random_graphs(6, seed=5, atoms=(20, 30))]
    data = batch(graphs, dtype).to("cuda")
    assert fast.edges(data, data.z_atoms_batch, len(graphs)).fused is not None
    compare(torch.compile(fast, dynamic=True) if compiled else fast, slow, fast, data, dtype)


@needs_gpu
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_model_on_a_gpu_in_bfloat16(compiled: bool) -> None:
    """Under autocast the kernel itself computes in float32."""
    fast, slow = (model.cuda() for model in model_pair(torch.float32))
    data = batch(random_graphs(8, seed=5, atoms=(20, 30))).to("cuda")
    call = torch.compile(fast, dynamic=True) if compiled else fast
    results = []
    for model, parameters in ((call, fast.parameters()), (slow, slow.parameters())):
        with torch.autocast("cuda", torch.bfloat16):
            out = model(data)
        gradients = torch.autograd.grad(out.square().sum(), list(parameters))
        results.append([out, torch.cat([g.flatten() for g in gradients])])
    for a, b in zip(*results, strict=True):
        assert_close(a, b, 1e-2)
