"""Quantum information at the end of every attention step (spec/regional.md)."""

import torch
from torch import Tensor, nn


class QuantumInjection(nn.Module):
    """states + σ(G [states, quantum]) ⊙ Q quantum: what Psi4 says of a region is added, as far as a gate lets it in.

    With width 0 (no level of theory, or `quantum: false`) it has no parameters and returns the states.
    """

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.width = width
        if width:
            self.add = nn.Linear(width, dim)
            self.gate = nn.Linear(dim + width, dim)

    def forward(self, states: Tensor, quantum: Tensor) -> Tensor:
        """Return states (R, dim), given the quantum columns (R, width) of the same regions."""
        if not self.width:
            return states
        gate = torch.sigmoid(self.gate(torch.cat([states, quantum], 1)))
        return states + gate * self.add(quantum)
