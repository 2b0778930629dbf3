"""Levels of theory as dictionaries, what Psi4 cannot do at them, and the classes of failures."""

import pytest

from psigraph.quantum.errors import FeatureError, InputError, classify, one_line
from psigraph.quantum.levels import (
    SPHERICAL,
    LevelError,
    cartesian_error,
    check_level,
    normalise_level,
    reference_of,
)
from psigraph.quantum.psi4_runner import is_cartesian
from psigraph.quantum.table import FEATURES


def test_level_has_one_spelling(level):
    assert normalise_level({**level, "basis": "def2-SVP", "method": "HF", "max_iterations": 100.0}) == level
    assert type(normalise_level({**level, "e_convergence": 1})["e_convergence"]) is float


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bassis": "x"}, "unknown key 'bassis' .did you mean 'basis'"),
        ({"scf_type": "cd"}, "scf_type: 'cd' is unknown; known: df, pk, direct"),
        ({"method": "b3lyp"}, "method: 'b3lyp' is unknown; known: hf"),
        ({"reference": "cuhf"}, "reference: 'cuhf' is unknown; known: auto, rohf"),
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


def test_reference_follows_spin_and_level(level):
    assert normalise_level({key: value for key, value in level.items() if key != "reference"}) == level
    restricted = {**level, "reference": "rohf"}
    assert [reference_of(level, m) for m in (1, 2, 3)] == ["rhf", "uhf", "uhf"]
    assert [reference_of(restricted, m) for m in (1, 2, 3)] == ["rhf", "rohf", "rohf"]


def test_schema_and_worker_know_the_same_keys():
    """config.Level, which people write, and normalise_level, which the Psi4 interpreter can import."""
    from psigraph.config import Level

    default = Level().model_dump(exclude={"features"})
    assert normalise_level(default) == {**default, "basis": default["basis"].lower()}


@pytest.mark.parametrize(
    ("change", "feature", "message"),
    [
        ({"reference": "rohf"}, "polarizability", "reference: 'rohf' .*'polarizability'.*set reference to 'auto', or"),
        ({"reference": "rohf"}, "mp2_correlation", "reference: 'rohf' .*'mp2_correlation'.*'auto', or take"),
    ],
)
def test_what_psi4_cannot_do_is_said_before_it_starts(level, change, feature, message):
    check_level(level, [feature])
    check_level({**level, **change}, ["energy"])
    with pytest.raises(LevelError, match=message):
        check_level({**level, **change}, ["energy", feature])


def test_cartesian_functions_and_features(tmp_path):
    """Psi4 says in the first lines of a basis set's file whether its d functions are six or five."""
    assert set(SPHERICAL) <= set(FEATURES)
    assert cartesian_error("6-31gs", ["energy", "mulliken_spd"]) is None
    assert "the features npa_charge need" in cartesian_error("6-31gs", ["energy", "npa_charge"])
    file = tmp_path / "x.gbs"
    for text, expected in (
        ("! c\n cartesian \n****\n", True),
        ("spherical\n****\ncartesian", False),
        ("****\n", False),
    ):
        file.write_text(text)
        assert is_cartesian(file) == expected


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
        (FeatureError("mp2_correlation", MemoryError()), "resources"),
        (FeatureError("npa_charge", ZeroDivisionError("division by zero")), "random"),
    ],
)
def test_failures_are_classed(error, status):
    assert classify(error) == status


def test_messages_fit_on_a_line():
    assert one_line(RuntimeError("\n\n  Fatal Error:  \n x \n")) == "Fatal Error:; x"
    assert one_line(MemoryError()) == "MemoryError"
    assert len(one_line(RuntimeError("y" * 1000))) == 300
    psi4 = "\nFatal Error: X is not valid\nError occurred in file: a.cc on line: 5\nThe most recent calls:\npsi::f()\n"
    assert one_line(RuntimeError(psi4)) == "Fatal Error: X is not valid"
    error = FeatureError("npa_charge", ZeroDivisionError("division by zero"))
    assert one_line(error) == "feature npa_charge: division by zero" and error.features == ("npa_charge",)
