"""Searches for hyperparameters with Optuna, and Lightning's learning-rate finder: both on the shared training."""
