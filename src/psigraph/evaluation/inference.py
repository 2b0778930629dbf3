"""Predictions of a trained model for graphs, in order, with every inconsistency an error."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch


class InferenceError(ValueError):
    """A batch and the model do not fit; the message says where and how."""


def predict_delta(model: torch.nn.Module, batches: Iterable[Any]) -> np.ndarray:
    """Return ΔV (n,) float64 in the label's unit for the graphs of `batches`, in their order.

    Unlike in training, nothing is skipped: a batch whose `u` is not (B, 4), a prediction that is not (B,) or one that
    is not finite raises InferenceError with the graph's id. Matrix products run at precision `highest`.
    """
    parts = []
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    model.eval()
    try:
        with torch.inference_mode():
            for number, batch in enumerate(batches):
                parts.append(_checked(model, batch, number))
    finally:
        torch.set_float32_matmul_precision(precision)
    return np.concatenate(parts) if parts else np.zeros(0)


def _checked(model: torch.nn.Module, batch: Any, number: int) -> np.ndarray:
    size = int(batch.num_graphs)
    if tuple(batch.u.shape) != (size, 4):
        raise InferenceError(f"batch {number}: u has shape {tuple(batch.u.shape)}, expected ({size}, 4)")
    delta = model(batch)
    if tuple(delta.shape) != (size,):
        raise InferenceError(f"batch {number}: the model gave shape {tuple(delta.shape)} for {size} dimers")
    values = delta.detach().cpu().to(torch.float64).numpy()  # (B,)
    if not np.isfinite(values).all():
        first = int(np.flatnonzero(~np.isfinite(values))[0])
        raise InferenceError(f"batch {number}: the prediction for {_name(batch, first)} is {values[first]}")
    return values


def _name(batch: Any, position: int) -> str:
    ids = getattr(batch, "graph_id", None)
    return repr(ids[position]) if ids is not None else f"graph {position} of the batch"
