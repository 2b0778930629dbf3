"""The switch between kernel, torch.compile and plain torch: what is chosen, its check on a batch, and falling back."""

import logging
from typing import Any

import pytest
import torch
from runs import Stub
from synthetic import CUTOFF, SCALE, batch, needs_kernel, random_graphs, training_arrays

from psigraph.models import build_model
from psigraph.training.execution import Execution, choose_execution, compile_backend, has_kernel


def model() -> Any:
    torch.manual_seed(0)
    model = build_model(
        "delta_coupling", {"num_conv_layers": 1, "num_rbf": 4, "hidden": 8}, cutoff=CUTOFF, length_scale=SCALE
    )
    model.fit_normalisation(training_arrays(random_graphs(10)))
    return model


def plain(data: Any) -> torch.Tensor:
    """What the model gives in plain torch."""
    return Execution(model(), "torch")(data)


@pytest.mark.parametrize(
    ("platform", "backend"), [("win32", "aot_eager"), ("linux", "inductor"), ("darwin", "inductor")]
)
def test_backend_by_platform(platform: str, backend: str) -> None:
    assert compile_backend(platform) == backend


@pytest.mark.parametrize(
    ("setting", "kernel", "device", "path"),
    [
        ("auto", True, "cpu", "kernel"),
        ("auto", True, "cuda", "kernel"),
        ("auto", False, "cpu", "torch"),
        ("auto", False, "cuda", "compile"),
        ("compile", True, "cpu", "compile"),
        ("torch", True, "cpu", "torch"),
        ("kernel", True, "cpu", "kernel"),
    ],
)
def test_choice(setting: str, kernel: bool, device: str, path: str) -> None:
    assert choose_execution(setting, has_kernel=kernel, device=device) == path


def test_kernel_that_is_not_there_is_an_error_with_its_remedy() -> None:
    with pytest.raises(ValueError, match="run python -m psigraph.models.kernels"):
        choose_execution("kernel", has_kernel=False, device="cpu")
    assert not has_kernel(Stub(), "cpu")


@pytest.mark.parametrize("path", ["torch", "compile", pytest.param("kernel", marks=needs_kernel)])
def test_paths_agree_in_outputs_and_gradients(path: str) -> None:
    """torch.compile with aot_eager, which traces as inductor does but needs no compiler."""
    data, plain_model, other = batch(random_graphs(4)), model(), model()
    slow, fast = Execution(plain_model, "torch"), Execution(other, path, "aot_eager")
    expected, out = slow(data), fast(data)
    assert fast.failure is None and torch.allclose(out, expected, atol=1e-6)
    expected.sum().backward()
    assert all(p.grad is None for p in other.parameters()), "the check leaves no gradients behind"
    out.sum().backward()
    for (name, a), b in zip(plain_model.named_parameters(), other.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, atol=1e-5), name


@needs_kernel
def test_paths_use_what_they_say() -> None:
    for path, kernel in (("kernel", True), ("torch", False), ("compile", False)):
        one = model()
        Execution(one, path, "eager")(batch(random_graphs(2)))
        assert one.kernel == kernel


def test_falls_back_where_compiling_fails_at_the_first_call(caplog: pytest.LogCaptureFixture) -> None:
    def broken(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("no compiler here")

    data = batch(random_graphs(3))
    execution = Execution(model(), "compile", broken)
    with caplog.at_level(logging.WARNING):
        assert torch.equal(execution(data), plain(data))
    assert "compile failed" in caplog.text and "running in plain torch" in caplog.text and execution.failure
    assert torch.equal(execution(data), plain(data)) and execution.path == "torch"


def test_falls_back_where_the_backend_does_not_exist(caplog: pytest.LogCaptureFixture) -> None:
    data = batch(random_graphs(3))
    execution = Execution(model(), "compile", "no-such-backend")
    assert torch.equal(execution(data), plain(data)) and execution.failure
    assert caplog.text.count("compile failed") == 1


def test_falls_back_where_outputs_are_wrong(caplog: pytest.LogCaptureFixture) -> None:
    data, wrong = batch(random_graphs(3)), model()
    execution = Execution(wrong, "compile", "eager")
    execution.call = lambda batch: wrong(batch) * 1.01
    assert torch.equal(execution(data), plain(data))
    assert "its outputs differ from plain torch's" in caplog.text


def test_falls_back_where_gradients_are_wrong(caplog: pytest.LogCaptureFixture) -> None:
    data, wrong = batch(random_graphs(3)), model()
    execution = Execution(wrong, "compile", "eager")

    def call(batch: Any) -> torch.Tensor:
        out = wrong(batch)
        return out.detach() + 1.1 * (out - out.detach())

    execution.call = call
    assert torch.equal(execution(data), plain(data))
    assert "its gradients differ from plain torch's" in caplog.text


def test_batch_that_is_not_finite_proves_nothing() -> None:
    bad, good, one = batch(random_graphs(3)), batch(random_graphs(3)), model()
    bad.u[0, 2] = float("nan")
    execution = Execution(one, "compile", "eager")
    assert not torch.isfinite(execution(bad)).all() and not execution.checked and execution.failure is None
    assert torch.isfinite(execution(good)).all() and execution.checked


def test_error_of_the_batch_itself_passes_through_and_keeps_the_path() -> None:
    data = batch(random_graphs(3))
    execution = Execution(Stub(), "compile", "eager")
    good = execution(data)
    data.u = data.u.flatten()[:-1]
    with pytest.raises(RuntimeError, match="is invalid for input of size 11"):
        execution(data)
    assert execution.failure is None and execution.path == "compile"
    assert torch.equal(execution(batch(random_graphs(3))), good)
