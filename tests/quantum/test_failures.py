"""Broken structures among good ones in one batch: each ends in its class with a telling message, the rest is right."""

import re

import numpy as np
import pytest

from psigraph.quantum.ladder import RUNGS
from psigraph.quantum.store import read_quantum

NONE = (np.zeros(0, int), np.zeros((0, 3)))
HE = [0.0, 0.0, 0.0]


def molecule(structure, name, z, x, **k):
    return structure(name, z, np.array(x, dtype=float), *NONE, **k)


def long_chain(n: int) -> tuple[list[int], list[list[float]]]:
    """H-(C≡C)n-H, atoms in order."""
    x = np.cumsum([0.0, 1.06, *([1.21, 1.38] * n)[: 2 * n - 1], 1.06])
    return [1, *[6] * (2 * n), 1], [[0, 0, float(value)] for value in x]


@pytest.fixture
def good(structure, water):
    hi = [[0, 0, 0], [0, 0, 0.74]]
    return [
        molecule(structure, "water", [8, 1, 1], water),
        structure("water-helium", [8, 1, 1], water, [2], [[0, 0, -3.0]]),
        molecule(structure, "h2", [1, 1], hi),
        molecule(structure, "oh", [8, 1], [[0, 0, 0], [0, 0, 0.97]], multiplicity=(2, 1)),
    ]


def test_every_class_and_the_rest_untouched(run_worker, write_dimers, structure, water, good, level, tmp_path):
    """6-31G** has no iodine; a chain of 40 carbon atoms takes longer than the limit; what stays is as without them."""
    broken = [
        structure("fused", [8, 1, 1], water, [2], [water[1] + [0, 0, 0.01]]),
        molecule(structure, "spin", [8, 1, 1], water, multiplicity=(2, 1)),
        structure("spin of B", [2], [HE], [8, 1], [[0, 0, 3.0], [0, 0, 3.97]], multiplicity=(1, 1)),
        molecule(structure, "iodine", [1, 53], [[0, 0, 0], [0, 0, 1.609]]),
        molecule(structure, "electrons", [1], [HE], charge=(2, 0)),
        molecule(structure, "long", *long_chain(20)),
    ]
    order = [broken[0], good[0], broken[1], broken[5], good[1], broken[2], good[2], broken[3], broken[4], good[3]]
    options = {"level": {**level, "basis": "6-31g**"}, "max_failed": 0.6, "time_limit": 5}
    write_dimers(order)
    log = run_worker(**options).stderr
    assert "10 structures, 10 computed, 0 known, 6 failed" in log
    found = read_quantum([tmp_path / "out.h5"])
    status = dict(zip(found.ids, found.status, strict=True))
    message = dict(zip(found.ids, found.message, strict=True))
    assert {name: status[name] for name in (s.id for s in broken)} == {
        "fused": "input",
        "spin": "input",
        "spin of B": "input",
        "iodine": "input",
        "electrons": "input",
        "long": "resources",
    }
    for name, text in {
        "fused": r"dimer: atoms 1 and 3 \(counted from 0\) are 0.010 Å apart",
        "spin": r"^10 electrons \(charge 0\) cannot have multiplicity 2",
        "spin of B": r"^dimer: 11 electrons",
        "iodine": r"^6-31G\*\* has no functions for atom 1 \(counted from 0\), I, as BASIS; choose another",
        "electrons": r"^-1 electrons \(charge 2\)",
        "long": r"longer than 5 s \(quantum.time_limit_s\)",
    }.items():
        assert re.search(text, message[name]), (name, message[name])

    write_dimers(good)
    run_worker(**options, store=tmp_path / "other", output=tmp_path / "good.h5")
    alone = read_quantum([tmp_path / "good.h5"])
    assert set(alone.status) == {"ok"}
    rows = [list(found.ids).index(name) for name in alone.ids]
    for name in ("energy", "dipole", "interaction_energy"):
        np.testing.assert_array_equal(found[name][rows], alone[name])

    write_dimers(order)
    again = {**options, "output": tmp_path / "again.h5"}
    assert "0 computed, 10 known, 6 failed" in run_worker(**again).stderr
    more = run_worker(**{**again, "time_limit": 5.5}).stderr  # a larger limit is a reason to try again
    assert "1 computed, 9 known, 6 failed" in more and "longer than 5.5 s" in more


def test_nothing_rescues_iron_carbide(run_worker, write_dimers, structure, good, level, tmp_path):
    """FeC (triplet, 1.6 Å) goes round in circles on every rung, with 100 iterations too; the record tells of each."""
    carbide = molecule(structure, "FeC", [26, 6], [[0, 0, 0], [0, 0, 1.6]], multiplicity=(3, 1))
    write_dimers([good[0], carbide, good[2]])
    options = {"level": {**level, "max_iterations": 30}, "max_failed": 0.5}
    log = run_worker(**options).stderr
    assert "3 structures, 3 computed, 0 known, 1 failed" in log
    found = read_quantum([tmp_path / "out.h5"])
    assert found.status.tolist() == ["ok", "convergence", "ok"]
    assert f"any of {len(RUNGS)} settings" in found.message[1] and "max_iterations" in found.message[1]
    lines = found.attempts[1].splitlines()
    assert [line.split(": ")[0] for line in lines] == [rung.name for rung in RUNGS]
    assert [int(re.search(r"in (\d+) iterations", line)[1]) for line in lines] == [30, 30, 30, 30, 60]
    assert found.attempts[0].splitlines()[0].startswith("as given: converged in ")
    assert np.isnan(found["energy"][1]).all() and np.isnan(found["mulliken_charge"][found.atoms(1)]).all()
    assert "0 computed, 3 known, 1 failed" in run_worker(**options).stderr


def test_a_feature_that_cannot_be_is_not_the_structures_end(run_worker, write_dimers, good, structure, tmp_path):
    """SAPT0 of an open shell fails for this feature only: without it the same structure is computed."""
    open_shell = structure("oh-he", [8, 1], [[0, 0, 0], [0, 0, 0.97]], [2], [[0, 3.0, 0]], multiplicity=(2, 1))
    write_dimers([open_shell])
    options = {"max_failed": 1}
    run_worker(**options, features="energy,sapt0")
    found = read_quantum([tmp_path / "out.h5"])
    assert found.status[0] == "input" and "sapt0 is for closed shells" in found.message[0]
    assert "take sapt0 out of the level's features" in found.message[0]
    assert "1 computed, 0 known, 0 failed" in run_worker(**options, features="energy").stderr
    run_worker(**options, features="energy,sapt0")
    assert "0 computed, 1 known, 1 failed" in run_worker(**options, features="energy,sapt0").stderr
