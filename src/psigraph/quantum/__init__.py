"""Quantum features of molecules and dimers from Psi4, kept in a content-addressed store."""

#: Raised whenever a feature's definition or its computation changes: older records are then no longer used.
FEATURE_VERSION = 2
