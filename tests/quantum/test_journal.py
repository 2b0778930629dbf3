"""The journals of the content-addressed store: what they keep, what damage does, which failures count."""

import json
import logging
import os
import subprocess
import sys

import numpy as np
import pytest

from psigraph.quantum import journal
from psigraph.quantum.journal import MAX_CRASHES, SUFFIX, JournalError, Journals, decode, describe, encode, level_folder
from psigraph.quantum.model import Record, failed

LEVEL = {"method": "hf", "basis": "def2-svp"}
KEYS = [f"{i:064x}" for i in range(1, 9)]


def success(seed: int = 0, **values: np.ndarray) -> Record:
    rng = np.random.default_rng(seed)
    values = values or {
        "energy": np.array(rng.normal()),
        "mulliken_spd": rng.normal(size=(5, 3)),
        "bonds": np.array([[0, 1], [0, 2]], dtype=np.int32),
        "nbo_type": np.array([0, 1, 255], dtype=np.uint8),
        "donation_energy": np.zeros(0),
        "polarizability": np.asfortranarray(rng.normal(size=(3, 3))),
    }
    return Record(
        "ok",
        values=values,
        attempts=("DIIS: converged in 12 iterations",),
        wall_time=1.25,
        psi4_version="1.3.2",
        limits={"time_s": 60.0, "memory_mb": 500},
    )


def assert_same(a: Record, b: Record) -> None:
    assert list(a.values) == list(b.values)
    for name in a.values:
        assert a.values[name].dtype == b.values[name].dtype
        np.testing.assert_array_equal(a.values[name], b.values[name], strict=True)
    for field in ("status", "message", "attempts", "wall_time", "psi4_version", "limits", "asked"):
        assert getattr(a, field) == getattr(b, field)


def only_file(journals: Journals):
    (path,) = journals.folder.glob(f"*{SUFFIX}")
    return path


def test_record_survives_encoding():
    """Scalars, empty arrays, integers, other byte orders; text in any script."""
    record = success()
    assert_same(decode(encode(KEYS[0], record))[1], record)
    big_endian = success(energy=np.array(1.5, dtype=">f8"), a=np.arange(6, dtype=">i4").reshape(2, 3)[:, ::-1])
    back = decode(encode(KEYS[1], big_endian))[1]
    assert back.values["a"].tolist() == [[2, 1, 0], [5, 4, 3]] and back.values["a"].dtype == np.dtype("i4")
    assert back.values["energy"].shape == () and float(back.values["energy"]) == 1.5
    text = failed("convergence", "ne converge pas: ħω → 収束せず 🙁\n\x00", attempts=("ä", ""), asked=("sapt0",))
    key, back = decode(encode(KEYS[2], text))
    assert key == KEYS[2]
    assert_same(back, text)
    empty = Record("ok", values={"bonds": np.zeros((0, 2), np.int32), "x": np.zeros((3, 0))})
    back = decode(encode(KEYS[3], empty))[1]
    assert back.values["bonds"].shape == (0, 2) and back.values["x"].shape == (3, 0)
    assert back.values["bonds"].dtype == np.int32


def test_values_can_be_written_to():
    """Readers get arrays of their own, aligned and writable."""
    values = decode(encode(KEYS[0], success()))[1].values
    assert all(value.flags.writeable and value.flags.aligned for value in values.values())


def test_only_the_features_asked_for_are_returned():
    back = decode(encode(KEYS[0], success()), ["bonds", "energy"])[1]
    assert list(back.values) == ["energy", "bonds"]
    assert back.values["bonds"].tolist() == [[0, 1], [0, 2]]


@pytest.mark.parametrize("key", ["ab", "x" * 64, "", "ab" * 33])
def test_a_key_must_be_a_digest(key):
    with pytest.raises(JournalError, match="not a SHA-256"):
        encode(key, success())


def test_only_numbers_are_kept():
    with pytest.raises(JournalError, match="'energy'.*object"):
        encode(KEYS[0], success(energy=np.array([None])))


def test_every_flipped_bit_of_a_record_is_noticed():
    data = encode(KEYS[0], success())
    for where in range(len(data)):
        damaged = bytearray(data)
        damaged[where] ^= 1 << (where % 8)
        with pytest.raises(JournalError):
            decode(bytes(damaged))


def test_records_are_found_by_the_next_process(tmp_path):
    first = Journals(tmp_path, LEVEL)
    assert list(tmp_path.iterdir()) == []  # looking leaves no trace
    for i, key in enumerate(KEYS):
        first.put(key, success(i))
    second = Journals(tmp_path, LEVEL)
    assert len(first) == len(second) == len(KEYS)
    for i, key in enumerate(KEYS):
        for journals in (first, second):
            assert_same(journals.get(key, success().values), success(i))
    assert {key for key, _ in second} == set(KEYS)
    assert second.get("f" * 64, []) is None


def test_levels_and_feature_versions_are_kept_apart(tmp_path, monkeypatch):
    Journals(tmp_path, LEVEL).put(KEYS[0], success())
    assert len(Journals(tmp_path, {**LEVEL, "basis": "def2-tzvp"})) == 0
    assert len(Journals(tmp_path, None)) == 0
    assert describe(only_file(Journals(tmp_path, LEVEL)))["level"] == LEVEL
    monkeypatch.setattr(journal, "FEATURE_VERSION", journal.FEATURE_VERSION + 1)
    assert len(Journals(tmp_path, LEVEL)) == 0


def test_long_records(tmp_path):
    """Records longer than one read."""
    big = success(density_block=np.arange(200_000, dtype=float))
    journals = Journals(tmp_path, LEVEL)
    journals.put(KEYS[0], big)
    journals.put(KEYS[1], success())
    again = Journals(tmp_path, LEVEL)
    assert_same(again.get(KEYS[0], ["density_block"]), big)
    assert_same(again.get(KEYS[1], success().values), success())


def test_every_truncation_loses_the_last_record_only(tmp_path, caplog):
    """Cut a journal at each byte of its last record: the records before stay, and a new process adds to them."""
    journals = Journals(tmp_path, LEVEL)
    journals.put(KEYS[0], success(0))
    path = only_file(journals)
    before = path.stat().st_size
    small = success(energy=np.array(2.0))
    journals.put(KEYS[1], small)
    whole = path.read_bytes()
    for size in range(before, len(whole)):
        path.write_bytes(whole[:size])
        caplog.clear()
        with caplog.at_level(logging.INFO):
            found = Journals(tmp_path, LEVEL)
        assert [key for key, _ in found] == [KEYS[0]]
        assert (str(path) in caplog.text) == (size > before), "a cut is logged"
    with Journals(tmp_path, LEVEL) as following:
        following.put(KEYS[1], small)
        assert len(list(following.folder.iterdir())) == 2
    assert {key for key, _ in Journals(tmp_path, LEVEL)} == set(KEYS[:2])


def test_empty_and_foreign_files_are_no_obstacle(tmp_path):
    journals = Journals(tmp_path, LEVEL)
    journals.put(KEYS[0], success())
    (journals.folder / f"0{SUFFIX}").write_bytes(b"")
    (journals.folder / f"1{SUFFIX}").write_bytes(os.urandom(5000))
    (journals.folder / "notes.txt").write_text("mine")
    assert [key for key, _ in Journals(tmp_path, LEVEL)] == [KEYS[0]]


def test_damage_in_the_middle_loses_one_record(tmp_path, caplog):
    """Flip each of many bytes in the second of three records: it is computed again, the others are found."""
    journals = Journals(tmp_path, LEVEL)
    path = None
    ends = []
    for i in range(3):
        journals.put(KEYS[i], success(i))
        path = only_file(journals)
        ends.append(path.stat().st_size)
    whole = path.read_bytes()
    for where in [*range(ends[0], ends[0] + 80), *range(ends[0] + 80, ends[1], 37), ends[1] - 1]:
        damaged = bytearray(whole)
        damaged[where] ^= 0x10
        path.write_bytes(damaged)
        caplog.clear()
        found = Journals(tmp_path, LEVEL)
        assert found.get(KEYS[1], ["energy"]) is None
        assert str(path) in caplog.text
        for i in (0, 2):
            assert_same(found.get(KEYS[i], success().values), success(i))
        assert {key for key, _ in found} == {KEYS[0], KEYS[2]}


def test_failed_write_is_undone(tmp_path, monkeypatch):
    """A full disk in the middle of a record leaves a journal that goes on."""
    journals = Journals(tmp_path, LEVEL)
    journals.put(KEYS[0], success(0))
    path = only_file(journals)
    before = path.stat().st_size
    real = os.fsync

    def full(_handle: int) -> None:
        assert path.stat().st_size > before
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        journals.put(KEYS[1], success(1))
    monkeypatch.setattr(os, "fsync", real)
    assert path.stat().st_size == before and journals.get(KEYS[1], []) is None
    journals.put(KEYS[2], success(2))
    assert {key for key, _ in Journals(tmp_path, LEVEL)} == {KEYS[0], KEYS[2]}


WRITER = """
import sys, pathlib, numpy as np
from psigraph.quantum.journal import Journals
from psigraph.quantum.model import Record
journals = Journals(pathlib.Path(sys.argv[1]), {"method": "hf", "basis": "def2-svp"})
for i in range(int(sys.argv[2]), int(sys.argv[3])):
    journals.put(f"{i:064x}", Record("ok", values={"energy": np.array(float(i)), "x": np.full(1000, i)}))
    print(i, flush=True)
"""


def writer(tmp_path, repository, first: int, last: int) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), str(first), str(last)],
        env={**os.environ, "PYTHONPATH": str(repository / "src")},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_processes_write_at_once(tmp_path, repository):
    """Both their records are found, by each other too; the same key in both is no conflict."""
    mine = Journals(tmp_path, LEVEL)
    processes = [writer(tmp_path, repository, 1, 60), writer(tmp_path, repository, 40, 100)]
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    mine.put(f"{200:064x}", success())
    mine.refresh()
    assert len(list(mine.folder.glob(f"*{SUFFIX}"))) == 3
    for journals in (mine, Journals(tmp_path, LEVEL)):
        assert len(journals) == 100
        assert all(float(journals.get(f"{i:064x}", ["energy"]).values["energy"]) == i for i in range(1, 100))


def test_killed_writer_loses_nothing_it_reported(tmp_path, repository):
    """kill -9 while it writes: every record whose put had returned is there."""
    for _ in range(5):
        process = writer(tmp_path, repository, 1, 100_000)
        reported = [int(process.stdout.readline()) for _ in range(20)]
        process.kill()
        reported += [int(line) for line in process.stdout.read().splitlines() if line.strip()]
        process.wait()
        journals = Journals(tmp_path, LEVEL)
        assert len(reported) - 1 <= len(journals) and reported[-1] >= 20
        assert all(journals.get(f"{i:064x}", ["energy", "x"]) is not None for i in reported)
        for path in journals.folder.iterdir():
            path.unlink()


def test_child_process_has_a_journal_of_its_own(tmp_path):
    """A fork inherits the index, never the file."""
    journals = Journals(tmp_path, LEVEL)
    journals.put(KEYS[0], success(0))
    child = os.fork()
    if child == 0:
        try:
            journals.put(KEYS[1], success(1))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    journals.put(KEYS[2], success(2))
    journals.refresh()
    assert len(list(journals.folder.iterdir())) == 2
    for i in range(3):
        assert_same(journals.get(KEYS[i], success().values), success(i))
    assert len(journals) == 3


def test_refresh_reads_a_record_that_was_half_written(tmp_path):
    """Another process's journal, seen in the middle of a write, is read on once the record is whole."""
    writing = Journals(tmp_path, LEVEL)
    writing.put(KEYS[0], success(0))
    path = only_file(writing)
    data = encode(KEYS[1], success(1))
    with open(path, "ab") as handle:
        handle.write(data[:100])
    reading = Journals(tmp_path, LEVEL)
    assert reading.get(KEYS[1], []) is None
    with open(path, "ab") as handle:
        handle.write(data[100:])
    reading.refresh()
    assert_same(reading.get(KEYS[1], success().values), success(1))


def test_features_add_up(tmp_path):
    """What was computed before stays when more is computed; the later value of a feature counts."""
    Journals(tmp_path, LEVEL).put(KEYS[0], success(energy=np.array(1.0), dipole=np.ones(3)))
    journals = Journals(tmp_path, LEVEL)
    assert journals.get(KEYS[0], ["energy", "sapt0"]) is None
    journals.put(KEYS[0], success(energy=np.array(2.0), sapt0=np.arange(5.0)))
    for found in (journals, Journals(tmp_path, LEVEL)):
        record = found.get(KEYS[0], ["energy", "sapt0", "dipole"])
        assert (float(record.values["energy"]), record.values["dipole"].tolist()) == (2.0, [1, 1, 1])
        assert record.wall_time == 2.5 and len(record.attempts) == 1 and record.psi4_version == "1.3.2"
        assert found.get(KEYS[0], ["octupole"]) is None
        assert len(found) == 1 and [set(r.values) for _, r in found] == [{"energy", "sapt0", "dipole"}]
        assert list(found.get(KEYS[0], ["energy"]).values) == ["energy"]


@pytest.mark.parametrize("status", ["input", "convergence"])
def test_certain_failures_count_always(tmp_path, status):
    journals = Journals(tmp_path, LEVEL)
    journals.put(KEYS[0], failed(status, "why", limits={"time_s": 1.0}))
    record = Journals(tmp_path, LEVEL).get(KEYS[0], ["energy"], {"time_s": 1e9})
    assert (record.status, record.message) == (status, "why")


def test_random_failures_count_after_some_tries(tmp_path):
    for tries in range(1, MAX_CRASHES + 1):
        Journals(tmp_path, LEVEL).put(KEYS[0], failed("random", f"crash {tries}"))
        record = Journals(tmp_path, LEVEL).get(KEYS[0], ["energy"])
        assert (record is not None) == (tries >= MAX_CRASHES)
    assert record.message == f"crash {MAX_CRASHES}"


@pytest.mark.parametrize(
    ("now", "counts"),
    [
        ({"time_s": 60.0, "memory_mb": 2000}, True),
        ({"time_s": 30.0, "memory_mb": 1000}, True),
        ({"time_s": 61.0, "memory_mb": 2000}, False),
        ({"time_s": 30.0, "memory_mb": 4000}, False),
        ({"memory_mb": 2000}, False),
        (None, True),
    ],
)
def test_lack_of_resources_counts_until_there_is_more(tmp_path, now, counts):
    journals = Journals(tmp_path, LEVEL)
    journals.put(KEYS[0], failed("resources", "out of time", limits={"time_s": 60.0, "memory_mb": 2000}))
    assert (journals.get(KEYS[0], ["energy"], now) is not None) == counts


def test_success_makes_up_for_failures_and_outlives_later_ones(tmp_path):
    """Old features are returned after a failure to add one; failures before a success count no more."""
    journals = Journals(tmp_path, LEVEL)
    journals.put(KEYS[0], failed("random", "crash"))
    journals.put(KEYS[0], success(energy=np.array(1.0)))
    journals.put(KEYS[0], failed("random", "crash again"))
    assert journals.get(KEYS[0], ["energy"]).ok
    assert journals.get(KEYS[0], ["energy", "sapt0"]) is None, "one crash since the success"
    journals.put(KEYS[0], failed("convergence", "response equations", asked=("polarizability",)))
    assert journals.get(KEYS[0], ["energy"]).ok
    assert journals.get(KEYS[0], ["energy", "sapt0"]) is None, "that failure was about another feature"
    assert journals.get(KEYS[0], ["energy", "polarizability"]).message == "response equations"
    journals.put(KEYS[0], success(energy=np.array(1.0), polarizability=np.eye(3)))
    assert journals.get(KEYS[0], ["polarizability"]).ok
    assert [record.ok for _, record in journals] == [True]


def test_many_journals_do_not_exhaust_file_descriptors(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "_MAX_OPEN", 3)
    for i, key in enumerate(KEYS):
        Journals(tmp_path, LEVEL).put(key, success(i))
    journals = Journals(tmp_path, LEVEL)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        for i, key in enumerate(KEYS):
            assert_same(journals.get(key, success().values), success(i))
    assert len(os.listdir("/proc/self/fd")) <= before + 3
    journals.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_description_of_what_is_no_journal(tmp_path):
    path = tmp_path / f"x{SUFFIX}"
    path.write_bytes(b"something else")
    with pytest.raises(JournalError, match="x.journal: no record begins here"):
        describe(path)
    path.write_bytes(encode(KEYS[0], success()))
    with pytest.raises(JournalError, match="does not begin with the description"):
        describe(path)


def test_folder_depends_on_content_not_on_order(tmp_path):
    assert level_folder(tmp_path, LEVEL) == level_folder(
        tmp_path, json.loads(json.dumps(dict(reversed(LEVEL.items()))))
    )


def test_order_is_that_of_time_not_of_files(tmp_path):
    """A process that started first may write last: a crash after a success counts, whatever its journal is called."""
    early, late = Journals(tmp_path, LEVEL), Journals(tmp_path, LEVEL)
    early.put(KEYS[1], success())
    late.put(KEYS[0], success(energy=np.array(1.0)))
    for i in range(MAX_CRASHES):
        early.put(KEYS[0], failed("random", f"crash {i}"))
    early.put(KEYS[2], success(energy=np.array(1.0)))
    late.put(KEYS[2], success(energy=np.array(2.0)))
    early.put(KEYS[2], success(energy=np.array(3.0)))
    journals = Journals(tmp_path, LEVEL)
    assert not journals.get(KEYS[0], ["energy", "sapt0"]).ok
    assert float(journals.get(KEYS[2], ["energy"]).values["energy"]) == 3.0
