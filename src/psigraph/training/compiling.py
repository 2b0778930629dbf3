"""torch.compile where it works, eager execution where it does not."""

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

log = logging.getLogger(__name__)

#: Largest difference between compiled and eager outputs, relative to their size: inductor has miscompiled before.
TOLERANCE = 1e-3


def compile_backend(platform: str) -> str:
    """Return torch.compile's backend: aot_eager on Windows, inductor elsewhere (spec/delta.md §8)."""
    return "aot_eager" if platform.startswith("win") else "inductor"


class CompiledModel:
    """A model's forward under torch.compile, falling back to eager for good where compiling fails (logged, not fatal).

    torch compiles at the first call, so failures surface there. The first outputs are compared with the eager ones. An
    error that eager execution raises too is the batch's own and passes through.
    """

    def __init__(self, model: torch.nn.Module, backend: str | Callable[..., Any]) -> None:
        self.model = model
        self.compiled: Callable[..., Tensor] | None = None
        self.checked = False
        self.failure: str | None = None
        try:
            self.compiled = torch.compile(model, backend=backend, dynamic=True)
        except Exception as error:  # no compiler, unsupported Python: anything may be wrong with a backend
            self._give_up(error)

    def __call__(self, batch: Any) -> Tensor:
        if self.compiled is None:
            return self.model(batch)
        try:
            out = self.compiled(batch)
        except Exception as error:  # see above
            out = self.model(batch)  # raises where the batch itself is wrong
            self._give_up(error)
            return out
        if not self.checked:
            self.checked = True
            with torch.no_grad():
                expected = self.model(batch)
            worst = float((out.detach() - expected).abs().max())
            if not worst <= TOLERANCE * float(expected.abs().max()):
                self._give_up(RuntimeError(f"compiled and eager outputs differ by {worst:.3g}"))
                return self.model(batch)
        return out

    def _give_up(self, error: Exception) -> None:
        self.compiled = None
        self.failure = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        log.warning("torch.compile failed, running eagerly (%s)", self.failure)
