"""Quantum features, graph shards and models for molecular learning. Importing this package imports nothing else."""

__version__ = "0.1.0"
