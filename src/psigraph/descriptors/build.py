"""Descriptors of all structures of a store, and what the log says on the way."""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from psigraph.descriptors.compute import descriptors
from psigraph.descriptors.store import write_descriptors
from psigraph.quantum.model import Result
from psigraph.structures.model import Structure
from psigraph.structures.store import read_structures

logger = logging.getLogger(__name__)

LINE_EVERY = 10.0  # s between progress lines
#: Structures that are named in the log one by one, of those with a problem.
_NAMED = 20
_CHUNK = 32  # structures a process gets at a time


def build_descriptors(structures: str | Path, output: str | Path, *, processes: int = 1) -> dict[str, int]:
    """Compute the descriptors of a structure store, write them and return the counts.

    Counts: `structures`, `complete`, `partial` (some values are missing, with a message), `failed`. Raises StoreError
    where the structure store cannot be used.
    """
    store = read_structures(structures)
    results = list(_logged(_computed(store, processes), store.n))
    for name, result in [(n, r) for n, r in zip(store.ids, results, strict=True) if r.message][:_NAMED]:
        logger.warning("%s: %s", name, result.message)
    write_descriptors(output, store, results)
    counts = {
        "structures": store.n,
        "complete": sum(r.ok and not r.message for r in results),
        "partial": sum(r.ok and bool(r.message) for r in results),
        "failed": sum(not r.ok for r in results),
    }
    logger.info("%s: %s", output, ", ".join(f"{count} {what}" for what, count in counts.items()))
    return counts


def _computed(structures: Iterable[Structure], processes: int) -> Iterator[Result]:
    if processes == 1:
        yield from map(descriptors, structures)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(descriptors, structures, chunksize=_CHUNK)


def _logged(results: Iterable[Result], total: int) -> Iterator[Result]:
    """The results, with a line of the log now and then."""
    start = last = time.monotonic()
    kinds: Counter[str] = Counter()
    for done, result in enumerate(results, start=1):
        kinds["failed" if not result.ok else "partial" if result.message else "complete"] += 1
        now = time.monotonic()
        if now - last >= LINE_EVERY or done == total:
            last = now
            rate = done / max(now - start, 1e-9)  # per s
            logger.info(
                "done %d/%d, partial %d, failed %d, %.1f per second, about %.1f min left",
                done, total, kinds["partial"], kinds["failed"], rate, (total - done) / rate / 60,
            )  # fmt: skip
        yield result
