"""The content-addressed store: what its key depends on, what it keeps, and what damage does."""

import dataclasses
import logging
import subprocess
import sys

import numpy as np
import pytest

from psigraph.quantum import records
from psigraph.quantum.levels import normalise_level
from psigraph.quantum.model import failed
from psigraph.quantum.records import Records, record_key


def test_key_depends_on_what_is_computed_and_nothing_else(water_dimer, level, monkeypatch):
    level = normalise_level(level)
    key = record_key(water_dimer, level)
    moved = water_dimer.positions.copy()
    moved[4, 1] = np.nextafter(moved[4, 1], np.inf)
    changes = [
        {"positions": moved},
        {"z": np.array([8, 1, 1, 16, 1, 1])},
        {"fragment": np.array([1, 1, 1, 0, 0, 0])},
        {"charges": (1, 0)},
        {"charges": (0, 1)},
        {"multiplicities": (3, 1)},
    ]
    keys = {record_key(dataclasses.replace(water_dimer, **change), level) for change in changes}
    for name, value in {"basis": "def2-tzvp", "scf_type": "pk", "e_convergence": 1e-7, "max_iterations": 50}.items():
        keys.add(record_key(water_dimer, {**level, name: value}))
    monkeypatch.setattr(records, "FEATURE_VERSION", records.FEATURE_VERSION + 1)
    keys.add(record_key(water_dimer, level))
    monkeypatch.undo()
    assert len(keys) == len(changes) + 5 and key not in keys

    same = dataclasses.replace(
        water_dimer,
        z=water_dimer.z.astype(np.uint8),
        fragment=water_dimer.fragment.astype(np.uint8),
        positions=np.asfortranarray(np.where(water_dimer.positions == 0, -0.0, water_dimer.positions)),
    )
    spelling = normalise_level({**level, "basis": "DEF2-SVP", "max_iterations": 100.0})
    assert record_key(same, spelling) == key


def test_record_round_trip(tmp_path, level, made_up_result):
    store = Records(tmp_path, normalise_level(level))
    result = made_up_result(6)
    store.put("ab" * 32, result)
    assert store.path("ab" * 32) == tmp_path / "ab" / ("ab" * 32 + ".h5")
    back = store.get("ab" * 32, 6)
    for field in dataclasses.fields(result):
        np.testing.assert_array_equal(getattr(back, field.name), getattr(result, field.name))


@pytest.mark.parametrize(
    ("status", "kept"), [("input", True), ("convergence", True), ("resources", False), ("random", False)]
)
def test_only_deterministic_failures_are_kept(tmp_path, level, status, kept):
    store = Records(tmp_path, normalise_level(level))
    store.put("cd" * 32, failed(status, "why", 6))
    back = store.get("cd" * 32, 6)
    assert (back is not None) == kept
    if kept:
        assert (back.status, back.message) == (status, "why")
        assert np.isnan(back.energy).all() and back.mulliken_spd.shape == (6, 3)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "other size"])
def test_damaged_record_is_reported_and_ignored(tmp_path, level, made_up_result, caplog, damage):
    store = Records(tmp_path, normalise_level(level))
    key = "ef" * 32
    store.put(key, made_up_result(6))
    path = store.path(key)
    data = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        where = data.find(made_up_result(6).energy.tobytes())
        assert where > 0
        data[where] ^= 1
        path.write_bytes(data)
    elif damage == "empty":
        path.write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        assert store.get(key, 7 if damage == "other size" else 6) is None
    assert str(path) in caplog.text and "computed again" in caplog.text


CRASH = """
import ctypes, os, signal, sys
from pathlib import Path
from psigraph.quantum.records import Records
with Records(Path(sys.argv[1]), {{}}).watch("0123"):
    {action}
"""


@pytest.mark.parametrize(
    ("action", "notes"),
    [
        ("ctypes.string_at(0)", 1),
        ("os.abort()", 1),
        ("os.kill(os.getpid(), signal.SIGKILL)", 0),
        ("raise SystemExit(3)", 0),
    ],
)
def test_crashes_are_counted_and_kills_are_not(tmp_path, repository, action, notes):
    """Two processes that crash leave two notes; killed ones leave none, so that they may be tried for ever."""
    for _ in range(2):
        run = subprocess.run(
            [sys.executable, "-c", CRASH.format(action=action), str(tmp_path)],
            env={"PYTHONPATH": str(repository / "src")},
            capture_output=True,
        )
        assert run.returncode != 0
    count, message = Records(tmp_path, {}).crashes("0123")
    assert count == 2 * notes
    if notes:
        assert str(tmp_path / "01" / "0123.crash") in message
    with Records(tmp_path, {}).watch("0123"):
        pass
    assert Records(tmp_path, {}).crashes("0123")[0] == 0
