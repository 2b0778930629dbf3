"""How much memory this process may still take: the machine's, or the limit a scheduler has set."""

import resource
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60  # control groups of version 1 write a huge number for no limit


def available_memory() -> int:
    """Return the bytes that can still be taken: the least of the machine's, the control groups' and the address space.

    Reads what Linux says under /proc and /sys; where it says nothing, assumes 1 GiB.
    """
    known = [*_machine(), *_control_groups(), *_address_space()]
    return max(min(known), 0) if known else 2**30


def _machine() -> Iterator[int]:
    for line in _lines(_PROC / "meminfo"):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _control_groups() -> Iterator[int]:
    """Yield what is left of every limit on the way from this process's group to the root, versions 1 and 2."""
    for line in _lines(_PROC / "self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, limit, used, cache = _CGROUPS, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            root, limit, used = _CGROUPS / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            cache = "total_inactive_file"
        else:
            continue
        group = root / path.strip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(root):
                most, taken = _number(folder / limit), _number(folder / used)
                if most is not None and taken is not None and most < _UNLIMITED:
                    yield most - taken + _cached(folder, cache)


def _cached(folder: Path, name: str) -> int:
    """Return the bytes of files in memory that the kernel gives back when they are needed."""
    found = [line.split()[1] for line in _lines(folder / "memory.stat") if line.startswith(f"{name} ")]
    return int(found[0]) if found else 0


def _address_space() -> Iterator[int]:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    pages = _lines(_PROC / "self/statm")
    if limit != resource.RLIM_INFINITY and pages:
        yield limit - int(pages[0].split()[0]) * resource.getpagesize()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _number(path: Path) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdigit() else None
