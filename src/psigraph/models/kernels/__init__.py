"""Fused kernels of the models, built once at set-up where a compiler is found, and absent where not."""
