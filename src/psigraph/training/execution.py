"""How a model is computed: its fused kernel, torch.compile or plain torch; the fastest there is, proved on a batch."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from psigraph.models.kernels.build import REMEDY
from psigraph.training.buffers import RunningStatistics
from psigraph.training.optimisation import out_of_memory

log = logging.getLogger(__name__)

#: Graphs that the paths are compared on: few, for plain torch takes more memory.
CHECKED = 4
#: Largest difference from plain torch, relative to the largest value: of outputs, and of gradients.
TOLERANCE = (1e-3, 1e-2)
AUTOCAST_TOLERANCE = (5e-2, 2e-1)


def compile_backend(platform: str) -> str:
    """Return torch.compile's backend: aot_eager on Windows, inductor elsewhere (spec/delta.md §8)."""
    return "aot_eager" if platform.startswith("win") else "inductor"


def choose_execution(setting: str, *, has_kernel: bool, device: str) -> str:
    """Return kernel, compile or torch for a setting (`auto` or one of them) and a device (cpu, cuda).

    `auto` is the kernel where there is one; else torch.compile on a GPU, and plain torch on a CPU, where compiling
    takes longer than small runs do. Raises ValueError where a kernel was asked for and there is none.
    """
    if setting == "kernel" and not has_kernel:
        raise ValueError(
            "training.execution is kernel, but this model has none here. On a CPU it is built at set-up where a C++ "
            f"compiler is found, for that processor: run {REMEDY}. On a GPU it needs triton: pip install triton. "
            "Or set training.execution to auto"
        )
    if setting != "auto":
        return setting
    return "kernel" if has_kernel else "compile" if device == "cuda" else "torch"


def has_kernel(model: torch.nn.Module, device: str) -> bool:
    """Return whether a model's fused kernel can compute it on a device, in its precision."""
    find = getattr(model, "has_kernel", None)
    return find is not None and find(torch.device(device))


def numbers_of(output: Any) -> Tensor:
    """Return all numbers of a model's output, a tensor or a dataclass of some, that depend on its weights (n,)."""
    if torch.is_tensor(output):
        return output.flatten()
    values = [value for value in vars(output).values() if torch.is_tensor(value) and value.requires_grad]
    return torch.cat([value.flatten().float() for value in values])


class Execution:
    """Calls a model on one of the three paths, and on plain torch for good where the chosen one fails.

    On graphs of the first batch outputs and gradients are compared with plain torch's: compilers have been wrong. An
    error that plain torch raises too is the batch's own and passes through. `failure` says why a path was given up.
    """

    def __init__(self, model: Any, path: str, backend: str | Callable[..., Any] | None = None) -> None:
        self.model, self.path = model, path
        self.failure: str | None = None
        self.checked = path == "torch"
        self.call: Callable[[Any], Any] = model
        self._use_kernel(path == "kernel")
        if path == "compile":
            try:
                self.call = torch.compile(model, backend=backend or compile_backend(sys.platform), dynamic=True)
            except Exception as error:  # no compiler, unsupported Python: anything may be wrong with a backend
                self._give_up(error)

    def __call__(self, batch: Any) -> Any:
        """Return the model's output for a batch."""
        if self.path == "torch":
            return self.model(batch)
        try:
            if not self.checked:
                few = batch.part(0, min(CHECKED, batch.num_graphs)) if hasattr(batch, "part") else batch
                self.checked = self._check(few)
            return self.call(batch)
        except Exception as error:  # see above
            if out_of_memory(error):
                raise
            with self._plain_torch():
                out = self.model(batch)  # raises where the batch itself is wrong
            self._give_up(error)
            return out

    def _check(self, batch: Any) -> bool:
        """Raise ArithmeticError where outputs or gradients differ from plain torch's.

        Return False for a batch that proves nothing: plain torch's own numbers are not finite.
        """
        parameters = [p for p in self.model.parameters() if p.requires_grad]

        state, running = torch.get_rng_state(), RunningStatistics(self.model)

        def evaluate(call: Callable[[Any], Any]) -> tuple[Tensor, tuple[Tensor | None, ...]]:
            torch.set_rng_state(state)
            out = numbers_of(call(batch))
            return out, torch.autograd.grad(out.float().square().sum(), parameters, allow_unused=True)

        try:
            with torch.enable_grad(), torch.random.fork_rng():
                out, gradients = evaluate(self.call)
                with self._plain_torch():
                    expected, exact = evaluate(self.model)
        finally:
            running.restore()  # nothing was learned yet, whatever came of it
        if not all(torch.isfinite(t).all() for t in (expected, *exact) if t is not None):
            return False
        limits = AUTOCAST_TOLERANCE if torch.is_autocast_enabled(out.device.type) else TOLERANCE
        flat = [torch.cat([g.flatten() for g in part if g is not None]) for part in (gradients, exact)]
        pairs = {"outputs": (out, expected), "gradients": (flat[0], flat[1])}
        for (what, (a, b)), limit in zip(pairs.items(), limits, strict=True):
            worst, largest = float((a - b).detach().abs().max()), float(b.detach().abs().max())
            if not worst <= limit * largest:
                raise ArithmeticError(f"its {what} differ from plain torch's by {worst:.3g} of {largest:.3g}")
        return True

    @contextmanager
    def _plain_torch(self) -> Iterator[None]:
        """Switch the model's kernel off for a while."""
        self._use_kernel(False)
        try:
            yield
        finally:
            self._use_kernel(self.path == "kernel")

    def _use_kernel(self, use: bool) -> None:
        if hasattr(self.model, "kernel"):
            self.model.kernel = use

    def _give_up(self, error: Exception) -> None:
        text = str(error).strip()
        self.failure = f"{self.path} failed ({type(error).__name__}: {text.splitlines()[0] if text else ''})"
        log.warning("%s, running in plain torch", self.failure)
        self.path, self.call = "torch", self.model
        self._use_kernel(False)
