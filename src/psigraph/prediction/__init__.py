"""Predictions for new structures: the same stages as the workflow, from raw files to what models predict.

`run.predict` reads structures, runs Psi4 and the descriptors as far as the checkpoints' features need them, builds
graphs with the checkpoints' settings and asks every checkpoint. The prediction is the mean over checkpoints; their
spread and what lies outside the training data stand beside it.
"""

from psigraph.prediction.base import Options, PredictionError, Rejected
from psigraph.prediction.run import predict, rejected_path

__all__ = ["Options", "PredictionError", "Rejected", "predict", "rejected_path"]
