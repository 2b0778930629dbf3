"""What batches of graphs of every family have in common: a part of a batch is a batch.

A batch is a dataclass of tensors; the type of each says how its rows go by graph: `Annotated[Tensor, Rows(...)]`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Self, get_type_hints

import torch
from torch import Tensor

#: Numbers of graphs: the value of `within` of a field that holds them.
GRAPHS = "graphs"


@dataclass(frozen=True)
class Rows:
    """One row per graph, or as the field `ptr` counts them.

    `within` names what its values number, so that they begin at 0 in a part: a ptr, one for each column, or GRAPHS.
    """

    ptr: str | None = None
    within: str | tuple[str, ...] | None = None


@dataclass(frozen=True)
class Bounds:
    """Where each graph's rows begin (B+1,)."""


@dataclass(frozen=True)
class _Plan:
    """The fields of a kind of batches, and those that are neither tensors nor cut."""

    bounds: tuple[str, ...]
    rows: tuple[tuple[str, Rows], ...]
    rest: tuple[str, ...]


@cache
def _plan(kind: Any) -> _Plan:
    hints = get_type_hints(kind, include_extras=True)
    found = {item.name: getattr(hints[item.name], "__metadata__", (None,))[0] for item in fields(kind)}
    return _Plan(
        tuple(name for name, how in found.items() if isinstance(how, Bounds)),
        tuple((name, how) for name, how in found.items() if isinstance(how, Rows)),
        tuple(name for name, how in found.items() if how is None),
    )


class Batch:
    """B graphs; subclasses are dataclasses with at least `index` (B,), `global_size` and `names`.

    `index` has the rows in the graphset, `global_size` the graphs of the batch over all processes. `names` looks up ids
    for messages; it stays behind when a batch goes to another process.
    """

    index: Tensor
    global_size: int
    names: Callable[[list[int]], list[str]] | None

    @property
    def num_graphs(self) -> int:
        return self.index.shape[0]

    @property
    def graph_id(self) -> list[str]:
        """The ids of the graphs (B), read from the shards; for messages."""
        found = self.index.tolist()
        return self.names(found) if self.names else [f"row {row}" for row in found]

    def __contains__(self, name: str) -> bool:
        return hasattr(self, name)

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "names": None}

    def part(self, first: int, last: int) -> Self:
        """Return graphs first..last-1 as a batch that shares memory with this one; `global_size` stays."""
        ends = {name: tuple(self[name][[first, last]].tolist()) for name in self._plan().bounds}
        return self._cut(first, last, ends, self.global_size)

    def parts(self, sizes: list[int], global_sizes: list[int]) -> list[Self | None]:
        """Return the batch cut into batches of `sizes` graphs, which share its memory; None for a size of 0."""
        bounds = {name: self[name].tolist() for name in self._plan().bounds}
        out: list[Self | None] = []
        first = 0
        for size, whole in zip(sizes, global_sizes, strict=True):
            last = first + size
            ends = {name: (found[first], found[last]) for name, found in bounds.items()}
            out.append(self._cut(first, last, ends, whole) if size else None)
            first = last
        return out

    def _cut(self, first: int, last: int, ends: Mapping[str, tuple[int, int]], global_size: int) -> Self:
        """Return graphs first..last-1; `ends` has the first row of each kind, and the one after the last."""
        plan, own = self._plan(), self.__dict__
        values = {name: own[name] for name in plan.rest} | {"global_size": global_size}
        for name in plan.bounds:
            values[name] = own[name][first : last + 1] - ends[name][0]
        for name, how in plan.rows:
            a, b = (first, last) if how.ptr is None else ends[how.ptr]
            part = own[name][a:b]
            values[name] = part if how.within is None else part - _shift(part, how.within, first, ends)
        return type(self)(**values)

    @classmethod
    def _plan(cls) -> _Plan:
        kind: Any = cls
        return _plan(kind)

    def to(self, device: Any, non_blocking: bool = False) -> Self:
        """Return the batch on another device."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """Return the batch in page-locked memory, from which copies to a GPU overlap with its work."""
        return self._mapped(Tensor.pin_memory)

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> Self:
        return type(self)(
            **{name: change(value) if torch.is_tensor(value) else value for name, value in self.__dict__.items()}
        )


def _shift(part: Tensor, within: str | tuple[str, ...], first: int, ends: Mapping[str, tuple[int, int]]) -> Any:
    """Return what the values of a part count less than those of the whole batch."""
    if isinstance(within, tuple):
        return part.new_tensor([ends[name][0] for name in within])
    return first if within == GRAPHS else ends[within][0]
