"""torch.compile: the backend by platform, equality with eager, and every way to fall back."""

import logging
from typing import Any

import pytest
import torch
from runs import Stub
from synthetic import CUTOFF, SCALE, batch, random_graphs, training_arrays

from psigraph.models import build_model
from psigraph.training.compiling import CompiledModel, compile_backend


def model() -> Any:
    torch.manual_seed(0)
    model = build_model(
        "delta_coupling", {"num_conv_layers": 1, "num_rbf": 4, "hidden": 8}, cutoff=CUTOFF, length_scale=SCALE
    )
    model.fit_normalisation(training_arrays(random_graphs(10)))
    return model


@pytest.mark.parametrize(
    ("platform", "backend"), [("win32", "aot_eager"), ("linux", "inductor"), ("darwin", "inductor")]
)
def test_backend_by_platform(platform: str, backend: str) -> None:
    assert compile_backend(platform) == backend


def test_compiled_equals_eager_in_outputs_and_gradients() -> None:
    """With aot_eager, which traces as inductor does but needs no compiler."""
    data, eager, other = batch(random_graphs(4)), model(), model()
    compiled = CompiledModel(other, "aot_eager")
    expected, out = eager(data), compiled(data)
    assert compiled.failure is None and torch.allclose(out, expected, atol=1e-6)
    expected.sum().backward()
    compiled(data).sum().backward()
    for (name, a), b in zip(eager.named_parameters(), other.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, atol=1e-5), name


def test_falls_back_where_compiling_fails_at_the_first_call(caplog: pytest.LogCaptureFixture) -> None:
    def broken(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("no compiler here")

    eager, data = model(), batch(random_graphs(3))
    compiled = CompiledModel(eager, broken)
    with caplog.at_level(logging.WARNING):
        assert torch.equal(compiled(data), eager(data))
    assert "torch.compile failed, running eagerly" in caplog.text and compiled.failure
    assert torch.equal(compiled(data), eager(data))


def test_falls_back_where_the_backend_does_not_exist(caplog: pytest.LogCaptureFixture) -> None:
    eager, data = model(), batch(random_graphs(3))
    compiled = CompiledModel(eager, "no-such-backend")
    assert torch.equal(compiled(data), eager(data)) and compiled.failure
    assert caplog.text.count("torch.compile failed") == 1


def test_falls_back_where_the_compiled_code_is_wrong(caplog: pytest.LogCaptureFixture) -> None:
    eager, data = model(), batch(random_graphs(3))
    compiled = CompiledModel(eager, "eager")
    compiled.compiled = lambda batch: eager(batch) * 1.01
    assert torch.equal(compiled(data), eager(data))
    assert "compiled and eager outputs differ" in caplog.text


def test_error_of_the_batch_itself_passes_through_and_keeps_compiling() -> None:
    eager, data = Stub(), batch(random_graphs(3))
    compiled = CompiledModel(eager, "eager")
    good = compiled(data)
    data.u = data.u.flatten()[:-1]
    with pytest.raises(RuntimeError, match="is invalid for input of size 11"):
        compiled(data)
    assert compiled.failure is None and compiled.compiled is not None
    assert torch.equal(compiled(batch(random_graphs(3))), good)
