"""Sorts Psi4's failures by what helps against them (the idea is QCEngine's).

input: the structure or the level is wrong, nothing helps but correcting it. resources: more memory, disk or time helps.
convergence: other settings may help, and those of the ladder did not. random: anything else, worth one more try.
"""

import re
from collections.abc import Iterable

#: Exception class names, looked up along the class hierarchy, so that Psi4 need not be imported.
_BY_NAME = {
    "MemoryError": "resources",
    "ConvergenceError": "convergence",
    "InputError": "input",
    "ValidationError": "input",
    "BasisSetNotFound": "input",
    "NotAnElementError": "input",
    "TestComparisonError": "random",
}
_BY_TEXT = (
    (
        "resources",
        (
            "memory",
            "bad_alloc",
            "cannot allocate",
            "no space left",
            "disk full",
            "disk quota",
            "errno = 28",
            "too many open files",
        ),
    ),
    ("convergence", ("could not converge", "did not converge", "failed to converge", "not converged")),
    (
        "input",
        (
            "too close",
            "chg/mult",
            "multiplicity",
            "unable to find a basis set",
            "no basis set",
            "unknown element",
            "linear dependencies",
        ),
    ),
)
MORE_MEMORY = "raise quantum.memory_mb or free disk space, or leave the structure out"
_MAX_MESSAGE = 300
#: Psi4's long text about an element that a basis set lacks.
_NO_BASIS = re.compile(
    r"Unable to find a basis set for atom (?P<atom>\d+) for key (?P<key>\w+) among:.*?"
    r"Shell Entries: \['(?P<label>\w+)'.*?Basis Sets: \[\('(?P<sets>[^']+)'",
    re.DOTALL,
)
#: How lines of Psi4's fatal errors begin that say where in its source code it stopped.
_NOISE = ("Error occurred in file:", "The most recent", "psi::", "_Py", "Py")


class InputError(ValueError):
    """A structure cannot be computed as it is; where `features` are named, only these cannot."""

    def __init__(self, message: str, features: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.features = tuple(features)


class QuantumError(RuntimeError):
    """The quantum stage cannot go on; the message says what is wrong and what to do."""


class FeatureError(RuntimeError):
    """The SCF converged and one feature of it could not be computed; of the class of what stopped it."""

    def __init__(self, name: str, cause: BaseException) -> None:
        super().__init__(f"feature {name}: {one_line(cause)}")
        self.status = classify(cause)
        self.features = (name,)


def classify(error: BaseException) -> str:
    """Return the failure class of an exception: input, resources, convergence or random."""
    if isinstance(error, FeatureError):
        return error.status
    for base in type(error).__mro__:
        if base.__name__ in _BY_NAME:
            return _BY_NAME[base.__name__]
    return classify_text(str(error))


def classify_text(text: str) -> str:
    """Return the failure class that a message, of whatever origin, speaks of."""
    text = text.lower()
    for status, phrases in _BY_TEXT:
        if any(phrase in text for phrase in phrases):
            return status
    return "random"


def one_line(error: BaseException) -> str:
    """Return an exception's text on one line of bounded length, without Psi4's list of C++ calls."""
    found = _NO_BASIS.search(str(error))
    if found:
        return (
            f"{found['sets']} has no functions for atom {int(found['atom']) - 1} (counted from 0), "
            f"{found['label'].split('_')[0]}, as {found['key']}; choose another basis, or leave the structure out"
        )
    lines = [line.strip() for line in str(error).splitlines()]
    text = "; ".join(line for line in lines if line and not line.startswith(_NOISE)) or type(error).__name__
    return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 3] + "..."
