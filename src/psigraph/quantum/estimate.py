"""What the quantum stage would take before anything runs: SCFs, core-hours, disk; what is known already is left out."""

import numpy as np

from psigraph.config import Config, ConfigError
from psigraph.quantum.batches import assign
from psigraph.quantum.survey import Ask, Survey, ask_psi4, plans, survey
from psigraph.quantum.text import aligned, duration, first_few, plural, size
from psigraph.structures.elements import SYMBOLS

#: Bytes of a record beside its numbers: prefix and header.
_RECORD_OVERHEAD = 2500


def estimate(
    config: Config, *, dataset: str | None = None, level: str | None = None, cores: int = 1, ask: Ask = ask_psi4
) -> str:
    """Return a table of what the quantum stage would take: one column per dataset and level.

    Raises StoreError where structures are not there yet, InterpreterError without Psi4, ConfigError for unknown names.
    """
    if cores < 1:
        raise ConfigError(f"--cores must be at least 1, got {cores}")
    surveys = [survey(plan, ask) for plan in plans(config, dataset, level)]
    return "\n\n".join("\n".join(_table(found, cores)) for found in surveys) + "\n"


def _table(found: Survey, cores: int) -> list[str]:
    """Return the lines of one dataset at one level."""
    plan, new = found.plan, found.new
    total = float(found.seconds.sum())
    low, high = total / found.law.factor, total * found.law.factor
    by_batch = np.bincount(found.batch[found.owner], weights=found.seconds, minlength=plan.batches)
    rows: list[tuple[str, str]] = [
        ("structures", f"{found.n:,} in {plan.batches} {'batch' if plan.batches == 1 else 'batches'}"),
        ("SCF systems", f"{len(found.owner):,}"),
    ]
    if found.equal.any():
        rows.append(("  equal to others", f"{found.equal.sum():,}, computed once"))
    if found.known.any():
        failed = f", {found.failures:,} of them failed and are not tried again" if found.failures else ""
        rows.append(("  known already", f"{found.known.sum():,}{failed}"))
    if (found.ended & ~found.equal).any():
        rows.append(("  not needed", f"{(found.ended & ~found.equal).sum():,}: another system of the dimer failed"))
    if found.lacking:
        elements = [f"{_symbol(z)} (in {plural(count, 'structure')})" for z, count in found.lacking.items()]
        number = f"{found.without.sum():,}, will fail: " if found.without.any() else ""
        rows.append(("  without a basis", f"{number}{plan.level['basis']} lacks {first_few(elements, 8)}"))
    rows.append(("  to compute", f"{new.sum():,}"))
    if new.any():
        functions = found.nbf[new]
        rows += [
            ("basis functions", f"{functions.min():,} to {functions.max():,}, median {np.median(functions):,.0f}"),
            ("time of one SCF", str(found.law)),
            ("core-hours", f"{_hours(total)} (between {_hours(low)} and {_hours(high)})"),
            (f"time on {cores} {'core' if cores == 1 else 'cores'}", f"about {duration(_makespan(by_batch, cores))}"),
            ("longest batch", f"about {duration(float(by_batch.max()))}"),
        ]
    rows.append(("disk", _disk(found)))
    return [f"{plan.dataset} at {plan.level_name}", *aligned(rows, "  "), *_warnings(found, by_batch)]


def _symbol(number: int) -> str:
    return SYMBOLS[number] if number < len(SYMBOLS) else f"element {number}"


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.0f}" if seconds > 360_000 else f"{seconds / 3600:.2g}"


def _makespan(by_batch: np.ndarray, cores: int) -> float:
    """Return when the last of the batches ends [s] if each core takes one at a time."""
    return float(np.bincount(assign(by_batch, cores), weights=by_batch).max())


def _disk(found: Survey) -> str:
    records = found.n_bytes[found.new] + _RECORD_OVERHEAD
    journals = records.sum() if found.record_size is None else found.record_size * found.new.sum()
    stores = found.n_bytes[~found.without].sum()
    source = "by the shapes of the features" if found.record_size is None else "by the mean of what is known"
    return f"{size(journals)} more in {found.plan.store}, {source}; about {size(stores)} in the dataset's batches"


def _warnings(found: Survey, by_batch: np.ndarray) -> list[str]:
    """Say what will not fit into the limits of the configuration."""
    plan, lines = found.plan, []
    slow = int((found.seconds > plan.limits["time_s"]).sum())
    if slow:
        lines.append(
            f"  ! {plural(slow, 'system')} may exceed quantum.time_limit_s = {plan.limits['time_s']:g} s and fail"
        )
    if by_batch.max() * found.law.factor > plan.runtime_min * 60:
        batches = int(np.ceil(by_batch.sum() * found.law.factor / (plan.runtime_min * 60)))
        lines.append(
            f"  ! a batch may take longer than quantum.runtime_min = {plan.runtime_min}; for a cluster set "
            f"datasets.{plan.dataset}.batches to {max(batches, plan.batches + 1):,} or more"
        )
    if found.law.times and found.new.any() and found.nbf[found.new].max() > 1.5 * found.law.largest:
        lines.append("  ! the largest systems are well beyond what the time law was fitted to")
    return lines
