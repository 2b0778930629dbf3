"""Makes Psi4 read each element of a basis set file once per process instead of once per atom and SCF.

Psi4 1.3.2 searches the whole file in Python for every atom, orbital and fitting basis, in each of the three SCFs of a
dimer: up to half of the time of a small dimer goes there. What the parser returns depends on its arguments and on two
flags of the parser only.
"""

import copy
from collections.abc import Sequence
from typing import Any

_DONE = "_psigraph_cache"


def cache_basis_parser(parser: Any) -> None:
    """Remember what `parser.parse(symbol, dataset)` returns, for `parser` a class like Gaussian94BasisSetParser.

    Callers get copies, so that they may change them. Does nothing when called again.
    """
    if hasattr(parser, _DONE):
        return
    original = parser.parse
    known: dict[tuple[Any, ...], Any] = {}

    def parse(self: Any, symbol: str, dataset: str | Sequence[str]) -> Any:
        lines = dataset if isinstance(dataset, str) else tuple(dataset)
        key = (symbol, lines, self.force_puream_or_cartesian, self.forced_is_puream)
        if key not in known:
            known[key] = original(self, symbol, dataset)
        return copy.deepcopy(known[key])

    parser.parse = parse
    setattr(parser, _DONE, known)
