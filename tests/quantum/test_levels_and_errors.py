"""Levels of theory as dictionaries, and the classes of failures."""

import pytest

from psigraph.quantum.errors import InputError, classify, one_line
from psigraph.quantum.levels import LevelError, normalise_level


def test_level_has_one_spelling(level):
    assert normalise_level({**level, "basis": "def2-SVP", "method": "HF", "max_iterations": 100.0}) == level
    assert type(normalise_level({**level, "e_convergence": 1})["e_convergence"]) is float


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bassis": "x"}, "unknown key 'bassis' .did you mean 'basis'"),
        ({"scf_type": "cd"}, "scf_type: 'cd' is unknown; known: df, pk, direct"),
        ({"method": "b3lyp"}, "method: 'b3lyp' is unknown; known: hf"),
        ({"e_convergence": "tight"}, "e_convergence: 'tight' is not a number"),
        ({"max_iterations": 0}, "max_iterations: 0 is not above zero"),
        ({"d_convergence": float("nan")}, "d_convergence: nan is not above zero"),
    ],
)
def test_wrong_levels_are_named(level, change, message):
    with pytest.raises(LevelError, match=message):
        normalise_level({**level, **change})


def test_missing_key_is_named(level):
    del level["basis"]
    with pytest.raises(LevelError, match="'basis' is missing"):
        normalise_level(level)


def test_schema_and_worker_know_the_same_keys():
    """config.Level, which people write, and normalise_level, which the Psi4 interpreter can import."""
    from psigraph.config import Level

    default = Level().model_dump()
    assert normalise_level(default) == {**default, "basis": default["basis"].lower()}


class BasisSetNotFound(Exception):
    """Named like Psi4's."""


class SCFConvergenceError(RuntimeError):
    """Named like Psi4's, but not derived from its base: the message decides."""


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InputError("atoms 0 and 3 are 0.001 Å apart"), "input"),
        (BasisSetNotFound("BasisSet::construct"), "input"),
        (RuntimeError("Following atoms are too close: [(0, 3, 0.01)]"), "input"),
        (SCFConvergenceError("Could not converge SCF iterations in 100 iterations."), "convergence"),
        (MemoryError(), "resources"),
        (RuntimeError("std::bad_alloc"), "resources"),
        (RuntimeError("DFHelper: not enough memory for the AO integrals"), "resources"),
        (OSError(28, "No space left on device"), "resources"),
        (RuntimeError("PSIO Error: file not open"), "random"),
        (KeyError("x"), "random"),
    ],
)
def test_failures_are_classed(error, status):
    assert classify(error) == status


def test_messages_fit_on_a_line():
    assert one_line(RuntimeError("\n\n  Fatal Error:  \n x \n")) == "Fatal Error:; x"
    assert one_line(MemoryError()) == "MemoryError"
    assert len(one_line(RuntimeError("y" * 1000))) == 300
