"""How long one SCF with its features takes: t = a · nbf^p seconds with nbf basis functions, ghosts' included."""

from dataclasses import dataclass

import numpy as np

from psigraph.quantum.batches import COST_EXPONENT, COST_PREFACTOR

#: As many wall times are needed before they count more than the shipped law.
ENOUGH = 20
#: The exponent is fitted only where the largest system has this many times the functions of the smallest.
SPREAD = 1.5
#: How far off the shipped law may be either way, on another machine, basis set or choice of features.
SHIPPED_FACTOR = 3.0
_LEAST_FACTOR = 1.2


@dataclass(frozen=True)
class TimeLaw:
    """t = prefactor · nbf^exponent, right within `factor` either way."""

    prefactor: float  # s
    exponent: float
    factor: float
    times: int = 0  # how many wall times it was fitted to; 0: the shipped one
    largest: int = 0  # basis functions of the largest of them

    def seconds(self, nbf: np.ndarray) -> np.ndarray:
        """Return the time [s] of systems of `nbf` functions."""
        return self.prefactor * np.asarray(nbf, dtype=np.float64) ** self.exponent

    def __str__(self) -> str:
        law = f"{self.prefactor:.3g} s x nbf^{self.exponent:.2f}"
        if self.times:
            return f"{law}, fitted to {self.times} wall times in the store, up to nbf = {self.largest}"
        return f"{law}, shipped; fewer than {ENOUGH} wall times of this level are in the store"


SHIPPED = TimeLaw(COST_PREFACTOR, COST_EXPONENT, SHIPPED_FACTOR)


def fit(nbf: np.ndarray, seconds: np.ndarray) -> TimeLaw:
    """Return the law through measured times (m,) [s], or the shipped one where there are fewer than ENOUGH.

    Least squares in the logarithms; then the prefactor is set so that the sum of the times is right, which the mean of
    logarithms is not (N. Duan, J. Am. Stat. Assoc. 78, 605, 1983). `factor` is one standard deviation of the scatter.
    """
    nbf, seconds = np.asarray(nbf, dtype=np.float64), np.asarray(seconds, dtype=np.float64)
    good = (nbf > 0) & (seconds > 0) & np.isfinite(seconds)
    nbf, seconds = nbf[good], seconds[good]
    if len(nbf) < ENOUGH:
        return SHIPPED
    exponent = COST_EXPONENT
    if nbf.max() >= SPREAD * nbf.min():
        exponent = float(np.clip(np.polyfit(np.log(nbf), np.log(seconds), 1)[0], 0.0, 4.0))
    prefactor = float(seconds.sum() / (nbf**exponent).sum())
    scatter = np.log(seconds) - np.log(prefactor * nbf**exponent)
    factor = max(_LEAST_FACTOR, float(np.exp(scatter.std())))
    return TimeLaw(prefactor, exponent, factor, len(nbf), int(nbf.max()))
