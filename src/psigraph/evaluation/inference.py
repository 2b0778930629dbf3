"""Predictions of a trained model for graphs, in order, with every inconsistency an error."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor


class InferenceError(ValueError):
    """A batch and the model do not fit; the message says where and how."""


def predict_delta(model: torch.nn.Module, batches: Iterable[Any]) -> np.ndarray:
    """Return ΔV (n,) float64 in the label's unit for the graphs of `batches`, in their order.

    Unlike in training, nothing is skipped: a batch whose `u` is not (B, 4), a prediction that is not (B,) or one that
    is not finite raises InferenceError with the graph's id. Matrix products run at precision `highest`.
    """
    with inference(model):
        parts = [_delta(model, batch, number) for number, batch in enumerate(batches)]
    return np.concatenate(parts) if parts else np.zeros(0)


def predict_labels(model: torch.nn.Module, batches: Iterable[Any], targets: int) -> np.ndarray:
    """Return the targets (n, T) float64 in their units for the molecules of `batches`, in their order.

    Raises InferenceError as `predict_delta` does. Matrix products run at precision `highest`.
    """
    with inference(model):
        parts = [
            checked(model(batch).labels, (int(batch.num_graphs), targets), batch, number)
            for number, batch in enumerate(batches)
        ]
    return np.concatenate(parts) if parts else np.zeros((0, targets))


@contextmanager
def inference(model: torch.nn.Module) -> Iterator[None]:
    """Within it the model is as within `precise`, and no gradients are kept."""
    with precise(model), torch.inference_mode():
        yield


@contextmanager
def precise(model: torch.nn.Module) -> Iterator[None]:
    """Within it the model is in eval mode, and matrix products run at precision `highest`."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    model.eval()
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)


def checked(predicted: Tensor, shape: tuple[int, ...], batch: Any, number: int, what: str = "molecules") -> np.ndarray:
    """Return a prediction in float64. Raises InferenceError for another shape or a value that is not finite."""
    if tuple(predicted.shape) != shape:
        raise InferenceError(f"batch {number}: the model gave shape {tuple(predicted.shape)} for {shape[0]} {what}")
    values = predicted.detach().cpu().to(torch.float64).numpy()
    if not np.isfinite(values).all():
        first = tuple(int(i[0]) for i in np.nonzero(~np.isfinite(values)))
        raise InferenceError(f"batch {number}: the prediction for {_name(batch, first[0])} is {values[first]}")
    return values


def _delta(model: torch.nn.Module, batch: Any, number: int) -> np.ndarray:
    size = int(batch.num_graphs)
    if tuple(batch.u.shape) != (size, 4):
        raise InferenceError(f"batch {number}: u has shape {tuple(batch.u.shape)}, expected ({size}, 4)")
    return checked(model(batch), (size,), batch, number, "dimers")


def _name(batch: Any, position: int) -> str:
    if getattr(batch, "names", None) is not None:
        return repr(batch.names([int(batch.index[position])])[0])
    ids = getattr(batch, "graph_id", None)
    return repr(ids[position]) if ids is not None else f"graph {position} of the batch"
