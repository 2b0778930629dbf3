"""Sorts Psi4's failures by what helps against them (the idea is QCEngine's).

input: the structure or the level is wrong, nothing helps but correcting it. resources: more memory or disk helps.
convergence: other settings help. random: anything else, worth one more try.
"""

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
    ("resources", ("memory", "bad_alloc", "cannot allocate", "no space left", "disk full", "disk quota", "errno = 28")),
    ("convergence", ("could not converge", "did not converge", "failed to converge")),
    ("input", ("too close", "chg/mult", "multiplicity", "unable to find a basis set", "unknown element")),
)
#: Such failures come again on every try and are kept in the store.
DETERMINISTIC = ("input", "convergence")
_MAX_MESSAGE = 300


class InputError(ValueError):
    """A structure cannot be computed as it is."""


class QuantumError(RuntimeError):
    """The quantum stage cannot go on; the message says what is wrong and what to do."""


def classify(error: BaseException) -> str:
    """Return the failure class of an exception: input, resources, convergence or random."""
    for base in type(error).__mro__:
        if base.__name__ in _BY_NAME:
            return _BY_NAME[base.__name__]
    text = str(error).lower()
    for status, phrases in _BY_TEXT:
        if any(phrase in text for phrase in phrases):
            return status
    return "random"


def one_line(error: BaseException) -> str:
    """Return an exception's text on one line of bounded length."""
    lines = [line.strip() for line in str(error).splitlines()]
    text = "; ".join(line for line in lines if line) or type(error).__name__
    return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 3] + "..."
