"""The fused kernel and torch.compile against plain torch: outputs to 1e-5, gradients to 1e-4; and where none is."""

import logging
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from synthetic import CUTOFF, SCALE, batch, needs_kernel, random_graph, random_graphs, reconnected, training_arrays

from psigraph.graphs.graph import Graph
from psigraph.models.delta_coupling import DeltaCoupling
from psigraph.models.equivariant import HARMONICS, NODE, PairTensorProduct
from psigraph.models.kernels import build, pair_sum
from psigraph.models.kernels.pair_sum import MARGIN, Pairs

TOLERANCE = {torch.float32: (1e-5, 1e-4), torch.float64: (1e-12, 1e-11)}
both_precisions = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


def odd_graphs() -> list[Graph]:
    """No pair of atoms; one atom; a pair exactly at the cutoff and one just beyond; more pairs than a block holds."""
    rng = np.random.default_rng(0)
    two, one, four, many = (random_graph(rng, i, atoms) for i, atoms in enumerate((2, 2, 4, 31)))
    far = reconnected(replace(two, pos_atoms=np.array([[0, 0, 0], [0, 0, 2.0]])))
    fields = {name: getattr(one, name)[:1] for name in ("z_atoms", "pos_atoms", "fragment", "atomic_node_attr")}
    alone = reconnected(replace(one, **fields))
    line = np.array([[0, 0, 0], [0, 0, CUTOFF * SCALE], [0.1, 0, 0], [0, np.nextafter(CUTOFF * SCALE, 2), 0]])
    edge = reconnected(replace(four, pos_atoms=line))
    assert len(far.pairs) == 0 and len(alone.z_atoms) == 1 and [0, 1] in edge.pairs.tolist()
    assert [0, 3] not in edge.pairs.tolist() and len(many.pairs) > 256
    return [far, alone, edge, many]


def random_pairs(dtype: torch.dtype, graphs: list[int], seed: int = 0, order: int = 1) -> tuple[Any, Any, Pairs]:
    """Return states, table and pairs of graphs with so many atoms, each pair of atoms taken with probability 2/3."""
    generator = torch.Generator().manual_seed(seed)
    nodes, begins, first = [], [0], 0
    for atoms in graphs:
        every = torch.combinations(torch.arange(atoms)) + first if atoms > 1 else torch.zeros(0, 2, dtype=torch.int64)
        kept = every[torch.rand(len(every), generator=generator) < 2 / 3]
        nodes.append(kept[torch.randperm(len(kept), generator=generator)])
        begins.append(begins[-1] + len(kept))
        first += atoms
    owner = torch.repeat_interleave(torch.arange(len(graphs)), torch.tensor(graphs, dtype=torch.int64))
    field = torch.stack([torch.arange(first), first + owner], 1)
    every = torch.cat([*nodes, field])
    p, rows = len(every), 1 if order == 1 else 20
    starts = torch.tensor([begins, (begins[-1] + np.cumsum([0, *graphs])).tolist()])
    numbers = {"dtype": dtype, "generator": generator}
    knot = torch.arange(p) if order == 1 else torch.randint(0, rows - order + 1, (p,), generator=generator)
    pairs = Pairs(every, starts, torch.randn(16, p + MARGIN, **numbers), knot, torch.randn(p, order, **numbers))
    state = torch.randn(first + len(graphs), NODE.dim, **numbers, requires_grad=True)
    table = torch.randn(p if order == 1 else rows, 34, **numbers, requires_grad=True)
    return state, table, pairs


def slow_sum(state: torch.Tensor, table: torch.Tensor, pairs: Pairs) -> torch.Tensor:
    """The same sum from messages of plain torch, which tests/models/test_delta_coupling.py compares with e3nn's."""
    product = PairTensorProduct(NODE).to(state.dtype)
    sh = pairs.harmonics[:, : len(pairs.nodes)].T
    terms = (table[pairs.knot + q] * pairs.coefficients[:, q : q + 1] for q in range(pairs.coefficients.shape[1]))
    weights = sum(terms, table.new_zeros(len(sh), table.shape[1]))[:, product.columns]
    messages = product(state[pairs.nodes], sh, product.coupling(sh), weights)
    out = torch.zeros(len(state), messages.shape[2], dtype=state.dtype)
    return out.index_add(0, pairs.nodes[:, 1], messages[:, 0]).index_add(
        0, pairs.nodes[:, 0], messages[:, 1] * product.sign
    )


def assert_close(actual: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    scale = max(float(expected.detach().abs().max()) if expected.numel() else 0.0, 1e-30)
    assert actual.shape == expected.shape and actual.dtype == expected.dtype
    assert float((actual - expected).detach().abs().max()) <= tolerance * scale if expected.numel() else True


@needs_kernel
@both_precisions
@pytest.mark.parametrize("order", [1, 6])
@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("graphs", [[5, 9, 1, 12], [1], [2], [40], [1, 1, 1], []], ids=str)
def test_operator_equals_plain_torch(dtype: torch.dtype, order: int, threads: int, graphs: list[int]) -> None:
    state, table, pairs = random_pairs(dtype, graphs, order=order)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        actual = torch.ops.psigraph.pair_sum(state, table, *pairs)
        expected = slow_sum(state, table, pairs)
        assert_close(actual, expected, TOLERANCE[dtype][0])
        probe = torch.randn_like(expected)
        gradients = (torch.autograd.grad((out * probe).sum(), [state, table]) for out in (actual, expected))
        for a, b in zip(*gradients, strict=True):
            assert_close(a, b, TOLERANCE[dtype][1])
    finally:
        torch.set_num_threads(before)


@needs_kernel
def test_operator_passes_torchs_own_checks() -> None:
    """Schema, fake tensors, autograd registration and tracing with dynamic shapes."""
    state, table, pairs = random_pairs(torch.float64, [3, 4], order=2)
    torch.library.opcheck(torch.ops.psigraph.pair_sum, (state, table, *pairs))
    assert torch.autograd.gradcheck(lambda s, t: torch.ops.psigraph.pair_sum(s, t, *pairs), (state, table))


@needs_kernel
def test_operator_gives_the_same_bytes_each_time() -> None:
    state, table, pairs = random_pairs(torch.float32, [9, 30, 17, 4], order=6)
    results = []
    for _ in range(3):
        out = torch.ops.psigraph.pair_sum(state, table, *pairs)
        results.append([out, *torch.autograd.grad(out.square().sum(), [state, table])])
    for again in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], again, strict=True))


@needs_kernel
@pytest.mark.parametrize("change", ["dtype", "margin", "layout", "index"])
def test_operator_refuses_what_it_cannot_read(change: str) -> None:
    state, table, pairs = random_pairs(torch.float32, [3, 4])
    wrong = {
        "dtype": {"coefficients": pairs.coefficients.double()},
        "margin": {"harmonics": pairs.harmonics[:, :-1].contiguous()},
        "layout": {"harmonics": pairs.harmonics.T.contiguous().T},
        "index": {"knot": pairs.knot.int()},
    }
    with pytest.raises(ValueError, match="pair_sum takes"):
        torch.ops.psigraph.pair_sum(state, table, *pairs._replace(**wrong[change]))


def model_pair(dtype: torch.dtype, **changes: Any) -> tuple[DeltaCoupling, DeltaCoupling]:
    """Return the same model with and without the kernel."""
    models = []
    for kernel in (True, False):
        torch.manual_seed(0)
        settings = {"num_conv_layers": 3, "num_rbf": 8, "hidden": 16, **changes}
        model = DeltaCoupling(cutoff=CUTOFF, length_scale=SCALE, **settings).to(dtype)
        model.fit_normalisation(training_arrays(random_graphs(20, seed=1)))
        model.kernel = kernel
        models.append(model)
    return models[0], models[1]


def compare(fast: Any, slow: Any, fast_model: torch.nn.Module, data: Any, dtype: torch.dtype) -> None:
    """Compare outputs and the gradients of all parameters; `slow` computes the same parameters' model."""
    expected, actual = slow(data), fast(data)
    tolerance = (1e-5, 1e-4) if dtype == torch.float32 else (1e-11, 1e-10)
    assert_close(actual, expected, tolerance[0])
    expected.square().sum().backward()
    actual.square().sum().backward()
    largest = max(float(p.grad.abs().max()) for p in slow.parameters())
    for (name, a), b in zip(fast_model.named_parameters(), slow.parameters(), strict=True):
        assert float((a.grad - b.grad).abs().max()) <= tolerance[1] * max(float(b.grad.abs().max()), 1e-3 * largest), (
            name
        )


@needs_kernel
@both_precisions
@pytest.mark.parametrize("num_rbf", [8, 50])
def test_model_with_kernel_equals_model_without(dtype: torch.dtype, num_rbf: int) -> None:
    """The reference computes every radial weight one by one; in float32 the kernel's batch takes them from a table."""
    fast, slow = model_pair(dtype, num_rbf=num_rbf, hidden=2 * num_rbf)
    slow.knots = 10**9
    graphs = [*odd_graphs(), *random_graphs(6, seed=5, atoms=(20, 30))]
    data = batch(graphs, dtype)
    edges = fast.edges(data, data.z_atoms_batch, len(graphs))
    assert edges.fused is not None and (edges.table is not None) == (dtype == torch.float32)
    assert slow.edges(data, data.z_atoms_batch, len(graphs)).fused is None
    compare(fast, slow, fast, data, dtype)


def test_plain_torch_with_a_table_equals_plain_torch_without() -> None:
    _, fast = model_pair(torch.float32)
    _, slow = model_pair(torch.float32)
    slow.knots = 10**9
    data = batch([*odd_graphs(), *random_graphs(6, seed=5, atoms=(20, 30))])
    assert fast.edges(data, data.z_atoms_batch, 10).table is not None
    compare(fast, slow, fast, data, torch.float32)


@pytest.mark.parametrize("kernel", [False, pytest.param(True, marks=needs_kernel)])
def test_compiled_model_equals_plain_torch(kernel: bool) -> None:
    """With inductor, over batches of several sizes: odd graphs first, then larger ones."""
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    if not headers.exists() or not (shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("torch.compile needs a C++ compiler and Python's headers")
    compiled, slow = model_pair(torch.float32, num_conv_layers=1)
    compiled.kernel, slow.knots = kernel, 10**9
    fast = torch.compile(compiled, dynamic=True)
    for graphs in ([*odd_graphs(), *random_graphs(3)], random_graphs(7, seed=2), random_graphs(2, seed=3)):
        compiled.zero_grad()
        slow.zero_grad()
        compare(fast, slow, compiled, batch(graphs), torch.float32)


@needs_kernel
def test_positions_that_need_gradients_go_through_plain_torch() -> None:
    fast, slow = model_pair(torch.float64)
    gradients = []
    for model in (fast, slow):
        data = batch(random_graphs(3), torch.float64)
        data.pos_atoms.requires_grad_(True)
        gradients.append(torch.autograd.grad(model(data).sum(), data.pos_atoms)[0])
    assert torch.equal(*gradients) and gradients[0].abs().max() > 0


def test_header_holds_e3nns_coefficients() -> None:
    """Every number of the kernel's source comes from e3nn: rebuilt from the header's terms, the message is e3nn's."""
    found: dict[str, Any] = {"double": float}
    text = build.paths_header()
    terms = text[text.index("TERMS[] = {") + len("TERMS[] = {") : text.rindex("};")]
    rows = [tuple(float(v) for v in term.strip("{} ").split(",")) for term in terms.split("}, {")]
    for line in text.splitlines():
        if line.startswith("constexpr int") and "[]" in line:
            name, values = line[len("constexpr int ") : -2].split("[] = {")
            found[name] = [int(v) for v in values.split(",")]
    product = PairTensorProduct(NODE).double()
    product.cg = product.exact
    generator = torch.Generator().manual_seed(0)
    state, sh, weight = (torch.randn(n, dtype=torch.float64, generator=generator) for n in (16, 16, 34))
    out = torch.zeros(34, dtype=torch.float64)
    for a, b, k, c in rows:
        out[int(k)] += c * state[8 + int(a)] * sh[int(b)]
    out *= weight[found["WEIGHT"]]
    both = state.expand(1, 2, -1)
    expected = product(both, sh[None], product.coupling(sh[None]), weight[None, product.columns])[0, 0]
    assert torch.allclose(out, expected[found["COLUMN"][72:]], atol=1e-14)
    assert sorted(found["COLUMN"]) == list(range(106)) and len(HARMONICS.ls) == 4


def test_without_a_compiler_nothing_is_built_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with caplog.at_level(logging.INFO):
        assert build.build() is None
    assert "no C++ compiler was found" in caplog.text and build.REMEDY in caplog.text


def test_a_compiler_that_fails_is_reported(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("CXX", "false")
    assert build.build() is None and "the kernels did not compile" in caplog.text


def test_library_of_another_processor_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hold instructions that this one does not have; the model then runs in plain torch."""
    here = build.library_path()
    build.library_path.cache_clear()
    monkeypatch.setattr(build, "_processor", lambda: "another processor")
    try:
        there = build.library_path()
        assert there != here and not there.exists()
        assert there.name.rsplit("-", 1)[0] == here.name.rsplit("-", 1)[0]
        build.library.cache_clear()
        assert not pair_sum.available(torch.device("cpu"), torch.float32)
        fast, slow = model_pair(torch.float32)
        data = batch(random_graphs(2))
        assert torch.equal(fast(data), slow(data))
    finally:
        build.library_path.cache_clear()
        build.library.cache_clear()


@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler")
def test_build_makes_the_library_and_keeps_those_of_other_processors(tmp_path: Path) -> None:
    """In a copy of the package, as set-up does it; a second call finds it built."""
    root = Path(build.__file__).parents[2]
    shutil.copytree(root, tmp_path / "psigraph", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    folder = tmp_path / "psigraph/models/kernels"
    command = [sys.executable, "-m", "psigraph.models.kernels"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    first = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    (library,) = folder.glob("*.so")
    assert library.name in first.stderr
    source, other = library.name.rsplit("-", 1)[0], "0" * 12
    (folder / f"{source}-{other}.so").touch()
    (folder / f"{build.NAME}-{other}-{other}.so").touch()
    library.unlink()
    subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, check=True)
    assert {p.name for p in folder.glob("*.so")} == {library.name, f"{source}-{other}.so"}
