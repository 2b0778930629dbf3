"""What a search draws, how, and what becomes of it in a trial's settings."""

import math
from collections.abc import Mapping
from typing import Any

import optuna

from psigraph.config.searches import Choice, Range, Search, with_values

#: A trial's values by key.
Values = dict[str, Any]


def make_sampler(search: Search, number: int) -> optuna.samplers.BaseSampler:
    """Return what draws the trial with this number, the same whenever it is asked after the same finished trials.

    tpe: J. Bergstra et al., NeurIPS 2011; trials that are still running count as bad ones, so that jobs that draw at
    the same time keep apart.
    """
    if search.sampler == "grid":
        return optuna.samplers.GridSampler(search.grid(), seed=search.seed)
    return optuna.samplers.TPESampler(seed=(search.seed * 1_000_003 + number) % 2**32, constant_liar=True)


def draw(trial: optuna.trial.Trial, search: Search) -> Values:
    """Return the trial's values; those that it has already are kept."""
    if search.sampler == "grid":
        return {key: trial.suggest_categorical(key, values) for key, values in search.grid().items()}
    return {key: _draw(trial, key, item) for key, item in search.space.items()}


def _draw(trial: optuna.trial.Trial, key: str, item: Range | list[Choice]) -> Any:
    if not isinstance(item, Range):
        return trial.suggest_categorical(key, item)
    if item.whole:
        return trial.suggest_int(key, int(item.low), int(item.high), step=int(item.step or 1), log=item.log)
    return trial.suggest_float(key, item.low, item.high, step=item.step, log=item.log)


def trial_settings(settings: Mapping[str, Any], search: Search, values: Values) -> dict[str, Any]:
    """Return the settings of a trial's run: those of the experiment's with these values, and the search's epochs."""
    changed = with_values(settings, values)
    if search.epochs is not None:
        changed["training"] |= {"epochs": search.epochs, "steps": None}
    return changed


def in_words(values: Mapping[str, Any]) -> str:
    """Return values as log lines show them."""
    return ", ".join(f"{key} {short(value)}" for key, value in values.items())


def short(value: Any) -> str:
    """Return a value with four significant digits where it is a number that is not whole."""
    return f"{value:.4g}" if isinstance(value, float) and math.isfinite(value) else str(value)
