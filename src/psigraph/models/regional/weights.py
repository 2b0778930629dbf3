"""How weights begin: so that what enters a layer with unit spread leaves it with unit spread.

torch's own start shrinks spreads threefold a layer. Distances and directions pass several small layers before they
meet the states; with torch's start they arrive at a tenth of the states' size, or a hundredth where products are taken.
"""

from math import sqrt

from torch import nn

#: One over the root mean square of SiLU of a normal variable.
AFTER_SILU = 1.68


def linear(inputs: int, outputs: int, gain: float = 1.0, *, bias: bool = True) -> nn.Linear:
    """Return a layer with normal weights of standard deviation gain / √inputs and biases 0."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.normal_(layer.weight, std=gain / sqrt(max(inputs, 1)))
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def network(inputs: int, hidden: int, outputs: int, gain: float = 1.0) -> nn.Sequential:
    """Return two such layers with a SiLU between; the outputs have a spread of `gain`."""
    return nn.Sequential(linear(inputs, hidden), nn.SiLU(), linear(hidden, outputs, gain * AFTER_SILU))
